package store_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
)

// modelPayment is a payment of the model.
type modelPayment struct {
	status                         payment.Status
	amount                         money.Amount
	source, destination            string
	manual                         bool
	authorized, captured, refunded int64
	fee                            int64
	hold                           string      // of what is set aside
	dues                           []time.Time // of the timers that it was given; the last is its own as long as it waits
	version                        int
}

var paymentPath = []string{"input", "paymentId"}

// allowed says in which statuses something can be done, and done how it is called.
var allowed = map[payment.Action]struct {
	in   []payment.Status
	done string
}{
	payment.ToConfirm: {[]payment.Status{payment.RequiresPaymentMethod, payment.RequiresConfirmation}, "confirmed"},
	payment.ToCapture: {[]payment.Status{payment.Authorized, payment.PartiallyCaptured}, "captured"},
	payment.ToCancel: {[]payment.Status{
		payment.RequiresPaymentMethod, payment.RequiresConfirmation, payment.Authorized, payment.PartiallyCaptured,
	}, "canceled"},
	payment.ToRefund: {[]payment.Status{payment.PartiallyCaptured, payment.Succeeded}, "refunded"},
}

// payment is one with which something may be done, if it has a version; 0 is any.
func (m *model) payment(id string, version int32, action payment.Action) (*modelPayment, error) {
	p, rule := m.payments[id], allowed[action]
	switch {
	case p == nil:
		return nil, notFound(id, paymentPath...)
	case version != 0 && int(version) != p.version:
		return nil, answer.VersionConflict{
			Recorded:   answer.Recorded{At: []string{"input", "expectedVersion"}},
			ResourceID: id, ExpectedVersion: version, CurrentVersion: int32(p.version),
		}
	case !slices.Contains(rule.in, p.status):
		return nil, p.refuse(id, action, fmt.Sprintf("A payment that is %s cannot be %s.", p.status, rule.done), paymentPath...)
	case action == payment.ToRefund && p.captured == p.refunded:
		return nil, p.refuse(id, action, "Nothing is left to be refunded.", paymentPath...)
	}
	return p, nil
}

func (p *modelPayment) refuse(id string, action payment.Action, reason string, path ...string) error {
	return payment.InvalidState{
		Recorded: answer.Recorded{At: path}, ResourceID: id, Status: p.status, Action: action, Reason: reason,
		AvailableActions: p.now().AvailableActions(),
	}
}

// now is the payment as the gateway has it.
func (p *modelPayment) now() *payment.Payment {
	now := &payment.Payment{
		Status: p.status, Amount: p.amount, AuthorizedMinorUnits: p.authorized, CapturedMinorUnits: p.captured, RefundedMinorUnits: p.refunded,
	}
	if p.hold != "" {
		now.HoldID = (*ledger.HoldID)(&p.hold)
	}
	return now
}

// part is what a request names, or else all that it may.
func part(id string, in *money.Input, amount, most money.Amount, tooMuch func(answer.Recorded) error) (money.Amount, error) {
	at := answer.Recorded{At: []string{"input", "amount"}}
	switch {
	case in == nil:
		return most, nil
	case amount.Currency != most.Currency:
		return amount, ledger.CurrencyMismatch{Recorded: at, ResourceID: id, Expected: most.Currency, Actual: amount.Currency}
	case amount.MinorUnits > most.MinorUnits:
		return amount, tooMuch(at)
	}
	return amount, nil
}

// pay takes the money of a payment, or sets it aside.
func (m *model) pay(p *modelPayment, sourcePath, destinationPath []string) (decided, error) {
	var to *modelAccount
	var err error
	if p.destination != "" {
		if to, err = m.destination(p.destination, p.amount, destinationPath...); err != nil {
			return nil, err
		}
	}
	from, err := m.source(p.source, p.amount, sourcePath...)
	return func(made outcome) string {
		if to == nil {
			to = m.inner(ledger.MerchantAvailable, p.amount.Currency)
		}
		if p.manual {
			p.status, p.authorized = payment.Authorized, p.amount.MinorUnits
			p.hold = m.setAside(made.transaction, p.amount, from, to, made.id)
			p.dues = append(p.dues, made.expires)
			return m.changed(made.id, p, event.PaymentAuthorized)
		}
		p.status, p.captured = payment.Succeeded, p.amount.MinorUnits
		m.move("", ledger.Payment, p.amount, from, to)
		m.charge(p)
		return m.changed(made.id, p, event.PaymentSucceeded)
	}, err
}

// charge moves what all that was captured costs, without what was charged before. The merchant pays it, whatever it has.
func (m *model) charge(p *modelPayment) {
	currency := p.amount.Currency
	plan := m.plans[string(currency)]
	fee := min((p.captured*plan.BasisPoints+5_000)/10_000+plan.FixedMinorUnits, p.captured) - p.fee
	if fee <= 0 {
		return
	}
	m.saw(true, "a fee")
	m.saw(p.fee > 0, "a fee for another part")
	p.fee += fee
	merchants := m.inner(ledger.MerchantAvailable, currency)
	m.move("", ledger.Payment, p.of(fee), merchants, m.inner(ledger.Fees, currency))
	m.saw(merchants.available() < 0, "a fee that takes the merchant below zero")
}

// capture takes what is set aside, or a part. What is left is set aside again, unless nothing is to follow.
func (m *model) capture(p *modelPayment, made outcome, amount money.Amount, final bool) string {
	h, id := m.holds[p.hold], m.holds[p.hold].payment
	m.end(p.hold, made.transaction, ledger.Payment, amount, amount.MinorUnits)
	p.captured += amount.MinorUnits
	p.hold = ""
	what := event.PaymentSucceeded
	if p.status = payment.Succeeded; !final && p.captured < p.authorized {
		p.status, what = payment.PartiallyCaptured, event.PaymentPartCaptured
		p.hold = m.setAside(made.transaction, p.of(p.authorized-p.captured), h.account, h.counter, id)
	}
	m.charge(p)
	m.changed(id, p, what)
	m.note(event.CaptureSucceeded, made.id, 1)
	last := p.status == payment.Succeeded
	m.captures = append(m.captures, fmt.Sprint(made.id, " ", id, " ", amount.MinorUnits, " ", last))
	return fmt.Sprint(id, " ", amount, " ", last)
}

// endPayment ends a payment: one of which a part was captured has succeeded with that.
func (m *model) endPayment(id string, p *modelPayment, status payment.Status, what event.Type) string {
	if p.hold != "" {
		m.end(p.hold, "", ledger.Released, p.amount, 0)
		p.hold = ""
	}
	if p.captured > 0 {
		status, what = payment.Succeeded, event.PaymentSucceeded
	}
	p.status = status
	return m.changed(id, p, what)
}

// refund gives an amount back, from where it went.
func (m *model) refund(id string, p *modelPayment, amount money.Amount) (decided, error) {
	to, err := m.destination(p.source, amount, paymentPath...)
	if err != nil {
		return nil, err
	}
	from := m.accounts[p.destination]
	if p.destination == "" {
		from = m.accounts[fmt.Sprint(ledger.MerchantAvailable, " ", amount.Currency)]
		m.saw(from.available() < amount.MinorUnits, "a merchant without the money for a refund")
	}
	_, err = debited(from, from.id, amount, paymentPath...)
	return func(made outcome) string {
		m.move(made.transaction, ledger.Refund, amount, from, to)
		p.refunded += amount.MinorUnits
		m.changed(id, p, event.PaymentRefunded)
		m.note(event.RefundSucceeded, made.id, 1)
		m.refunds = append(m.refunds, fmt.Sprint(made.id, " ", id, " ", amount.MinorUnits))
		return fmt.Sprint(id, " ", amount)
	}, err
}

// changed is a payment's next version, and what has happened to it.
func (m *model) changed(id string, p *modelPayment, what event.Type) string {
	p.version++
	m.payments[id] = p
	m.note(what, id, p.version)
	return p.state()
}

// waits says whether the payment waits for a client, and so has a timer.
func (p *modelPayment) waits() bool {
	return p.status != payment.Succeeded && p.status != payment.Canceled && p.status != payment.Expired
}

// timers are those that payments have, or had.
func (m *model) timers() (all []command.Timer) {
	for _, id := range ids(m.payments, answer.PaymentPrefix) {
		for _, due := range m.payments[id].dues {
			all = append(all, command.Timer{Kind: command.PaymentExpires, ObjectID: id, DueAt: due})
		}
	}
	return all
}

func (p *modelPayment) of(minorUnits int64) money.Amount {
	return money.Amount{MinorUnits: minorUnits, Currency: p.amount.Currency}
}

func (p *modelPayment) state() string {
	return fmt.Sprint(p.status, p.version, p.amount, p.authorized, " ", p.captured, " ", p.refunded, " ", p.fee, p.hold)
}

func paymentState(p *payment.Payment) string {
	return fmt.Sprint(p.Status, p.Version, p.Amount, p.AuthorizedMinorUnits, " ", p.CapturedMinorUnits, " ", p.RefundedMinorUnits, " ",
		p.FeeMinorUnits, answer.Or(p.HoldID))
}

func captureState(c *payment.Capture) string {
	return fmt.Sprint(c.PaymentID, " ", c.Amount, " ", c.Final)
}
func refundState(r *payment.Refund) string { return fmt.Sprint(r.PaymentID, " ", r.Amount) }
