package store

import (
	"context"
	"slices"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
)

// spans is the answer to a query about each of some spans, which knows the span as u: the account u.id, the numbers u.after and u.before.
func spans[T any](ctx context.Context, r Reads, m merchant.ID, of []ledger.Span, query string, read func(scanner) (*T, error),
	arguments ...any,
) ([][]*T, error) {
	accounts, after, before := array{oid: oidUUID}, array{oid: oidInt8}, array{oid: oidInt8}
	accounts.reset()
	after.reset()
	before.reset()
	for _, s := range of {
		u, _ := answer.Decode(answer.AccountPrefix, string(s.Account)) // one that is none is all zeros, and finds nothing
		accounts.uuid(u)
		after.int8(s.After)
		before.int8(s.Before)
	}
	return collectEach(ctx, r, m, packedForEach(query, eachSpan), read, append([]any{accounts.wire(), after.wire(), before.wire()}, arguments...)...)
}

// inSpan is the condition on the numbers of entries.
func inSpan(alias string) string {
	return alias + `.account_id = u.id AND ` + alias + `.sequence > u.after AND ` + alias + `.sequence < u.before`
}

// AccountEntries finds entries of accounts by spans of their numbers, the newest first.
func (r Reads) AccountEntries(ctx context.Context, m merchant.ID, of []ledger.Span) ([][]*ledger.Entry, error) {
	return spans(ctx, r, m, of, `SELECT `+entryColumns+` FROM `+
		part(entryColumns, `entry`, `e`, inSpan(`e`), `ORDER BY e.sequence DESC OFFSET 0`)+` ORDER BY e.sequence DESC`, scanEntry)
}

// AccountStatement finds the entries of accounts that have posted something, the newest first: so many of each span at most.
func (r Reads) AccountStatement(ctx context.Context, m merchant.ID, of []ledger.Span, limit int) ([][]*ledger.Entry, error) {
	return spans(ctx, r, m, of, `SELECT `+entryColumns+` FROM `+
		part(entryColumns, `entry`, `e`, inSpan(`e`)+` AND e.posted <> 0`, `ORDER BY e.sequence DESC LIMIT $5`)+` ORDER BY e.sequence DESC`,
		scanEntry, limit)
}

// AccountTransactions finds the transactions of entries of accounts by spans of their numbers, the newest first, with all their entries.
// It asks for those that are not in memory, and keeps them there.
func (r Reads) AccountTransactions(ctx context.Context, m merchant.ID, of []ledger.Span) ([][]*ledger.Transaction, error) {
	found := make([][]*ledger.Transaction, len(of))
	var missing []ledger.Span
	var places []int
	for i, span := range of {
		known, gap := r.posted.recall(m, span)
		found[i] = known
		if gap.Before > 0 {
			missing, places = append(missing, gap), append(places, i)
		}
	}
	if len(missing) == 0 {
		return found, r.withReversals(ctx, m, nil, found...)
	}
	era := r.posted.now()
	read, err := spans(ctx, r, m, missing, `SELECT `+legColumns+` FROM `+
		part(`t.transaction_id, t.sequence`, `entry`, `t`, inSpan(`t`), `ORDER BY t.sequence DESC OFFSET 0`)+
		withEntries+` ORDER BY t.sequence DESC, e.leg`, fold())
	if err != nil {
		return nil, err
	}
	for i, place := range places {
		r.posted.keep(era, m, missing[i], read[i])
		found[place] = fill(found[place], of[place], read[i])
	}
	return found, r.withReversals(ctx, m, nil, found...)
}

// fill puts what was read in the places of what was missing, and closes up where nothing is.
func fill(list []*ledger.Transaction, of ledger.Span, read []*ledger.Transaction) []*ledger.Transaction {
	for _, t := range read {
		for i := range t.Entries {
			if e := &t.Entries[i]; of.Has(e) {
				list[of.Before-1-e.AccountSequence] = t
			}
		}
	}
	return slices.DeleteFunc(list, func(t *ledger.Transaction) bool { return t == nil })
}

// KnownTransactions are the same of one span, without a question; known is false where one is not in memory, or is a transfer, which may have been
// reversed.
func (r Reads) KnownTransactions(m merchant.ID, of ledger.Span) (found []*ledger.Transaction, known bool) {
	found, missing := r.posted.recall(m, of)
	isTransfer := func(t *ledger.Transaction) bool { return t != nil && t.Kind == ledger.Transfer }
	return found, missing.Before == 0 && !slices.ContainsFunc(found, isTransfer)
}
