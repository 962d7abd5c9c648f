package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/store/storetest"
)

// TestNodesShareOneTruth pays from one account through two nodes at once.
func TestNodesShareOneTruth(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	nodes := []*storetest.House{h, storetest.At(t, h.DSN)}
	from, to := wallet(t, h, p, "50.00"), wallet(t, h, p, "")
	var paid, refused atomic.Int64
	calls := make([]func(context.Context), 100)
	for i := range calls {
		calls[i] = func(ctx context.Context) {
			_, err := pay(ctx, nodes[i%2], p, key(), from, to, "1.00")
			if _, ok := err.(ledger.InsufficientFunds); ok {
				refused.Add(1)
			} else if err != nil {
				t.Error(err)
			} else {
				paid.Add(1)
			}
		}
	}
	queue(t.Context(), calls...)()
	if paid.Load() != 50 || refused.Load() != 50 {
		t.Errorf("%d paid and %d refused, want 50 and 50", paid.Load(), refused.Load())
	}
	expectBalances(t, h, p, map[ledger.AccountID]string{from: "0.00", to: "50.00"})
}

// TestNodesKeepNothingStale lets two nodes move money at random between the same accounts, which both keep in memory. What the callers
// were told adds up to the balances, nothing is below zero, and the log, the entries and the numbers agree.
func TestNodesKeepNothingStale(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	nodes := []*storetest.House{h, storetest.At(t, h.DSN)}
	var accounts [4]ledger.AccountID
	var cents [4]atomic.Int64
	for i := range accounts {
		accounts[i] = wallet(t, h, p, "3.00")
		cents[i].Store(300)
	}
	var all sync.WaitGroup
	var moved, refused atomic.Int64
	for range 12 {
		all.Go(func() {
			for range 25 {
				from := rand.N(len(accounts))
				to := (from + 1 + rand.N(len(accounts)-1)) % len(accounts)
				amount := rand.Int64N(200) + 1
				_, err := nodes[rand.N(2)].Ledger.TransferFunds(t.Context(), p, ledger.TransferFundsInput{
					IdempotencyKey: key(), FromAccountID: accounts[from], ToAccountID: accounts[to], Amount: usd(decimal(amount)),
				})
				if _, ok := err.(ledger.InsufficientFunds); ok {
					refused.Add(1)
				} else if err != nil {
					t.Error(err)
				} else {
					moved.Add(1)
					cents[from].Add(-amount)
					cents[to].Add(amount)
				}
			}
		})
	}
	all.Wait()
	want := map[ledger.AccountID]string{}
	for i, id := range accounts {
		want[id] = decimal(cents[i].Load())
	}
	expectBalances(t, h, p, want)
	var lowest, moves, events, last int64
	must(t, owner(t, h.DSN).QueryRow(`SELECT min(e.posted_after), (SELECT count(*) FROM entry WHERE kind = 'TRANSFER'),
		(SELECT count(*) FROM event), (SELECT max(sequence) FROM event)
		FROM entry e JOIN account a ON a.id = e.account_id WHERE a.customer_id IS NOT NULL`).Scan(&lowest, &moves, &events, &last))
	if lowest < 0 || moves != moved.Load() || events != last || moved.Load() == 0 || refused.Load() == 0 {
		t.Errorf("lowest balance %d; %d transfers of which callers know %d; %d events, the last with number %d; %d refused",
			lowest, moves, moved.Load(), events, last, refused.Load())
	}
}

func decimal(cents int64) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }
