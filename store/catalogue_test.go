package store_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/storetest"
)

// referenceData are the tables that are no tenant's: their keys need no merchant.
var referenceData = []string{"merchant", "credential", "used_once", "signing_key", "secret", "certificate", "goose_db_version"}

// TestTheMerchantIsInEveryKey reads the catalogue: the first column of every primary key and unique index of a tenant's table is
// merchant_id, and foreign keys have it on both sides.
func TestTheMerchantIsInEveryKey(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t)
	db := owner(t, dsn)
	keyed := map[string]bool{}
	rows, err := db.Query(`SELECT c.relname, i.indexrelid::regclass::text, i.indisprimary, a.attname
		FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
		WHERE c.relnamespace = 'public'::regnamespace AND (i.indisunique OR i.indisprimary)`)
	must(t, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var table, index, first string
		var primary bool
		must(t, rows.Scan(&table, &index, &primary, &first))
		keyed[table] = keyed[table] || primary || index == "idempotency_place" // of an expression, as no primary key can be (decision 024)
		if !slices.Contains(referenceData, table) && first != "merchant_id" {
			t.Errorf("index %s of %s begins with %s", index, table, first)
		}
	}
	must(t, rows.Err())
	for table := range catalogue(t, dsn) {
		if !keyed[table] {
			t.Errorf("table %s has no primary key", table)
		}
	}
	foreign, err := db.Query(`SELECT conrelid::regclass::text, confrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
		WHERE contype = 'f' AND connamespace = 'public'::regnamespace`)
	must(t, err)
	defer func() { _ = foreign.Close() }()
	both := regexp.MustCompile(`^FOREIGN KEY \(merchant_id(, \w+)*\) REFERENCES (merchant\(id\)|\w+\(merchant_id(, \w+)*\))$`)
	found := 0
	for foreign.Next() {
		var from, to, definition string
		must(t, foreign.Scan(&from, &to, &definition))
		found++
		if !both.MatchString(definition) || to == "head" {
			t.Errorf("%s: %s", from, definition)
		}
	}
	must(t, foreign.Err())
	if found < 6 {
		t.Errorf("only %d foreign keys were found", found)
	}
}

// mayUpdate lists the tables whose rows the serving role may change.
var mayUpdate = []string{"head", "customer", "account", "balance", "hold", "payment", "certificate"}

// mayDelete lists the tables whose rows the serving role may take away.
var mayDelete = []string{"timer", "used_once", "certificate"}

func TestTheServingRoleCannotRewriteHistory(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t)
	db := owner(t, dsn)
	for table := range catalogue(t, dsn) {
		var update, remove, truncate, trigger, owns bool
		must(t, db.QueryRow(`SELECT has_table_privilege('paygraph_runtime', c.oid, 'UPDATE') OR has_any_column_privilege('paygraph_runtime', c.oid, 'UPDATE'),
			has_table_privilege('paygraph_runtime', c.oid, 'DELETE'), has_table_privilege('paygraph_runtime', c.oid, 'TRUNCATE'),
			has_table_privilege('paygraph_runtime', c.oid, 'TRIGGER'), pg_has_role('paygraph_runtime', c.relowner, 'MEMBER')
			FROM pg_class c WHERE c.oid = $1::regclass`, table).Scan(&update, &remove, &truncate, &trigger, &owns))
		if want := slices.Contains(mayUpdate, table); update != want {
			t.Errorf("it may UPDATE %s: %v, want %v", table, update, want)
		}
		if want := slices.Contains(mayDelete, table); remove != want {
			t.Errorf("it may DELETE from %s: %v, want %v", table, remove, want)
		}
		if truncate || trigger || owns {
			t.Errorf("%s: TRUNCATE %v, TRIGGER %v, owner %v", table, truncate, trigger, owns)
		}
	}
	var free bool
	must(t, db.QueryRow(`SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolcanlogin OR rolreplication
		FROM pg_roles WHERE rolname = 'paygraph_runtime'`).Scan(&free))
	if free {
		t.Error("the serving role is more than a serving role")
	}
}

// TestServingSessionsHaveTheServingRole takes a right from the role, and sees that the sessions lack it.
func TestServingSessionsHaveTheServingRole(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	account := wallet(t, h, p, "1.00")
	_, err := owner(t, h.DSN).Exec(`REVOKE INSERT ON customer FROM paygraph_runtime; REVOKE SELECT ON balance FROM paygraph_runtime`)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := h.Merchants.CreateCustomer(ctx, p, merchant.CreateCustomerInput{IdempotencyKey: key(), Name: "Ada"}); err == nil {
		t.Error("a writer did what its role may not do")
	}
	if _, err := h.Store.Account(t.Context(), p, account); err == nil {
		t.Error("a reader saw what its role may not see")
	}
}

// tenantTable finds the tables of tenants in a statement, with the word before them and the alias after.
var tenantTable = regexp.MustCompile(`(?i)\b(FROM|JOIN|UPDATE|INTO)\s+(head|customer|account|balance|hold|payment|capture|refund|reversal|timer|entry|event|idempotency|document)\b(?:\s+(\w+))?`)

var forbidden = regexp.MustCompile(`(?i)SELECT\s+\*|\bnextval\b|\bSERIAL\b|\bSEQUENCE\b\s+(FOR|OWNED)|CREATE SEQUENCE|pg_(try_)?advisory|\b(UN)?LISTEN\s|\bNOTIFY\s|\bxmin\b|pg_current_xact|DEFERRABLE|EXCLUDE USING|GENERATED (ALWAYS|BY DEFAULT) AS IDENTITY`)

// acrossMerchants are the statements that look at all merchants by intention, by words that they have.
var acrossMerchants = []string{
	"FULL JOIN head h ON h.merchant_id = m.id", // verify
	"FROM head WHERE merchant_id = ANY($1",     // the poll of heads
	"FROM timer\n\t\t\tWHERE due_at <=",        // the sweep of timers
}

// migrationsTurn lets one process at a time migrate: no tenant's data and no request wait for it, and it ends with its transaction.
const migrationsTurn = "SELECT pg_try_advisory_xact_lock(7377000142)"

// TestEveryStatementNamesItsMerchant reads the string literals of the package: one that names a tenant's table filters merchant_id for it,
// and none uses what cannot be distributed.
func TestEveryStatementNamesItsMerchant(t *testing.T) {
	t.Parallel()
	tables := 0
	for _, text := range append(statements(t), sent(t)...) {
		if bad := forbidden.FindString(text); bad != "" && text != migrationsTurn {
			t.Errorf("%q in %s", bad, text)
		}
		tables += filtered(t, text)
	}
	if tables < 25 {
		t.Errorf("only %d uses of tenants' tables were found", tables)
	}
	files, err := os.ReadDir("../migrations")
	must(t, err)
	for _, f := range files {
		text, err := os.ReadFile("../migrations/" + f.Name())
		must(t, err)
		if bad := forbidden.Find(text); bad != nil && strings.HasSuffix(f.Name(), ".sql") {
			t.Errorf("%q in %s", bad, f.Name())
		}
	}
}

// filtered checks that each tenant's table in a statement is filtered by merchant_id, or joined by it to one that is, and counts them.
func filtered(t *testing.T, text string) (tables int) {
	t.Helper()
	if slices.ContainsFunc(acrossMerchants, func(s string) bool { return strings.Contains(text, s) }) {
		return 0
	}
	for _, m := range tenantTable.FindAllStringSubmatch(text, -1) {
		tables++
		name := `\b(` + m[2] + `|` + m[3] + `)\.`
		if m[3] == "" || strings.EqualFold(m[3], "WHERE") || strings.EqualFold(m[3], "SET") {
			name = `(\b` + m[2] + `\.|\b)`
		}
		named := regexp.MustCompile(name + `merchant_id = (\$1|[\w{}]+\.merchant_id\b)`)
		if strings.EqualFold(m[1], "INTO") {
			named = regexp.MustCompile(`(?i)INTO ` + m[2] + ` \(merchant_id`)
		}
		if !named.MatchString(text) {
			t.Errorf("table %s is not filtered by merchant_id in %s", m[2], text)
		}
	}
	return tables
}

// sent are the statements that a store prepares for a day's work, as they reach the database: those of the batches are put together
// when they are needed.
func sent(t *testing.T) (texts []string) {
	t.Helper()
	px := newProxy(t, storetest.DSN(t))
	h := storetest.At(t, px.dsn)
	p := h.Merchant(t)
	from, to := wallet(t, h, p, "9.00"), wallet(t, h, p, "")
	_, err := pay(t.Context(), h, p, key(), from, to, "1.00")
	must(t, err)
	created, err := h.Payments.Create(t.Context(), p, payment.CreateInput{IdempotencyKey: key(), Amount: usd("1.00")})
	must(t, err)
	_, err = h.Payments.Confirm(t.Context(), p, payment.ConfirmInput{
		IdempotencyKey: key(), PaymentID: created.Payment.ID, Source: &payment.Source{AccountID: &from},
	})
	must(t, err)
	_, err = h.Ledger.SetAccountStatus(t.Context(), p, ledger.SetAccountStatusInput{
		IdempotencyKey: key(), AccountID: to, Status: ledger.Frozen, Reason: "because",
	})
	must(t, err)
	placed, err := h.Ledger.PlaceHold(t.Context(), p, ledger.PlaceHoldInput{IdempotencyKey: key(), AccountID: from, Amount: usd("1.00")})
	must(t, err)
	_, err = h.Ledger.ReleaseHold(t.Context(), p, ledger.ReleaseHoldInput{
		IdempotencyKey: key(), HoldID: placed.Transaction.Made().ID, Reason: "because",
	})
	must(t, err)
	texts = px.prepared()
	for _, wanted := range []string{"INSERT INTO idempotency", "INSERT INTO entry", "INSERT INTO balance", "INSERT INTO hold",
		"DO UPDATE SET ended_at = EXCLUDED.ended_at", "FROM hold h WHERE h.merchant_id = $1", "DO UPDATE SET updated_at = EXCLUDED.updated_at, status"} {
		if !strings.Contains(strings.Join(texts, "\n"), wanted) {
			t.Errorf("no statement has %s", wanted)
		}
	}
	return texts
}

// statements are the texts of the package's expressions: neighbouring literals that are added make one text.
func statements(t *testing.T) (texts []string) {
	t.Helper()
	files, err := os.ReadDir(".")
	must(t, err)
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		must(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			text, is := literal(e)
			if is {
				texts = append(texts, text)
			}
			return !is
		})
	}
	return texts
}

// literal is the text of an expression of string literals and names; a name stands for itself in braces.
func literal(e ast.Expr) (text string, ok bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		left, isLeft := literal(e.X)
		right, isRight := literal(e.Y)
		if e.Op != token.ADD || !isLeft && !isRight {
			return "", false
		}
		return left + right, true
	case *ast.Ident:
		return "{" + e.Name + "}", false
	}
	return "", false
}

func TestTablesOfBeforeTheReleaseAreRefused(t *testing.T) {
	t.Parallel()
	dsn := storetest.Empty(t)
	_, err := owner(t, dsn).Exec(`CREATE TABLE transaction (id uuid)`)
	must(t, err)
	if err := store.Migrate(t.Context(), dsn, slog.Default()); err == nil || !strings.Contains(err.Error(), "--fresh") {
		t.Error(err)
	}
}
