package payment_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
)

// books is a batch in memory, with one payment of 7.00 from an account that had 10.00.
type books struct {
	payment      *payment.Payment
	from, to     *ledger.Account
	inner        map[ledger.Kind]*ledger.Account
	plan         payment.FeePlan
	holds        map[ledger.HoldID]*ledger.Hold
	events       []event.Draft
	transactions []*ledger.Transaction
	timers       []command.Timer
	served       []command.Timer
	ids          byte
}

var _ payment.Batch = (*books)(nil)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// newBooks has the payment in a status, as it is captured under a condition.
func newBooks(status payment.Status, when payment.Condition) *books {
	b := &books{holds: map[ledger.HoldID]*ledger.Hold{}, inner: map[ledger.Kind]*ledger.Account{}}
	b.from = &ledger.Account{ID: "acc_from", Kind: ledger.CustomerWallet, Currency: "USD", Status: ledger.Active, Sums: ledger.Sums{CreditsPosted: 1000}}
	b.to = &ledger.Account{ID: "acc_to", Kind: ledger.CustomerWallet, Currency: "USD", Status: ledger.Active}
	later := now.Add(time.Hour)
	p := &payment.Payment{
		ID: "pay_1", Status: status, Amount: usd(700), DestinationAccountID: to, CaptureMethod: payment.Automatic, Version: 1,
	}
	b.payment = p
	if when == payment.TakenLater {
		p.CaptureMethod = payment.Manual
	}
	if status != payment.RequiresPaymentMethod {
		p.SourceAccountID = from
	}
	captured, held := int64(0), int64(0)
	switch status {
	case payment.Authorized:
		held = 700
	case payment.PartiallyCaptured:
		captured, held = 200, 500
	case payment.Succeeded:
		captured = 700
	}
	if !payment.Terminal(status) {
		p.ExpiresAt = &later
	}
	p.CapturedMinorUnits = captured
	b.from.DebitsPosted, b.to.CreditsPosted = captured, captured
	if held > 0 {
		hold := &ledger.Hold{ID: "hol_1", AccountID: "acc_from", CounterAccountID: "acc_to", Amount: usd(held)}
		b.holds[hold.ID] = hold
		p.CaptureMethod, p.AuthorizedMinorUnits, p.HoldID = payment.Manual, 700, &hold.ID
		b.from.DebitsPending, b.to.CreditsPending = held, held
	}
	return b
}

func usd(cents int64) money.Amount { return money.Amount{MinorUnits: cents, Currency: "USD"} }

func id(s ledger.AccountID) *ledger.AccountID { return &s }

var from, to = id("acc_from"), id("acc_to")

// Commit decides at once. What is refused has written nothing.
func (b *books) Commit(_ context.Context, c command.Command[payment.Batch]) (command.Result, error) {
	before := b.written()
	object, err := c.Decide(b)
	if after := b.written(); err != nil && after != before {
		panic(fmt.Sprintf("%s was refused with %v after it had written: %s has become %s", c.Operation, err, before, after))
	}
	return command.Result{Object: object}, err
}

// written says how much stands in the books, and how the payment is.
func (b *books) written() string {
	sums := []ledger.Sums{b.from.Sums, b.to.Sums}
	for _, kind := range slices.Sorted(maps.Keys(b.inner)) {
		sums = append(sums, b.inner[kind].Sums)
	}
	return fmt.Sprint(sums, len(b.holds), len(b.events), len(b.transactions), len(b.timers), len(b.served), string(b.payment.State().Close()))
}

func (b *books) Time() time.Time             { return now }
func (b *books) Merchant() answer.MerchantID { return "mer_1" }
func (b *books) Append(d event.Draft)        { b.events = append(b.events, d) }
func (b *books) Salt() []byte                { return []byte("salt") }

func (b *books) NewID(p answer.Prefix) string {
	b.ids++
	return answer.Encode(p, answer.UUID{15: b.ids})
}

func (b *books) Account(id ledger.AccountID) *ledger.Account {
	for _, a := range b.inner {
		if a.ID == id {
			return a
		}
	}
	for _, a := range append(slices.Collect(maps.Values(b.inner)), b.from, b.to) {
		if a.ID == id {
			return a
		}
	}
	return nil
}

func (b *books) Payment(id payment.ID) *payment.Payment {
	return map[payment.ID]*payment.Payment{b.payment.ID: b.payment}[id]
}

func (b *books) Inner(k ledger.Kind, _ money.Currency) *ledger.Account { return b.inner[k] }
func (b *books) AddAccount(a *ledger.Account)                          { b.inner[a.Kind] = a }
func (b *books) FeePlan(money.Currency) payment.FeePlan                { return b.plan }
func (b *books) Hold(id ledger.HoldID) *ledger.Hold                    { return b.holds[id] }
func (b *books) AddHold(h *ledger.Hold)                                { b.holds[h.ID] = h }
func (b *books) EndedHold(h *ledger.Hold)                              { b.holds[h.ID] = h }
func (b *books) AddTransaction(t *ledger.Transaction)                  { b.transactions = append(b.transactions, t) }
func (b *books) Changed(*ledger.Account)                               {}
func (b *books) AddPayment(p *payment.Payment)                         { b.payment = p }
func (b *books) ChangedPayment(p *payment.Payment)                     { b.payment = p }
func (b *books) AddCapture(*payment.Capture)                           {}
func (b *books) AddRefund(*payment.Refund)                             {}
func (b *books) AddTimer(t command.Timer)                              { b.timers = append(b.timers, t) }
func (b *books) Served(t command.Timer)                                { b.served = append(b.served, t) }
