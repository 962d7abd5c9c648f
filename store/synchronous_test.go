package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/connector"
	"github.com/paygraph/paygraph/store/storetest"
)

// TestAServerThatTakesNoWritesIsNotReady has sessions that would take any server, and a database that becomes read-only.
func TestAServerThatTakesNoWritesIsNotReady(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t) + "&target_session_attrs=any"
	s, err := store.Open(t.Context(), store.Config{DSN: dsn, Refusals: payment.Refusals, NoHints: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if synchronous, err := s.Synchronous(t.Context()); err != nil || synchronous {
		t.Fatalf("a database without a standby: %v, %v", synchronous, err)
	}
	owner, err := connector.Open(dsn, connector.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	for _, statement := range []string{
		`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`,
		`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
	} {
		if _, err := owner.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); err == nil || !strings.Contains(err.Error(), "takes no writes"); {
		if _, err = s.Synchronous(t.Context()); time.Now().After(deadline) {
			t.Fatalf("a database that takes no writes: %v", err)
		}
	}
}
