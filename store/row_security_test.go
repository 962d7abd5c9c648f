package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/connector"
	"github.com/paygraph/paygraph/store/storetest"
)

// seenOfAll are the tenants' tables whose rows a serving session sees of all merchants; it may change but one merchant's.
var seenOfAll = []string{"head", "timer", "idempotency"}

// tenants are the tables of tenants, with the kind of privileges that the serving role has.
func tenants(t *testing.T, dsn string) (tables []string) {
	t.Helper()
	for table := range catalogue(t, dsn) {
		if !slices.Contains(referenceData, table) {
			tables = append(tables, table)
		}
	}
	slices.Sort(tables)
	return tables
}

// serving is a session with the serving role.
func serving(t *testing.T, dsn string) *sqlx.Conn {
	t.Helper()
	db, err := connector.Open(dsn, connector.Options{Settings: map[string]string{"role": "paygraph_runtime"}})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	conn, err := sqlx.NewDb(db, "postgres").Connx(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func merchantsOf(t *testing.T, dsn string) (ids []string) {
	t.Helper()
	must(t, sqlx.NewDb(owner(t, dsn), "postgres").Select(&ids, `SELECT id FROM merchant ORDER BY id`))
	if len(ids) != 2 {
		t.Fatalf("%d merchants", len(ids))
	}
	return ids
}

// TestEveryTenantsTableIsGuarded reads the catalogue.
func TestEveryTenantsTableIsGuarded(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t)
	db := owner(t, dsn)
	for _, table := range tenants(t, dsn) {
		var guarded bool
		var policies []string
		must(t, db.QueryRow(`SELECT relrowsecurity, ARRAY(SELECT polname || ' ' || polcmd::text FROM pg_policy WHERE polrelid = c.oid ORDER BY 1)
			FROM pg_class c WHERE oid = $1::regclass`, table).Scan(&guarded, pq.Array(&policies)))
		want := []string{"merchant *"}
		if slices.Contains(seenOfAll, table) {
			want = []string{"all_merchants r", "merchant *"}
		}
		if !guarded || !slices.Equal(policies, want) {
			t.Errorf("%s: guarded %v, policies %q; want %q", table, guarded, policies, want)
		}
	}
}

// TestAServingSessionSeesOneMerchantsRows asks without a filter, as a statement would that has forgotten it.
func TestAServingSessionSeesOneMerchantsRows(t *testing.T) {
	t.Parallel()
	dsn := story(t)
	ids := merchantsOf(t, dsn)
	conn := serving(t, dsn)
	for n, own := range ids {
		must(t, connector.Set(t.Context(), conn.Conn, "paygraph.merchant", own))
		for _, table := range tenants(t, dsn) {
			var seen []string
			must(t, conn.SelectContext(t.Context(), &seen, `SELECT DISTINCT merchant_id FROM `+table+` ORDER BY 1`))
			want := []string{own}
			if slices.Contains(seenOfAll, table) {
				want = ids
			}
			if !slices.Equal(seen, want) {
				t.Errorf("merchant %d sees rows of %q in %s; want %q", n, seen, table, want)
			}
		}
	}
}

// TestAServingSessionWritesOneMerchantsRows writes what another merchant has, where the role may write at all.
func TestAServingSessionWritesOneMerchantsRows(t *testing.T) {
	t.Parallel()
	dsn := story(t)
	ids := merchantsOf(t, dsn)
	conn, all := serving(t, dsn), owner(t, dsn)
	must(t, connector.Set(t.Context(), conn.Conn, "paygraph.merchant", ids[0]))
	for _, table := range tenants(t, dsn) {
		// A row of the other merchant's, once more; it does not come to be found twice.
		_, err := conn.ExecContext(t.Context(), `INSERT INTO `+table+` SELECT (r).* FROM (SELECT $1::`+table+` AS r) AS other`, rowOf(t, all, table, ids[1]))
		if code := codeOf(err); code != "42501" {
			t.Errorf("a row of another merchant was inserted into %s: %v", table, err)
		}
		for verb, may := range map[string][]string{"UPDATE %s SET merchant_id = merchant_id": mayUpdate, "DELETE FROM %s": mayDelete} {
			if !slices.Contains(may, table) {
				continue
			}
			statement := fmt.Sprintf(verb, table)
			if n := affected(t, conn, statement+` WHERE merchant_id = $1`, ids[1]); n != 0 {
				t.Errorf("%s: %d rows of another merchant", statement, n)
			}
			if n := affected(t, conn, statement+` WHERE merchant_id = $1`, ids[0]); n == 0 {
				t.Errorf("%s: no row of its own", statement)
			}
		}
		if slices.Contains(mayUpdate, table) { // a row that would become another merchant's
			_, err := conn.ExecContext(t.Context(), `UPDATE `+table+` SET merchant_id = $1`, ids[1])
			if codeOf(err) != "42501" {
				t.Errorf("rows of %s were given to another merchant: %v", table, err)
			}
		}
	}
	if n := locked(t, conn, ids[1]); n != 0 {
		t.Error("the head of another merchant was locked")
	}
	if n := locked(t, conn, ids[0]); n != 1 {
		t.Error("its own head was not locked")
	}
}

// locked says how many heads are locked where those of a merchant are to be.
func locked(t *testing.T, conn *sqlx.Conn, merchant string) int {
	t.Helper()
	var found []string
	must(t, conn.SelectContext(t.Context(), &found, `SELECT merchant_id FROM head WHERE merchant_id = $1 FOR NO KEY UPDATE`, merchant))
	return len(found)
}

// rowOf is some row of a merchant's, as a text.
func rowOf(t *testing.T, db *sql.DB, table, merchant string) (row string) {
	t.Helper()
	must(t, db.QueryRow(`SELECT r::text FROM `+table+` r WHERE merchant_id = $1 LIMIT 1`, merchant).Scan(&row))
	return row
}

// affected is how many rows a statement changes, which is then taken back.
func affected(t *testing.T, conn *sqlx.Conn, statement string, arguments ...any) int64 {
	t.Helper()
	tx, err := conn.BeginTx(context.WithoutCancel(t.Context()), nil)
	must(t, err)
	defer func() { must(t, tx.Rollback()) }()
	result, err := tx.ExecContext(t.Context(), statement, arguments...)
	must(t, err)
	n, err := result.RowsAffected()
	must(t, err)
	return n
}

// codeOf is the SQL state of the server's answer, if it is an error.
func codeOf(err error) string {
	if answered := (*pq.Error)(nil); errors.As(err, &answered) {
		return string(answered.Code)
	}
	return ""
}

// TestAServingSessionWithoutAMerchantSeesNothing has a session that has not said whose rows it is to see: that is an error, not an empty answer.
func TestAServingSessionWithoutAMerchantSeesNothing(t *testing.T) {
	t.Parallel()
	dsn := story(t)
	conn := serving(t, dsn)
	for _, table := range tenants(t, dsn) {
		if slices.Contains(seenOfAll, table) {
			continue
		}
		var n int
		if err := conn.GetContext(t.Context(), &n, `SELECT count(*) FROM `+table); codeOf(err) != "42704" {
			t.Errorf("%s has %d rows: %v", table, n, err)
		}
	}
}

// TestReadersSeeWhoAsks has one connection serve two merchants in turns, and a snapshot that is asked about both.
func TestReadersSeeWhoAsks(t *testing.T) {
	t.Parallel()
	h := storetest.At(t, storetest.DSN(t), func(c *store.Config) { c.Readers = 1 })
	who := []auth.Principal{h.Merchant(t), h.Merchant(t)}
	accounts := []string{string(wallet(t, h, who[0], "")), string(wallet(t, h, who[1], ""))}
	for range 3 {
		for i, p := range who {
			for j, account := range accounts {
				found, err := h.Store.Accounts(t.Context(), p.Merchant, []string{account})
				must(t, err)
				if seen := len(found) == 1; seen != (i == j) {
					t.Errorf("merchant %d sees an account of merchant %d: %v", i, j, seen)
				}
			}
		}
	}
	snapshot := h.Store.Snapshot()
	defer snapshot.Close()
	found, err := snapshot.Accounts(t.Context(), who[0].Merchant, accounts[:1])
	if len(found) != 1 || err != nil {
		t.Error(found, err)
	}
	if found, err = snapshot.Accounts(t.Context(), who[1].Merchant, accounts[1:]); err == nil {
		t.Errorf("a snapshot has shown two merchants' rows: %v", found)
	}
}
