package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
)

// Commit decides at once. What is refused has written nothing.
func (b *books) Commit(_ context.Context, c command.Command[ledger.Batch]) (command.Result, error) {
	if c.Invalid != nil {
		return command.Result{}, c.Invalid
	}
	before := b.written()
	object, err := c.Decide(b)
	if after := b.written(); err != nil && after != before {
		panic(fmt.Sprintf("%s was refused with %v after it had written: %s has become %s", c.Operation, err, before, after))
	}
	return command.Result{Object: object}, err
}

// written says how much stands in the books.
func (b *books) written() string {
	sums := map[ledger.AccountID]ledger.Sums{}
	for id, a := range b.accounts {
		sums[id] = a.Sums
	}
	return fmt.Sprint(sums, len(b.holds), len(b.events), len(b.transactions), len(b.changed))
}

// withWallet adds a wallet that has so many cents.
func (b *books) withWallet(id ledger.AccountID, cents int64) *ledger.Account {
	customer := merchant.CustomerID("cus_1")
	a := &ledger.Account{
		ID: id, Kind: ledger.CustomerWallet, Currency: "USD", Status: ledger.Active, Version: 1, CustomerID: &customer,
		Sums: ledger.Sums{CreditsPosted: cents},
	}
	b.AddAccount(a)
	return a
}

// own is what the merchant's own account is called.
const own = "acc_" + ledger.AccountID(ledger.MerchantAvailable)

// withOwn adds an account of the merchant's own with some sums.
func (b *books) withOwn(kind ledger.Kind, sums ledger.Sums) {
	b.AddAccount(&ledger.Account{ID: ledger.AccountID("acc_" + kind), Kind: kind, Currency: "USD", Status: ledger.Active, Sums: sums})
}

func cents(n int64) money.Input {
	return money.Input{Amount: money.Amount{MinorUnits: n, Currency: "USD"}.Decimal(), Currency: "USD"}
}

func (b *books) place(id ledger.AccountID, n int64) (ledger.PlaceHoldSuccess, error) {
	s := ledger.Service{Committer: b}
	return s.PlaceHold(context.Background(), auth.Principal{}, ledger.PlaceHoldInput{AccountID: id, Amount: cents(n)})
}

func (b *books) release(id ledger.HoldID) (ledger.ReleaseHoldSuccess, error) {
	s := ledger.Service{Committer: b}
	return s.ReleaseHold(context.Background(), auth.Principal{}, ledger.ReleaseHoldInput{HoldID: id, Reason: "because"})
}

// TestRequestsNeverTakeWhatIsSetAside runs holds, releases and transfers at random on three wallets and the merchant's own account: what is
// available never falls below zero, is the posted balance without the open holds, and the money is as much as it was.
func TestRequestsNeverTakeWhatIsSetAside(t *testing.T) {
	t.Parallel()
	refusals := 0
	rapid.Check(t, func(rt *rapid.T) {
		b := newBooks()
		wallets := []ledger.AccountID{"acc_a", "acc_b", "acc_c"}
		for _, id := range wallets {
			b.withWallet(id, 100)
		}
		b.withOwn(ledger.MerchantAvailable, ledger.Sums{CreditsPosted: 100})
		all := append(wallets, own)
		var made []ledger.HoldID
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			from, n := rapid.SampledFrom(all).Draw(rt, "from"), rapid.Int64Range(1, 60).Draw(rt, "amount")
			var err error
			switch rapid.IntRange(0, 2).Draw(rt, "what") {
			case 0:
				var placed ledger.PlaceHoldSuccess
				if placed, err = b.place(from, n); err == nil {
					made = append(made, placed.Transaction.Made().ID)
				}
			case 1:
				if len(made) > 0 {
					_, err = b.release(rapid.SampledFrom(made).Draw(rt, "hold"))
				}
			default:
				s := ledger.Service{Committer: b}
				_, err = s.TransferFunds(context.Background(), auth.Principal{}, ledger.TransferFundsInput{
					FromAccountID: from, ToAccountID: rapid.SampledFrom(all).Draw(rt, "to"), Amount: cents(n),
				})
			}
			if err != nil {
				refusals++
			}
			consistent(rt, b, all)
		}
	})
	if refusals == 0 {
		t.Error("nothing was refused")
	}
}

func consistent(t *rapid.T, b *books, wallets []ledger.AccountID) {
	open, sum, pending := map[ledger.AccountID]int64{}, int64(0), int64(0)
	for _, h := range b.holds {
		if h.Status() == ledger.HoldOpen {
			open[h.AccountID] += h.Amount.MinorUnits
		}
	}
	for _, id := range wallets {
		a := b.accounts[id]
		if a.Available() < 0 || a.Available() != a.Posted()-open[id] || a.PendingOut() != open[id] || a.PendingIn() != 0 {
			t.Fatalf("%s has %+v, with open holds of %d", id, a.Balance(), open[id])
		}
		sum += a.Posted()
		pending += a.PendingOut()
	}
	suspense := b.Inner(ledger.Suspense, "USD")
	if sum != 400 || suspense != nil && (suspense.PendingIn() != pending || suspense.Posted() != 0 || suspense.Available() != 0) {
		t.Fatalf("they have %d, and SUSPENSE %+v", sum, suspense)
	}
	for _, of := range b.transactions {
		for _, e := range of.Entries {
			if a := b.accounts[e.AccountID]; a.Kind != ledger.Suspense && e.AvailableAfter < 0 {
				t.Fatalf("after %s of %s %d is available", e.ID(), a.ID, e.AvailableAfter)
			}
		}
	}
}

func TestWhatHoldsAreRefused(t *testing.T) {
	t.Parallel()
	b := newBooks()
	b.withWallet("acc_frozen", 100).Status = ledger.Frozen
	b.withWallet("acc_closed", 0).Status = ledger.Closed
	b.withWallet("acc_yen", 100).Currency = "JPY"
	b.withWallet("acc_brimful", 100).DebitsPosted = 1<<63 - 1
	b.withWallet("acc_rich", 100)
	b.AddAccount(&ledger.Account{ID: "acc_bank", Kind: ledger.BankCash, Currency: "USD", Status: ledger.Active})
	for id, want := range map[ledger.AccountID]answer.Code{
		"acc_frozen": answer.CodeAccountNotActive, "acc_closed": answer.CodeAccountNotActive, "acc_yen": answer.CodeCurrencyMismatch,
		"acc_brimful": answer.CodeBalanceOutOfRange, "acc_bank": answer.CodeNotFound, "acc_none": answer.CodeNotFound,
		"acc_rich": answer.CodeInsufficientFunds,
	} {
		_, err := b.place(id, 101)
		expectRefusal(t, "a hold on "+string(id), err, want, "input accountId")
	}
	payment := "pay_1"
	b.holds["hol_payment"] = &ledger.Hold{ID: "hol_payment", PaymentID: &payment}
	by := ledger.TransactionID("txn_1")
	b.holds["hol_ended"] = &ledger.Hold{ID: "hol_ended", EndedBy: &by}
	for id, want := range map[ledger.HoldID]answer.Code{
		"hol_none": answer.CodeNotFound, "hol_payment": answer.CodeHoldOfPayment, "hol_ended": answer.CodeHoldNotOpen,
	} {
		_, err := b.release(id)
		expectRefusal(t, "releasing "+string(id), err, want, "input holdId")
	}
	if len(b.transactions)+len(b.changed) > 0 {
		t.Errorf("a refusal has posted %v", b.transactions)
	}
}

func expectRefusal(t *testing.T, name string, err error, code answer.Code, path string) {
	t.Helper()
	var refusal answer.Refusal
	if !errors.As(err, &refusal) || refusal.Code() != code || strings.Join(refusal.Path(), " ") != path || refusal.Message() == "" {
		t.Errorf("%s: got %#v, want %s", name, err, code)
	}
}

// TestAFrozenAccountsHoldEnds: what was set aside before is free again.
func TestAFrozenAccountsHoldEnds(t *testing.T) {
	t.Parallel()
	b := newBooks()
	a := b.withWallet("acc_a", 100)
	placed, err := b.place("acc_a", 30)
	if err != nil {
		t.Fatal(err)
	}
	a.Status = ledger.Frozen
	released, err := b.release(placed.Transaction.Made().ID)
	if err != nil || released.Transaction.Kind != ledger.Released || released.Transaction.Amount.MinorUnits != 30 || a.Available() != 100 {
		t.Errorf("%+v, %v; available are %d", released.Transaction, err, a.Available())
	}
	var types []string
	for _, e := range b.events {
		types = append(types, fmt.Sprint(e.Type, " ", e.ObjectVersion))
	}
	if want := []event.Type{event.AccountOpened, event.FundsHeld, event.HoldReleased}; fmt.Sprint(types) != fmt.Sprintf("[%s 1 %s 1 %s 1]", want[0], want[1], want[2]) {
		t.Errorf("events %v", types)
	}
}

// TestAnAccountWithAHoldIsNotClosed: neither one from which a hold will take, nor one to which it will bring, whatever its balance.
func TestAnAccountWithAHoldIsNotClosed(t *testing.T) {
	t.Parallel()
	for name, sums := range map[string]ledger.Sums{
		"a hold that takes": {DebitsPending: 5}, "a hold that brings": {CreditsPending: 5}, "a balance": {CreditsPosted: 5},
		"both": {CreditsPosted: 5, DebitsPending: 5},
	} {
		b := newBooks()
		b.withWallet("acc_a", 0).Sums = sums
		s := ledger.Service{Committer: b}
		_, err := s.SetAccountStatus(t.Context(), auth.Principal{}, ledger.SetAccountStatusInput{AccountID: "acc_a", Status: ledger.Closed, Reason: "why"})
		expectRefusal(t, name, err, answer.CodeAccountNotEmpty, "input accountId")
		var full ledger.AccountNotEmpty
		if held := sums.DebitsPending + sums.CreditsPending; !errors.As(err, &full) || full.Held().MinorUnits != held ||
			strings.Contains(full.Message(), "hold") != (held != 0) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestUsualEntriesHaveTheBytesOfBefore is the text that the log has of a payment's entry since its first version.
func TestUsualEntriesHaveTheBytesOfBefore(t *testing.T) {
	t.Parallel()
	e := ledger.Entry{
		AccountID: "acc_1", AccountSequence: 7, Direction: ledger.Debit, Amount: money.Amount{MinorUnits: 250, Currency: "USD"}, PostedAfter: 50,
		AvailableAfter: 50,
	}
	if got, want := string(e.State().Close()), `{"account":"acc_1","sequence":"7","direction":"DEBIT","amount":"250","after":"50"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	hold := ledger.HoldID("hol_1")
	e.Amount.MinorUnits, e.PendingMinorUnits, e.AvailableAfter, e.HoldID = 0, -250, 40, &hold
	if got, want := string(e.State().Close()), `{"account":"acc_1","sequence":"7","direction":"DEBIT","amount":"0","after":"50",`+
		`"pending":"-250","available":"40","hold":"hol_1"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
