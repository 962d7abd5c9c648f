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

// maxPostedBytes bounds the memory for transactions: some 260 bytes for each, once for each account that it was read from. It is outside of
// Go's heap; the places of what is in it take a tenth more.
const maxPostedBytes = 64 << 20

// posted keeps in memory the transactions of accounts' entries, by merchant, account and number (docs/decisions/016). They never change:
// the serving role cannot update or delete a row of entry. So nothing is ever taken back, but for one case: a server that takes the place of
// another may not have the last commits of that.
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
	key := keyOf(m, of.Account)
	var value []byte
	for _, t := range transactions {
		value = appendTransaction(value[:0], t)
		for i := range t.Entries {
			if e := &t.Entries[i]; of.Has(e) {
				p.kept.Set(key.number(e.AccountSequence), value)
			}
		}
	}
}

// recall finds the transactions of an account's entries, the newest first: nil for those that are not kept, all of which are in missing.
func (p *posted) recall(m merchant.ID, of ledger.Span) (found []*ledger.Transaction, missing ledger.Span) {
	key := keyOf(m, of.Account)
	found = make([]*ledger.Transaction, max(0, of.Before-of.After-1))
	values := make([]byte, 0, len(found)*usualValue)
	ends := make([]int, len(found))
	for i := range found {
		n := of.Before - 1 - int64(i)
		begin := len(values)
		values = p.kept.Get(values, key.number(n))
		ends[i] = len(values)
		if len(values) > begin {
			continue
		}
		if missing.Before == 0 {
			missing = ledger.Span{Account: of.Account, Before: n + 1}
		}
		missing.After = n - 1
	}
	readTransactions(values, ends, found)
	return found, missing
}

// postedKey is the merchant, the account and the number of an entry.
type postedKey [2*len(answer.UUID{}) + 8]byte

// keyOf is still without a number. An account that is no identifier is all zeros, and has no entries.
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

func (k *postedKey) number(n int64) []byte {
	binary.BigEndian.PutUint64(k[2*len(answer.UUID{}):], uint64(n))
	return k[:]
}
