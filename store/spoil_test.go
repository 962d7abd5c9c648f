package store_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lib/pq"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/connector"
)

// subjects are the rows that are spoiled: those of each table, but for records of keys, which are of four kinds.
func subjects(tables map[string][]column) map[string]subject {
	all := map[string]subject{}
	for table, columns := range tables {
		all[table] = subject{table: table, columns: columns, condition: "true"}
	}
	all["refusal"] = subject{table: "idempotency", columns: tables["idempotency"], condition: "refusal IS NOT NULL"}
	all["idempotency"] = subject{table: "idempotency", columns: tables["idempotency"], condition: "refusal IS NULL AND owner = ''"}
	all["expiry"] = subject{table: "idempotency", columns: tables["idempotency"], condition: "owner = 'gateway' AND created_at" + ofAnEvent}
	all["late"] = subject{table: "idempotency", columns: tables["idempotency"], condition: "owner = 'gateway' AND NOT created_at" + ofAnEvent}
	return all
}

const ofAnEvent = " IN (SELECT occurred_at FROM event)"

type subject struct {
	table     string
	columns   []column
	condition string
}

// rowKeys are the columns that find a row, beside the merchant, and how verify writes them.
var rowKeys = map[string]struct {
	columns string
	row     func(key []string) string
}{
	"merchant":         {"id", typed(answer.MerchantPrefix)},
	"head":             {"merchant_id", typed(answer.MerchantPrefix)},
	"customer":         {"id", typed(answer.CustomerPrefix)},
	"account":          {"id", typed(answer.AccountPrefix)},
	"balance":          {"account_id", typed(answer.AccountPrefix)},
	"hold":             {"id", typed(answer.HoldPrefix)},
	"capture":          {"id", typed(answer.CapturePrefix)},
	"refund":           {"id", typed(answer.RefundPrefix)},
	"reversal":         {"transaction_id", typed(answer.TransactionPrefix)},
	"timer":            {"object_id, due_at, kind", typed(answer.PaymentPrefix)},
	"payment":          {"id", typed(answer.PaymentPrefix)},
	"entry":            {"transaction_id, leg", func(key []string) string { return typed(answer.TransactionPrefix)(key) + " leg " + key[1] }},
	"event":            {"sequence", func(key []string) string { return key[0] }},
	"idempotency":      {"owner, key", func(key []string) string { return strings.TrimSpace(key[0] + " " + key[1]) }},
	"credential":       {columns: "client_id"},
	"used_once":        {columns: "client_id, value"},
	"certificate":      {columns: "name"},
	"document":         {columns: "id"},
	"signing_key":      {columns: "id"},
	"secret":           {columns: "purpose"},
	"goose_db_version": {columns: "id"},
}

func typed(prefix answer.Prefix) func([]string) string {
	return func(key []string) string {
		var u answer.UUID
		_ = u.Scan(key[0])
		return answer.Encode(prefix, u)
	}
}

// place is a row as verify should name it.
type place struct{ merchant, table, row string }

// spoiler changes a database behind the gateway's back: as its owner, with foreign keys asleep, and without the constraints that would
// refuse a change. Each table has a copy, from which it is restored.
type spoiler struct {
	*sql.DB
	admin *store.Admin
	used  map[string]bool // exceptions
}

func newSpoiler(t *testing.T, dsn string) *spoiler {
	t.Helper()
	db, err := connector.Open(dsn, connector.Options{Settings: map[string]string{"session_replication_role": "replica"}})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	admin, err := store.OpenAdmin(dsn)
	must(t, err)
	t.Cleanup(func() { _ = admin.Close() })
	_, err = db.Exec(`DO $$ DECLARE r record; BEGIN
		FOR r IN SELECT conrelid::regclass AS of, conname FROM pg_constraint WHERE contype IN ('c', 'u') AND connamespace = 'public'::regnamespace LOOP
			EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', r.of, r.conname); END LOOP;
		FOR r IN SELECT indexrelid::regclass AS name FROM pg_index JOIN pg_class c ON c.oid = indrelid
				WHERE c.relnamespace = 'public'::regnamespace AND NOT indisprimary LOOP
			EXECUTE format('DROP INDEX %s', r.name); END LOOP;
		CREATE SCHEMA kept;
		FOR r IN SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP
			EXECUTE format('CREATE TABLE kept.%I AS TABLE public.%I', r.relname, r.relname); END LOOP;
	END $$`)
	must(t, err)
	return &spoiler{db, admin, map[string]bool{}}
}

func (s *spoiler) restore(t *testing.T, table string) {
	t.Helper()
	_, err := s.Exec(`DELETE FROM ` + table + `; INSERT INTO ` + table + ` SELECT * FROM kept.` + table)
	must(t, err)
}

// places runs a statement that returns a ctid, a merchant and a key a row.
func (s *spoiler) places(t *testing.T, table, statement string, arguments ...any) (ctids []string, found []place) {
	t.Helper()
	rows, err := s.Query(statement, arguments...)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var ctid, merchant string
		var key pq.StringArray
		must(t, rows.Scan(&ctid, &merchant, &key))
		p := place{typed(answer.MerchantPrefix)([]string{merchant}), table, ""}
		if name := rowKeys[table].row; name != nil {
			p.row = name(key)
		}
		ctids, found = append(ctids, ctid), append(found, p)
	}
	must(t, rows.Err())
	return ctids, found
}

// named are the columns that places reads.
func named(table, alias string) string {
	merchant := alias + ".merchant_id"
	if table == "merchant" {
		merchant = alias + ".id"
	} else if slices.Contains(referenceData, table) {
		merchant = "''"
	}
	return alias + `.ctid, ` + merchant + `, ARRAY[` + of(alias, strings.Split(rowKeys[table].columns, ", "), "::text") + `]`
}

// of lists columns of an alias.
func of(alias string, columns []string, ending string) string {
	all := make([]string, len(columns))
	for i, c := range columns {
		all[i] = alias + "." + c + ending
	}
	return strings.Join(all, ", ")
}

// victim finds a row of a subject, by its ctid; none where there is none.
func (s *spoiler) victim(t *testing.T, of subject, condition string) (string, []place) {
	t.Helper()
	ctids, found := s.places(t, of.table, fmt.Sprintf(`SELECT %s FROM %s v WHERE %s AND %s ORDER BY %s LIMIT 3`,
		named(of.table, "v"), of.table, of.condition, condition, rowKeys[of.table].columns))
	if len(found) == 0 {
		return "", nil
	}
	last := len(found) - 1
	return ctids[last], found[last:]
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
	if len(tables) < 12 {
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
	case c.kind == "ARRAY":
		return `array_append(` + c.name + `, 'x')`
	case c.kind == "boolean":
		return `NOT ` + c.name
	case strings.HasPrefix(c.kind, "timestamp"):
		return `COALESCE(` + c.name + `, 'epoch') + interval '1 microsecond'`
	case c.kind == "date":
		return `COALESCE(` + c.name + `, 'epoch') + 1`
	default:
		return `COALESCE(` + c.name + `, 0) + 1000`
	}
}

// swap exchanges what two rows of the same merchant say, but for what finds them.
func swap(s subject) string {
	var rest []string
	for _, c := range s.columns {
		if c.name != "merchant_id" && !slices.Contains(strings.Split(rowKeys[s.table].columns, ", "), c.name) {
			rest = append(rest, c.name)
		}
	}
	same := "a.ctid <> b.ctid"
	if slices.ContainsFunc(s.columns, func(c column) bool { return c.name == "merchant_id" }) && s.table != "head" {
		same = "a.merchant_id = b.merchant_id"
	}
	rows := `(SELECT ctid, * FROM ` + s.table + ` WHERE ` + s.condition + `)`
	return fmt.Sprintf(`WITH pair AS (SELECT a.ctid AS x, b.ctid AS y FROM %[2]s a JOIN %[2]s b
			ON %[3]s AND ROW(%[4]s) IS DISTINCT FROM ROW(%[5]s) ORDER BY %[6]s, %[7]s LIMIT 1),
		two AS (SELECT x AS target, y AS source FROM pair UNION ALL SELECT y, x FROM pair)
		UPDATE %[1]s v SET (%[8]s) = ROW(%[9]s) FROM two JOIN %[1]s s ON s.ctid = two.source WHERE v.ctid = two.target RETURNING %[10]s`,
		s.table, rows, same, of("a", rest, ""), of("b", rest, ""), of("a", strings.Split(rowKeys[s.table].columns, ", "), ""),
		of("b", strings.Split(rowKeys[s.table].columns, ", "), ""), strings.Join(rest, ", "), of("s", rest, ""), named(s.table, "v"))
}
