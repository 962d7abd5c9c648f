package resolvers

import (
	"context"
	"slices"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
)

type accountReads interface {
	Accounts(ctx context.Context, m merchant.ID, ids []string) ([]*ledger.Account, error)
	ListAccounts(ctx context.Context, m merchant.ID, f ledger.AccountFilter, s answer.Slice) ([]*ledger.Account, error)
	AccountEntries(ctx context.Context, m merchant.ID, of []ledger.Span) ([][]*ledger.Entry, error)
	AccountStatement(ctx context.Context, m merchant.ID, of []ledger.Span, limit int) ([][]*ledger.Entry, error)
	AccountTransactions(ctx context.Context, m merchant.ID, of []ledger.Span) ([][]*ledger.Transaction, error)
	KnownTransactions(m merchant.ID, of ledger.Span) (found []*ledger.Transaction, known bool)
}

func (r mutationResolver) OpenAccount(ctx context.Context, in ledger.OpenAccountInput) (answer.Outcome, error) {
	success, err := r.Ledger.OpenAccount(ctx, auth.FromContext(ctx), in)
	success.Account = visible(ctx, success.Account)
	return outcome(ctx, success, err)
}

func (r mutationResolver) SetAccountStatus(ctx context.Context, in ledger.SetAccountStatusInput) (answer.Outcome, error) {
	success, err := r.Ledger.SetAccountStatus(ctx, auth.FromContext(ctx), in)
	success.Account = visible(ctx, success.Account)
	return outcome(ctx, success, err)
}

func (r queryResolver) Account(ctx context.Context, id string) (*ledger.Account, error) {
	return from(ctx).accounts.Load(ctx, id)
}

func (r queryResolver) Accounts(ctx context.Context, first int32, after *string, filter *ledger.AccountFilter, orderBy answer.OrderBy) (*ledger.AccountPage, error) {
	p, f := auth.FromContext(ctx), answer.Or(filter)
	c := r.cursors(p, "accounts", f, orderBy)
	return rootPage(c, first, after, orderBy, accountCursor(c), func(s answer.Slice) ([]*ledger.Account, error) {
		return from(ctx).ListAccounts(ctx, p.Merchant, f, s)
	})
}

func accountCursor(c cursors) func(*ledger.Account) string {
	return func(a *ledger.Account) string { return c.ofID(answer.AccountPrefix, a.NodeID()) }
}

func (r accountResolver) Customer(ctx context.Context, a *ledger.Account) (*merchant.Customer, error) {
	if a.CustomerID == nil || !may(ctx, auth.CustomersRead) {
		return nil, nil
	}
	return from(ctx).customers.Load(ctx, string(*a.CustomerID))
}

func (r accountResolver) Entries(ctx context.Context, a *ledger.Account, first int32, after *string) (*ledger.EntryPage, error) {
	c, wanted, err := r.ofAccount(ctx, "entries", a, first, after)
	if err != nil {
		return nil, err
	}
	wanted.After = 0 // numbers of holds lie between those of the statement
	found, err := from(ctx).accountStatement.Load(ctx, statement{wanted, int(first) + 1})
	return answer.Cut(found, int(first), after != nil, func(e *ledger.Entry) string { return c.ofNumber(e.AccountSequence) }), err
}

func (r accountResolver) Transactions(ctx context.Context, a *ledger.Account, first int32, after *string) (*ledger.TransactionPage, error) {
	c, wanted, err := r.ofAccount(ctx, "transactions", a, first, after)
	if err != nil {
		return nil, err
	}
	found, err := transactionsOf(ctx, wanted, int(first)+1)
	return answer.Cut(found, int(first), after != nil, func(t *ledger.Transaction) string { return c.ofNumber(t.SequenceOn(a.ID)) }), err
}

// transactionsOf are the transactions of the newest entries of a span, each once. Where one has several entries on the account, more entries
// are asked for than the span has, until there are so many transactions.
func transactionsOf(ctx context.Context, of ledger.Span, many int) (all []*ledger.Transaction, err error) {
	reader := from(ctx)
	for {
		found, known := reader.KnownTransactions(auth.FromContext(ctx).Merchant, of)
		if !known {
			if found, err = reader.accountTransactions.Load(ctx, of); err != nil {
				return nil, err
			}
		}
		all = slices.CompactFunc(append(all, found...), func(a, b *ledger.Transaction) bool { return a.ID == b.ID })
		if len(all) >= many || of.After == 0 {
			return all, nil
		}
		of = ledger.Span{Account: of.Account, After: max(0, of.After-int64(many)), Before: of.After + 1}
	}
}

// ofAccount says which part of an account's list by entry numbers is wanted, the newest first. It begins at the entry that the balance
// is of: what came since is left out.
func (r *Resolver) ofAccount(ctx context.Context, list string, a *ledger.Account, first int32, after *string) (cursors, ledger.Span, error) {
	c := r.cursors(auth.FromContext(ctx), list+" of "+a.NodeID())
	if err := checkFirst(first); err != nil {
		return c, ledger.Span{}, err
	}
	before, err := c.number(after, a.Sequence+1)
	before = min(before, a.Sequence+1)    // the database may have been restored to a moment before the cursor's
	oldest := before - (int64(first) + 1) // one more shows whether there is a next page
	return c, ledger.Span{Account: a.ID, After: max(0, oldest-1), Before: before}, err
}
