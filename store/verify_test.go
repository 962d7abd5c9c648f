package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/connector"
	"github.com/paygraph/paygraph/store/storetest"
)

// unverified lists what verify cannot or need not find changed, with the reason. Everything else that a table has is found.
var unverified = map[string]string{
	"merchant.name":       "reference data, which an operator may change",
	"merchant.created_at": "reference data",
	"credential":          "reference data: who may ask, not what happened",
	"signing_key":         "reference data: without the right key no token is good",
	"secret":              "reference data: without the right one cursors and replays are refused, and nothing is done twice",
	"goose_db_version":    "the migrations' own table",
	"head.at":             "only has to be no earlier than the last event: refusals move it too",
	"head.stamp":          "random: an unknown one only makes the nodes read again",
}

// story makes at least two rows in every table.
func story(t *testing.T) (dsn string) {
	t.Helper()
	dsn = storetest.DSN(t)
	h := storetest.At(t, dsn)
	for range 2 {
		p := h.Merchant(t)
		reference := "order 17"
		for i := range 2 {
			customer, err := h.Merchants.CreateCustomer(t.Context(), p, merchant.CreateCustomerInput{
				IdempotencyKey: key(), Name: fmt.Sprintf("Customer %d", i), Reference: &reference, Metadata: answer.Metadata{"shoe": fmt.Sprint(40 + i)},
			})
			must(t, err)
			name := fmt.Sprintf("Savings %d", i)
			named, err := h.Ledger.OpenAccount(t.Context(), p, ledger.OpenAccountInput{
				IdempotencyKey: key(), CustomerID: customer.Customer.ID, Currency: "USD", Name: &name,
			})
			must(t, err)
			_, err = h.Ledger.SetAccountStatus(t.Context(), p, ledger.SetAccountStatusInput{
				IdempotencyKey: key(), AccountID: named.Account.ID, Status: ledger.Frozen, Reason: "lost phone",
			})
			must(t, err)
			tellPayments(t, h, p, i)
		}
	}
	must(t, h.Store.Close())
	must(t, h.Admin.Close())
	return dsn
}

func tellPayments(t *testing.T, h *storetest.House, p auth.Principal, i int) {
	t.Helper()
	from, to := wallet(t, h, p, fmt.Sprintf("10%d.00", i)), wallet(t, h, p, "")
	reference := fmt.Sprintf("invoice %d", i)
	created, err := h.Payments.Create(t.Context(), p, payment.CreateInput{
		IdempotencyKey: key(), Amount: usd(fmt.Sprintf("%d.00", 3+i)), Reference: &reference, Metadata: answer.Metadata{"a": reference},
	})
	must(t, err)
	_, err = h.Payments.Confirm(t.Context(), p, payment.ConfirmInput{
		IdempotencyKey: key(), PaymentID: created.Payment.ID, Source: &payment.Source{AccountID: &from},
	})
	must(t, err)
	_, err = pay(t.Context(), h, p, key(), from, to, fmt.Sprintf("%d.00", 5+i))
	must(t, err)
	_, err = h.Ledger.TransferFunds(t.Context(), p, ledger.TransferFundsInput{
		IdempotencyKey: key(), FromAccountID: from, ToAccountID: to, Amount: usd(fmt.Sprintf("%d.50", i)), Reference: &reference,
	})
	must(t, err)
	if _, err := pay(t.Context(), h, p, key(), to, from, "1000.00"); err == nil {
		t.Fatal("a payment of more than there is was not refused")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func verify(t *testing.T, dsn string) error {
	t.Helper()
	admin, err := store.OpenAdmin(dsn)
	must(t, err)
	defer func() { _ = admin.Close() }()
	return admin.Verify(context.Background(), nil, func(store.Verified) {})
}

// spoil changes a database behind the gateway's back: as the owner, and with foreign keys asleep.
func spoil(t *testing.T, dsn string, statements ...string) {
	t.Helper()
	db, err := connector.Open(dsn, connector.Options{Settings: map[string]string{"session_replication_role": "replica"}})
	must(t, err)
	defer func() { _ = db.Close() }()
	for _, s := range statements {
		result, err := db.Exec(s)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if n, _ := result.RowsAffected(); n == 0 && !strings.HasPrefix(s, "DROP") {
			t.Fatalf("%s: changed nothing", s)
		}
	}
}

func TestVerifyFindsEveryChange(t *testing.T) {
	t.Parallel()
	dsn := story(t)
	must(t, verify(t, dsn))
	tables := catalogue(t, dsn)
	for table, columns := range tables {
		if unverified[table] != "" {
			continue
		}
		for _, c := range columns {
			t.Run("a changed "+table+"."+c.name, func(t *testing.T) {
				copy := storetest.Clone(t, dsn)
				spoil(t, copy, fmt.Sprintf(`UPDATE %s SET %s = %s WHERE ctid = (%s)`, table, c.name, c.changed(), victim(table)))
				expectFound(t, copy, table+"."+c.name)
			})
		}
		t.Run("a row of "+table+" deleted", func(t *testing.T) {
			copy := storetest.Clone(t, dsn)
			spoil(t, copy, `DELETE FROM `+table+` WHERE ctid = (`+victim(table)+`)`)
			expectFound(t, copy, table)
		})
		t.Run("two rows of "+table+" swapped", func(t *testing.T) {
			copy := storetest.Clone(t, dsn)
			spoil(t, copy, swap(table, columns)...)
			expectFound(t, copy, swapName(table))
		})
	}
}

func expectFound(t *testing.T, dsn, what string) {
	t.Helper()
	err := verify(t, dsn)
	var found store.Discrepancy
	if unverified[what] != "" {
		if err != nil {
			t.Errorf("%s stands in the list of what is not verified, and was found: %v", what, err)
		}
		return
	}
	if !errors.As(err, &found) || found.Row == "" || found.Table == "" {
		t.Errorf("got %v, want a discrepancy that names the row", err)
	}
}

type column struct{ name, kind string }

// catalogue lists the tables with their columns, as the database has them.
func catalogue(t *testing.T, dsn string) map[string][]column {
	t.Helper()
	db, err := connector.Open(dsn, connector.Options{})
	must(t, err)
	defer func() { _ = db.Close() }()
	rows, err := db.Query(`SELECT table_name, column_name, data_type FROM information_schema.columns
		WHERE table_schema = 'public' ORDER BY table_name, ordinal_position`)
	must(t, err)
	defer func() { _ = rows.Close() }()
	tables := map[string][]column{}
	for rows.Next() {
		var table string
		var c column
		must(t, rows.Scan(&table, &c.name, &c.kind))
		tables[table] = append(tables[table], c)
	}
	must(t, rows.Err())
	if len(tables) < 13 {
		t.Fatalf("the catalogue has only %d tables", len(tables))
	}
	return tables
}

// changed is another value of the column.
func (c column) changed() string {
	switch {
	case c.name == "direction":
		return `CASE direction WHEN 'DEBIT' THEN 'CREDIT' ELSE 'DEBIT' END`
	case c.kind == "uuid":
		return "gen_random_uuid()"
	case c.kind == "bytea":
		return `CASE WHEN length(` + c.name + `) > 0 THEN set_byte(` + c.name + `, 0, get_byte(` + c.name + `, 0) # 1) ELSE '\x01'::bytea END`
	case c.kind == "jsonb":
		return `'{"changed": "yes"}'::jsonb`
	case c.kind == "text":
		return `COALESCE(` + c.name + `, '') || 'x'`
	case c.kind == "timestamp with time zone":
		return c.name + ` + interval '1 microsecond'`
	case c.kind == "date":
		return c.name + ` + 1`
	default:
		return c.name + ` + 1000`
	}
}

// victim finds a row to spoil: of the records of keys, one of a success.
func victim(table string) string {
	condition := "true"
	switch table {
	case "idempotency":
		condition = "refusal IS NULL"
	case "event":
		condition = "sequence = 3"
	}
	return fmt.Sprintf(`SELECT ctid FROM %s WHERE %s ORDER BY 1 LIMIT 1 OFFSET 1`, table, condition)
}

// swap exchanges what two rows of the same merchant say, but for what finds them.
func swap(table string, columns []column) []string {
	keys := map[string]string{
		"merchant": "id", "head": "merchant_id", "customer": "id", "account": "id", "balance": "account_id", "payment": "id",
		"transaction": "id", "entry": "(transaction_id, leg)", "event": "sequence", "idempotency": "key",
	}
	var rest []string
	for _, c := range columns {
		if c.name != "merchant_id" && !strings.Contains(keys[table], c.name) && c.name != "id" && table+"."+c.name != "entry.sequence" &&
			table+"."+c.name != "event.object_id" {
			rest = append(rest, c.name)
		}
	}
	same := "b.merchant_id = a.merchant_id AND "
	if table == "merchant" || table == "head" {
		same = ""
	}
	where := "TRUE"
	if table == "idempotency" {
		where = "a.refusal IS NULL AND b.refusal IS NULL"
	}
	of := func(alias string) string { return alias + "." + strings.Join(rest, ", "+alias+".") }
	return []string{
		"DROP INDEX account_inner, entry_account, event_object, event_id",
		fmt.Sprintf(`WITH pair AS (SELECT a.ctid AS x, b.ctid AS y FROM %[1]s a JOIN %[1]s b
				ON %[2]s ROW(%[3]s) IS DISTINCT FROM ROW(%[4]s) WHERE %[5]s LIMIT 1),
			two AS (SELECT x AS target, y AS source FROM pair UNION ALL SELECT y, x FROM pair)
			UPDATE %[1]s SET (%[6]s) = (SELECT %[7]s FROM %[1]s s WHERE s.ctid = two.source) FROM two WHERE %[1]s.ctid = two.target`,
			table, same, of("a"), of("b"), where, strings.Join(rest, ", "), of("s")),
	}
}

func swapName(table string) string {
	if table == "merchant" {
		return "merchant.name"
	}
	return table
}

func TestVerifyKnowsWhatWasNotedBefore(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	wallet(t, h, p, "1.00")
	var noted store.Verified
	must(t, h.Admin.Verify(t.Context(), nil, func(v store.Verified) { noted = v }))
	wallet(t, h, p, "1.00")
	same := store.Expectation(noted)
	must(t, h.Admin.Verify(t.Context(), &same, func(store.Verified) {}))
	other := same
	other.Hash = strings.Repeat("0", 64)
	if err := h.Admin.Verify(t.Context(), &other, func(store.Verified) {}); err == nil {
		t.Error("another hash than the noted one was not found")
	}
	anyone := same
	anyone.Merchant = ""
	must(t, h.Admin.Verify(t.Context(), &anyone, func(store.Verified) {}))
	anyone.Hash = strings.Repeat("0", 64)
	if err := h.Admin.Verify(t.Context(), &anyone, func(store.Verified) {}); err == nil {
		t.Error("a hash that no log has was not missed")
	}
	lost := same
	lost.Sequence = 1_000_000
	if err := h.Admin.Verify(t.Context(), &lost, func(store.Verified) {}); err == nil {
		t.Error("a log that is shorter than it was noted was not found")
	}
}
