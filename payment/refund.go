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

// RefundID names a refund: "ref_" and a UUIDv7.
type RefundID string

// RefundStatus says what became of a refund.
type RefundStatus string

// RefundDone is the status of a refund whose money has moved.
const RefundDone RefundStatus = "SUCCEEDED"

// Refund is one giving back of money that was captured for a payment. It never changes.
type Refund struct {
	ID            RefundID
	PaymentID     ID
	Amount        money.Amount
	Reason        *string // the client's word
	TransactionID ledger.TransactionID
	CreatedAt     time.Time
	Salt          []byte // hides the reason in the log; nil without one
}

// NodeID is the refund's identifier.
func (r *Refund) NodeID() string { return string(r.ID) }

// Status is SUCCEEDED: money of wallets moves at once.
func (r *Refund) Status() RefundStatus { return RefundDone }

// State is what an event keeps of the refund.
func (r *Refund) State() event.State {
	return event.State(nil).
		Text("status", string(r.Status())).
		Text("payment", string(r.PaymentID)).
		Int("amount", r.Amount.MinorUnits).
		Text("currency", string(r.Amount.Currency)).
		Salted("reason", r.Salt, answer.Or(r.Reason)).
		Text("transaction", string(r.TransactionID)).
		Time("createdAt", r.CreatedAt)
}

// RefundInput is the input of refundPayment.
type RefundInput struct {
	IdempotencyKey  string
	PaymentID       ID
	Amount          *money.Input // nil: all that is left
	Reason          *string
	ExpectedVersion *int32
}

// RefundSuccess is the success of refundPayment.
type RefundSuccess struct {
	Refund   *Refund
	Replayed bool
}

// Refund gives back what a payment has taken, or a part, from where it went: the wallet or the merchant. Fees stay where they are. Refusals:
// ValidationFailed, NotFound, VersionConflict, InvalidState, CurrencyMismatch, AmountExceedsRefundable, AccountNotActive, InsufficientFunds,
// BalanceOutOfRange, and those of the idempotency key.
func (s *Service) Refund(ctx context.Context, p auth.Principal, in RefundInput) (RefundSuccess, error) {
	var v answer.Violations
	amount := checkAmount(&v, in.Amount)
	v.Text("input.reason", answer.Or(in.Reason), answer.MaxReasonLength)
	refund, replayed, err := command.Do(ctx, s.Committer, command.Command[Batch]{
		Envelope: command.Envelope{
			Principal: p, Operation: "refundPayment", Key: in.IdempotencyKey, Invalid: v.Err(),
			Input: command.Input(nil).
				Text("input.paymentId", string(in.PaymentID)).
				MaybeMoney("input.amount", in.Amount, amount).
				Maybe("input.reason", in.Reason).
				Number("input.expectedVersion", in.ExpectedVersion),
		},
		Needs:  command.Needs{Payments: []string{string(in.PaymentID)}},
		Decide: func(b Batch) (command.Object, error) { return in.decide(b, amount) },
	}, func(id string) (*Refund, error) { return s.Reader.Refund(ctx, p, RefundID(id)) })
	return RefundSuccess{refund, replayed}, err
}

func (in RefundInput) decide(b Batch, amount money.Amount) (command.Object, error) {
	p, err := find(b, in.PaymentID, in.ExpectedVersion, ToRefund)
	if err != nil {
		return nil, err
	}
	amount, err = amountOf(p, in.Amount, amount, p.Refundable(), func(path answer.Recorded) error {
		return AmountExceedsRefundable{path, string(p.ID), p.Refundable(), amount}
	})
	if err != nil {
		return nil, err
	}
	transaction, err := p.giveBack(b, amount)
	if err != nil {
		return nil, err
	}
	p.RefundedMinorUnits += amount.MinorUnits
	p.Status, _ = Next(p.Status, ToRefund, Always)
	recordAs(b, p, false, event.PaymentRefunded, transaction.State())
	r := &Refund{
		ID: RefundID(b.NewID(answer.RefundPrefix)), PaymentID: p.ID, Amount: amount, Reason: in.Reason,
		TransactionID: transaction.ID, CreatedAt: b.Time(),
	}
	if in.Reason != nil {
		r.Salt = b.Salt()
	}
	b.AddRefund(r)
	b.Append(event.Draft{Type: event.RefundSucceeded, ObjectID: r.NodeID(), ObjectVersion: 1, State: r.State()})
	return r, nil
}

// giveBack moves an amount from where the payment's money went to where it came from.
func (p *Payment) giveBack(b Batch, amount money.Amount) (*ledger.Transaction, error) {
	to, err := ledger.Destination(b, ledger.InPayment, *p.SourceAccountID, amount, pathOfPayment...)
	if err != nil {
		return nil, err
	}
	var from *ledger.Account
	if p.DestinationAccountID != nil {
		from, err = ledger.Source(b, ledger.InPayment, *p.DestinationAccountID, amount, pathOfPayment...)
	} else {
		from, err = ledger.InnerSource(b, ledger.MerchantAvailable, amount, pathOfPayment...)
	}
	if err != nil {
		return nil, err
	}
	return p.post(b, ledger.Draft{Kind: ledger.Refund, Amount: amount, Legs: ledger.Move(amount, from, to)})
}
