package store_test

import (
	"context"
	"database/sql"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/storetest"
)

const (
	soon = 500 * time.Millisecond // what a hint takes at most; the poll takes as long on average
	late = 3 * time.Second        // what the poll takes at most, on a busy machine
)

// ear is a subscriber to a merchant's log at one node.
type ear struct {
	t     *testing.T
	heard chan int64
	last  int64
}

// listen subscribes to what happens from now on.
func listen(t *testing.T, h *storetest.House, p auth.Principal) *ear {
	t.Helper()
	sub, err := h.Store.Hub.Subscribe(t.Context(), p.Merchant, event.Stream{
		Topic: event.Topic{Kind: event.OfMerchant},
		Read: func(ctx context.Context, after int64, limit int) ([]*event.Item, error) {
			found, err := h.Store.ListEvents(ctx, p.Merchant, nil, after, limit)
			items := make([]*event.Item, len(found))
			for i, e := range found {
				items[i] = &event.Item{Number: e.Sequence, Event: e}
			}
			return items, err
		},
	})
	must(t, err)
	t.Cleanup(sub.Close)
	head, err := h.Store.Head(t.Context(), p.Merchant)
	must(t, err)
	sub.Start(head.Sequence, false)
	e := &ear{t, make(chan int64, 10_000), head.Sequence}
	woken := make(chan struct{}, 1)
	_, live, err := sub.CatchUp(t.Context(), func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	})
	if err != nil || !live {
		t.Fatalf("live %v, %v", live, err)
	}
	go func() {
		defer close(e.heard)
		for range woken {
			items, err := sub.Take()
			if err != nil {
				return
			}
			for _, i := range items {
				e.heard <- i.Number
			}
		}
	}()
	return e
}

// next waits for the next number, which continues the one before, and tells how long that took.
func (e *ear) next() time.Duration {
	e.t.Helper()
	begin := time.Now()
	select {
	case n := <-e.heard:
		if e.last++; n != e.last {
			e.t.Fatalf("number %d arrives, want %d", n, e.last)
		}
	case <-time.After(10 * late):
		e.t.Fatal("nothing arrives")
	}
	return time.Since(begin)
}

// silent fails if there is more.
func (e *ear) silent() {
	e.t.Helper()
	select {
	case n := <-e.heard:
		e.t.Errorf("number %d arrives after %d", n, e.last)
	case <-time.After(100 * time.Millisecond):
	}
}

// shop is a merchant with two wallets, on two nodes.
type shop struct {
	*storetest.House
	other    *storetest.House
	p        auth.Principal
	from, to ledger.AccountID
}

func newShop(t *testing.T, changes ...func(*store.Config)) *shop {
	t.Helper()
	dsn := storetest.DSN(t)
	s := &shop{House: storetest.At(t, dsn, changes...), other: storetest.At(t, dsn, changes...)}
	s.p = s.Merchant(t)
	s.from, s.to = wallet(t, s.House, s.p, "100.00"), wallet(t, s.House, s.p, "")
	return s
}

func (s *shop) pay(t *testing.T) {
	t.Helper()
	_, err := pay(t.Context(), s.House, s.p, key(), s.from, s.to, "0.01")
	must(t, err)
}

// hear pays at one node, now and then, and has each subscriber hear each payment. It tells how long that took: a list a subscriber, sorted.
func (s *shop) hear(t *testing.T, payments int, subscribers ...*ear) [][]time.Duration {
	t.Helper()
	took := make([][]time.Duration, len(subscribers))
	for range payments {
		s.pay(t)
		begin := time.Now()
		for n, e := range subscribers {
			e.next()
			took[n] = append(took[n], time.Since(begin))
		}
		time.Sleep(70 * time.Millisecond)
	}
	for _, of := range took {
		slices.Sort(of)
	}
	return took
}

// wantSoon has each subscriber hear of payments, but for a few, in less than soon.
func (s *shop) wantSoon(t *testing.T, subscribers ...*ear) {
	t.Helper()
	for _, took := range s.hear(t, 10, subscribers...) {
		wantMostSoon(t, took)
	}
}

func wantMostSoon(t *testing.T, took []time.Duration) {
	t.Helper()
	if took[len(took)-2] > soon || took[len(took)/2] > soon/2 {
		t.Errorf("after a payment it took %v", took)
	}
}

func TestAnotherNodesCommitsAreHeardByHints(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	here, there := listen(t, s.House, s.p), listen(t, s.other, s.p)
	s.wantSoon(t, here, there)
	const many = 200
	var all sync.WaitGroup
	for range many { // far more than there are hints
		all.Go(func() { s.pay(t) })
	}
	all.Wait()
	for range many {
		here.next()
		there.next()
	}
	here.silent()
	there.silent()
}

func TestAnotherNodesCommitsAreHeardWithoutHints(t *testing.T) {
	t.Parallel()
	s := newShop(t, func(c *store.Config) { c.NoHints = true })
	there := listen(t, s.other, s.p)
	for range 3 {
		for range 5 {
			s.pay(t)
		}
		for range 5 {
			if took := there.next(); took > late {
				t.Errorf("it took %v", took)
			}
		}
	}
	there.silent()
}

// TestAListenerWhoseSessionIsEndedComesBack ends it, and the sessions that send hints, again and again.
func TestAListenerWhoseSessionIsEndedComesBack(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	there := listen(t, s.other, s.p)
	s.wantSoon(t, there)
	db := owner(t, s.DSN)
	sessions := func() (pids int) {
		must(t, db.QueryRow(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN%'`).Scan(&pids))
		return pids
	}
	for range 3 {
		var ended int
		must(t, db.QueryRow(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()
			AND (query ILIKE 'LISTEN%' OR application_name = 'paygraph hints')`).Scan(&ended))
		if ended < 2 {
			t.Fatalf("%d sessions were ended", ended)
		}
		s.pay(t)
		if took := there.next(); took > late {
			t.Errorf("without a listener it took %v", took)
		}
		for begin := time.Now(); sessions() < 2; time.Sleep(20 * time.Millisecond) {
			if time.Since(begin) > 10*late {
				t.Fatal("the listener does not come back")
			}
		}
		s.pay(t) // the sender's session is opened again with the first hint, which may be lost
		there.next()
		s.wantSoon(t, there)
	}
	there.silent()
}

// TestAPaymentWhoseCommitHasNoAnswerIsToldOnce has the answer to COMMIT lost in each way.
func TestAPaymentWhoseCommitHasNoAnswerIsToldOnce(t *testing.T) {
	t.Parallel()
	for _, f := range []fault{lostRequest, lostAnswer, cutAnswer, swallowedAnswer} {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			dsn := storetest.DSN(t)
			proxy := newProxy(t, dsn)
			s := &shop{House: storetest.At(t, proxy.dsn), other: storetest.At(t, dsn)}
			s.p = s.Merchant(t)
			s.from, s.to = wallet(t, s.House, s.p, "100.00"), wallet(t, s.House, s.p, "")
			here, there := listen(t, s.House, s.p), listen(t, s.other, s.p)
			struck := proxy.arm("COMMIT", f)
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() { s.pay(t) })
			}
			all.Wait()
			select {
			case <-struck:
			default:
				t.Error("the fault did not strike")
			}
			for range 8 {
				here.next()
				there.next()
			}
			here.silent()
			there.silent()
		})
	}
}

// TestNobodyElsesTransactionDelaysAStream holds a transaction open that has written and notified, and locks another merchant's head, for
// whose payments writers wait. Subscribers at both nodes hear of this merchant's as if it were not there.
func TestNobodyElsesTransactionDelaysAStream(t *testing.T) {
	t.Parallel()
	for name, hints := range map[string]bool{"with hints": true, "without hints": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, func(c *store.Config) { c.NoHints = !hints })
			stranger := s.Merchant(t)
			from, to := wallet(t, s.House, stranger, "10.00"), wallet(t, s.House, stranger, "")
			here, there := listen(t, s.House, s.p), listen(t, s.other, s.p)
			for _, node := range []*storetest.House{s.House, s.other} {
				listen(t, node, stranger)
			}
			release := holdOpen(t, s, stranger)
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() { _, _ = pay(t.Context(), s.House, stranger, key(), from, to, "0.01") }) // OUTCOME_UNKNOWN, or late
			}
			if hints {
				s.wantSoon(t, here, there)
			} else {
				took := s.hear(t, 4, here, there)
				wantMostSoon(t, took[0])
				if longest := took[1][3]; longest > late {
					t.Errorf("at the other node it took %v", longest)
				}
			}
			release()
			all.Wait()
		})
	}
}

// holdOpen opens a transaction that has written and notified, and locks a merchant's head.
func holdOpen(t *testing.T, s *shop, merchant auth.Principal) (release func()) {
	t.Helper()
	tx, err := owner(t, s.DSN).BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelSerializable})
	must(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	for _, statement := range []string{
		`INSERT INTO secret (purpose, value, created_at) VALUES ('long', sha256(''), now())`, `NOTIFY paygraph_heads, 'nonsense'`,
		`SELECT pg_current_xact_id()`,
	} {
		_, err := tx.ExecContext(t.Context(), statement)
		must(t, err)
	}
	result, err := tx.ExecContext(t.Context(), `SELECT FROM head WHERE merchant_id = $1 FOR UPDATE`, uuid(merchant))
	must(t, err)
	if n, err := result.RowsAffected(); n != 1 || err != nil {
		t.Fatalf("%d heads are locked, %v", n, err)
	}
	return func() { must(t, tx.Rollback()) }
}

// TestAnotherMerchantsLoadDelaysNoStream has clients of another merchant pay all the while, at both nodes, with a subscriber of theirs.
func TestAnotherMerchantsLoadDelaysNoStream(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	stranger := s.Merchant(t)
	from, to := wallet(t, s.House, stranger, "1000.00"), wallet(t, s.House, stranger, "")
	there := listen(t, s.other, s.p)
	listen(t, s.other, stranger)
	var paid atomic.Int64
	var enough atomic.Bool
	var all sync.WaitGroup
	for n := range 8 {
		at := []*storetest.House{s.House, s.other}[n%2]
		all.Go(func() {
			for !enough.Load() {
				if _, err := pay(t.Context(), at, stranger, key(), from, to, "0.01"); err != nil {
					t.Error(err)
					return
				}
				paid.Add(1)
			}
		})
	}
	s.wantSoon(t, there)
	enough.Store(true)
	all.Wait()
	there.silent()
	if paid.Load() < 20 {
		t.Errorf("the other merchant made %d payments: too few to tell", paid.Load())
	}
}
