package store_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/lib/pq"

	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/storetest"
)

// TestOwnersThatAreNoSuperusers are what most managed databases give: one that may make roles, and one for whom somebody else has made the
// serving role.
func TestOwnersThatAreNoSuperusers(t *testing.T) {
	t.Parallel()
	storetest.DSN(t) // the serving role is there from now on
	for name, grant := range map[string]string{
		"may make roles":          "CREATEROLE",
		"is granted the role":     "NOCREATEROLE IN ROLE paygraph_runtime",
		"may not become the role": "NOCREATEROLE",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := storetest.Empty(t)
			admin := owner(t, dsn)
			role := `the "owner" of ` + databaseOf(t, dsn) // a name that has to be escaped
			must(t, exec(admin, "CREATE ROLE %s LOGIN PASSWORD 'secret' "+grant, role))
			t.Cleanup(func() { _ = exec(admin, "REASSIGN OWNED BY %s TO CURRENT_USER", role) })
			must(t, exec(admin, "ALTER DATABASE "+databaseOf(t, dsn)+" OWNER TO %s", role))
			must(t, exec(admin, "GRANT ALL ON SCHEMA public TO %s", role))
			address, err := url.Parse(dsn)
			must(t, err)
			address.User = url.UserPassword(role, "secret")
			err = store.Migrate(t.Context(), address.String(), slog.Default())
			if name == "may not become the role" {
				if err == nil || !strings.Contains(err.Error(), "paygraph_runtime") {
					t.Errorf("an owner without the role: %v", err)
				}
				return
			}
			must(t, err)
			h := storetest.At(t, address.String())
			p := h.Merchant(t)
			from, to := wallet(t, h, p, "2.00"), wallet(t, h, p, "")
			_, err = pay(t.Context(), h, p, key(), from, to, "1.50")
			must(t, err)
			expectBalances(t, h, p, map[ledger.AccountID]string{from: "0.50", to: "1.50"})
		})
	}
}

// exec runs a statement that names a role.
func exec(db *sql.DB, statement, role string) error {
	_, err := db.Exec(fmt.Sprintf(statement, pq.QuoteIdentifier(role)))
	return err
}

func databaseOf(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	must(t, err)
	return strings.TrimPrefix(u.Path, "/")
}
