// Package session gives a merchant's customers tokens of their own, with which they see what is theirs and nothing else.
package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
)

// Tokens makes the tokens.
type Tokens interface {
	Session(ctx context.Context, by auth.Principal, customer, payment string, scopes auth.Scopes, lasts time.Duration) (auth.Session, error)
}

// Service makes sessions.
type Service struct {
	Tokens    Tokens
	Customers merchant.Reader
	Payments  payment.Reader
}

// CreateInput is the mutation's input.
type CreateInput struct {
	CustomerID      merchant.CustomerID
	PaymentID       *payment.ID
	Scopes          []auth.Scope // nil: all that the backend may give, for one payment PaymentsRead alone
	LifetimeSeconds int32
}

// CreateSuccess is the mutation's success.
type CreateSuccess struct {
	AccessToken string
	ExpiresAt   time.Time
	Scopes      []auth.Scope
	Customer    *merchant.Customer
}

// ErrNotABackend is what anybody is answered who is no merchant's backend: a session is good for as long as its backend's credential is, and nobody else has one.
var ErrNotABackend = errors.New("sessions of customers are made by the merchant's backend")

// Create makes a session for a customer. It changes nothing, so that it has no idempotency key: whose answer was lost asks for another. A session for a
// payment is the merchant's word that the customer may see it, whatever accounts it is between. Refusals: ValidationFailed, NotFound. Error: ErrNotABackend.
func (s *Service) Create(ctx context.Context, p auth.Principal, in CreateInput) (CreateSuccess, error) {
	if p.Kind != auth.Backend {
		return CreateSuccess{}, ErrNotABackend
	}
	scopes, err := in.check(p)
	if err != nil {
		return CreateSuccess{}, err
	}
	customer, err := s.Customers.Customer(ctx, p, in.CustomerID)
	if err != nil {
		return CreateSuccess{}, err
	}
	if customer == nil {
		return CreateSuccess{}, notFound("input.customerId", string(in.CustomerID))
	}
	only := string(answer.Or(in.PaymentID))
	if in.PaymentID != nil {
		found, err := s.Payments.Payment(ctx, p, *in.PaymentID)
		if err != nil {
			return CreateSuccess{}, err
		}
		if found == nil {
			return CreateSuccess{}, notFound("input.paymentId", only)
		}
	}
	made, err := s.Tokens.Session(ctx, p, string(customer.ID), only, scopes, time.Duration(in.LifetimeSeconds)*time.Second)
	return CreateSuccess{AccessToken: made.Token, ExpiresAt: made.Expires, Scopes: made.Scopes, Customer: customer}, err
}

// check says what the session may do.
func (in CreateInput) check(p auth.Principal) (scopes auth.Scopes, err error) {
	var v answer.Violations
	for _, scope := range auth.CustomersScopes {
		wanted := slices.Contains(in.Scopes, scope) || in.Scopes == nil && (in.PaymentID == nil || scope == auth.PaymentsRead)
		if p.May(scope) && wanted {
			scopes = append(scopes, scope)
		}
	}
	for _, scope := range in.Scopes {
		if !scopes.Has(scope) {
			v.Add("input.scopes", answer.OutOfRange, "A customer's session may have those of these that your token has: %s.", names(auth.CustomersScopes))
			break
		}
	}
	switch {
	case len(scopes) == 0 && in.Scopes == nil && in.PaymentID != nil:
		v.Add("input.scopes", answer.OutOfRange, "A session for one payment has PAYMENTS_READ, which your token lacks.")
	case len(scopes) == 0 && in.Scopes == nil:
		v.Add("input.scopes", answer.OutOfRange, "Your token has none of %s to give.", names(auth.CustomersScopes))
	case len(in.Scopes) == 0 && in.Scopes != nil:
		v.Add("input.scopes", answer.Required, "A session without a scope is good for nothing.")
	}
	if lasts := time.Duration(in.LifetimeSeconds) * time.Second; lasts < auth.MinSession || lasts > auth.MaxSession {
		v.Add("input.lifetimeSeconds", answer.OutOfRange, "A session lasts from %.0f to %.0f seconds.", auth.MinSession.Seconds(), auth.MaxSession.Seconds())
	}
	return scopes, v.Err()
}

// names are scopes as the schema has them.
func names(scopes auth.Scopes) string {
	all := make([]string, len(scopes))
	for i, s := range scopes {
		all[i] = strings.ToUpper(strings.ReplaceAll(string(s), ":", "_"))
	}
	return strings.Join(all, ", ")
}

func notFound(path, id string) error {
	return answer.NotFound{Recorded: answer.Recorded{At: strings.Split(path, ".")}, ResourceID: id}
}
