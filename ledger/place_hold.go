package ledger

import (
	"context"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/money"
)

// PlaceHoldInput is the mutation's input.
type PlaceHoldInput struct {
	IdempotencyKey string
	AccountID      AccountID
	Amount         money.Input
	Reference      *string
}

// PlaceHoldSuccess is the mutation's success.
type PlaceHoldSuccess struct {
	Transaction *Transaction // that made the hold
	Replayed    bool
}

// PlaceHold sets money of a wallet aside, for SUSPENSE. Refusals: ValidationFailed, NotFound, CurrencyMismatch, AccountNotActive,
// InsufficientFunds, BalanceOutOfRange, and those of the idempotency key.
func (s *Service) PlaceHold(ctx context.Context, p auth.Principal, in PlaceHoldInput) (PlaceHoldSuccess, error) {
	var v answer.Violations
	amount := CheckAmount(&v, "input.amount", in.Amount)
	v.Text("input.reference", answer.Or(in.Reference), answer.MaxReferenceLength)
	transaction, replayed, err := s.transaction(ctx, p, command.Command[Batch]{
		Envelope: command.Envelope{
			Principal: p, Operation: "placeHold", Key: in.IdempotencyKey, Invalid: v.Err(),
			Input: command.Input(nil).
				Text("input.accountId", string(in.AccountID)).
				Money("input.amount", in.Amount, amount).
				Maybe("input.reference", in.Reference),
		},
		Needs: command.Needs{
			Accounts: []string{string(in.AccountID)},
			Inner:    []command.Inner{{Kind: string(Suspense), Currency: string(amount.Currency)}},
		},
		Decide: func(b Batch) (command.Object, error) { return in.decide(b, amount) },
	})
	return PlaceHoldSuccess{transaction, replayed}, err
}

func (in PlaceHoldInput) decide(b Batch, amount money.Amount) (command.Object, error) {
	wallet, err := Source(b, InPayment, in.AccountID, amount, "input", "accountId")
	if err != nil {
		return nil, err
	}
	draft := Draft{Kind: Held, Amount: amount, Reference: in.Reference, Path: pathOfAmount}
	draft.Legs = SetAside(amount, wallet, draft.Own(b, Suspense))
	return postAs(b, event.FundsHeld, draft)
}
