package connector

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/connector/faultproxy"
)

// commitDeadline is what the tests give a COMMIT.
const commitDeadline = 400 * time.Millisecond

// commitCase is what a transaction that was begun by hand meets at its last statement and COMMIT.
type commitCase struct {
	name      string
	more      string                                             // is done in the transaction before
	statement string                                             // the last; insert if empty
	meddle    func(t *testing.T, p *faultproxy.Proxy, id string) // before it
	patience  time.Duration                                      // of the one who commits; commitDeadline if zero
	want      string
	effects   int
	kept      bool // the connection serves further queries
}

// answerCases are what the server itself says.
var answerCases = []commitCase{
	{name: "it is done", want: "ok", effects: 2, kept: true},
	{name: "the transaction had failed", more: "SELECT 1/0", want: "25P02", kept: true},
	{name: "the statement fails", statement: "SELECT 1 / (length($1) - length($1))", want: "22012", kept: true},
	{name: "the statement does not exist", statement: "SELECT nothing($1)", want: "42883", kept: true},
	{name: "a deferred constraint is violated", more: "INSERT INTO checked VALUES (1), (1)", want: "23505", kept: true},
	{name: "the server is busy with COMMIT at the deadline", more: "INSERT INTO slow VALUES (1)", want: "unknown"},
	{name: "the server is busy with the statement at the deadline", statement: sleepy, want: "unknown"},
}

// networkCases are what the network, and a server that ends, make of it.
var networkCases = []commitCase{
	{name: "the backend is ended while it commits", more: "INSERT INTO slow VALUES (1)", patience: time.Minute,
		meddle: func(t *testing.T, _ *faultproxy.Proxy, id string) {
			done := make(chan struct{})
			go func() { defer close(done); eventually(t, isActive, id); do(t, terminate, id) }()
			t.Cleanup(func() { <-done })
		}, want: "unknown"},
	{name: "the network swallows the request", meddle: fault(faultproxy.Fault{Kind: faultproxy.SwallowRequest}), want: "unknown"},
	{name: "the network swallows the answers", meddle: fault(faultproxy.Fault{Kind: faultproxy.SwallowAnswer}), want: "unknown", effects: 2},
	{name: "the network swallows the answer to COMMIT", meddle: fault(faultproxy.Fault{Kind: faultproxy.SwallowAnswer, Statement: "COMMIT"}),
		want: "unknown", effects: 2},
	{name: "admin_shutdown is the answer", meddle: fake(faultproxy.ErrorMessage("FATAL", "57P01"), ""), want: "unknown"},
	{name: "admin_shutdown is the answer to COMMIT", meddle: fake(faultproxy.ErrorMessage("FATAL", "57P01"), "COMMIT"), want: "unknown"},
	{name: "an error is the answer, and the socket is closed", meddle: fake(faultproxy.ErrorAnswer("ERROR", "40001"), ""), want: "40001"},
	{name: "an error is the answer to COMMIT, and the socket is closed", meddle: fake(faultproxy.ErrorAnswer("ERROR", "40001"), "COMMIT"),
		want: "40001"},
}

func fault(f faultproxy.Fault) func(*testing.T, *faultproxy.Proxy, string) {
	return func(_ *testing.T, p *faultproxy.Proxy, _ string) { p.Arm(f) }
}

func fake(answer []byte, statement string) func(*testing.T, *faultproxy.Proxy, string) {
	return fault(faultproxy.Fault{Kind: faultproxy.FakeAnswer, Fake: answer, Statement: statement})
}

// TestExecAndCommit commits transactions that were begun by hand, as the store's writers do: with COMMIT behind the statement where
// there is no TLS, and after it where there is; with statements that are kept prepared, and without.
func TestExecAndCommit(t *testing.T) {
	t.Parallel()
	for _, c := range slices.Concat(answerCases, networkCases) {
		for _, kept := range []int{0, 10} {
			t.Run(fmt.Sprintf("%s, %d statements kept", c.name, kept), func(t *testing.T) {
				t.Parallel()
				p := newProxy(t)
				c.run(t, p, dsn(p.Address)+"?sslmode=disable", kept)
				if n := p.Cancels.Load(); n != 0 {
					t.Errorf("%d cancel requests", n)
				}
			})
		}
	}
	for _, c := range answerCases {
		t.Run(c.name+", with TLS", func(t *testing.T) {
			t.Parallel()
			c.run(t, nil, dsn(server)+"?sslmode=require", 10)
		})
	}
}

func (c commitCase) run(t *testing.T, p *faultproxy.Proxy, dsn string, kept int) {
	id := newID()
	db, err := Open(dsn, Options{Statements: kept, Settings: map[string]string{"application_name": id, "statement_timeout": "20s"}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn := begun(t, db, id)
	if kept > 0 {
		_, _ = conn.ExecContext(context.Background(), "SAVEPOINT s")
		_, _ = conn.ExecContext(context.Background(), insert, id) // prepares it
		_, _ = conn.ExecContext(context.Background(), "ROLLBACK TO s")
	}
	if c.more != "" {
		_, _ = conn.ExecContext(context.Background(), c.more)
	}
	if c.meddle != nil {
		c.meddle(t, p, id)
	}
	within(t, 10*time.Second, func() {
		err = ExecAndCommit(conn, cmp.Or(c.patience, commitDeadline), cmp.Or(c.statement, insert), id)
	})
	if code(err) != c.want {
		t.Errorf("%v; %s was expected", err, c.want)
	}
	if n := effects(t, id); n != c.effects {
		t.Errorf("%d effects; %d were expected", n, c.effects)
	}
	if strings.Contains(c.name, "swallows") {
		within(t, time.Second, func() { <-p.Gone }) // the socket is closed, and conn is not yet
	}
	if err != nil && c.kept {
		_, err = conn.ExecContext(context.Background(), "ROLLBACK") // whether or not COMMIT has ended the transaction
		if err != nil {
			t.Error("ROLLBACK:", err)
		}
	}
	var backend, same int
	_ = conn.QueryRowContext(context.Background(), "SELECT pg_backend_pid()").Scan(&backend)
	_ = conn.Close()
	time.Sleep(commitDeadline) // a deadline that was left on the socket would pass now
	twentyQueries(t, db)
	if err := db.QueryRow("SELECT pg_backend_pid()").Scan(&same); err != nil || (same == backend) != c.kept {
		t.Errorf("the connection was used for the later queries: %v, %v", same == backend, err)
	}
}

// TestCommitGoesWithTheStatement has a network that brings the answers late: both the statement and COMMIT have been done by then.
func TestCommitGoesWithTheStatement(t *testing.T) {
	t.Parallel()
	p, id := newProxy(t), newID()
	db := open(t, p.Address, Options{})
	conn := begun(t, db, id)
	late := make(chan struct{})
	struck := p.Arm(faultproxy.Fault{Kind: faultproxy.HoldAnswer, Held: late})
	done := make(chan error)
	go func() { done <- ExecAndCommit(conn, time.Minute, insert, id) }()
	<-struck
	if n := effects(t, id); n != 2 {
		t.Errorf("%d effects before the first answer", n)
	}
	close(late)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestMerged has the answer to a statement and COMMIT come in pieces of any size.
func TestMerged(t *testing.T) {
	t.Parallel()
	m := faultproxy.Message
	notice := m('N', "SNOTICE\x00C\x00\x00")
	sent := slices.Concat(m('2', ""), m('C', "UPDATE 1\x00"), m('1', ""), notice, m('2', ""), m('C', "COMMIT\x00"), m('Z', "I"))
	want := slices.Concat(m('2', ""), m('C', "UPDATE 1\x00"), notice, m('C', "COMMIT\x00"), m('Z', "I"))
	for size := 1; size <= len(sent); size++ {
		here, there := net.Pipe()
		go func() {
			for piece := range slices.Chunk(sent, size) {
				_, _ = there.Write(piece)
			}
		}()
		w := &wire{Conn: here, merges: true}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(w, got); err != nil || !bytes.Equal(got, want) || w.tag != "COMMIT" || len(w.given) > 0 {
			t.Errorf("in pieces of %d: %q, %v, tag %s", size, got, err, w.tag)
		}
		_, _ = here.Close(), there.Close()
	}
}

// TestCommitIsAnsweredByRollback has a server that does the statement, and rolls back at COMMIT without an error.
func TestCommitIsAnsweredByRollback(t *testing.T) {
	t.Parallel()
	p, id, m := newProxy(t), newID(), faultproxy.Message
	conn := begun(t, open(t, p.Address, Options{Statements: 1}), id)
	if _, err := conn.ExecContext(t.Context(), insert, id); err != nil { // prepares it
		t.Fatal(err)
	}
	p.Arm(faultproxy.Fault{Kind: faultproxy.FakeAnswer, Fake: slices.Concat(m('2', ""), m('C', "INSERT 0 1\x00"), m('1', ""), m('2', ""),
		m('C', "ROLLBACK\x00"), m('Z', "I"))})
	if err := ExecAndCommit(conn, commitDeadline, insert, id); code(err) != "failed transaction" {
		t.Error(err)
	}
	Discard(conn)
}

// TestCommitGoesNowhereWithAnotherRequest: with what has no parameters, and with what lib/pq refuses before it sends anything.
func TestCommitGoesNowhereWithAnotherRequest(t *testing.T) {
	t.Parallel()
	for name, arguments := range map[string][]any{"no parameters": nil, "too many": make([]any, 65536)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, id := newProxy(t), newID()
			db := open(t, p.Address, Options{})
			conn := begun(t, db, id)
			p.Arm(faultproxy.Fault{})
			if err := ExecAndCommit(conn, time.Minute, "SELECT 1", arguments...); err == nil || code(err) == "unknown" {
				t.Error(err)
			}
			if x := p.Exchanges(); len(x) > 0 {
				t.Error("something was sent:", x)
			}
			_ = conn.Close()
			if n := effects(t, id); n != 0 {
				t.Errorf("%d effects", n)
			}
			twentyQueries(t, db)
		})
	}
}

func TestForeignConnectionsAreRefused(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("postgres", dsn(server)+"?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn := begun(t, db, newID())
	for name, err := range map[string]error{
		"ExecAndCommit": ExecAndCommit(conn, commitDeadline, insert, "x"),
		"ExecAlone":     ExecAlone(conn, commitDeadline, insert, "x"),
		"BeginReadOnly": BeginReadOnly(context.Background(), conn),
		"EndReadOnly":   EndReadOnly(context.Background(), conn),
	} {
		if !errors.Is(err, errForeign) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestExecAlone has the server commit, refuse and say nothing.
func TestExecAlone(t *testing.T) {
	t.Parallel()
	p, id := newProxy(t), newID()
	db := open(t, p.Address, Options{Statements: 10})
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := ExecAlone(conn, time.Second, insert, id); err != nil {
			t.Error(err)
		}
	}
	if n := effects(t, id); n != 2 {
		t.Errorf("%d effects, want 2", n)
	}
	if err := ExecAlone(conn, time.Second, "INSERT INTO effect (id) SELECT $1 WHERE 1 / (length($1) - length($1)) = 1", id); code(err) != "22012" {
		t.Errorf("a refusal: %v", err)
	}
	time.Sleep(1100 * time.Millisecond) // a deadline that was left on the socket would pass now
	if _, err := conn.ExecContext(t.Context(), "SELECT 1"); err != nil {
		t.Errorf("after the refusal: %v", err)
	}
	p.Arm(faultproxy.Fault{Kind: faultproxy.SwallowRequest})
	within(t, time.Second, func() { err = ExecAlone(conn, 50*time.Millisecond, insert, id) })
	if code(err) != "unknown" {
		t.Errorf("a server that says nothing: %v", err)
	}
	within(t, time.Second, func() { Discard(conn) })
	twentyQueries(t, db)
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
	p.Arm(faultproxy.Fault{Kind: faultproxy.SwallowRequest})
	if err := ExecAndCommit(conn, 50*time.Millisecond, insert, "x"); code(err) != "unknown" {
		t.Error(err)
	}
	within(t, time.Second, func() { Discard(conn) })
	twentyQueries(t, db)
}
