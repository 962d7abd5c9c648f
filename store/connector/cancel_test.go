package connector

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/connector/faultproxy"
)

const sleepy = "WITH w AS (" + insert + ") SELECT pg_sleep(60)::text"

// sleepers are ways to run a statement that would take long.
var sleepers = map[string]func(ctx context.Context, db *sql.DB, id string) error{
	"Exec": func(ctx context.Context, db *sql.DB, id string) error {
		return result(db.ExecContext(ctx, sleepy, id))
	},
	"Exec without parameters": func(ctx context.Context, db *sql.DB, id string) error {
		return result(db.ExecContext(ctx, "INSERT INTO effect SELECT '"+id+"' FROM pg_sleep(60)"))
	},
	"QueryRow": func(ctx context.Context, db *sql.DB, id string) error {
		return db.QueryRowContext(ctx, sleepy, id).Scan(new(string))
	},
	"prepared Exec": func(ctx context.Context, db *sql.DB, id string) error {
		stmt, err := db.Prepare(sleepy)
		if err != nil {
			return err
		}
		defer stmt.Close()
		return result(stmt.ExecContext(ctx, id))
	},
	"prepared QueryRow": func(ctx context.Context, db *sql.DB, id string) error {
		stmt, err := db.Prepare(sleepy)
		if err != nil {
			return err
		}
		defer stmt.Close()
		return stmt.QueryRowContext(ctx, id).Scan(new(string))
	},
}

// TestCancel ends the context of a statement: what the server says to that counts.
func TestCancel(t *testing.T) {
	t.Parallel()
	for name, run := range sleepers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, id := newProxy(t), newID()
			db := open(t, p.Address, Options{})
			warm(t, db)
			ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
			defer cancel()
			if err := run(ctx, db, id); code(err) != "57014" {
				t.Error(err)
			}
			if p.Cancels.Load() != 1 {
				t.Errorf("%d cancel requests", p.Cancels.Load())
			}
			if n := effects(t, id); n != 0 {
				t.Errorf("%d effects", n)
			}
			if n := db.Stats().OpenConnections; n != 0 { // a late cancel request must not hit another's statement
				t.Errorf("%d connections are kept", n)
			}
			twentyQueries(t, db)
		})
	}
}

// TestCancelWithoutAnswer ends the context of a statement that the network swallowed, and the cancel request with it.
func TestCancelWithoutAnswer(t *testing.T) {
	t.Parallel()
	for name, run := range sleepers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, id, at := newProxy(t), newID(), 0
			if strings.HasPrefix(name, "prepared") {
				at = 1
			}
			db := open(t, p.Address, Options{ConnectTimeout: time.Second})
			warm(t, db)
			p.DropCancels.Store(true)
			p.Arm(faultproxy.Fault{Kind: faultproxy.SwallowRequest, At: at})
			ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
			defer cancel()
			within(t, cancelGrace+2*time.Second, func() {
				if err := run(ctx, db, id); code(err) != "unknown" {
					t.Error(err)
				}
			})
			twentyQueries(t, db)
		})
	}
}

// TestNoCancel ends the context of a statement that is not to be cancelled: the server goes on, and the session is given up.
func TestNoCancel(t *testing.T) {
	t.Parallel()
	for name, run := range sleepers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, id := newProxy(t), newID()
			db := open(t, p.Address, Options{NoCancel: true, Settings: map[string]string{"statement_timeout": "20s"}})
			warm(t, db)
			ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
			defer cancel()
			within(t, cancelGrace+2*time.Second, func() {
				if err := run(ctx, db, id); code(err) != "unknown" {
					t.Error(err)
				}
			})
			if n := p.Cancels.Load(); n != 0 {
				t.Errorf("%d cancel requests", n)
			}
			twentyQueries(t, db)
		})
	}
}

func TestCancelBefore(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	db := open(t, p.Address, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := db.ExecContext(ctx, insert, newID()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if x := p.Exchanges(); len(x) != 0 {
		t.Error("something was sent:", x)
	}
}

// TestCancelDuringCommit ends a transaction's context while its COMMIT waits for the answer.
func TestCancelDuringCommit(t *testing.T) {
	t.Parallel()
	p, id := newProxy(t), newID()
	db := open(t, p.Address, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tx, err := db.BeginTx(ctx, nil)
	if err == nil {
		_, err = tx.Exec(insert, id)
	}
	if err != nil {
		t.Fatal(err)
	}
	held := make(chan struct{})
	p.Arm(faultproxy.Fault{Kind: faultproxy.HoldAnswer, Held: held})
	go func() {
		for len(p.Exchanges()) == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
		time.Sleep(100 * time.Millisecond)
		close(held)
	}()
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
	if n := p.Cancels.Load(); n != 0 {
		t.Errorf("%d cancel requests", n)
	}
	if n := effects(t, id); n != 1 {
		t.Errorf("%d effects", n)
	}
}
