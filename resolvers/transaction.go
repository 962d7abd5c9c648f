package resolvers

import (
	"context"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
)

type transactionReads interface {
	Transactions(ctx context.Context, m merchant.ID, ids []string) ([]*ledger.Transaction, error)
	ListTransactions(ctx context.Context, m merchant.ID, f ledger.TransactionFilter, s answer.Slice) ([]*ledger.Transaction, error)
	Entries(ctx context.Context, m merchant.ID, ids []ledger.EntryID) ([]*ledger.Entry, error)
}

func (r mutationResolver) DepositFunds(ctx context.Context, in ledger.DepositFundsInput) (answer.Outcome, error) {
	success, err := r.Ledger.DepositFunds(ctx, auth.FromContext(ctx), in)
	success.Transaction = visible(ctx, success.Transaction)
	return outcome(ctx, success, err)
}

func (r mutationResolver) TransferFunds(ctx context.Context, in ledger.TransferFundsInput) (answer.Outcome, error) {
	success, err := r.Ledger.TransferFunds(ctx, auth.FromContext(ctx), in)
	success.Transaction = visible(ctx, success.Transaction)
	return outcome(ctx, success, err)
}

func (r mutationResolver) ReverseTransfer(ctx context.Context, in ledger.ReverseTransferInput) (answer.Outcome, error) {
	success, err := r.Ledger.ReverseTransfer(ctx, auth.FromContext(ctx), in)
	success.Transaction = visible(ctx, success.Transaction)
	return outcome(ctx, success, err)
}

func (r queryResolver) Transaction(ctx context.Context, id string) (*ledger.Transaction, error) {
	return from(ctx).transactions.Load(ctx, id)
}

func (r queryResolver) Transactions(ctx context.Context, first int32, after *string, filter *ledger.TransactionFilter, orderBy answer.OrderBy) (*ledger.TransactionPage, error) {
	p, f := auth.FromContext(ctx), answer.Or(filter)
	if err := checkAmounts(f.Amount, f.Currency); err != nil {
		return nil, err
	}
	c := r.cursors(p, "transactions", f, orderBy)
	return rootPage(c, first, after, orderBy, transactionCursor(c), func(s answer.Slice) ([]*ledger.Transaction, error) {
		return from(ctx).ListTransactions(ctx, p.Merchant, f, s)
	})
}

func transactionCursor(c cursors) func(*ledger.Transaction) string {
	return func(t *ledger.Transaction) string { return c.ofID(answer.TransactionPrefix, t.NodeID()) }
}

func (r transactionResolver) Payment(ctx context.Context, t *ledger.Transaction) (*payment.Payment, error) {
	if t.PaymentID == nil || !may(ctx, auth.PaymentsRead) {
		return nil, nil
	}
	return from(ctx).payments.Load(ctx, *t.PaymentID)
}

func (r entryResolver) Account(ctx context.Context, e *ledger.Entry) (*ledger.Account, error) {
	return from(ctx).accounts.Load(ctx, string(e.AccountID))
}

func (r entryResolver) Transaction(ctx context.Context, e *ledger.Entry) (*ledger.Transaction, error) {
	return from(ctx).transactions.Load(ctx, string(e.TransactionID))
}

func (r transactionResolver) Reverses(ctx context.Context, t *ledger.Transaction) (*ledger.Transaction, error) {
	if t.Reverses == nil {
		return nil, nil
	}
	return from(ctx).transactions.Load(ctx, string(*t.Reverses))
}

func (r transactionResolver) ReversedBy(ctx context.Context, t *ledger.Transaction) (*ledger.Transaction, error) {
	if t.ReversedBy == nil {
		return nil, nil
	}
	return from(ctx).transactions.Load(ctx, string(*t.ReversedBy))
}
