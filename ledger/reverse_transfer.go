package ledger

import (
	"context"
	"fmt"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
)

// ReverseTransferInput is the mutation's input.
type ReverseTransferInput struct {
	IdempotencyKey string
	TransactionID  TransactionID
	Reason         string
}

// ReverseTransferSuccess is the mutation's success.
type ReverseTransferSuccess struct {
	Transaction *Transaction // the new one
	Replayed    bool
}

// ReverseTransfer undoes a transfer by a transaction the other way round. Refusals: ValidationFailed, NotFound, NotReversible,
// AccountNotActive, InsufficientFunds, BalanceOutOfRange, and those of the idempotency key.
func (s *Service) ReverseTransfer(ctx context.Context, p auth.Principal, in ReverseTransferInput) (ReverseTransferSuccess, error) {
	var v answer.Violations
	checkReason(&v, in.Reason)
	transaction, replayed, err := s.transaction(ctx, p, command.Command[Batch]{
		Envelope: command.Envelope{
			Principal: p, Operation: "reverseTransfer", Key: in.IdempotencyKey, Invalid: v.Err(),
			Input: command.Input(nil).
				Text("input.transactionId", string(in.TransactionID)).
				Text("input.reason", in.Reason),
		},
		Needs:  command.Needs{Transactions: []string{string(in.TransactionID)}},
		Decide: in.decide,
	})
	return ReverseTransferSuccess{transaction, replayed}, err
}

func (in ReverseTransferInput) decide(b Batch) (command.Object, error) {
	path := []string{"input", "transactionId"}
	transfer := b.Transaction(in.TransactionID)
	switch {
	case transfer == nil:
		return nil, answer.NotFound{Recorded: answer.Recorded{At: path}, ResourceID: string(in.TransactionID)}
	case transfer.Kind != Transfer || transfer.ReversedBy != nil:
		return nil, NotReversible{answer.Recorded{At: path}, string(transfer.ID), transfer.Kind, transfer.ReversedBy}
	}
	from, to := transfer.between()
	payer, err := Destination(b, InTransfer, from, transfer.Amount, path...)
	if err != nil {
		return nil, err
	}
	payee, err := Source(b, InTransfer, to, transfer.Amount, path...)
	if err != nil {
		return nil, err
	}
	return postAs(b, event.TransferReversed, Draft{
		Kind: Reversal, Amount: transfer.Amount, Reference: &in.Reason, Reverses: &transfer.ID, Legs: Move(transfer.Amount, payee, payer),
	})
}

// between are the accounts of a transfer: it debits the first, and credits the second.
func (t *Transaction) between() (from, to AccountID) {
	for i := range t.Entries {
		if t.Entries[i].Direction == Debit {
			from = t.Entries[i].AccountID
		} else {
			to = t.Entries[i].AccountID
		}
	}
	return from, to
}

// NotReversible refuses to reverse what is no transfer, or has been reversed.
type NotReversible struct {
	answer.Recorded
	ResourceID string          `json:"resourceId"` // the transaction
	Kind       TransactionKind `json:"kind"`
	ReversedBy *TransactionID  `json:"reversedBy,omitempty"`
}

// Code is NOT_REVERSIBLE.
func (NotReversible) Code() answer.Code { return answer.CodeNotReversible }

// Message says why.
func (r NotReversible) Message() string {
	if r.ReversedBy != nil {
		return fmt.Sprintf("The transfer has been reversed by %s.", *r.ReversedBy)
	}
	return fmt.Sprintf("Only transfers are reversed, and this is a %s.", r.Kind)
}

func (r NotReversible) Error() string { return r.Message() }
