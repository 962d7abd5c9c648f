package resolvers

import (
	"context"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
)

type holdReads interface {
	Holds(ctx context.Context, m merchant.ID, ids []string) ([]*ledger.Hold, error)
	AccountHolds(ctx context.Context, m merchant.ID, accounts []string, before answer.UUID, limit int) ([][]*ledger.Hold, error)
}

func (r mutationResolver) PlaceHold(ctx context.Context, in ledger.PlaceHoldInput) (answer.Outcome, error) {
	success, err := r.Ledger.PlaceHold(ctx, auth.FromContext(ctx), in)
	success.Transaction = visible(ctx, success.Transaction)
	return outcome(ctx, success, err)
}

func (r mutationResolver) ReleaseHold(ctx context.Context, in ledger.ReleaseHoldInput) (answer.Outcome, error) {
	success, err := r.Ledger.ReleaseHold(ctx, auth.FromContext(ctx), in)
	success.Transaction = visible(ctx, success.Transaction)
	return outcome(ctx, success, err)
}

func (r placeHoldSuccessResolver) Hold(ctx context.Context, s *ledger.PlaceHoldSuccess) (*ledger.Hold, error) {
	return holdOf(ctx, s.Transaction)
}

func (r releaseHoldSuccessResolver) Hold(ctx context.Context, s *ledger.ReleaseHoldSuccess) (*ledger.Hold, error) {
	return holdOf(ctx, s.Transaction)
}

// holdOf is the hold that a transaction's first entry makes or ends; nil for a transaction that the principal may not see.
func holdOf(ctx context.Context, t *ledger.Transaction) (*ledger.Hold, error) {
	if t == nil || t.Entries[0].HoldID == nil {
		return nil, nil
	}
	return from(ctx).holds.Load(ctx, string(*t.Entries[0].HoldID))
}

func (r entryResolver) Hold(ctx context.Context, e *ledger.Entry) (*ledger.Hold, error) {
	if e.HoldID == nil {
		return nil, nil
	}
	return from(ctx).holds.Load(ctx, string(*e.HoldID))
}

func (r accountResolver) Holds(ctx context.Context, a *ledger.Account, first int32, after *string) (*ledger.HoldPage, error) {
	if err := checkFirst(first); err != nil {
		return nil, err
	}
	c := r.cursors(auth.FromContext(ctx), "holds of "+a.NodeID())
	start, err := c.id(after)
	if err != nil {
		return nil, err
	}
	if start == nil {
		start = &lastUUID
	}
	found, err := from(ctx).accountHolds.Load(ctx, part[answer.UUID]{a.NodeID(), slice[answer.UUID]{*start, int(first) + 1}})
	return answer.Cut(found, int(first), after != nil, func(h *ledger.Hold) string { return c.ofID(answer.HoldPrefix, h.NodeID()) }), err
}

func (r holdResolver) Account(ctx context.Context, h *ledger.Hold) (*ledger.Account, error) {
	return from(ctx).accounts.Load(ctx, string(h.AccountID))
}

func (r holdResolver) Payment(ctx context.Context, h *ledger.Hold) (*payment.Payment, error) {
	if h.PaymentID == nil || !may(ctx, auth.PaymentsRead) {
		return nil, nil
	}
	return from(ctx).payments.Load(ctx, *h.PaymentID)
}

func (r holdResolver) Transaction(ctx context.Context, h *ledger.Hold) (*ledger.Transaction, error) {
	return from(ctx).transactions.Load(ctx, string(h.ID.MadeBy()))
}

func (r holdResolver) EndTransaction(ctx context.Context, h *ledger.Hold) (*ledger.Transaction, error) {
	if h.EndedBy == nil {
		return nil, nil
	}
	return from(ctx).transactions.Load(ctx, string(*h.EndedBy))
}
