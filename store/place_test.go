package store_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/storetest"
)

// TestTwoKeysAtOnePlace has a hash that is the same for all keys of one length, which SHA-256 would take for ever to show. The second key is refused,
// again and again, and alone; neither is ever taken for the other.
func TestTwoKeysAtOnePlace(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t)
	_, err := owner(t, dsn).Exec(`CREATE OR REPLACE FUNCTION idempotency_place(owner text, key text) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
		RETURN md5(length(key)::text)::uuid`)
	must(t, err)
	h := storetest.At(t, dsn)
	p := h.Merchant(t)
	pay := func(key, amount string) (payment.CreateSuccess, error) {
		return h.Payments.Create(t.Context(), p, payment.CreateInput{IdempotencyKey: key, Amount: usd(amount)})
	}
	const first, second, elsewhere = "the first key there", "the other key there", "a key of another length"
	made, err := pay(first, "1.00")
	must(t, err)
	for round := range 2 {
		var together sync.WaitGroup
		together.Go(func() {
			if _, err := pay(second, "1.00"); !errors.Is(err, command.ErrInternal) {
				t.Errorf("the second key got %v, want ErrInternal", err)
			}
		})
		for n := range 16 {
			together.Go(func() {
				if _, err := pay(strings.Repeat("x", 40+16*round+n), "1.00"); err != nil {
					t.Errorf("a key beside the second got %v", err)
				}
			})
		}
		together.Wait()
		if record, err := h.Store.Record(t.Context(), p.Merchant, second); record != nil || err != nil {
			t.Errorf("the second key has the record %+v, %v", record, err)
		}
		again, err := pay(first, "1.00")
		if err != nil || !again.Replayed || again.Payment.ID != made.Payment.ID {
			t.Errorf("the first key got %+v, %v", again, err)
		}
	}
	if other, err := pay(elsewhere, "2.00"); err != nil || other.Replayed {
		t.Errorf("another key got %+v, %v", other, err)
	}
	if record, err := h.Store.Record(t.Context(), p.Merchant, first); err != nil || record == nil || *record.ObjectID != string(made.Payment.ID) {
		t.Errorf("the record of the first key is %+v, %v", record, err)
	}
	must(t, h.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}

// TestAKeyOfAnyText may have what SQL would take for something else.
func TestAKeyOfAnyText(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	for _, key := range []string{`\x41`, `\\x41`, `\`, `\101`, `a\'b"c`, `{1,2}`, `%d`} {
		made, err := h.Payments.Create(t.Context(), p, payment.CreateInput{IdempotencyKey: key, Amount: usd("1.00")})
		if err != nil || made.Replayed {
			t.Errorf("%s: %+v, %v", key, made, err)
			continue
		}
		if record, err := h.Store.Record(t.Context(), p.Merchant, key); err != nil || record == nil || *record.ObjectID != string(made.Payment.ID) {
			t.Errorf("the record of %s is %+v, %v", key, record, err)
		}
	}
	must(t, h.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}

// TestManyMigrateAtOnce: they take turns, and none waits for one that waits for it.
func TestManyMigrateAtOnce(t *testing.T) {
	t.Parallel()
	dsn := storetest.Empty(t) + "&default_transaction_isolation=" + url.QueryEscape("repeatable read")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all errgroup.Group
	for range 4 {
		all.Go(func() error { return store.Migrate(ctx, dsn, slog.Default()) })
	}
	must(t, all.Wait())
	var valid bool
	must(t, owner(t, dsn).QueryRow(`SELECT indisvalid FROM pg_index WHERE indexrelid = 'idempotency_place'::regclass`).Scan(&valid))
	if !valid {
		t.Error("the index is half made")
	}
}

// TestWhoWaitsToMigrateIsInNoTransaction: whoever makes an index would wait for its end.
func TestWhoWaitsToMigrateIsInNoTransaction(t *testing.T) {
	t.Parallel()
	dsn := storetest.Empty(t)
	db := owner(t, dsn)
	turn, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	_, err = turn.Exec(`SELECT pg_advisory_xact_lock(7377000142)`)
	must(t, err)
	var waits errgroup.Group
	waits.Go(func() error { return store.Migrate(t.Context(), dsn, slog.Default()) })
	seen := false
	for begin := time.Now(); time.Since(begin) < 2*time.Second; time.Sleep(10 * time.Millisecond) {
		var there bool
		var oldest float64
		must(t, db.QueryRow(`SELECT count(*) > 0, coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)), 0) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'paygraph migrate'`).Scan(&there, &oldest))
		if oldest > 1 {
			t.Fatalf("a transaction has waited for %.1f s", oldest)
		}
		seen = seen || there
	}
	if !seen {
		t.Error("nobody waited")
	}
	must(t, turn.Rollback())
	must(t, waits.Wait())
}

// TestAMigrationAndAnOldSnapshot: an index waits for those who were there before it, and is not begun anew meanwhile.
func TestAMigrationAndAnOldSnapshot(t *testing.T) {
	t.Parallel()
	dsn := storetest.Empty(t)
	db := owner(t, dsn)
	old, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	must(t, err)
	_, err = old.Exec(`SELECT 1`)
	must(t, err)
	var migrates errgroup.Group
	migrates.Go(func() error { return store.Migrate(t.Context(), dsn, slog.Default()) })
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		var waited float64
		must(t, db.QueryRow(`SELECT coalesce(extract(epoch FROM max(clock_timestamp() - query_start)), 0) FROM pg_stat_activity
			WHERE datname = current_database() AND query LIKE 'CREATE UNIQUE INDEX CONCURRENTLY%' AND state = 'active'`).Scan(&waited))
		if waited > 2 {
			break
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatal("no statement has waited for 2 s")
		}
	}
	must(t, old.Rollback())
	must(t, migrates.Wait())
}

// TestWhoHasNothingToMigrateWaitsForNobody: a node that ended starts again while another one makes the next index.
func TestWhoHasNothingToMigrateWaitsForNobody(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t)
	turn, err := owner(t, dsn).BeginTx(t.Context(), nil)
	must(t, err)
	defer func() { _ = turn.Rollback() }()
	_, err = turn.Exec(`SELECT pg_advisory_xact_lock(7377000142)`)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	must(t, store.Migrate(ctx, dsn, slog.Default()))
}

// TestAMigrationAndALongDump: whoever uses a table that is to be changed is waited for, and no payment waits behind the migration for long.
func TestAMigrationAndALongDump(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t)
	db := owner(t, dsn)
	for _, back := range []string{
		`ALTER TABLE idempotency ADD CONSTRAINT idempotency_pkey PRIMARY KEY (merchant_id, owner, key)`,
		`ALTER TABLE idempotency REPLICA IDENTITY DEFAULT`, `DELETE FROM goose_db_version WHERE version_id >= 6`,
		`DROP TABLE used_once, certificate, document`,
		`ALTER TABLE credential DROP keys, DROP request_keys, DROP signed_mutations, DROP documents, DROP limits`, // of the migrations after it
	} {
		_, err := db.Exec(back)
		must(t, err)
	}
	h := storetest.At(t, dsn)
	p := newPayer(t, h)
	dump, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	_, err = dump.Exec(`LOCK TABLE idempotency IN ACCESS SHARE MODE`)
	must(t, err)
	var migrates errgroup.Group
	migrates.Go(func() error { return store.Migrate(t.Context(), dsn, slog.Default()) })
	var looks, waits, windows int
	waited := make(chan struct{}) // for three times
	go func() {
		defer close(waited)
		for before := 0; windows < 3 && t.Context().Err() == nil; time.Sleep(10 * time.Millisecond) {
			var n int
			if err := db.QueryRow(`SELECT count(*) FROM pg_locks WHERE relation = 'idempotency'::regclass AND NOT granted
				AND mode = 'AccessExclusiveLock'`).Scan(&n); err != nil {
				t.Error(err)
				return
			}
			if looks, waits = looks+1, waits+n; n > before {
				windows++
			}
			before = n
		}
	}()
	for done := false; !done; {
		select {
		case <-waited:
			done = true
		default:
			if took := p.pay(h, "0.01"); took > 2*time.Second {
				t.Errorf("a payment waited for %v behind the migration", took)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	if waits*4 > looks { // from one window to the next it is a tenth
		t.Errorf("the migration stood in the way %d of %d times", waits, looks)
	}
	must(t, dump.Rollback())
	must(t, migrates.Wait())
	var left bool
	var identity string
	must(t, db.QueryRow(`SELECT EXISTS (SELECT FROM pg_constraint WHERE conname = 'idempotency_pkey'), relreplident FROM pg_class
		WHERE oid = 'idempotency'::regclass`).Scan(&left, &identity))
	if left || identity != "f" {
		t.Errorf("the migration was not done: a primary key %v, replica identity %s", left, identity)
	}
}
