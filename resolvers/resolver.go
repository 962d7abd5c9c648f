// Package resolvers turns GraphQL into calls of the domain and answers back: one file a domain, and no rule about money anywhere.
package resolvers

import (
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/graph"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/session"
)

//go:generate sh -c "cd .. && go run ./resolvers/gen"

// Resolver answers the fields of the schema that are not fields of a domain struct.
type Resolver struct {
	Merchants *merchant.Service
	Ledger    *ledger.Service
	Payments  *payment.Service
	Sessions  *session.Service
	Cursors   *auth.Sealer
	Hub       *event.Hub
	Now       Reads // all that there is; now gives it out
}

// now is for what has to be seen as it is, outside of an operation's snapshot.
func (r *Resolver) now(p auth.Principal) Reads { return readsOf(p, r.Now) }

var _ graph.ResolverRoot = (*Resolver)(nil)

type (
	accountResolver               struct{ *Resolver }
	accountActivityEventResolver  struct{ *Resolver }
	customerResolver              struct{ *Resolver }
	entryResolver                 struct{ *Resolver }
	eventResolver                 struct{ *Resolver }
	eventHeadResolver             struct{ *Resolver }
	holdResolver                  struct{ *Resolver }
	idempotentRequestResolver     struct{ *Resolver }
	mutationResolver              struct{ *Resolver }
	paymentResolver               struct{ *Resolver }
	paymentStatusEventResolver    struct{ *Resolver }
	placeHoldSuccessResolver      struct{ *Resolver }
	queryResolver                 struct{ *Resolver }
	releaseHoldSuccessResolver    struct{ *Resolver }
	subscriptionResolver          struct{ *Resolver }
	transactionResolver           struct{ *Resolver }
	viewerResolver                struct{ *Resolver }
	captureResolver               struct{ *Resolver }
	capturePaymentSuccessResolver struct{ *Resolver }
	refundResolver                struct{ *Resolver }
	refundPaymentSuccessResolver  struct{ *Resolver }
)

// Account answers fields of Account.
func (r *Resolver) Account() graph.AccountResolver { return accountResolver{r} }

// AccountActivityEvent answers fields of AccountActivityEvent.
func (r *Resolver) AccountActivityEvent() graph.AccountActivityEventResolver {
	return accountActivityEventResolver{r}
}

// Customer answers fields of Customer.
func (r *Resolver) Customer() graph.CustomerResolver { return customerResolver{r} }

// Entry answers fields of Entry.
func (r *Resolver) Entry() graph.EntryResolver { return entryResolver{r} }

// Event answers fields of Event.
func (r *Resolver) Event() graph.EventResolver { return eventResolver{r} }

// EventHead answers fields of EventHead.
func (r *Resolver) EventHead() graph.EventHeadResolver { return eventHeadResolver{r} }

// Hold answers fields of Hold.
func (r *Resolver) Hold() graph.HoldResolver { return holdResolver{r} }

// IdempotentRequest answers fields of IdempotentRequest.
func (r *Resolver) IdempotentRequest() graph.IdempotentRequestResolver {
	return idempotentRequestResolver{r}
}

// Mutation answers the mutations.
func (r *Resolver) Mutation() graph.MutationResolver { return mutationResolver{r} }

// Payment answers fields of Payment.
func (r *Resolver) Payment() graph.PaymentResolver { return paymentResolver{r} }

// PaymentStatusEvent answers fields of PaymentStatusEvent.
func (r *Resolver) PaymentStatusEvent() graph.PaymentStatusEventResolver {
	return paymentStatusEventResolver{r}
}

// PlaceHoldSuccess answers fields of PlaceHoldSuccess.
func (r *Resolver) PlaceHoldSuccess() graph.PlaceHoldSuccessResolver {
	return placeHoldSuccessResolver{r}
}

// Query answers the queries.
func (r *Resolver) Query() graph.QueryResolver { return queryResolver{r} }

// ReleaseHoldSuccess answers fields of ReleaseHoldSuccess.
func (r *Resolver) ReleaseHoldSuccess() graph.ReleaseHoldSuccessResolver {
	return releaseHoldSuccessResolver{r}
}

// Subscription answers the subscriptions.
func (r *Resolver) Subscription() graph.SubscriptionResolver { return subscriptionResolver{r} }

// Transaction answers fields of Transaction.
func (r *Resolver) Transaction() graph.TransactionResolver { return transactionResolver{r} }

// Capture answers fields of Capture.
func (r *Resolver) Capture() graph.CaptureResolver { return captureResolver{r} }

// CapturePaymentSuccess answers fields of CapturePaymentSuccess.
func (r *Resolver) CapturePaymentSuccess() graph.CapturePaymentSuccessResolver {
	return capturePaymentSuccessResolver{r}
}

// Refund answers fields of Refund.
func (r *Resolver) Refund() graph.RefundResolver { return refundResolver{r} }

// RefundPaymentSuccess answers fields of RefundPaymentSuccess.
func (r *Resolver) RefundPaymentSuccess() graph.RefundPaymentSuccessResolver {
	return refundPaymentSuccessResolver{r}
}

// Viewer answers fields of Viewer.
func (r *Resolver) Viewer() graph.ViewerResolver { return viewerResolver{r} }
