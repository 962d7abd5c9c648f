package resolvers

import (
	"context"
	"fmt"
	"reflect"

	"golang.org/x/sync/errgroup"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
)

func (r queryResolver) Node(ctx context.Context, id string) (answer.Node, error) {
	return node(ctx, id)
}

func (r queryResolver) Nodes(ctx context.Context, ids []string) ([]answer.Node, error) {
	if len(ids) > answer.MaxPageSize {
		return nil, fmt.Errorf("%w: at most %d identifiers", ErrBadUserInput, answer.MaxPageSize)
	}
	nodes := make([]answer.Node, len(ids))
	var all errgroup.Group // side by side, so that the loaders can gather them
	for i, id := range ids {
		all.Go(func() (err error) {
			nodes[i], err = node(ctx, id)
			return err
		})
	}
	return nodes, all.Wait()
}

// node finds an object of any type. What the principal may not see, or is not there, is nil.
func node(ctx context.Context, id string) (answer.Node, error) {
	if auth.FromContext(ctx).Merchant == "" {
		return nil, nil
	}
	object, err := load(ctx, id)
	if err != nil || object == nil || reflect.ValueOf(object).IsNil() || !may(ctx, scopeOf(object)) {
		return nil, err
	}
	return object, nil
}

func load(ctx context.Context, id string) (answer.Node, error) {
	switch answer.PrefixOf(id) {
	case answer.MerchantPrefix:
		return from(ctx).merchants.Load(ctx, id)
	case answer.CustomerPrefix:
		return from(ctx).customers.Load(ctx, id)
	case answer.AccountPrefix:
		return from(ctx).accounts.Load(ctx, id)
	case answer.TransactionPrefix:
		return from(ctx).transactions.Load(ctx, id)
	case answer.EntryPrefix:
		return from(ctx).entries.Load(ctx, id)
	case answer.HoldPrefix:
		return from(ctx).holds.Load(ctx, id)
	case answer.PaymentPrefix:
		return from(ctx).payments.Load(ctx, id)
	case answer.CapturePrefix:
		return from(ctx).captures.Load(ctx, id)
	case answer.RefundPrefix:
		return from(ctx).refunds.Load(ctx, id)
	case answer.EventPrefix:
		return from(ctx).events.Load(ctx, id)
	}
	return nil, nil
}
