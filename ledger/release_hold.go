package ledger

import (
	"context"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
)

// ReleaseHoldInput is the mutation's input.
type ReleaseHoldInput struct {
	IdempotencyKey string
	HoldID         HoldID
	Reason         string
}

// ReleaseHoldSuccess is the mutation's success.
type ReleaseHoldSuccess struct {
	Transaction *Transaction // that ended the hold
	Replayed    bool
}

// ReleaseHold ends a hold without moving anything, also on an account that is frozen. Refusals: ValidationFailed, NotFound, HoldOfPayment,
// HoldNotOpen, and those of the idempotency key.
func (s *Service) ReleaseHold(ctx context.Context, p auth.Principal, in ReleaseHoldInput) (ReleaseHoldSuccess, error) {
	var v answer.Violations
	checkReason(&v, in.Reason)
	transaction, replayed, err := s.transaction(ctx, p, command.Command[Batch]{
		Envelope: command.Envelope{
			Principal: p, Operation: "releaseHold", Key: in.IdempotencyKey, Invalid: v.Err(),
			Input: command.Input(nil).
				Text("input.holdId", string(in.HoldID)).
				Text("input.reason", in.Reason),
		},
		Needs:  command.Needs{Holds: []string{string(in.HoldID)}},
		Decide: in.decide,
	})
	return ReleaseHoldSuccess{transaction, replayed}, err
}

func (in ReleaseHoldInput) decide(b Batch) (command.Object, error) {
	path := answer.Recorded{At: []string{"input", "holdId"}}
	hold := b.Hold(in.HoldID)
	switch {
	case hold == nil:
		return nil, answer.NotFound{Recorded: path, ResourceID: string(in.HoldID)}
	case hold.PaymentID != nil:
		return nil, HoldOfPayment{path, string(hold.ID), *hold.PaymentID}
	case hold.Status() != HoldOpen:
		return nil, HoldNotOpen{path, string(hold.ID), hold.Status()}
	}
	return postAs(b, event.HoldReleased, Draft{
		Kind: Released, Amount: hold.Amount, Reference: &in.Reason,
		Legs: hold.End(0, b.Account(hold.AccountID), b.Account(hold.CounterAccountID)),
	})
}
