package timer_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/clock"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/connector"
	"github.com/paygraph/paygraph/timer"
)

// TestTimersAreServedWhileBackendsEnd has both nodes sweep while their sessions are ended again and again, so that commits' answers are lost: each
// payment ends once all the same, and nothing stays set aside.
func TestTimersAreServedWhileBackendsEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const many, most = 300, 2 * time.Minute
	var made sync.WaitGroup
	for n := range many {
		made.Go(func() {
			_, err := h.nodes[n%2].Payments.Create(t.Context(), h.p, payment.CreateInput{
				IdempotencyKey: fmt.Sprintf("backends-end-%06d", n), Amount: usd("0.01"), Source: &payment.Source{AccountID: &h.from}, Confirm: true,
				CaptureMethod: payment.Manual,
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	made.Wait()
	h.forward(payment.AuthorizationLifetime)
	ctx, enough := context.WithCancel(t.Context())
	ended := h.endWriters(ctx)
	for begin := time.Now(); h.left() > 0 && time.Since(begin) < most; {
		h.tryToSweep()
	}
	enough()
	if n := <-ended; n < 2 {
		t.Errorf("only %d sessions were ended", n)
	}
	expired, err := h.nodes[0].Store.ListPayments(t.Context(), h.p.Merchant, payment.Filter{Status: []payment.Status{payment.Expired}}, answer.Slice{Limit: many + 1})
	h.must(err)
	a, err := h.nodes[0].Store.Account(t.Context(), h.p, h.from)
	h.must(err)
	if len(expired) != many || a.Balance().Available.Decimal() != "1000.00" || a.Status != ledger.Active {
		t.Errorf("%d payments expired, want %d; the wallet has %+v", len(expired), many, a.Balance())
	}
	for _, p := range expired {
		if p.Version != 2 {
			t.Errorf("%s has changed %d times", p.ID, p.Version-1)
		}
	}
	h.must(h.nodes[0].Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}

// endWriters ends writers' sessions until the context ends, and then says how many they were. Each third time it first waits until a timer has gone
// since: a disk that needs long for each commit would let no batch through otherwise.
func (h *house) endWriters(ctx context.Context) <-chan int64 {
	db, err := connector.Open(h.nodes[0].DSN, connector.Options{})
	h.must(err)
	h.Cleanup(func() { _ = db.Close() })
	timers := func() (n int64) {
		if err := db.QueryRow(`SELECT count(*) FROM timer`).Scan(&n); err != nil {
			h.Error(err)
		}
		return n
	}
	ended := make(chan int64, 1)
	go func() {
		var all int64
		left := timers()
		for round := 1; ctx.Err() == nil; round++ {
			var n int64
			if err := db.QueryRow(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
				WHERE datname = current_database() AND application_name = 'paygraph writer'`).Scan(&n); err != nil {
				h.Error(err)
			}
			all += n
			time.Sleep(time.Duration(50+rand.IntN(300)) * time.Millisecond)
			for before := left; round%3 == 0 && left == before && ctx.Err() == nil; left = timers() {
				time.Sleep(10 * time.Millisecond)
			}
		}
		ended <- all
	}()
	return ended
}

// left is how many timers there are.
func (h *house) left() int {
	h.Helper()
	var n int
	db, err := connector.Open(h.nodes[0].DSN, connector.Options{})
	h.must(err)
	defer func() { _ = db.Close() }()
	h.must(db.QueryRow(`SELECT count(*) FROM timer`).Scan(&n))
	return n
}

// tryToSweep has both nodes sweep once, at the same time. What fails is for the next time.
func (h *house) tryToSweep() {
	var all sync.WaitGroup
	for _, node := range h.nodes {
		s := timer.Sweeper{
			Source: node.Store, Serve: map[command.TimerKind]timer.Serve{command.PaymentExpires: node.Payments.Expire},
			Clock: clock.Real, Log: slog.Default(),
		}
		all.Go(func() { _, _ = s.Sweep(h.Context()) })
	}
	all.Wait()
}
