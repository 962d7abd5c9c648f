package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/storetest"
)

// What another node commits while a batch waits for the lock, the batch sees, and its time comes after that: of a command that is alone
// in its batch, and of several, whose keys are looked up by another statement.
func TestWhatComesAfterTheLockIsReadAfterIt(t *testing.T) {
	t.Parallel()
	for name, companions := range map[string]int{"a command alone": 0, "a batch": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := storetest.New(t)
			db := owner(t, h.DSN)
			p := h.Merchant(t)
			from, to := wallet(t, h, p, "100.00"), wallet(t, h, p, "")
			taken := key()

			free := occupyWriters(t, h)
			other, err := db.BeginTx(context.WithoutCancel(t.Context()), nil)
			must(t, err)
			t.Cleanup(func() { _ = other.Rollback() })
			_, err = other.Exec(`SELECT 1 FROM head WHERE merchant_id = $1 FOR UPDATE`, uuid(p))
			must(t, err)
			var reused error
			calls := []func(context.Context){func(ctx context.Context) { _, reused = pay(ctx, h, p, taken, from, to, "1.00") }}
			createdAt := make([]time.Time, companions)
			for i := range companions {
				calls = append(calls, func(ctx context.Context) {
					s, err := pay(ctx, h, p, key(), from, to, "1.00")
					if err != nil {
						t.Error(err)
						return
					}
					createdAt[i] = s.Payment.CreatedAt
				})
			}
			wait := queue(t.Context(), calls...)
			free()
			until(t, "the batch waits for the lock", func() (waits bool) {
				must(t, db.QueryRow(`SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
					AND application_name = 'paygraph writer' AND wait_event_type = 'Lock')`).Scan(&waits))
				return waits
			})
			var late time.Time
			must(t, other.QueryRow(`INSERT INTO idempotency (merchant_id, owner, key, operation, fingerprint, object_id, result_version, created_at)
				VALUES ($1, '', $2, 'depositFunds', '', 'x', 1, clock_timestamp()) RETURNING clock_timestamp()`, uuid(p), taken).Scan(&late))
			must(t, other.Commit())
			wait()
			var refusal answer.IdempotencyKeyReused
			if !errors.As(reused, &refusal) || refusal.OriginalOperation != "depositFunds" {
				t.Errorf("the key that was taken meanwhile: %v, want IdempotencyKeyReused", reused)
			}
			for _, at := range createdAt {
				if !at.After(late.UTC().Truncate(time.Microsecond)) {
					t.Errorf("t is %v, before the lock was given at %v", at, late)
				}
			}
		})
	}
}

// occupyWriters has every writer wait for the lock of a merchant of its own until free is called.
func occupyWriters(t *testing.T, h *storetest.House) (free func()) {
	t.Helper()
	var busy []auth.Principal
	var from, to []ledger.AccountID
	for range store.DefaultWriters {
		p := h.Merchant(t)
		busy, from, to = append(busy, p), append(from, wallet(t, h, p, "1.00")), append(to, wallet(t, h, p, ""))
	}
	db := owner(t, h.DSN)
	release := hold(t, db, busy...)
	t.Cleanup(release)
	var calls []func(context.Context)
	for i, p := range busy {
		calls = append(calls, func(ctx context.Context) {
			if _, err := pay(ctx, h, p, key(), from[i], to[i], "1.00"); err != nil {
				t.Error(err)
			}
		})
	}
	wait := queue(t.Context(), calls...)
	until(t, "all writers wait", func() bool {
		var n int
		must(t, db.QueryRow(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
			AND application_name = 'paygraph writer' AND wait_event_type = 'Lock'`).Scan(&n))
		return n == store.DefaultWriters
	})
	return func() { release(); wait() }
}

// patience is for a machine that is busy: a writer that waits for a lock gives up after 2 s, and tries again.
const patience = 8 * time.Second

// until waits until something is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// A key may hold whatever a text may, also what has a meaning in SQL and in arrays, alone and in a batch.
func TestAKeyIsALiteral(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	from, to := wallet(t, h, p, "100.00"), wallet(t, h, p, "")
	keys := []string{`o'clock o'clock'); --`, `back\slash\\ \' \x41`, `{"array","of, two"}`, `$1 $2 ${x} NULL`, `ключ ключ ключ 🗝`}
	for _, k := range keys {
		_, err := pay(t.Context(), h, p, k, from, to, "1.00")
		must(t, err)
		if s, err := pay(t.Context(), h, p, k, from, to, "1.00"); err != nil || !s.Replayed {
			t.Errorf("%s, alone: %+v, %v, want a replay", k, s.Replayed, err)
		}
	}
	free := occupyWriters(t, h)
	var calls []func(context.Context)
	for _, k := range keys {
		calls = append(calls, func(ctx context.Context) {
			if s, err := pay(ctx, h, p, k, from, to, "1.00"); err != nil || !s.Replayed {
				t.Errorf("%s, in a batch: %+v, %v, want a replay", k, s.Replayed, err)
			}
		})
	}
	wait := queue(t.Context(), calls...)
	free()
	wait()
}
