package payment

import (
	"cmp"
	"context"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
)

// CreateInput is the input of createPayment.
type CreateInput struct {
	IdempotencyKey       string
	Amount               money.Input
	Source               *Source
	DestinationAccountID *ledger.AccountID
	Confirm              bool
	CaptureMethod        CaptureMethod // empty: Automatic
	Reference            *string
	Metadata             answer.Metadata
}

// CreateSuccess is the success of createPayment.
type CreateSuccess struct {
	Payment  *Payment
	Replayed bool
}

// Create makes a payment, and with Confirm takes the money in the same commit, or sets it aside where it is captured later. With Confirm
// a refusal leaves no payment behind. Refusals: ValidationFailed, NotFound, CurrencyMismatch, AccountNotActive, InsufficientFunds, BalanceOutOfRange, and those of the
// idempotency key.
func (s *Service) Create(ctx context.Context, p auth.Principal, in CreateInput) (CreateSuccess, error) {
	var v answer.Violations
	amount := ledger.CheckAmount(&v, "input.amount", in.Amount)
	in.check(&v)
	payment, replayed, err := s.commit(ctx, p, command.Command[Batch]{
		Envelope: command.Envelope{
			Principal: p, Operation: "createPayment", Key: in.IdempotencyKey, Invalid: v.Err(),
			Input: command.Input(nil).
				Money("input.amount", in.Amount, amount).
				Text("input.source.accountId", in.source()).
				Text("input.destinationAccountId", string(answer.Or(in.DestinationAccountID))).
				True("input.confirm", in.Confirm).
				True("input.captureMethod", in.CaptureMethod == Manual).
				Maybe("input.reference", in.Reference).
				Map("input.metadata", in.Metadata),
		},
		Needs:  in.needs(amount),
		Decide: func(b Batch) (command.Object, error) { return in.decide(b, amount) },
	})
	return CreateSuccess{payment, replayed}, err
}

func (in CreateInput) source() string {
	if in.Source == nil {
		return ""
	}
	return string(answer.Or(in.Source.AccountID))
}

func (in CreateInput) check(v *answer.Violations) {
	if in.Confirm && in.Source == nil {
		v.Add("input.source", answer.Required, "A payment that is confirmed at once needs a source.")
	}
	if in.DestinationAccountID != nil && in.source() == string(*in.DestinationAccountID) {
		v.Add("input.destinationAccountId", answer.SameAccount, "Money is moved from one account to another.")
	}
	v.Text("input.reference", answer.Or(in.Reference), answer.MaxReferenceLength)
	v.Metadata("input.metadata", in.Metadata)
}

func (in CreateInput) needs(amount money.Amount) command.Needs {
	needs := command.Needs{Accounts: make([]string, 0, 2), Fees: string(amount.Currency)}
	if in.Source != nil {
		needs.Accounts = append(needs.Accounts, in.source())
	}
	if in.DestinationAccountID != nil {
		needs.Accounts = append(needs.Accounts, string(*in.DestinationAccountID))
	} else {
		needs.Inner = []command.Inner{{Kind: string(ledger.MerchantAvailable), Currency: string(amount.Currency)}}
	}
	return needs
}

func (in CreateInput) decide(b Batch, amount money.Amount) (command.Object, error) {
	payment := &Payment{
		Status: RequiresConfirmation, Amount: amount, DestinationAccountID: in.DestinationAccountID,
		CaptureMethod: cmp.Or(in.CaptureMethod, Automatic), Reference: in.Reference, Metadata: in.Metadata,
	}
	if in.Reference != nil || len(in.Metadata) > 0 {
		payment.Salt = b.Salt()
	}
	if in.Source == nil {
		payment.Status = RequiresPaymentMethod
	} else {
		payment.SourceAccountID = in.Source.AccountID
	}
	if in.Confirm {
		return payment, confirm(b, payment, true, "input", "source", "accountId")
	}
	if _, err := destinationOf(b, payment, true); err != nil {
		return nil, err
	}
	if err := checkSource(b, payment); err != nil {
		return nil, err
	}
	payment.ID = ID(b.NewID(answer.PaymentPrefix))
	payment.expireAfter(b, UnconfirmedLifetime)
	record(b, payment, true)
	return payment, nil
}

// checkSource refuses a source that could never pay, for a payment that is not confirmed yet: its balance and status may change
// until then.
func checkSource(b Batch, p *Payment) error {
	if p.SourceAccountID == nil {
		return nil
	}
	_, err := ledger.Destination(b, ledger.InPayment, *p.SourceAccountID, p.Amount, "input", "source", "accountId")
	return err
}
