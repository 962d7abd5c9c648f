package ledger

import (
	"context"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/money"
)

// TransferFundsInput is the mutation's input.
type TransferFundsInput struct {
	IdempotencyKey string
	FromAccountID  AccountID
	ToAccountID    AccountID
	Amount         money.Input
	Reference      *string
}

// TransferFundsSuccess is the mutation's success.
type TransferFundsSuccess struct {
	Transaction *Transaction
	Replayed    bool
}

// TransferFunds moves money from one account to another: wallets of the merchant's customers, or what the merchant has itself, which falls
// below zero no more than they do. Refusals: ValidationFailed, NotFound, CurrencyMismatch, AccountNotActive, InsufficientFunds,
// BalanceOutOfRange, and those of the idempotency key.
func (s *Service) TransferFunds(ctx context.Context, p auth.Principal, in TransferFundsInput) (TransferFundsSuccess, error) {
	var v answer.Violations
	amount := CheckAmount(&v, "input.amount", in.Amount)
	if in.FromAccountID == in.ToAccountID {
		v.Add("input.toAccountId", answer.SameAccount, "Money is moved from one account to another.")
	}
	v.Text("input.reference", answer.Or(in.Reference), answer.MaxReferenceLength)
	transaction, replayed, err := s.transaction(ctx, p, command.Command[Batch]{
		Envelope: command.Envelope{
			Principal: p, Operation: "transferFunds", Key: in.IdempotencyKey, Invalid: v.Err(),
			Input: command.Input(nil).
				Text("input.fromAccountId", string(in.FromAccountID)).
				Text("input.toAccountId", string(in.ToAccountID)).
				Money("input.amount", in.Amount, amount).
				Maybe("input.reference", in.Reference),
		},
		Needs:  command.Needs{Accounts: []string{string(in.FromAccountID), string(in.ToAccountID)}},
		Decide: func(b Batch) (command.Object, error) { return in.decide(b, amount) },
	})
	return TransferFundsSuccess{transaction, replayed}, err
}

func (in TransferFundsInput) decide(b Batch, amount money.Amount) (command.Object, error) {
	to, err := Destination(b, InTransfer, in.ToAccountID, amount, "input", "toAccountId")
	if err != nil {
		return nil, err
	}
	from, err := Source(b, InTransfer, in.FromAccountID, amount, "input", "fromAccountId")
	if err != nil {
		return nil, err
	}
	return postAs(b, event.TransferPosted, Draft{Kind: Transfer, Amount: amount, Reference: in.Reference, Legs: Move(amount, from, to)})
}
