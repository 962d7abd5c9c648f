package payment

import (
	"context"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
)

// ConfirmInput is the input of confirmPayment.
type ConfirmInput struct {
	IdempotencyKey  string
	PaymentID       ID
	Source          *Source // needed where the payment has none yet; else it takes the place of the one that it has
	ExpectedVersion *int32
}

// ConfirmSuccess is the success of confirmPayment.
type ConfirmSuccess struct {
	Payment  *Payment
	Replayed bool
}

// Confirm takes the money of a payment that was created without, or sets it aside where it is captured later. Refusals: NotFound,
// VersionConflict, InvalidState, CurrencyMismatch, AccountNotActive, InsufficientFunds, BalanceOutOfRange, and those of the idempotency
// key.
func (s *Service) Confirm(ctx context.Context, p auth.Principal, in ConfirmInput) (ConfirmSuccess, error) {
	needs := command.Needs{Payments: []string{string(in.PaymentID)}}
	source := ""
	if in.Source != nil {
		source = string(answer.Or(in.Source.AccountID))
		needs.Accounts = []string{source}
	}
	payment, replayed, err := s.commit(ctx, p, command.Command[Batch]{
		Envelope: command.Envelope{
			Principal: p, Operation: "confirmPayment", Key: in.IdempotencyKey,
			Input: command.Input(nil).
				Text("input.paymentId", string(in.PaymentID)).
				Text("input.source.accountId", source).
				Number("input.expectedVersion", in.ExpectedVersion),
		},
		Needs:  needs,
		Decide: in.decide,
	})
	return ConfirmSuccess{payment, replayed}, err
}

func (in ConfirmInput) decide(b Batch) (command.Object, error) {
	payment, err := find(b, in.PaymentID, in.ExpectedVersion, ToConfirm)
	if err != nil {
		return nil, err
	}
	if in.Source != nil {
		payment.SourceAccountID = in.Source.AccountID
	}
	if payment.SourceAccountID == nil {
		return nil, payment.refuse(ToConfirm, "It has no source yet: name one.", b.Time(), "input", "source")
	}
	if payment.DestinationAccountID != nil && *payment.DestinationAccountID == *payment.SourceAccountID {
		return nil, payment.refuse(ToConfirm, "The source is the destination.", b.Time(), "input", "source")
	}
	path := pathOfPayment // its source was named when it was created
	if in.Source != nil {
		path = []string{"input", "source", "accountId"}
	}
	return payment, confirm(b, payment, false, path...)
}
