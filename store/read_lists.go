package store

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/lib/pq"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
)

// list is a query in the making: a keyset over identifiers, which are in the order of creation.
type list struct {
	merchant  merchant.ID // $1
	text      strings.Builder
	arguments []any // from $2 on
	nothing   bool  // a condition cannot hold
}

func newList(m merchant.ID, selectFrom string) *list {
	l := &list{merchant: m}
	l.text.WriteString(selectFrom)
	return l
}

// argument adds an argument, and is what stands for it.
func (l *list) argument(value any) string {
	l.arguments = append(l.arguments, value)
	return "$" + strconv.Itoa(1+len(l.arguments))
}

// where adds a condition, in which ? stands for the argument.
func (l *list) where(condition string, argument any) {
	l.text.WriteString(" AND " + strings.ReplaceAll(condition, "?", l.argument(argument)))
}

// id adds a condition on an identifier; one that is none finds nothing.
func (l *list) id(condition string, prefix answer.Prefix, id *string) {
	if id == nil {
		return
	}
	u, err := answer.Decode(prefix, *id)
	l.nothing = l.nothing || err != nil
	l.where(condition, u.String())
}

func (l *list) equal(column string, value *string) {
	if value != nil {
		l.where(column+" = ?", *value)
	}
}

func oneOf[T ~string](l *list, column string, values []T) {
	if len(values) == 0 {
		return
	}
	texts := make(pq.StringArray, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	l.where(column+" = ANY(?)", texts)
}

func (l *list) created(column string, span *answer.TimeRange) {
	if span == nil {
		return
	}
	if span.From != nil {
		l.where(column+" >= ?", *span.From)
	}
	if span.To != nil {
		l.where(column+" < ?", *span.To)
	}
}

// amount needs a currency, since the ends are decimal numbers of it. Errors: those of money.Parse.
func (l *list) amount(column string, span *money.Range, currency *string) error {
	if span == nil {
		return nil
	}
	least, most, err := span.MinorUnits(answer.Or(currency))
	if err != nil {
		return err
	}
	if least != nil {
		l.where(column+" >= ?", *least)
	}
	if most != nil {
		l.where(column+" <= ?", *most)
	}
	return nil
}

func (l *list) metadata(column string, pair *answer.MetadataFilter) {
	if pair == nil {
		return
	}
	text, _ := json.Marshal(map[string]string{pair.Key: pair.Value})
	l.where(column+" @> ?::jsonb", string(text))
}

// slice ends the query with the keyset on a column of identifiers.
func (l *list) slice(column string, s answer.Slice) {
	comparison := " < ?"
	if s.Direction == answer.Ascending {
		comparison = " > ?"
	}
	if s.After != nil {
		l.where(column+comparison, s.After.String())
	}
	l.text.WriteString(" ORDER BY " + column + descending(s))
	l.limit(s.Limit)
}

func descending(s answer.Slice) string {
	if s.Direction == answer.Ascending {
		return ""
	}
	return " DESC"
}

func (l *list) limit(n int) {
	l.text.WriteString(" LIMIT " + l.argument(n))
}

// gather runs the query. scan returns nil where the row is part of the object before.
func gather[T any](ctx context.Context, r Reads, l *list, scan func(scanner) (*T, error)) ([]*T, error) {
	if l.nothing {
		return nil, nil
	}
	var found []*T
	err := r.query(ctx, l.merchant, l.text.String(), collect(&found, scan), l.arguments...)
	return found, err
}

// ListCustomers finds the merchant's customers.
func (r Reads) ListCustomers(ctx context.Context, m merchant.ID, f merchant.CustomerFilter, s answer.Slice) ([]*merchant.Customer, error) {
	l := newList(m, `SELECT `+customerColumns+` FROM customer c WHERE c.merchant_id = $1`)
	l.equal("c.reference", f.Reference)
	l.created("c.created_at", f.CreatedAt)
	l.metadata("c.metadata", f.Metadata)
	l.slice("c.id", s)
	return gather(ctx, r, l, scanCustomer)
}

// ListAccounts finds the merchant's accounts, with their balances.
func (r Reads) ListAccounts(ctx context.Context, m merchant.ID, f ledger.AccountFilter, s answer.Slice) ([]*ledger.Account, error) {
	l := newList(m, `SELECT `+accountColumns+` FROM (SELECT `+accountOwnColumns+` FROM account a WHERE a.merchant_id = $1`)
	oneOf(l, "a.kind", f.Kind)
	oneOf(l, "a.status", f.Status)
	l.equal("a.currency", f.Currency)
	l.id("a.customer_id = ?", answer.CustomerPrefix, (*string)(f.CustomerID))
	l.created("a.created_at", f.CreatedAt)
	l.slice("a.id", s)
	l.text.WriteString(`) a` + withBalance + ` ORDER BY a.id` + descending(s))
	return gather(ctx, r, l, scanAccount)
}

// ListPayments finds the merchant's payments. Errors: those of money.Parse for the amounts of the filter.
func (r Reads) ListPayments(ctx context.Context, m merchant.ID, f payment.Filter, s answer.Slice) ([]*payment.Payment, error) {
	l := newList(m, `SELECT `+paymentColumns+` FROM payment p WHERE p.merchant_id = $1`)
	oneOf(l, "p.status", f.Status)
	l.equal("p.currency", f.Currency)
	l.equal("p.reference", f.Reference)
	l.id("? IN (p.source_account_id, p.destination_account_id)", answer.AccountPrefix, (*string)(f.AccountID))
	l.id(`EXISTS (SELECT FROM account a WHERE a.merchant_id = $1 AND a.customer_id = ?
		AND a.id IN (p.source_account_id, p.destination_account_id))`, answer.CustomerPrefix, (*string)(f.CustomerID))
	l.created("p.created_at", f.CreatedAt)
	l.metadata("p.metadata", f.Metadata)
	if err := l.amount("p.amount", f.Amount, f.Currency); err != nil {
		return nil, err
	}
	l.slice("p.id", s)
	return gather(ctx, r, l, scanPayment)
}

// ListTransactions finds the merchant's transactions, with their entries. Errors: those of money.Parse for the amounts of the
// filter.
func (r Reads) ListTransactions(ctx context.Context, m merchant.ID, f ledger.TransactionFilter, s answer.Slice) ([]*ledger.Transaction, error) {
	l := newList(m, `SELECT `+legColumns+` FROM (SELECT t.transaction_id FROM entry t WHERE t.merchant_id = $1 AND `+isFirstLeg)
	oneOf(l, "t.kind", f.Kind)
	l.equal("t.currency", f.Currency)
	l.id("t.payment_id = ?", answer.PaymentPrefix, f.PaymentID)
	// Written as EXISTS it is a join, and the planner may read all of the account's entries for each transaction.
	l.id("? IN (SELECT e.account_id FROM entry e WHERE e.merchant_id = $1 AND e.transaction_id = t.transaction_id)",
		answer.AccountPrefix, (*string)(f.AccountID))
	l.created("t.created_at", f.CreatedAt)
	if err := l.amount("t.amount", f.Amount, f.Currency); err != nil {
		return nil, err
	}
	l.slice("t.transaction_id", s)
	l.text.WriteString(`) t` + withEntries + ` ORDER BY e.transaction_id` + descending(s) + `, e.leg`)
	found, err := gather(ctx, r, l, fold())
	return found, r.withReversals(ctx, m, err, found)
}

// ListEvents reads the merchant's log after a number, the oldest first; without types its numbers have no gaps.
func (r Reads) ListEvents(ctx context.Context, m merchant.ID, types []event.Type, after int64, limit int) ([]*event.Event, error) {
	l := newList(m, `SELECT `+eventColumns+` FROM event e WHERE e.merchant_id = $1`)
	l.where("e.sequence > ?", after)
	oneOf(l, "e.type", types)
	l.text.WriteString(" ORDER BY e.sequence")
	l.limit(limit)
	return gather(ctx, r, l, scanEvent)
}
