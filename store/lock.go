package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
)

// prepareLock makes the statements that begin each batch. They are executed by name, so that BEGIN and all of them go to the server in
// one message of the simple protocol, and are still planned only once. Each is a statement by itself: the clock and the look-up come
// after the lock is granted, and see what was committed before.
var prepareLock = `
PREPARE lock_head (uuid) AS SELECT sequence, hash, at, stamp FROM head WHERE merchant_id = $1 FOR NO KEY UPDATE;
PREPARE now AS SELECT clock_timestamp();
PREPARE known_keys (uuid, text[], text[]) AS SELECT ` + recordColumns + ` FROM unnest($2, $3) AS u (owner, key)` +
	lateral(recordColumns, `idempotency`, `i`, `i.owner = u.owner AND i.key = u.key`, `LIMIT 1`)

const recordColumns = `i.owner, i.key, i.operation, i.fingerprint, i.object_id, i.refusal, i.refusal_values, i.result_version, i.created_at`

// lock begins a transaction, locks the merchant's head, which is the only lock in the system, reads the clock, and finds which of the
// commands' keys have a record already.
func (w *writer) lock(ctx context.Context, m merchant.ID, items []*item) (*batch, map[key]*record, error) {
	id, err := answer.Decode(answer.MerchantPrefix, string(m))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: merchant %q: %w", errPoison, m, err)
	}
	look, err := lookUp(id, items)
	if err != nil {
		return nil, nil, err
	}
	rows, err := w.conn.QueryContext(ctx, "BEGIN; EXECUTE lock_head('"+id.String()+"'); EXECUTE now; "+look)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = rows.Close() }()
	b := &batch{
		merchant:  m,
		customers: map[merchant.CustomerID]*merchant.Customer{},
		payments:  map[payment.ID]*payment.Payment{},
		paymentAt: map[payment.ID]*[]*payment.Payment{},
	}
	found, err := b.scanHead(rows)
	if err != nil {
		return nil, nil, err
	}
	known, err := scanRecords(rows)
	if err != nil {
		return nil, nil, err
	}
	if !found {
		return nil, nil, fmt.Errorf("%w: there is no merchant %s", errPoison, m)
	}
	b.accounts, b.inner = w.caches.current(m, b.head.stamp)
	return b, known, nil
}

// lookUp is the statement that looks the keys of the commands up.
func lookUp(merchant answer.UUID, items []*item) (string, error) {
	owners, keys := make(pq.StringArray, len(items)), make(pq.StringArray, len(items))
	for n, i := range items {
		k := i.Command.key()
		if strings.IndexByte(k.key, 0) >= 0 || strings.IndexByte(k.owner, 0) >= 0 {
			return "", fmt.Errorf("%w: a key with U+0000", errPoison)
		}
		owners[n], keys[n] = k.owner, k.key
	}
	ownersText, _ := owners.Value() // texts always have a value
	keysText, _ := keys.Value()
	return "EXECUTE known_keys('" + merchant.String() + "', " + pq.QuoteLiteral(ownersText.(string)) + ", " + pq.QuoteLiteral(keysText.(string)) + ")", nil
}

// scanHead reads the head and the clock, and makes t of them.
func (b *batch) scanHead(rows *sql.Rows) (found bool, err error) {
	var hash []byte
	for rows.Next() {
		found = true
		if err := rows.Scan(&b.head.sequence, &hash, &b.head.at, &b.head.stamp); err != nil {
			return false, err
		}
		copy(b.head.hash[:], hash)
	}
	var clock time.Time
	if !rows.NextResultSet() || !rows.Next() {
		return false, fmt.Errorf("no time after the lock: %w", cmp.Or(rows.Err(), io.ErrUnexpectedEOF))
	}
	if err := rows.Scan(&clock); err != nil {
		return false, err
	}
	b.t = clock.UTC().Truncate(time.Microsecond)
	if earliest := b.head.at.Add(time.Microsecond); b.t.Before(earliest) {
		b.t = earliest.UTC()
	}
	return found, nil
}

// scanRecords reads the records of the keys that are known.
func scanRecords(rows *sql.Rows) (map[key]*record, error) {
	for rows.Next() { // what is left of the clock: nothing
	}
	if !rows.NextResultSet() {
		return nil, fmt.Errorf("no look-up after the lock: %w", cmp.Or(rows.Err(), io.ErrUnexpectedEOF))
	}
	known := map[key]*record{}
	for rows.Next() {
		var r record
		err := rows.Scan(&r.owner, &r.key, &r.operation, &r.fingerprint, &r.objectID, &r.refusalCode, &r.refusalValues, &r.version, &r.createdAt)
		if err != nil {
			return nil, err
		}
		known[key{r.owner, r.key}] = &r
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return known, rows.Close()
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
