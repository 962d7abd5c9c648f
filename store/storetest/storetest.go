// Package storetest gives each test a fresh database on a real PostgreSQL, cloned from a template in some ten milliseconds. The
// cluster is the test binary's own; it starts with the first test that asks.
package storetest

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/connector"
	"github.com/paygraph/paygraph/store/embedded"
	"github.com/paygraph/paygraph/store/embedded/embeddedtest"
)

const template = "paygraph_template"

var cluster = struct {
	once     sync.Once
	err      error
	dir      string
	running  *embedded.Cluster
	admin    *sql.DB
	database atomic.Int64
}{}

// parallelTests run at once unless -parallel says otherwise: tests wait for PostgreSQL more than they compute.
const parallelTests = "8"

// Main runs a package's tests, and then ends the cluster. Call it from TestMain.
func Main(m *testing.M) {
	flag.Parse()
	if p := flag.Lookup("test.parallel"); p.Value.String() == p.DefValue {
		_ = p.Value.Set(parallelTests)
	}
	code := m.Run()
	Stop()
	os.Exit(code)
}

// Stop ends the cluster, if it was started. It is for a TestMain that cannot use Main.
func Stop() {
	if cluster.running != nil {
		_ = cluster.admin.Close()
		_ = cluster.running.Stop(context.Background())
	}
	if cluster.dir != "" {
		_ = os.RemoveAll(cluster.dir)
	}
}

func start() {
	if cluster.dir, cluster.err = embeddedtest.NewFolder(); cluster.err != nil {
		return
	}
	ctx := context.Background()
	cluster.running, cluster.err = embedded.Start(ctx, embedded.Config{
		Dir: cluster.dir, DieWithParent: true,
		Settings: map[string]string{
			"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "400",
			"shared_buffers": "128MB", // each database that is dropped is looked for in all of them, and by default they are an eighth of the memory
		},
	})
	if cluster.err != nil {
		return
	}
	if cluster.admin, cluster.err = connector.Open(cluster.running.DSN(), connector.Options{}); cluster.err != nil {
		return
	}
	if _, cluster.err = cluster.admin.ExecContext(ctx, "CREATE DATABASE "+template); cluster.err != nil {
		return
	}
	cluster.err = store.Migrate(ctx, named(template), slog.Default())
}

func named(database string) string {
	u, _ := url.Parse(cluster.running.DSN())
	u.Path = "/" + database
	return u.String()
}

// DSN names a fresh database with all migrations, for its owner. It is dropped after the test.
func DSN(t testing.TB) string {
	t.Helper()
	return copied(t, template)
}

// Empty names a fresh database without a table, for its owner. It is dropped after the test.
func Empty(t testing.TB) string {
	t.Helper()
	return copied(t, "template1")
}

// Clone names a copy of a database to which nobody is connected. It is dropped after the test.
func Clone(t testing.TB, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return copied(t, strings.TrimPrefix(u.Path, "/"))
}

func copied(t testing.TB, template string) string {
	t.Helper()
	cluster.once.Do(start)
	if cluster.err != nil {
		t.Fatalf("the test's database: %v", cluster.err)
	}
	name := fmt.Sprintf("test_%d", cluster.database.Add(1))
	if _, err := cluster.admin.ExecContext(t.Context(), "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatalf("the test's database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		_, _ = cluster.admin.ExecContext(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
	})
	return named(name)
}

// House is a store on a database of its own, with the domain's services on it.
type House struct {
	DSN       string
	Store     *store.Store
	Admin     *store.Admin
	Merchants *merchant.Service
	Ledger    *ledger.Service
	Payments  *payment.Service
}

// New builds a house on a fresh database.
func New(t testing.TB) *House {
	t.Helper()
	return At(t, DSN(t))
}

// At builds a house on a database that is there, as a second node would; changes are made to the store's settings before.
func At(t testing.TB, dsn string, changes ...func(*store.Config)) *House {
	t.Helper()
	config := store.Config{DSN: dsn, Refusals: payment.Refusals}
	for _, change := range changes {
		change(&config)
	}
	s, err := store.Open(t.Context(), config)
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	admin, err := store.OpenAdmin(dsn)
	if err != nil {
		t.Fatalf("open the store for administration: %v", err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	return &House{
		DSN: dsn, Store: s, Admin: admin,
		Merchants: &merchant.Service{Committer: store.Committer[merchant.Batch](s), Reader: s},
		Ledger:    &ledger.Service{Committer: store.Committer[ledger.Batch](s), Reader: s},
		Payments:  &payment.Service{Committer: store.Committer[payment.Batch](s), Reader: s},
	}
}

// Merchant creates a merchant, and returns a principal that may do everything with it.
func (h *House) Merchant(t testing.TB) auth.Principal {
	t.Helper()
	m, err := h.Admin.CreateMerchant(t.Context(), "Test & Co.")
	if err != nil {
		t.Fatalf("create a merchant: %v", err)
	}
	return auth.Principal{Kind: auth.Backend, Merchant: m.ID, Subject: "test", Scopes: auth.AllScopes}
}
