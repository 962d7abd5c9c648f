package payment

import (
	"context"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
)

// CancelInput is the input of cancelPayment.
type CancelInput struct {
	IdempotencyKey  string
	PaymentID       ID
	ExpectedVersion *int32
}

// CancelSuccess is the success of cancelPayment.
type CancelSuccess struct {
	Payment  *Payment
	Replayed bool
}

// Cancel ends a payment that waits for its confirmation or for captures: what is set aside is free again. One of which a part was captured
// has succeeded with that. Refusals: NotFound, VersionConflict, InvalidState, and those of the idempotency key.
func (s *Service) Cancel(ctx context.Context, p auth.Principal, in CancelInput) (CancelSuccess, error) {
	payment, replayed, err := s.commit(ctx, p, command.Command[Batch]{
		Envelope: command.Envelope{
			Principal: p, Operation: "cancelPayment", Key: in.IdempotencyKey,
			Input: command.Input(nil).
				Text("input.paymentId", string(in.PaymentID)).
				Number("input.expectedVersion", in.ExpectedVersion),
		},
		Needs: command.Needs{Payments: []string{string(in.PaymentID)}},
		Decide: func(b Batch) (command.Object, error) {
			payment, err := find(b, in.PaymentID, in.ExpectedVersion, ToCancel)
			if err != nil {
				return nil, err
			}
			return payment, end(b, payment, ToCancel)
		},
	})
	return CancelSuccess{payment, replayed}, err
}

// Expire serves a timer that is due: it ends the payment that waits by it, and leaves one alone that has moved on. The database has said that it
// is due: if its clock has been set back since, the payment is ended all the same, for nobody else would do it.
func (s *Service) Expire(ctx context.Context, due command.Due) error {
	gateway := auth.Principal{Kind: auth.Gateway, Merchant: due.Merchant, Subject: "timers"}
	_, err := s.Committer.Commit(ctx, command.Command[Batch]{
		Envelope: command.Envelope{
			Principal: gateway, Operation: "expirePayment", Key: due.Key(),
			Input: command.Input(nil).Text("paymentId", due.ObjectID),
		},
		Needs: command.Needs{Payments: []string{due.ObjectID}},
		Decide: func(b Batch) (command.Object, error) {
			current := b.Payment(ID(due.ObjectID))
			if current == nil {
				return nil, answer.NotFound{ResourceID: due.ObjectID}
			}
			payment := *current
			if payment.ExpiresAt == nil || !payment.ExpiresAt.Equal(due.DueAt) {
				b.Served(due.Timer)
				return current, nil
			}
			return &payment, end(b, &payment, ToExpire)
		},
	})
	return err
}

// end ends a payment by the table: what is set aside for it is free again.
func end(b Batch, p *Payment, action Action) error {
	var postings []event.State
	if p.HoldID != nil {
		hold := b.Hold(*p.HoldID)
		released, err := p.post(b, ledger.Draft{
			Kind: ledger.Released, Amount: hold.Amount, Legs: hold.End(0, b.Account(hold.AccountID), b.Account(hold.CounterAccountID)),
		})
		if err != nil {
			return err
		}
		postings = append(postings, released.State())
	}
	p.Status, _ = Next(p.Status, action, Always)
	p.HoldID = nil
	p.waitNoMore(b)
	record(b, p, false, postings...)
	return nil
}

// expireAfter gives the payment so much time from now on. It waits for nothing before.
func (p *Payment) expireAfter(b Batch, lifetime time.Duration) {
	at := b.Time().Add(lifetime)
	p.ExpiresAt = &at
	b.AddTimer(p.timer())
}

// waitNoMore takes the timer away of a payment that waits for a client.
func (p *Payment) waitNoMore(b Batch) {
	if p.ExpiresAt != nil {
		b.Served(p.timer())
		p.ExpiresAt = nil
	}
}

// timer is that of a payment that waits for a client.
func (p *Payment) timer() command.Timer {
	return command.Timer{Kind: command.PaymentExpires, ObjectID: p.NodeID(), DueAt: *p.ExpiresAt}
}
