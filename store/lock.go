package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
)

// prepareLock makes the statements that begin each batch. They are executed by name, so that BEGIN and all of them go to the server in
// one message of the simple protocol, and are still planned only once. The lock is a statement by itself: the clock and the look-up come
// after it is granted, and see what was committed before. They are one statement, which gives at least one row, for the clock; a lone key
// needs no arrays.
var prepareLock = `
PREPARE lock_head (uuid) AS SELECT sequence, hash, at, stamp, fee_plans FROM head WHERE merchant_id = $1 FOR NO KEY UPDATE;
PREPARE known_key (uuid, text, text) AS SELECT clock_timestamp(), ` + recordColumns + ` FROM (SELECT) AS one
	LEFT JOIN idempotency i ON i.merchant_id = $1 AND ` + atPlace(`$2`, `$3`) + `;
PREPARE known_keys (uuid, text[], text[]) AS SELECT clock_timestamp(), ` + recordColumns + ` FROM (SELECT) AS one
	LEFT JOIN (SELECT ` + recordColumns + ` FROM unnest($2, $3) AS u (owner, key)` +
	lateral(recordColumns, `idempotency`, `i`, atPlace(`u.owner`, `u.key`), `LIMIT 1`) + `) i ON true`

// atPlace is the condition that a record of a merchant's is that of a key: found by its place, and the same.
func atPlace(owner, key string) string {
	return `idempotency_place(i.owner, i.key) = idempotency_place(` + owner + `, ` + key + `) AND i.owner = ` + owner + ` AND i.key = ` + key
}

const recordColumns = `i.owner, i.key, i.operation, i.fingerprint, i.object_id, i.refusal, i.refusal_values, i.result_version, i.created_at`

// lock begins a transaction, locks the merchant's head, which is the only lock in the system, reads the clock, and finds which of the
// commands' keys have a record already.
func (s *session) lock(ctx context.Context, m merchant.ID, items []*item) (*batch, map[key]*record, error) {
	id, err := answer.Decode(answer.MerchantPrefix, string(m))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: merchant %q: %w", errPoison, m, err)
	}
	look, err := lookUp(id, items)
	if err != nil {
		return nil, nil, err
	}
	rows, err := s.conn.QueryContext(ctx, "BEGIN; EXECUTE lock_head('"+id.String()+"'); "+look)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = rows.Close() }()
	b := newBatch(m)
	found, err := b.scanHead(rows)
	if err != nil {
		return nil, nil, err
	}
	known, err := s.scanRecords(b, rows)
	if err != nil {
		return nil, nil, err
	}
	if !found {
		return nil, nil, fmt.Errorf("%w: there is no merchant %s", errPoison, m)
	}
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
	statement, owner, key := "known_key", owners[0], keys[0]
	if len(items) > 1 {
		ownersValue, _ := owners.Value() // texts always have a value
		keysValue, _ := keys.Value()
		statement, owner, key = "known_keys", ownersValue.(string), keysValue.(string)
	}
	return "EXECUTE " + statement + "('" + merchant.String() + "', " + pq.QuoteLiteral(owner) + ", " + pq.QuoteLiteral(key) + ")", nil
}

// scanHead reads the head, and says whether there is one.
func (b *batch) scanHead(rows *sql.Rows) (found bool, err error) {
	var hash, plans []byte
	for rows.Next() {
		found = true
		if err := rows.Scan(&b.head.sequence, &hash, &b.head.at, &b.head.stamp, &plans); err != nil {
			return false, err
		}
		if plans != nil {
			if err := json.Unmarshal(plans, &b.head.plans); err != nil {
				return false, err
			}
		}
		copy(b.head.hash[:], hash)
	}
	if !rows.NextResultSet() {
		return false, fmt.Errorf("no look-up after the lock: %w", cmp.Or(rows.Err(), io.ErrUnexpectedEOF))
	}
	return found, nil
}

// scanRecords reads the clock, of which it makes t, and the records of the keys that are known.
func (s *session) scanRecords(b *batch, rows *sql.Rows) (map[key]*record, error) {
	known := map[key]*record{}
	for rows.Next() {
		var clock time.Time
		var r record
		var owner, name, operation *string // all nil where no key is known
		var version *int16
		var createdAt *time.Time
		err := rows.Scan(&clock, &owner, &name, &operation, (*[]byte)(&r.fingerprint), &r.objectID, &r.refusalCode, &r.refusalValues,
			&version, &createdAt)
		if err != nil {
			return nil, err
		}
		if b.shown.IsZero() { // every row has the same
			b.shown = clock
			b.setTime(clock)
		}
		if name != nil {
			r.owner, r.key, r.operation, r.version, r.createdAt = *owner, *name, *operation, *version, createdAt.UTC()
			known[key{r.owner, r.key}] = &r
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if b.shown.IsZero() {
		return nil, fmt.Errorf("no time after the lock: %w", io.ErrUnexpectedEOF)
	}
	return known, rows.Close()
}

// setTime makes t of the clock.
func (b *batch) setTime(clock time.Time) {
	b.t = clock.UTC().Truncate(time.Microsecond)
	if earliest := b.head.at.Add(time.Microsecond); b.t.Before(earliest) {
		b.t, b.behind = earliest.UTC(), true
	}
}

// load reads what the commands name and the cache does not have: one query a table.
func (s *session) load(ctx context.Context, b *batch, items []*item, known map[key]*record) error {
	needs := b.missing(items, known)
	if err := s.loadCustomers(ctx, b, needs.customers); err != nil {
		return err
	}
	if err := s.loadPayments(ctx, b, needs.payments); err != nil {
		return err
	}
	for _, p := range b.payments {
		needs.addPayment(b, p)
	}
	if err := s.loadHolds(ctx, b, needs.holds); err != nil {
		return err
	}
	if err := s.loadTransactions(ctx, b, needs.transactions); err != nil {
		return err
	}
	for _, h := range b.holds {
		needs.addHold(b, h)
	}
	for _, t := range b.transactions {
		needs.addTransaction(b, t)
	}
	if err := s.loadAccounts(ctx, b, needs.accounts); err != nil {
		return err
	}
	return s.loadInner(ctx, b, needs.inner)
}

// missing is what the commands name and the cache does not have.
func (b *batch) missing(items []*item, known map[key]*record) missing {
	needs := missing{
		accounts: map[string]bool{}, inner: map[command.Inner]bool{}, customers: map[string]bool{}, payments: map[string]bool{}, holds: map[string]bool{},
		transactions: map[string]bool{},
	}
	for _, i := range items {
		r := i.Command
		switch earlier := known[r.key()]; {
		case earlier != nil && earlier.isOld(b.t):
			needs.add(b, earlier.unsettled())
		case earlier == nil && r.Invalid == nil:
			needs.add(b, r.needs)
		}
	}
	return needs
}

// missing is what has to be loaded.
type missing struct {
	customers, accounts, payments, holds, transactions map[string]bool
	inner                                              map[command.Inner]bool
}

func (n missing) nothing() bool {
	return len(n.customers)+len(n.accounts)+len(n.payments)+len(n.holds)+len(n.transactions)+len(n.inner) == 0
}

func (n missing) add(b *batch, needs command.Needs) {
	for _, id := range needs.Customers {
		n.customers[id] = true
	}
	for _, id := range needs.Payments {
		n.payments[id] = true
	}
	for _, id := range needs.Holds {
		n.holds[id] = true
	}
	for _, id := range needs.Transactions {
		n.transactions[id] = true
	}
	for _, id := range needs.Accounts {
		if b.accounts[ledger.AccountID(id)] == nil {
			n.accounts[id] = true
		}
	}
	if _, charged := b.head.plans[money.Currency(needs.Fees)]; charged {
		for _, kind := range []ledger.Kind{ledger.MerchantAvailable, ledger.Fees} {
			if inner := (command.Inner{Kind: string(kind), Currency: needs.Fees}); b.inner[inner] == nil {
				n.inner[inner] = true
			}
		}
	}
	for _, inner := range needs.Inner {
		if b.inner[inner] == nil {
			n.inner[inner] = true
		}
	}
}

// addPayment adds the accounts that a payment names, and its hold.
func (n missing) addPayment(b *batch, p *payment.Payment) {
	needs := command.Needs{Fees: string(p.Amount.Currency)}
	for _, id := range []*ledger.AccountID{p.SourceAccountID, p.DestinationAccountID} {
		if id != nil {
			needs.Accounts = append(needs.Accounts, string(*id))
		}
	}
	if p.DestinationAccountID == nil {
		needs.Inner = []command.Inner{{Kind: string(ledger.MerchantAvailable), Currency: string(p.Amount.Currency)}}
	}
	if p.HoldID != nil {
		needs.Holds = []string{string(*p.HoldID)}
	}
	n.add(b, needs)
}
