package resolvers

import (
	"context"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/session"
)

type merchantReads interface {
	Merchant(ctx context.Context, m merchant.ID) (*merchant.Merchant, error)
	Customers(ctx context.Context, m merchant.ID, ids []string) ([]*merchant.Customer, error)
	ListCustomers(ctx context.Context, m merchant.ID, f merchant.CustomerFilter, s answer.Slice) ([]*merchant.Customer, error)
	CustomerAccounts(ctx context.Context, m merchant.ID, customers []string, before answer.UUID, limit int) ([][]*ledger.Account, error)
}

func (r queryResolver) Viewer(ctx context.Context) (*auth.Principal, error) {
	p := auth.FromContext(ctx)
	return &p, nil
}

func (r viewerResolver) Merchant(ctx context.Context, p *auth.Principal) (*merchant.Merchant, error) {
	if !p.May(auth.AccountsRead) {
		return nil, nil
	}
	return from(ctx).merchants.Load(ctx, string(p.Merchant))
}

func (r viewerResolver) Customer(ctx context.Context, p *auth.Principal) (*merchant.Customer, error) {
	if p.Customer == "" || !p.May(auth.CustomersRead) {
		return nil, nil
	}
	return from(ctx).customers.Load(ctx, p.Customer)
}

func (r viewerResolver) Payment(ctx context.Context, p *auth.Principal) (*payment.Payment, error) {
	if p.Payment == "" || !p.May(auth.PaymentsRead) {
		return nil, nil
	}
	return from(ctx).payments.Load(ctx, p.Payment)
}

func (r viewerResolver) Scopes(_ context.Context, p *auth.Principal) ([]auth.Scope, error) {
	may := make([]auth.Scope, 0, len(p.Scopes))
	for _, scope := range p.Scopes {
		if p.May(scope) {
			may = append(may, scope)
		}
	}
	return may, nil
}

func (r mutationResolver) CreateCustomer(ctx context.Context, in merchant.CreateCustomerInput) (answer.Outcome, error) {
	success, err := r.Merchants.CreateCustomer(ctx, auth.FromContext(ctx), in)
	success.Customer = visible(ctx, success.Customer)
	return outcome(ctx, success, err)
}

func (r mutationResolver) CreateCustomerSession(ctx context.Context, in session.CreateInput) (answer.Outcome, error) {
	success, err := r.Sessions.Create(ctx, auth.FromContext(ctx), in)
	success.Customer = visible(ctx, success.Customer)
	return outcome(ctx, success, err)
}

func (r queryResolver) Customer(ctx context.Context, id string) (*merchant.Customer, error) {
	return from(ctx).customers.Load(ctx, id)
}

func (r queryResolver) Customers(ctx context.Context, first int32, after *string, filter *merchant.CustomerFilter, orderBy answer.OrderBy) (*merchant.CustomerPage, error) {
	p, f := auth.FromContext(ctx), answer.Or(filter)
	c := r.cursors(p, "customers", f, orderBy)
	return rootPage(c, first, after, orderBy, customerCursor(c), func(s answer.Slice) ([]*merchant.Customer, error) {
		return from(ctx).ListCustomers(ctx, p.Merchant, f, s)
	})
}

func customerCursor(c cursors) func(*merchant.Customer) string {
	return func(customer *merchant.Customer) string { return c.ofID(answer.CustomerPrefix, customer.NodeID()) }
}

func (r customerResolver) Accounts(ctx context.Context, customer *merchant.Customer, first int32, after *string) (*ledger.AccountPage, error) {
	if !may(ctx, auth.AccountsRead) {
		return nil, nil
	}
	if err := checkFirst(first); err != nil {
		return nil, err
	}
	c := r.cursors(auth.FromContext(ctx), "accounts of "+customer.NodeID())
	before, err := c.id(after)
	if err != nil {
		return nil, err
	}
	if before == nil {
		before = &lastUUID
	}
	found, err := from(ctx).customerAccounts.Load(ctx, part[answer.UUID]{customer.NodeID(), slice[answer.UUID]{*before, int(first) + 1}})
	return answer.Cut(found, int(first), after != nil, accountCursor(c)), err
}

// lastUUID comes after all others (RFC 9562, section 5.10).
var lastUUID = answer.UUID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
