package connector

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/connector/proxytest"
)

// commitDeadline is what the tests give a COMMIT.
const commitDeadline = 400 * time.Millisecond

// commitCase is what a transaction that was begun by hand meets at its COMMIT.
type commitCase struct {
	name     string
	more     string                                            // is done in the transaction
	meddle   func(t *testing.T, p *proxytest.Proxy, id string) // before COMMIT
	patience time.Duration                                     // of the one who commits; commitDeadline if zero
	want     string
	effects  int
	kept     bool // the connection serves further queries
}

var commitCases = []commitCase{
	{name: "it is done", want: "ok", effects: 1, kept: true},
	{name: "the transaction had failed", more: "SELECT 1/0", want: "failed transaction", kept: true},
	{name: "a deferred constraint is violated", more: "INSERT INTO checked VALUES (1), (1)", want: "23505", kept: true},
	{name: "the server is busy with it at the deadline", more: "INSERT INTO slow VALUES (1)", want: "unknown"},
	{name: "the backend is ended while it commits", more: "INSERT INTO slow VALUES (1)", patience: time.Minute,
		meddle: func(t *testing.T, _ *proxytest.Proxy, id string) {
			done := make(chan struct{})
			go func() { defer close(done); eventually(t, isActive, id); do(t, terminate, id) }()
			t.Cleanup(func() { <-done })
		}, want: "unknown"},
	{name: "the network swallows the request", meddle: func(_ *testing.T, p *proxytest.Proxy, _ string) {
		p.Arm(proxytest.Fault{Kind: proxytest.SwallowRequest})
	}, want: "unknown"},
	{name: "the network swallows the answer", meddle: func(_ *testing.T, p *proxytest.Proxy, _ string) {
		p.Arm(proxytest.Fault{Kind: proxytest.SwallowAnswer})
	}, want: "unknown", effects: 1},
	{name: "admin_shutdown is the answer", meddle: func(_ *testing.T, p *proxytest.Proxy, _ string) {
		p.Arm(proxytest.Fault{Kind: proxytest.FakeAnswer, Fake: proxytest.ErrorMessage("FATAL", "57P01")})
	}, want: "unknown"},
	{name: "an error is the answer, and the socket is closed", meddle: func(_ *testing.T, p *proxytest.Proxy, _ string) {
		p.Arm(proxytest.Fault{Kind: proxytest.FakeAnswer, Fake: proxytest.ErrorAnswer("ERROR", "40001")})
	}, want: "40001"},
}

// TestCommit commits a transaction that was begun by hand on a connection, as the store's writers do.
func TestCommit(t *testing.T) {
	t.Parallel()
	for _, c := range commitCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, id := newProxy(t), newID()
			db := open(t, p.Address, Options{Settings: map[string]string{"application_name": id}})
			conn := begun(t, db, id)
			if c.more != "" {
				_, _ = conn.ExecContext(context.Background(), c.more)
			}
			if c.meddle != nil {
				c.meddle(t, p, id)
			}
			var err error
			within(t, 10*time.Second, func() { err = Commit(conn, cmp.Or(c.patience, commitDeadline)) })
			if code(err) != c.want {
				t.Errorf("%v; %s was expected", err, c.want)
			}
			if n := effects(t, id); n != c.effects {
				t.Errorf("%d effects; %d were expected", n, c.effects)
			}
			if n := p.Cancels.Load(); n != 0 {
				t.Errorf("%d cancel requests", n)
			}
			if strings.Contains(c.name, "swallows") {
				within(t, time.Second, func() { <-p.Gone }) // the socket is closed, and conn is not yet
			}
			_ = conn.Close()
			time.Sleep(commitDeadline) // a deadline that was left on the socket would pass now
			twentyQueries(t, db)
			if kept := p.Logins.Load() == 1; kept != c.kept {
				t.Errorf("the connection was used for the later queries: %v", kept)
			}
		})
	}
}

func TestCommitRefusesForeignConnection(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("postgres", dsn(server)+"?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := Commit(begun(t, db, newID()), commitDeadline); !errors.Is(err, errForeign) {
		t.Error(err)
	}
}

// begun returns a connection on which a transaction has had the effect.
func begun(t *testing.T, db *sql.DB, id string) *sql.Conn {
	t.Helper()
	conn, err := db.Conn(context.Background())
	if err == nil {
		_, err = conn.ExecContext(context.Background(), "BEGIN; INSERT INTO effect VALUES ('"+id+"')")
	}
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// behindCase is what a statement with which COMMIT is sent meets.
type behindCase struct {
	name           string
	statement      string
	says, thenSays string // the statement and COMMIT
	effects        int
}

var behindCases = []behindCase{
	{name: "it is done", statement: insert, says: "ok", thenSays: "ok", effects: 2},
	{name: "the statement fails", statement: "SELECT 1 / (length($1) - length($1))", says: "22012", thenSays: "failed transaction"},
	{name: "the statement does not exist", statement: "SELECT nothing($1)", says: "42883", thenSays: "failed transaction"},
	{name: "a deferred constraint is violated", statement: "INSERT INTO checked SELECT 1 FROM generate_series(1, 1 + length($1))", says: "ok",
		thenSays: "23505"},
}

// TestWithCommit sends COMMIT together with a statement, where there is no TLS, and one after the other where there is.
func TestWithCommit(t *testing.T) {
	t.Parallel()
	for _, sslmode := range []string{"disable", "require"} {
		for _, c := range behindCases {
			t.Run(c.name+", sslmode="+sslmode, func(t *testing.T) {
				t.Parallel()
				for _, kept := range []int{0, 10} {
					id := newID()
					db, err := Open(dsn(server)+"?sslmode="+sslmode, Options{Statements: kept, NoCancel: true})
					if err != nil {
						t.Fatal(err)
					}
					defer db.Close()
					conn := begun(t, db, id)
					if _, err := conn.ExecContext(WithCommit(context.Background()), c.statement, id); code(err) != c.says {
						t.Errorf("the statement: %v; %s was expected", err, c.says)
					}
					if err := Commit(conn, commitDeadline); code(err) != c.thenSays {
						t.Errorf("COMMIT: %v; %s was expected", err, c.thenSays)
					}
					if n := effects(t, id); n != c.effects {
						t.Errorf("%d effects; %d were expected", n, c.effects)
					}
					var n int
					if err := conn.QueryRowContext(context.Background(), "SELECT 42").Scan(&n); err != nil || n != 42 {
						t.Errorf("then the connection answers %d, %v", n, err)
					}
					_ = conn.Close()
					twentyQueries(t, db)
				}
			})
		}
	}
}

// TestWithCommitIsOneWay has a network that brings the answers late: both the statement and COMMIT have been done by then.
func TestWithCommitIsOneWay(t *testing.T) {
	t.Parallel()
	p, id := newProxy(t), newID()
	db := open(t, p.Address, Options{Statements: 10})
	conn := begun(t, db, id)
	late := make(chan struct{})
	struck := p.Arm(proxytest.Fault{Kind: proxytest.HoldAnswer, Statement: "INSERT", Held: late})
	go func() {
		defer close(late)
		<-struck
		eventually(t, "SELECT count(*) = 2 FROM effect WHERE id = $1", id)
	}()
	if _, err := conn.ExecContext(WithCommit(context.Background()), insert, id); err != nil {
		t.Error(err)
	}
}

// TestOnlyCommitFollowsWithCommit: another request would be given the answer to COMMIT.
func TestOnlyCommitFollowsWithCommit(t *testing.T) {
	t.Parallel()
	id := newID()
	db := open(t, server, Options{})
	conn := begun(t, db, id)
	if _, err := conn.ExecContext(WithCommit(context.Background()), insert, id); err != nil {
		t.Error(err)
	}
	if _, err := conn.ExecContext(context.Background(), "SELECT 1"); code(err) != "never sent" {
		t.Error(err)
	}
	_ = conn.Close()
	if n := db.Stats().OpenConnections; n != 0 {
		t.Errorf("%d connections are kept", n)
	}
	eventually(t, "SELECT count(*) = 2 FROM effect WHERE id = $1", id)
	twentyQueries(t, db)
}

// TestWithCommitIsNotCancelled ends the context: the request to cancel could hit COMMIT.
func TestWithCommitIsNotCancelled(t *testing.T) {
	t.Parallel()
	p, id := newProxy(t), newID()
	db := open(t, p.Address, Options{Settings: map[string]string{"statement_timeout": "20s"}})
	conn := begun(t, db, id)
	ctx, cancel := context.WithTimeout(WithCommit(context.Background()), 200*time.Millisecond)
	defer cancel()
	within(t, cancelGrace+2*time.Second, func() {
		if _, err := conn.ExecContext(ctx, sleepy, id); code(err) != "unknown" {
			t.Error(err)
		}
	})
	if n := p.Cancels.Load(); n != 0 {
		t.Errorf("%d cancel requests", n)
	}
	Discard(conn)
	twentyQueries(t, db)
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	id := newID()
	db := open(t, server, Options{Settings: map[string]string{"application_name": id}})
	conn := begun(t, db, id)
	Discard(conn)
	if n := db.Stats().OpenConnections; n != 0 {
		t.Errorf("%d connections are open", n)
	}
	eventually(t, isGone, id)
	if n := effects(t, id); n != 0 {
		t.Errorf("%d effects", n)
	}
	Discard(conn)
	if err := conn.Close(); !errors.Is(err, sql.ErrConnDone) {
		t.Error(err)
	}
	twentyQueries(t, db)
}

// TestDiscardDoesNotWait has a server that takes nothing in and says nothing.
func TestDiscardDoesNotWait(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	db := open(t, p.Address, Options{})
	conn := begun(t, db, newID())
	p.Arm(proxytest.Fault{Kind: proxytest.SwallowRequest})
	if err := Commit(conn, 50*time.Millisecond); code(err) != "unknown" {
		t.Error(err)
	}
	within(t, time.Second, func() { Discard(conn) })
	twentyQueries(t, db)
}
