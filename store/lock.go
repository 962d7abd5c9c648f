package store

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
)

// prepareLock makes the two statements that begin each batch. They are executed by name, so that BEGIN and both go to the server in
// one message of the simple protocol, and are still planned only once.
const prepareLock = `
PREPARE lock_head (uuid) AS SELECT sequence, hash, at, stamp FROM head WHERE merchant_id = $1 FOR NO KEY UPDATE;
PREPARE now AS SELECT clock_timestamp()`

// lock begins a transaction and locks the merchant's head: the only lock in the system. Nothing is read before it is granted; the
// clock is read after it, by a statement of its own.
func (w *writer) lock(ctx context.Context, m merchant.ID) (*batch, error) {
	id, err := answer.Decode(answer.MerchantPrefix, string(m))
	if err != nil {
		return nil, fmt.Errorf("%w: merchant %q: %w", errPoison, m, err)
	}
	rows, err := w.conn.QueryContext(ctx, "BEGIN; EXECUTE lock_head('"+id.String()+"'); EXECUTE now")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	b := &batch{
		merchant:  m,
		customers: map[merchant.CustomerID]*merchant.Customer{},
		payments:  map[payment.ID]*payment.Payment{},
		paymentAt: map[payment.ID]*[]*payment.Payment{},
	}
	var hash []byte
	found := false
	for rows.Next() {
		found = true
		if err := rows.Scan(&b.head.sequence, &hash, &b.head.at, &b.head.stamp); err != nil {
			return nil, err
		}
		copy(b.head.hash[:], hash)
	}
	var clock time.Time
	if !rows.NextResultSet() || !rows.Next() {
		return nil, fmt.Errorf("no time after the lock: %w", cmp.Or(rows.Err(), io.ErrUnexpectedEOF))
	}
	if err := rows.Scan(&clock); err != nil {
		return nil, err
	}
	if err := rows.Close(); err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%w: there is no merchant %s", errPoison, m)
	}
	b.t = clock.UTC().Truncate(time.Microsecond)
	if earliest := b.head.at.Add(time.Microsecond); b.t.Before(earliest) {
		b.t = earliest.UTC()
	}
	b.accounts, b.inner = w.caches.current(m, b.head.stamp)
	return b, nil
}

// load reads what the commands name and the cache does not have: one query a table.
func (w *writer) load(ctx context.Context, b *batch, items []*item, known map[key]*record) error {
	needs := missing{accounts: map[string]bool{}, inner: map[command.Inner]bool{}, customers: map[string]bool{}, payments: map[string]bool{}}
	for _, i := range items {
		if r := i.Command; known[r.key()] == nil && r.Invalid == nil {
			needs.add(b, r.needs)
		}
	}
	if err := w.loadCustomers(ctx, b, needs.customers); err != nil {
		return err
	}
	if err := w.loadPayments(ctx, b, needs.payments); err != nil {
		return err
	}
	for _, p := range b.payments {
		needs.addPayment(b, p)
	}
	if err := w.loadAccounts(ctx, b, needs.accounts); err != nil {
		return err
	}
	return w.loadInner(ctx, b, needs.inner)
}

// missing is what has to be loaded.
type missing struct {
	customers, accounts, payments map[string]bool
	inner                         map[command.Inner]bool
}

func (n missing) add(b *batch, needs command.Needs) {
	for _, id := range needs.Customers {
		n.customers[id] = true
	}
	for _, id := range needs.Payments {
		n.payments[id] = true
	}
	for _, id := range needs.Accounts {
		if b.accounts[ledger.AccountID(id)] == nil {
			n.accounts[id] = true
		}
	}
	for _, inner := range needs.Inner {
		if b.inner[inner] == nil {
			n.inner[inner] = true
		}
	}
}

// addPayment adds the accounts that a payment names.
func (n missing) addPayment(b *batch, p *payment.Payment) {
	var needs command.Needs
	for _, id := range []*ledger.AccountID{p.SourceAccountID, p.DestinationAccountID} {
		if id != nil {
			needs.Accounts = append(needs.Accounts, string(*id))
		}
	}
	if p.DestinationAccountID == nil {
		needs.Inner = []command.Inner{{Kind: string(ledger.MerchantAvailable), Currency: string(p.Amount.Currency)}}
	}
	n.add(b, needs)
}
