// Package auth knows who asks: principals, scopes, access tokens and the keys that sign them.
package auth

import (
	"context"
	"slices"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/quota"
)

// Kind says what a principal is.
type Kind string

// The kinds of principal.
const (
	Anonymous Kind = "ANONYMOUS" // no credential was sent
	Backend   Kind = "BACKEND"   // a merchant's server, by OAuth2 client credentials
	Operator  Kind = "OPERATOR"  // the gateway's own commands: demo, merchant create
	Gateway   Kind = "GATEWAY"   // the gateway itself: its timers. Nobody can be it
	Staff     Kind = "STAFF"     // who works for a merchant, by an outside issuer's token
	Customer  Kind = "CUSTOMER"  // a merchant's end user, by a session that the merchant's backend has made
)

// Principal is who makes a request. It is an explicit argument of every service call and is recorded in the events that the
// call causes. The zero value is not a principal; use Nobody.
type Principal struct {
	Kind     Kind
	Merchant answer.MerchantID // the tenant; empty for Anonymous
	Customer string            // who it is, for Customer; else empty
	Payment  string            // the one payment that a Customer sees; empty: all of its own
	Subject  string            // the credential's client id, of a Customer that of the backend, of Staff the issuer's name and sub, or the gateway's command; empty for Anonymous
	Scopes   Scopes
	Expires  time.Time    // when the token ends; zero: never
	Quota    quota.Limits // what its credential says of how much a Backend may ask for; zero: the default, as for all others
	MustSign []string     // mutations for which its requests must be signed, as its credential says now; AllMutations: for all

	// Documents it may run, as its credential says now; the zero value: any.
	Documents Documents

	signedBy outsideKey // with which its token was signed, for Staff
}

// Documents says which GraphQL documents may be run.
type Documents string

// What a credential says of documents. Its customers' sessions follow it.
const (
	AnyDocument Documents = "any"
	LogDocument Documents = "log"  // any, and those that the merchant does not trust are in the log
	OnlyTrusted Documents = "only" // those that the merchant trusts
)

// Nobody is the anonymous principal.
var Nobody = Principal{Kind: Anonymous}

// May says whether the principal may do what a scope allows.
func (p *Principal) May(scope Scope) bool {
	return p.Scopes.Has(scope) && (p.Kind != Customer || CustomersScopes.Has(scope))
}

// MustSignFor says whether a request with a mutation must be signed.
func (p *Principal) MustSignFor(mutation string) bool {
	return slices.Contains(p.MustSign, mutation) || slices.Contains(p.MustSign, AllMutations)
}

// View names what a principal sees: two with the same view get the same answers.
func (p *Principal) View() string {
	return string(p.Kind) + " " + string(p.Merchant) + " " + p.Customer + " " + p.Payment + " " + p.Scopes.String()
}

type contextKey struct{}

// NewContext carries the principal from the transport to the resolvers, which pass it on as an argument.
func NewContext(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// FromContext returns the principal that the transport found, or Nobody.
func FromContext(ctx context.Context) Principal {
	if p, ok := ctx.Value(contextKey{}).(Principal); ok {
		return p
	}
	return Nobody
}

// ExpiresAt is when the token ends, or nil.
func (p *Principal) ExpiresAt() *time.Time {
	if p.Expires.IsZero() {
		return nil
	}
	return &p.Expires
}
