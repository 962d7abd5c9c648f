package store

import (
	"context"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
)

// children finds the rows that belong to each of some parents by one query, which knows the parent as u.id. read returns nil where the
// row is part of the child before.
func children[T any](ctx context.Context, r Reads, m merchant.ID, prefix answer.Prefix, parents []string, query string,
	read func(scanner) (*T, error), arguments ...any,
) ([][]*T, error) {
	wanted := array{oid: oidUUID}
	wanted.reset()
	for _, id := range parents {
		u, _ := answer.Decode(prefix, id) // one that is none is all zeros, and finds nothing
		wanted.uuid(u)
	}
	return collectEach(ctx, r, m, packedForEach(query, each), read, append([]any{wanted.wire()}, arguments...)...)
}

// collectEach collects the rows of each of the values that a query has: one for each parent.
func collectEach[T any](ctx context.Context, r Reads, m merchant.ID, text string, read func(scanner) (*T, error), arguments ...any) ([][]*T, error) {
	var found [][]*T
	err := r.values(ctx, m, text, func(value []byte) error {
		var of []*T
		err := unpack(value, collect(&of, read))
		found = append(found, of)
		return err
	}, arguments...)
	return found, err
}

// Entries finds entries by their identifiers; the result has nil for those that are not there.
func (r Reads) Entries(ctx context.Context, m merchant.ID, ids []ledger.EntryID) ([]*ledger.Entry, error) {
	parents := make([]string, len(ids))
	legs := make([]int16, len(ids))
	for i, id := range ids {
		transaction, leg, _ := id.Locate()
		parents[i], legs[i] = string(transaction), leg
	}
	of, err := children(ctx, r, m, answer.TransactionPrefix, parents, `SELECT `+entryColumns+` FROM `+
		part(entryColumns, `entry`, `e`, `e.transaction_id = u.id`, `OFFSET 0`), scanEntry)
	found := make([]*ledger.Entry, len(ids))
	for i := range of {
		for _, e := range of[i] {
			if e.Leg == legs[i] {
				found[i] = e
			}
		}
	}
	return found, err
}

// PaymentTransactions finds the transactions of each of some payments after one, the oldest first, with all their entries.
func (r Reads) PaymentTransactions(ctx context.Context, m merchant.ID, payments []string, after answer.UUID, limit int) ([][]*ledger.Transaction, error) {
	return children(ctx, r, m, answer.PaymentPrefix, payments, `SELECT `+legColumns+` FROM `+
		part(`t.transaction_id`, `entry`, `t`, `t.payment_id = u.id AND t.transaction_id > $3`, `ORDER BY t.transaction_id LIMIT $4`)+
		withEntries+` ORDER BY e.transaction_id, e.leg`, fold(), after.String(), limit)
}

// PaymentEvents finds the events of each of some payments after a version, the oldest first.
func (r Reads) PaymentEvents(ctx context.Context, m merchant.ID, payments []string, after int64, limit int) ([][]*event.Event, error) {
	return children(ctx, r, m, answer.PaymentPrefix, payments, `SELECT `+eventColumns+` FROM `+
		part(eventColumns, `event`, `e`, `e.object_id = u.id AND e.object_version > $3`, `ORDER BY e.object_version LIMIT $4`)+
		` ORDER BY e.object_version`, scanEvent, after, limit)
}

// AccountHolds finds the open holds on each of some accounts before one, the newest first.
func (r Reads) AccountHolds(ctx context.Context, m merchant.ID, accounts []string, before answer.UUID, limit int) ([][]*ledger.Hold, error) {
	return children(ctx, r, m, answer.AccountPrefix, accounts, `SELECT `+holdColumns+` FROM `+
		part(holdColumns, `hold`, `h`, `h.account_id = u.id AND h.ended_at IS NULL AND h.id < $3`, `ORDER BY h.id DESC LIMIT $4`)+
		` ORDER BY h.id DESC`, scanHold, before.String(), limit)
}

// CustomerAccounts finds the accounts of each of some customers before one, the newest first.
func (r Reads) CustomerAccounts(ctx context.Context, m merchant.ID, customers []string, before answer.UUID, limit int) ([][]*ledger.Account, error) {
	return children(ctx, r, m, answer.CustomerPrefix, customers, `SELECT `+accountColumns+` FROM `+
		part(accountOwnColumns, `account`, `a`, `a.customer_id = u.id AND a.id < $3`, `ORDER BY a.id DESC LIMIT $4`)+withBalance+
		` ORDER BY a.id DESC`, scanAccount, before.String(), limit)
}
