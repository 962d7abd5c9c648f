package ledger

import (
	"context"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
)

// OpenAccountInput is the mutation's input.
type OpenAccountInput struct {
	IdempotencyKey string
	CustomerID     merchant.CustomerID
	Currency       string
	Name           *string
}

// OpenAccountSuccess is the mutation's success.
type OpenAccountSuccess struct {
	Account  *Account
	Replayed bool
}

// OpenAccount opens a wallet for a customer. Refusals: ValidationFailed, NotFound, and those of the idempotency key.
func (s *Service) OpenAccount(ctx context.Context, p auth.Principal, in OpenAccountInput) (OpenAccountSuccess, error) {
	account, replayed, err := s.account(ctx, p, command.Command[Batch]{
		Envelope: command.Envelope{
			Principal: p, Operation: "openAccount", Key: in.IdempotencyKey, Invalid: in.check(),
			Input: command.Input(nil).
				Text("input.customerId", string(in.CustomerID)).
				Text("input.currency", in.Currency).
				Maybe("input.name", in.Name),
		},
		Needs:  command.Needs{Customers: []string{string(in.CustomerID)}},
		Decide: in.decide,
	})
	return OpenAccountSuccess{account, replayed}, err
}

func (in OpenAccountInput) check() error {
	var v answer.Violations
	if _, err := money.ParseCurrency(in.Currency); err != nil {
		v.Add("input.currency", answer.UnknownCurrency, "This is not the code of a currency in ISO 4217.")
	}
	v.Text("input.name", answer.Or(in.Name), answer.MaxNameLength)
	return v.Err()
}

func (in OpenAccountInput) decide(b Batch) (command.Object, error) {
	if b.Customer(in.CustomerID) == nil {
		return nil, answer.NotFound{
			Recorded: answer.Recorded{At: []string{"input", "customerId"}}, ResourceID: string(in.CustomerID),
		}
	}
	account := open(b, &Account{
		Kind: CustomerWallet, Currency: money.Currency(in.Currency), Name: answer.Or(in.Name), CustomerID: &in.CustomerID,
	})
	return account.clone(), nil
}
