package connector

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lib/pq"

	"github.com/paygraph/paygraph/store/connector/faultproxy"
)

// code is the SQLSTATE of an error, and "unknown" where the outcome is.
func code(err error) string {
	var answer *pq.Error
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrOutcomeUnknown):
		return "unknown"
	case errors.As(err, &answer):
		return string(answer.Code)
	case errors.Is(err, pq.ErrInFailedTransaction):
		return "failed transaction"
	case errors.Is(err, driver.ErrBadConn):
		return "never sent"
	default:
		return err.Error()
	}
}

func do(t testing.TB, query string, args ...any) {
	t.Helper()
	db, err := direct()
	if err == nil {
		_, err = db.Exec(query, args...)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until the query returns true, for 10 s at most.
func eventually(t testing.TB, query string, args ...any) {
	t.Helper()
	db, err := direct()
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var yes bool
		if err := db.QueryRow(query, args...).Scan(&yes); err != nil {
			t.Fatal(err)
		}
		if yes {
			return
		}
	}
	t.Fatalf("not within 10 s: %s %v", query, args)
}

const (
	terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1"
	isGone    = "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = $1"
	isActive  = "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = $1 AND state = 'active' AND wait_event = 'PgSleep'"
)

// end ends a backend.
func end(t testing.TB, id string) {
	t.Helper()
	do(t, terminate, id)
	eventually(t, isGone, id)
}

// terminations are what is going on when a backend is ended, as by a restart of the server.
var terminations = map[string]func(t *testing.T, db *sql.DB, id string){
	"idle connections cost nothing": func(t *testing.T, db *sql.DB, id string) {
		db.SetMaxIdleConns(5)
		var conns []*sql.Conn
		for range 5 {
			conn, err := db.Conn(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
		}
		for _, conn := range conns {
			_ = conn.Close()
		}
		end(t, id)
		for range 5 {
			if _, err := db.Exec(insert, id); err != nil {
				t.Error(err)
			}
		}
		if n := effects(t, id); n != 5 {
			t.Errorf("5 statements had %d effects", n)
		}
	},
	"an idle transaction knows that nothing more was sent": func(t *testing.T, db *sql.DB, id string) {
		tx, err := db.Begin()
		if err == nil {
			_, err = tx.Exec(insert, id)
		}
		if err != nil {
			t.Fatal(err)
		}
		end(t, id)
		if err := tx.Commit(); code(err) != "never sent" {
			t.Error(err)
		}
		if n := effects(t, id); n != 0 {
			t.Errorf("%d effects", n)
		}
	},
	"a transaction by hand knows that COMMIT was not sent": func(t *testing.T, db *sql.DB, id string) {
		conn := begun(t, db, id)
		end(t, id)
		if err := ExecAndCommit(conn, time.Second, insert, id); code(err) != "never sent" {
			t.Error(err)
		}
		if n := effects(t, id); n != 0 {
			t.Errorf("%d effects", n)
		}
	},
	"a statement that runs has an unknown outcome": func(t *testing.T, db *sql.DB, id string) {
		failed := make(chan error, 1)
		go func() { _, err := db.Exec("SELECT pg_sleep($1)", 60); failed <- err }()
		eventually(t, isActive, id)
		do(t, terminate, id)
		if err := <-failed; code(err) != "unknown" {
			t.Error(err)
		}
	},
}

func TestTermination(t *testing.T) {
	t.Parallel()
	for _, sslmode := range []string{"disable", "require"} {
		for name, run := range terminations {
			t.Run(name+", sslmode="+sslmode, func(t *testing.T) {
				t.Parallel()
				id := newID()
				db, err := Open(dsn(server)+"?sslmode="+sslmode, Options{Settings: map[string]string{"application_name": id}})
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				var encrypted bool
				if err := db.QueryRow("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&encrypted); err != nil {
					t.Fatal(err)
				}
				if encrypted != (sslmode == "require") {
					t.Fatal("TLS is", encrypted)
				}
				run(t, db, id)
				twentyQueries(t, db)
			})
		}
	}
}

// TestUndecided answers statements by errors that decide nothing, and by one that does.
func TestUndecided(t *testing.T) {
	t.Parallel()
	before := map[string][]byte{"Query after a row": faultproxy.OneRow()}
	for _, c := range []struct{ severity, code, want string }{
		{"ERROR", "57P01", "unknown"},
		{"FATAL", "57P01", "unknown"},
		{"FATAL", "25P03", "unknown"},
		{"PANIC", "XX000", "unknown"},
		{"ERROR", "08006", "unknown"},
		{"ERROR", "40003", "unknown"},
		{"ERROR", "40001", "40001"},
	} {
		for name, run := range map[string]func(*sql.DB) error{
			"Exec":  func(db *sql.DB) error { return result(db.Exec(insert, "x")) },
			"Query": func(db *sql.DB) error { return fiveRows(db.Query(insert, "x")) },
			"Query after a row": func(db *sql.DB) error {
				rows, err := db.Query("SELECT c")
				for n := 0; err == nil && rows.Next(); n++ {
					if n > 0 {
						return errors.New("a second row")
					}
				}
				if err != nil {
					return err
				}
				return rows.Err()
			},
			"BeginTx": func(db *sql.DB) error { return inTx(db, (*sql.Tx).Rollback, func(*sql.Tx) error { return nil }) },
		} {
			t.Run(fmt.Sprint(name, " answered by ", c.severity, " ", c.code), func(t *testing.T) {
				t.Parallel()
				p := newProxy(t)
				db := open(t, p.Address, Options{})
				warm(t, db)
				p.Arm(faultproxy.Fault{Kind: faultproxy.FakeAnswer, Fake: append(before[name], faultproxy.ErrorAnswer(c.severity, c.code)...)})
				if err := run(db); code(err) != c.want {
					t.Errorf("%v; %s was expected", err, c.want)
				}
				within(t, 10*time.Second, func() {
					for p.Connections() > 0 { // a query on the connection before its end would have an unknown outcome, and rightly
						time.Sleep(time.Millisecond)
					}
				})
				twentyQueries(t, db)
			})
		}
	}
}

// TestNoSpoiledPool has errors after which lib/pq alone keeps connections that are of no use; see TestWhyNotBare.
func TestNoSpoiledPool(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(t *testing.T, p *faultproxy.Proxy, db *sql.DB){
		"an error followed by a closed socket is the server's answer": func(t *testing.T, p *faultproxy.Proxy, db *sql.DB) {
			p.Arm(faultproxy.Fault{Kind: faultproxy.FakeAnswer, Fake: faultproxy.ErrorMessage("ERROR", "42P01")})
			if _, err := db.Exec(insert, "x"); code(err) != "42P01" {
				t.Error(err)
			}
		},
		"too many parameters": func(t *testing.T, _ *faultproxy.Proxy, db *sql.DB) {
			if _, err := db.Exec("SELECT 1", make([]any, 65536)...); err == nil || code(err) == "unknown" {
				t.Error(err)
			}
		},
		"COPY FROM STDIN is refused": func(t *testing.T, _ *faultproxy.Proxy, db *sql.DB) {
			_ = inTx(db, (*sql.Tx).Commit, func(tx *sql.Tx) error {
				_, err := tx.Prepare("COPY effect FROM STDIN")
				if !errors.Is(err, errCopy) {
					t.Error(err)
				}
				if _, err := tx.Exec("SELECT 1"); code(err) != "never sent" {
					t.Error(err)
				}
				return err
			})
		},
		"a value that cannot be scanned": func(t *testing.T, _ *faultproxy.Proxy, db *sql.DB) {
			if err := db.QueryRow("SELECT 'x' FROM generate_series(1, $1)", 1000).Scan(new(int)); err == nil || code(err) == "unknown" {
				t.Error(err)
			}
		},
		"a transaction that failed": func(t *testing.T, _ *faultproxy.Proxy, db *sql.DB) {
			err := inTx(db, (*sql.Tx).Commit, func(tx *sql.Tx) error { _, _ = tx.Exec("SELECT 1/0"); return nil })
			if code(err) != "failed transaction" {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t)
			db := open(t, p.Address, Options{})
			warm(t, db)
			run(t, p, db)
			twentyQueries(t, db)
		})
	}
}

func warm(t testing.TB, db *sql.DB) {
	t.Helper()
	if err := db.Ping(); err != nil {
		t.Fatal(err)
	}
}
