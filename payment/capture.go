package payment

import (
	"context"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
)

// CaptureID names a capture: "cap_" and a UUIDv7.
type CaptureID string

// CaptureStatus says what became of a capture.
type CaptureStatus string

// CaptureDone is the status of a capture whose money has moved.
const CaptureDone CaptureStatus = "SUCCEEDED"

// Capture is one taking of money that was set aside for a payment. It never changes.
type Capture struct {
	ID            CaptureID
	PaymentID     ID
	Amount        money.Amount
	Final         bool // nothing more is captured after it
	TransactionID ledger.TransactionID
	CreatedAt     time.Time
}

// NodeID is the capture's identifier.
func (c *Capture) NodeID() string { return string(c.ID) }

// Status is SUCCEEDED: money of wallets moves at once.
func (c *Capture) Status() CaptureStatus { return CaptureDone }

// State is what an event keeps of the capture.
func (c *Capture) State() event.State {
	s := event.State(nil).
		Text("status", string(c.Status())).
		Text("payment", string(c.PaymentID)).
		Int("amount", c.Amount.MinorUnits).
		Text("currency", string(c.Amount.Currency))
	if c.Final {
		s = s.Text("final", "true")
	}
	return s.
		Text("transaction", string(c.TransactionID)).
		Time("createdAt", c.CreatedAt)
}

// CaptureInput is the input of capturePayment.
type CaptureInput struct {
	IdempotencyKey  string
	PaymentID       ID
	Amount          *money.Input // nil: all that is set aside
	Final           bool         // what is left is free again
	ExpectedVersion *int32
}

// CaptureSuccess is the success of capturePayment.
type CaptureSuccess struct {
	Capture  *Capture
	Replayed bool
}

// Capture takes money that is set aside for a payment, also from an account that has been frozen since. Refusals: ValidationFailed, NotFound,
// VersionConflict, InvalidState, CurrencyMismatch, AmountExceedsCapturable, BalanceOutOfRange, and those of the idempotency key.
func (s *Service) Capture(ctx context.Context, p auth.Principal, in CaptureInput) (CaptureSuccess, error) {
	var v answer.Violations
	amount := checkAmount(&v, in.Amount)
	capture, replayed, err := command.Do(ctx, s.Committer, command.Command[Batch]{
		Envelope: command.Envelope{
			Principal: p, Operation: "capturePayment", Key: in.IdempotencyKey, Invalid: v.Err(),
			Input: command.Input(nil).
				Text("input.paymentId", string(in.PaymentID)).
				MaybeMoney("input.amount", in.Amount, amount).
				False("input.final", in.Final).
				Number("input.expectedVersion", in.ExpectedVersion),
		},
		Needs:  command.Needs{Payments: []string{string(in.PaymentID)}},
		Decide: func(b Batch) (command.Object, error) { return in.decide(b, amount) },
	}, func(id string) (*Capture, error) { return s.Reader.Capture(ctx, p, CaptureID(id)) })
	return CaptureSuccess{capture, replayed}, err
}

// checkAmount is [ledger.CheckAmount] for an amount that may be left out.
func checkAmount(v *answer.Violations, in *money.Input) money.Amount {
	if in == nil {
		return money.Amount{}
	}
	return ledger.CheckAmount(v, "input.amount", *in)
}

func (in CaptureInput) decide(b Batch, amount money.Amount) (command.Object, error) {
	p, err := find(b, in.PaymentID, in.ExpectedVersion, ToCapture)
	if err != nil {
		return nil, err
	}
	amount, err = amountOf(p, in.Amount, amount, p.Capturable(), func(path answer.Recorded) error {
		return AmountExceedsCapturable{path, string(p.ID), p.Capturable(), amount}
	})
	if err != nil {
		return nil, err
	}
	rest := p.of(p.Capturable().MinorUnits - amount.MinorUnits)
	when := SomeIsLeft
	if in.Final || !rest.Positive() {
		when = NothingsLeft
	}
	transaction, err := p.take(b, amount, rest, when)
	if err != nil {
		return nil, err
	}
	p.Status, _ = Next(p.Status, ToCapture, when)
	record(b, p, false, transaction.State())
	c := &Capture{
		ID: CaptureID(b.NewID(answer.CapturePrefix)), PaymentID: p.ID, Amount: amount, Final: when == NothingsLeft,
		TransactionID: transaction.ID, CreatedAt: b.Time(),
	}
	b.AddCapture(c)
	b.Append(event.Draft{Type: event.CaptureSucceeded, ObjectID: c.NodeID(), ObjectVersion: 1, State: c.State()})
	return c, nil
}

// take moves an amount of what is set aside. The rest is set aside again, by a hold of its own, or is free where nothing follows.
func (p *Payment) take(b Batch, amount, rest money.Amount, when Condition) (*ledger.Transaction, error) {
	hold := b.Hold(*p.HoldID)
	from, to := b.Account(hold.AccountID), b.Account(hold.CounterAccountID)
	legs := hold.End(amount.MinorUnits, from, to)
	if when == SomeIsLeft {
		legs = append(legs, ledger.SetAside(rest, from, to)...)
	}
	draft := ledger.Draft{Kind: ledger.Payment, Amount: amount, Legs: legs}
	p.charge(b, &draft, amount)
	transaction, err := p.post(b, draft)
	if err != nil {
		return nil, err
	}
	p.CapturedMinorUnits += amount.MinorUnits
	if when == SomeIsLeft {
		p.HoldID = &transaction.Made().ID
	} else {
		p.HoldID = nil
		p.waitNoMore(b)
	}
	return transaction, nil
}
