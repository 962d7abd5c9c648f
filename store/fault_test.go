package store_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/storetest"
)

// TestAnswersThatAreLost spoils one exchange of each step of the write path, while eight payments of 1.00 share a few commits.
func TestAnswersThatAreLost(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t)
	for step := range steps {
		for _, f := range []fault{lostRequest, lostAnswer, cutAnswer, swallowedAnswer} {
			t.Run(step+": "+string(f), func(t *testing.T) {
				t.Parallel()
				p := newProxy(t, dsn)
				h := storetest.At(t, p.dsn)
				principal := h.Merchant(t)
				from, to := wallet(t, h, principal, "100.00"), wallet(t, h, principal, "")
				if step == "alone" {
					prove(t, h, principal, from, to)
				} else {
					otherNode(t, dsn, principal, from) // what this node had in memory is no longer current
				}
				struck := p.arm(step, f)
				var all sync.WaitGroup
				for range 8 {
					all.Go(func() {
						k := key()
						first, err := pay(t.Context(), h, principal, k, from, to, "1.00")
						if err == nil && (first.Replayed || first.Payment.Version != 1) {
							t.Errorf("the first answer: %+v", first)
						}
						for errors.Is(err, command.ErrOutcomeUnknown) {
							_, err = pay(t.Context(), h, principal, k, from, to, "1.00")
						}
						if err != nil {
							t.Error(err)
						}
						again, err := pay(t.Context(), h, principal, k, from, to, "1.00")
						if err != nil || !again.Replayed {
							t.Errorf("the same key again: replayed %v, %v", again.Replayed, err)
						}
					})
				}
				all.Wait()
				select {
				case <-struck:
				default:
					t.Error("the fault did not strike")
				}
				want := map[ledger.AccountID]string{from: "93.00", to: "8.00"}
				if step == "alone" {
					want = map[ledger.AccountID]string{from: "91.92", to: "8.08"}
				}
				expectBalances(t, h, principal, want)
			})
		}
	}
}

// otherNode deposits 1.00 by another store.
func otherNode(t *testing.T, dsn string, p auth.Principal, to ledger.AccountID) {
	t.Helper()
	h := storetest.At(t, dsn)
	_, err := h.Ledger.DepositFunds(t.Context(), p, ledger.DepositFundsInput{
		IdempotencyKey: key(), AccountID: to, Amount: usd("1.00"), Reason: "by another node",
	})
	must(t, err)
}

func expectBalances(t *testing.T, h *storetest.House, p auth.Principal, want map[ledger.AccountID]string) {
	t.Helper()
	for id, amount := range want {
		if got := balance(t, h, p, id); got != amount {
			t.Errorf("account %s has %s, want %s", id, got, amount)
		}
	}
	must(t, h.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}

// TestWritersAreEndedAgainAndAgain is a database whose sessions are ended under load, as by restarts and failovers.
func TestWritersAreEndedAgainAndAgain(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	from, to := wallet(t, h, p, "1000.00"), wallet(t, h, p, "")
	db := owner(t, h.DSN)
	var all sync.WaitGroup
	var paid, ended atomic.Int64
	var enough atomic.Bool
	for range 32 {
		all.Go(func() {
			for !enough.Load() {
				k := key()
				_, err := pay(t.Context(), h, p, k, from, to, "0.01")
				for errors.Is(err, command.ErrOutcomeUnknown) || errors.Is(err, command.ErrUnavailable) {
					_, err = pay(t.Context(), h, p, k, from, to, "0.01")
				}
				if err != nil {
					t.Error(err)
					return
				}
				paid.Add(1)
			}
		})
	}
	for begin := time.Now(); (ended.Load() < 10 || paid.Load() < 60) && time.Since(begin) < 30*time.Second; {
		ended.Add(endWriters(t, db))
		time.Sleep(100 * time.Millisecond)
	}
	enough.Store(true)
	all.Wait()
	if ended.Load() < 10 || paid.Load() < 60 {
		t.Errorf("%d sessions ended and %d payments made: too few to tell", ended.Load(), paid.Load())
	}
	cents := paid.Load()
	expectBalances(t, h, p, map[ledger.AccountID]string{
		from: decimal(100_000 - cents), to: decimal(cents),
	})
}
