package auth

import (
	"context"
	"time"
)

// How long a customer's session lasts: minutes, since nothing calls it back.
const (
	MinSession     = time.Minute
	DefaultSession = 10 * time.Minute
	MaxSession     = time.Hour
)

// Session is an access token for a customer.
type Session struct {
	Token   string
	Expires time.Time
	Scopes  Scopes
}

// Session makes a token for a customer of a backend's merchant, perhaps for one payment alone. Who calls it has seen to it that the two are there,
// that the scopes are within CustomersScopes and within what the backend may do, and that the time is from MinSession to MaxSession.
func (i *Issuer) Session(ctx context.Context, by Principal, customer, payment string, scopes Scopes, lasts time.Duration) (Session, error) {
	s := Session{Scopes: scopes, Expires: i.config.Now().Add(lasts).UTC().Truncate(time.Second)} // as the token says it
	var err error
	s.Token, err = i.sign(ctx, Principal{
		Kind: Customer, Merchant: by.Merchant, Customer: customer, Payment: payment, Subject: by.Subject, Scopes: scopes, Expires: s.Expires,
	})
	return s, err
}
