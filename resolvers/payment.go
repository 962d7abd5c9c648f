package resolvers

import (
	"context"
	"fmt"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
)

type paymentReads interface {
	Payments(ctx context.Context, m merchant.ID, ids []string) ([]*payment.Payment, error)
	CurrentPayments(ctx context.Context, m merchant.ID, ids []string) ([]payment.Current, error)
	ListPayments(ctx context.Context, m merchant.ID, f payment.Filter, s answer.Slice) ([]*payment.Payment, error)
	PaymentTransactions(ctx context.Context, m merchant.ID, payments []string, after answer.UUID, limit int) ([][]*ledger.Transaction, error)
	PaymentEvents(ctx context.Context, m merchant.ID, payments []string, after int64, limit int) ([][]*event.Event, error)
	Record(ctx context.Context, m merchant.ID, key string) (*command.Record, error)
}

func (r mutationResolver) CreatePayment(ctx context.Context, in payment.CreateInput) (answer.Outcome, error) {
	success, err := r.Payments.Create(ctx, auth.FromContext(ctx), in)
	success.Payment = visible(ctx, success.Payment)
	return outcome(ctx, success, err)
}

func (r mutationResolver) ConfirmPayment(ctx context.Context, in payment.ConfirmInput) (answer.Outcome, error) {
	success, err := r.Payments.Confirm(ctx, auth.FromContext(ctx), in)
	success.Payment = visible(ctx, success.Payment)
	return outcome(ctx, success, err)
}

func (r queryResolver) Payment(ctx context.Context, id string) (*payment.Payment, error) {
	return from(ctx).payments.Load(ctx, id)
}

func (r queryResolver) Payments(ctx context.Context, first int32, after *string, filter *payment.Filter, orderBy answer.OrderBy) (*payment.Page, error) {
	p, f := auth.FromContext(ctx), answer.Or(filter)
	if err := checkAmounts(f.Amount, f.Currency); err != nil {
		return nil, err
	}
	c := r.cursors(p, "payments", f, orderBy)
	cursorOf := func(p *payment.Payment) string { return c.ofID(answer.PaymentPrefix, p.NodeID()) }
	return rootPage(c, first, after, orderBy, cursorOf, func(s answer.Slice) ([]*payment.Payment, error) {
		return from(ctx).ListPayments(ctx, p.Merchant, f, s)
	})
}

// checkAmounts says whether the ends of a filter's span are amounts of the filter's currency.
func checkAmounts(span *money.Range, currency *string) error {
	if span == nil {
		return nil
	}
	if _, _, err := span.MinorUnits(answer.Or(currency)); err != nil {
		return fmt.Errorf("%w: filter.amount needs filter.currency, and amounts of it: %w", ErrBadUserInput, err)
	}
	return nil
}

func (r paymentResolver) Source(ctx context.Context, p *payment.Payment) (answer.Node, error) {
	if p.SourceAccountID == nil || !may(ctx, auth.AccountsRead) {
		return nil, nil
	}
	return from(ctx).accounts.Load(ctx, string(*p.SourceAccountID))
}

func (r paymentResolver) Destination(ctx context.Context, p *payment.Payment) (answer.Node, error) {
	if !may(ctx, auth.AccountsRead) {
		return nil, nil
	}
	if p.DestinationAccountID == nil {
		return from(ctx).merchants.Load(ctx, string(auth.FromContext(ctx).Merchant))
	}
	return from(ctx).accounts.Load(ctx, string(*p.DestinationAccountID))
}

func (r paymentResolver) Transactions(ctx context.Context, p *payment.Payment, first int32, after *string) (*ledger.TransactionPage, error) {
	if !may(ctx, auth.AccountsRead) {
		return nil, nil
	}
	wanted, c, err := r.partOf(ctx, p, "transactions of ", first, after)
	if err != nil {
		return nil, err
	}
	found, err := from(ctx).paymentTransactions.Load(ctx, wanted)
	return answer.Cut(found, int(first), after != nil, transactionCursor(c)), err
}

func (r paymentResolver) Events(ctx context.Context, p *payment.Payment, first int32, after *string) (*event.Page, error) {
	if err := checkFirst(first); err != nil {
		return nil, err
	}
	c := r.cursors(auth.FromContext(ctx), "events of "+p.NodeID())
	start, err := c.number(after, 0)
	if err != nil {
		return nil, err
	}
	found, err := from(ctx).paymentEvents.Load(ctx, part[int64]{p.NodeID(), slice[int64]{start, int(first) + 1}})
	return answer.Cut(found, int(first), after != nil, func(e *event.Event) string { return c.ofNumber(int64(e.ObjectVersion)) }), err
}

func (r queryResolver) IdempotentRequest(ctx context.Context, key string) (*command.Record, error) {
	return from(ctx).Record(ctx, auth.FromContext(ctx).Merchant, key)
}

func (r idempotentRequestResolver) Object(ctx context.Context, rec *command.Record) (answer.Node, error) {
	if rec.ObjectID == nil {
		return nil, nil
	}
	return node(ctx, *rec.ObjectID)
}
