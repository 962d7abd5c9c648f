package store

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/VictoriaMetrics/fastcache"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
)

// maxPostedBytes bounds the memory for transactions: some 220 bytes for each, once for each account that it was read from. It is outside of
// Go's heap; the places of what is in it take some megabytes there.
const maxPostedBytes = 64 << 20

// posted keeps in memory the transactions of accounts' entries, by merchant, account and number (docs/decisions/016). They never change:
// the serving role cannot update or delete a row of entry. So nothing is ever taken back, but for one case: a server that takes the place of
// another may not have the last commits of that. Neighbours are kept together, in blocks: each look-up waits for the machine's memory.
type posted struct {
	kept *fastcache.Cache

	mu     sync.RWMutex
	server string // that the newest session is connected to
	era    int    // how many servers there have been
}

func newPosted() *posted { return &posted{kept: fastcache.New(maxPostedBytes)} }

// meetOn asks a new session for its server, before anything else is asked on it. A server that takes the place of another, or comes back
// with its files as they were once, has begun at another time.
func (p *posted) meetOn(ctx context.Context, session driver.QueryerContext) error {
	rows, err := session.QueryContext(ctx, "SELECT pg_postmaster_start_time()::text", nil)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	began := make([]driver.Value, 1)
	if err := rows.Next(began); err != nil {
		return err
	}
	p.meet(fmt.Sprint(began[0]))
	return nil
}

// meet forgets everything if the server is another one.
func (p *posted) meet(server string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if server != p.server {
		p.server = server
		p.forget()
	}
}

func (p *posted) forget() {
	p.era++
	p.kept.Reset()
}

// close gives the memory back. What is kept later is lost.
func (p *posted) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget()
}

// now is the era in which a question begins whose answer is to be kept.
func (p *posted) now() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.era
}

// keep puts the transactions of a span that were read in an era, with all their entries.
func (p *posted) keep(era int, m merchant.ID, of ledger.Span, transactions []*ledger.Transaction) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if era != p.era {
		return
	}
	blocks := map[int64]*block{}
	for _, t := range transactions {
		value := appendTransaction(nil, t)
		for i := range t.Entries {
			if e := &t.Entries[i]; of.Has(e) {
				n := blockOf(e.AccountSequence)
				if blocks[n] == nil {
					blocks[n] = &block{}
				}
				blocks[n][placeOf(e.AccountSequence)] = value
			}
		}
	}
	key := keyOf(m, of.Account)
	for n, b := range blocks {
		b.join(p.kept.Get(nil, key.block(n))) // where two do this at the same time, one may be forgotten
		p.kept.Set(key.block(n), b.wire())
	}
}

// recall finds the transactions of an account's entries, the newest first: nil for those that are not kept, all of which are in missing.
func (p *posted) recall(m merchant.ID, of ledger.Span) (found []*ledger.Transaction, missing ledger.Span) {
	found = make([]*ledger.Transaction, max(0, of.Before-of.After-1))
	if len(found) == 0 {
		return found, missing
	}
	key := keyOf(m, of.Account)
	values := make([]byte, 0, (len(found)+blockSize)*usualValue)
	newest, oldest := blockOf(of.Before-1), blockOf(of.After+1)
	ends := make([]int, newest-oldest+1)
	for i := range ends {
		values = p.kept.Get(values, key.block(newest-int64(i)))
		ends[i] = len(values)
	}
	readBlocks(values, ends, newest, of, found)
	for i, t := range found {
		if n := of.Before - 1 - int64(i); t == nil {
			missing = ledger.Span{Account: of.Account, After: n - 1, Before: max(missing.Before, n+1)}
		}
	}
	return found, missing
}

// postedKey is the merchant, the account and the number of a block.
type postedKey [2*len(answer.UUID{}) + 8]byte

// keyOf is still without the block. An account that is no identifier is all zeros, and has no entries.
func keyOf(m merchant.ID, account ledger.AccountID) *postedKey {
	id, err := answer.Decode(answer.MerchantPrefix, string(m))
	if err != nil {
		panic("store: " + string(m) + " is not a merchant's identifier")
	}
	of, _ := answer.Decode(answer.AccountPrefix, string(account))
	k := &postedKey{}
	copy(k[:], id[:])
	copy(k[len(id):], of[:])
	return k
}

func (k *postedKey) block(n int64) []byte {
	binary.BigEndian.PutUint64(k[2*len(answer.UUID{}):], uint64(n))
	return k[:]
}
