package ledger

import (
	"context"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/money"
)

// DepositFundsInput is the mutation's input.
type DepositFundsInput struct {
	IdempotencyKey string
	AccountID      AccountID
	Amount         money.Input
	Reason         string
}

// DepositFundsSuccess is the mutation's success.
type DepositFundsSuccess struct {
	Transaction *Transaction
	Replayed    bool
}

// DepositFunds brings money that has arrived at the bank into a wallet: BANK_CASH is debited, the wallet credited. Refusals:
// ValidationFailed, NotFound, CurrencyMismatch, AccountNotActive, and those of the idempotency key.
func (s *Service) DepositFunds(ctx context.Context, p auth.Principal, in DepositFundsInput) (DepositFundsSuccess, error) {
	var v answer.Violations
	amount := CheckAmount(&v, "input.amount", in.Amount)
	checkReason(&v, in.Reason)
	transaction, replayed, err := s.transaction(ctx, p, command.Command[Batch]{
		Envelope: command.Envelope{
			Principal: p, Operation: "depositFunds", Key: in.IdempotencyKey, Invalid: v.Err(),
			Input: command.Input(nil).
				Text("input.accountId", string(in.AccountID)).
				Money("input.amount", in.Amount, amount).
				Text("input.reason", in.Reason),
		},
		Needs: command.Needs{
			Accounts: []string{string(in.AccountID)},
			Inner:    []command.Inner{{Kind: string(BankCash), Currency: string(amount.Currency)}},
		},
		Decide: func(b Batch) (command.Object, error) { return in.decide(b, amount) },
	})
	return DepositFundsSuccess{transaction, replayed}, err
}

func (in DepositFundsInput) decide(b Batch, amount money.Amount) (command.Object, error) {
	wallet, err := Destination(b, InPayment, in.AccountID, amount, "input", "accountId")
	if err != nil {
		return nil, err
	}
	draft := Draft{Kind: Deposit, Amount: amount, Reference: &in.Reason, Path: pathOfAmount}
	draft.Legs = Move(amount, draft.Own(b, BankCash), wallet)
	return postAs(b, event.FundsDeposited, draft)
}

// postAs posts a draft that is an object of its own, and appends its event.
func postAs(b Books, what event.Type, d Draft) (command.Object, error) {
	transaction, err := Post(b, d)
	if err != nil {
		return nil, err
	}
	b.Append(event.Draft{
		Type: what, ObjectID: transaction.NodeID(), ObjectVersion: 1, State: transaction.State(),
	})
	return transaction, nil
}
