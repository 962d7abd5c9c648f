package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/storetest"
)

// draft is a posting that is made after another of the same command.
type draft func(b ledger.Batch, before *ledger.Transaction) ledger.Draft

// posting commits postings that no command makes yet: as transfers, under a key of their own.
func posting(t *testing.T, h *storetest.House, p auth.Principal, needs command.Needs, drafts ...draft) *ledger.Transaction {
	t.Helper()
	result, err := store.Committer[ledger.Batch](h.Store).Commit(t.Context(), command.Command[ledger.Batch]{
		Envelope: command.Envelope{Principal: p, Operation: "test", Key: key()}, Needs: needs,
		Decide: func(b ledger.Batch) (command.Object, error) {
			var last *ledger.Transaction
			for _, draft := range drafts {
				var err error
				if last, err = ledger.Post(b, draft(b, last)); err != nil {
					return nil, err
				}
				b.Append(event.Draft{Type: event.TransferPosted, ObjectID: last.NodeID(), ObjectVersion: 1, State: last.State()})
			}
			return last, nil
		},
	})
	must(t, err)
	return result.Object.(*ledger.Transaction)
}

// capture posts a part of a hold and holds the rest on, in one transaction.
func capture(t *testing.T, h *storetest.House, p auth.Principal, id ledger.HoldID, cents int64) *ledger.Transaction {
	t.Helper()
	return posting(t, h, p, command.Needs{Holds: []string{string(id)}}, func(b ledger.Batch, _ *ledger.Transaction) ledger.Draft {
		hold := b.Hold(id)
		from, to := b.Account(hold.AccountID), b.Account(hold.CounterAccountID)
		rest := money.Amount{MinorUnits: hold.Amount.MinorUnits - cents, Currency: hold.Amount.Currency}
		return ledger.Draft{
			Kind: ledger.Transfer, Amount: money.Amount{MinorUnits: cents, Currency: rest.Currency},
			Legs: slices.Concat(hold.End(cents, from, to), ledger.SetAside(rest, from, to)),
		}
	})
}

func placeHoldOn(t *testing.T, h *storetest.House, p auth.Principal, account ledger.AccountID, amount string) *ledger.Hold {
	t.Helper()
	placed, err := h.Ledger.PlaceHold(t.Context(), p, ledger.PlaceHoldInput{IdempotencyKey: key(), AccountID: account, Amount: usd(amount)})
	must(t, err)
	return placed.Transaction.Made()
}

func holdOf(t *testing.T, h *storetest.House, p auth.Principal, id ledger.HoldID) *ledger.Hold {
	t.Helper()
	found, err := h.Store.Holds(t.Context(), p.Merchant, []string{string(id)})
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("there is no %s", id)
	}
	return found[0]
}

func sumsOf(t *testing.T, h *storetest.House, p auth.Principal, id ledger.AccountID) string {
	t.Helper()
	a, err := h.Store.Account(t.Context(), p, id)
	must(t, err)
	b := a.Balance()
	return fmt.Sprint(b.Posted.Decimal(), " ", b.Available.Decimal(), " ", b.PendingIn.Decimal(), " ", b.PendingOut.Decimal(), " ", a.Sequence)
}

// TestAHoldIsPostedInParts captures a hold of 10.00 twice and releases the rest, as captures of payments will do.
func TestAHoldIsPostedInParts(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	from := wallet(t, h, p, "50.00")
	first := placeHoldOn(t, h, p, from, "10.00")
	if got := sumsOf(t, h, p, from); got != "50.00 40.00 0.00 10.00 2" {
		t.Errorf("with a hold the account has %s", got)
	}
	second := capture(t, h, p, first.ID, 300).Made()
	third := capture(t, h, p, second.ID, 500).Made()
	if got := sumsOf(t, h, p, from); got != "42.00 40.00 0.00 2.00 6" {
		t.Errorf("after two captures the account has %s", got)
	}
	if got := sumsOf(t, h, p, first.CounterAccountID); got != "8.00 8.00 2.00 0.00 5" {
		t.Errorf("after two captures SUSPENSE has %s", got)
	}
	for i, want := range []string{"10.00 POSTED 3.00", "7.00 POSTED 5.00", "2.00 OPEN 0.00"} {
		hold := holdOf(t, h, p, []ledger.HoldID{first.ID, second.ID, third.ID}[i])
		if got := fmt.Sprint(hold.Amount.Decimal(), " ", hold.Status(), " ", hold.Posted().Decimal()); got != want {
			t.Errorf("hold %d is %s, want %s", i, got, want)
		}
	}
	_, err := h.Ledger.ReleaseHold(t.Context(), p, ledger.ReleaseHoldInput{IdempotencyKey: key(), HoldID: third.ID, Reason: "enough"})
	must(t, err)
	if got := sumsOf(t, h, p, from); got != "42.00 42.00 0.00 0.00 7" {
		t.Errorf("in the end the account has %s", got)
	}
	open, err := h.Store.AccountHolds(t.Context(), p.Merchant, []string{string(from)}, answer.UUID{0: 0xff}, 10)
	if err != nil || len(open[0]) != 0 {
		t.Errorf("open holds: %v, %v", open, err)
	}
	must(t, h.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}

// TestAHoldThatEndsInItsOwnBatch is written once, with its end.
func TestAHoldThatEndsInItsOwnBatch(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	from, to := wallet(t, h, p, "50.00"), wallet(t, h, p, "")
	amount := money.Amount{MinorUnits: 1000, Currency: "USD"}
	var made ledger.HoldID
	posting(t, h, p, command.Needs{Accounts: []string{string(from), string(to)}}, func(b ledger.Batch, _ *ledger.Transaction) ledger.Draft {
		return ledger.Draft{Kind: ledger.Transfer, Amount: amount, Legs: ledger.SetAside(amount, b.Account(from), b.Account(to))}
	}, func(b ledger.Batch, before *ledger.Transaction) ledger.Draft {
		made = before.Made().ID
		return ledger.Draft{Kind: ledger.Transfer, Amount: amount, Legs: b.Hold(made).End(400, b.Account(from), b.Account(to))}
	})
	if hold := holdOf(t, h, p, made); hold.Status() != ledger.HoldPosted || hold.EndedAt == nil || !hold.EndedAt.Equal(hold.CreatedAt) {
		t.Errorf("the hold is %+v", hold)
	}
	if a, b := sumsOf(t, h, p, from), sumsOf(t, h, p, to); a != "46.00 46.00 0.00 0.00 3" || b != "4.00 4.00 0.00 0.00 2" {
		t.Errorf("the accounts have %s and %s", a, b)
	}
	must(t, h.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}

// TestHoldsNeverTakeMoreThanThereIs races holds and payments for the same 50.00 on two nodes.
func TestHoldsNeverTakeMoreThanThereIs(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	nodes := []*storetest.House{h, storetest.At(t, h.DSN)}
	from, to := wallet(t, h, p, "50.00"), wallet(t, h, p, "")
	calls := make([]func(context.Context), 120)
	took := make([]bool, len(calls))
	for i := range calls {
		calls[i] = func(ctx context.Context) {
			var err error
			if i%2 == 0 {
				_, err = pay(ctx, nodes[i/2%2], p, key(), from, to, "1.00")
			} else {
				_, err = nodes[i/2%2].Ledger.PlaceHold(ctx, p, ledger.PlaceHoldInput{IdempotencyKey: key(), AccountID: from, Amount: usd("1.00")})
			}
			if _, refused := err.(ledger.InsufficientFunds); err != nil && !refused {
				t.Error(err)
			}
			took[i] = err == nil
		}
	}
	queue(t.Context(), calls...)()
	paid, held := 0, 0
	for i, is := range took {
		if is && i%2 == 0 {
			paid++
		} else if is {
			held++
		}
	}
	want := fmt.Sprintf("%d.00 0.00 0.00 %d.00 51", 50-paid, held)
	if got := sumsOf(t, h, p, from); paid+held != 50 || held == 0 || got != want {
		t.Errorf("%d paid and %d held; the account has %s, want %s", paid, held, got, want)
	}
	must(t, h.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}

// TestTheLogRebuildsBalancesAndHolds replays a merchant's log from nothing.
func TestTheLogRebuildsBalancesAndHolds(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	tellPayments(t, h, p, 1)
	since, err := h.Store.Since(t.Context(), p.Merchant, 0, 1000)
	must(t, err)
	sums, numbers, held := map[string]*ledger.Sums{}, map[string]int64{}, map[ledger.HoldID]int64{}
	for _, entry := range since.Entries {
		e := entry.Object.(*ledger.Entry)
		if sums[entry.Account] == nil {
			sums[entry.Account] = &ledger.Sums{}
		}
		must(t, sums[entry.Account].Add(e.Direction, e.Amount.MinorUnits, e.PendingMinorUnits))
		if numbers[entry.Account]++; entry.Number != numbers[entry.Account] {
			t.Errorf("after entry %d of %s comes %d", numbers[entry.Account]-1, entry.Account, entry.Number)
		}
		if e.HoldID != nil && e.Direction == ledger.Debit {
			held[*e.HoldID] += e.PendingMinorUnits
		}
	}
	accounts, err := h.Store.ListAccounts(t.Context(), p.Merchant, ledger.AccountFilter{}, answer.Slice{Limit: 100})
	must(t, err)
	open := 0
	for _, a := range accounts {
		if got := sums[a.NodeID()]; got == nil && a.Sequence > 0 || got != nil && (*got != a.Sums || numbers[a.NodeID()] != a.Sequence) {
			t.Errorf("%s %s has %+v, and the log says %+v", a.Kind, a.ID, a.Sums, got)
		}
		holds, err := h.Store.AccountHolds(t.Context(), p.Merchant, []string{a.NodeID()}, answer.UUID{0: 0xff}, 100)
		must(t, err)
		for _, hold := range holds[0] {
			open++
			if held[hold.ID] != hold.Amount.MinorUnits {
				t.Errorf("hold %s of %s is %d in the log", hold.ID, hold.Amount, held[hold.ID])
			}
			delete(held, hold.ID)
		}
	}
	for id, amount := range held {
		if amount != 0 {
			t.Errorf("hold %s of the log is not open", id)
		}
	}
	if open != 2 || len(held) != 2 {
		t.Errorf("%d open holds, and %d that have ended", open, len(held))
	}
}
