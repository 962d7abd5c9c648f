package resolvers

import (
	"context"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
)

// scopeOf is the scope that the schema asks for objects of this type; a test compares the two.
func scopeOf(object any) auth.Scope {
	switch object.(type) {
	case *merchant.Customer:
		return auth.CustomersRead
	case *payment.Payment, *payment.Capture, *payment.Refund:
		return auth.PaymentsRead
	case *event.Event:
		return auth.EventsRead
	case *merchant.Merchant, *ledger.Account, *ledger.Entry, *ledger.Hold, *ledger.Transaction:
		return auth.AccountsRead
	}
	return "" // nobody has it
}

// may says whether the principal may do what a scope allows.
func may(ctx context.Context, scope auth.Scope) bool {
	p := auth.FromContext(ctx)
	return p.May(scope)
}

// visible is the object, or nil where the principal lacks the scope for objects of its type.
func visible[T command.Object](ctx context.Context, object T) T {
	if may(ctx, scopeOf(object)) {
		return object
	}
	var none T
	return none
}
