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

// maxPostedBytes bounds the memory for transactions: some 270 bytes each, and 60 for each of its entries. It is outside of Go's heap; the
// places of what is in it take a tenth more.
const maxPostedBytes = 64 << 20

// posted keeps transactions in memory, by merchant and identifier, and the transactions of accounts' entries, by merchant, account and
// number (docs/decisions/016). Neither ever changes: the serving role cannot update or delete a row of entry. So nothing is ever taken
// back, but for one case: a server that takes the place of another may not have the last commits of that.
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

// keep puts transactions that were read in an era, with all their entries.
func (p *posted) keep(era int, m merchant.ID, transactions []*ledger.Transaction) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if era != p.era {
		return
	}
	keys := keysOf(m)
	var value []byte
	for _, t := range transactions {
		id, err := answer.Decode(answer.TransactionPrefix, string(t.ID))
		if err != nil {
			continue
		}
		if key := keys.transaction(id); !p.kept.Has(key) {
			value = appendTransaction(value[:0], t)
			p.kept.Set(key, value)
		}
		for i := range t.Entries {
			keys.account(t.Entries[i].AccountID)
			if key := keys.number(t.Entries[i].AccountSequence); !p.kept.Has(key) {
				p.kept.Set(key, id[:])
			}
		}
	}
}

// recall finds the transactions of an account's entries, the newest first: nil for those that are not kept, all of which are in missing.
func (p *posted) recall(m merchant.ID, s ledger.Span) (found []*ledger.Transaction, missing ledger.Span) {
	keys := keysOf(m)
	keys.account(s.Account)
	found = make([]*ledger.Transaction, max(0, s.Before-s.After-1))
	var id, value []byte
	for i := range found {
		n := s.Before - 1 - int64(i)
		if id = p.kept.Get(id[:0], keys.number(n)); len(id) == len(answer.UUID{}) {
			value = p.kept.Get(value[:0], keys.transaction(answer.UUID(id)))
			if len(value) > 0 {
				found[i] = readTransaction(value)
				continue
			}
		}
		if missing.Before == 0 {
			missing = ledger.Span{Account: s.Account, Before: n + 1}
		}
		missing.After = n - 1
	}
	return found, missing
}

// postedKeys makes the keys of one merchant, in place. The two kinds differ in their lengths.
type postedKeys struct {
	ofTransaction [2 * len(answer.UUID{})]byte
	ofNumber      [2*len(answer.UUID{}) + 8]byte
}

func keysOf(m merchant.ID) *postedKeys {
	id, err := answer.Decode(answer.MerchantPrefix, string(m))
	if err != nil {
		panic("store: " + string(m) + " is not a merchant's identifier")
	}
	k := &postedKeys{}
	copy(k.ofTransaction[:], id[:])
	copy(k.ofNumber[:], id[:])
	return k
}

func (k *postedKeys) transaction(id answer.UUID) []byte {
	copy(k.ofTransaction[len(id):], id[:])
	return k.ofTransaction[:]
}

// account is whose numbers are asked for next. One that is no identifier is all zeros, and has none.
func (k *postedKeys) account(id ledger.AccountID) {
	u, _ := answer.Decode(answer.AccountPrefix, string(id))
	copy(k.ofNumber[len(u):], u[:])
}

func (k *postedKeys) number(n int64) []byte {
	binary.BigEndian.PutUint64(k.ofNumber[2*len(answer.UUID{}):], uint64(n))
	return k.ofNumber[:]
}
