package connector

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/connector/faultproxy"
)

// reading returns a connection of a pool whose transactions see one moment, in a transaction that BeginReadOnly has begun.
func reading(t *testing.T, db *sql.DB) *sql.Conn {
	t.Helper()
	conn := connection(t, db)
	if err := BeginReadOnly(context.Background(), conn); err != nil {
		t.Fatal(err)
	}
	return conn
}

// counted is how many effects a connection sees.
func counted(t *testing.T, conn *sql.Conn, id string) (n int) {
	t.Helper()
	if err := conn.QueryRowContext(context.Background(), "SELECT count(*) FROM effect WHERE id = $1", id).Scan(&n); err != nil {
		t.Error(err)
	}
	return n
}

func ended(t *testing.T, conn *sql.Conn) {
	t.Helper()
	if err := EndReadOnly(context.Background(), conn); err != nil {
		t.Error(err)
	}
}

// TestReadOnly reads as of one moment, is refused to write, and leaves the connection as it was.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"disable", "require"} {
		for _, kept := range []int{0, 10} {
			t.Run(fmt.Sprintf("sslmode %s, %d statements kept", mode, kept), func(t *testing.T) {
				t.Parallel()
				id := newID()
				db, err := Open(dsn(server)+"?sslmode="+mode, Options{Statements: kept,
					Settings: map[string]string{"default_transaction_isolation": "repeatable read"}})
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				conn := reading(t, db)
				for range 3 {
					before := counted(t, conn, id)
					do(t, insert, id)
					if n := counted(t, conn, id); n != before {
						t.Errorf("%d effects, and %d at first", n, before)
					}
					if _, err := conn.ExecContext(context.Background(), insert, id); code(err) != "25006" {
						t.Errorf("a transaction that only reads has written: %v", err)
					}
					ended(t, conn)
					if _, err := conn.ExecContext(context.Background(), insert, id); err != nil {
						t.Error(err)
					}
					if n := effects(t, id); n != before+2 {
						t.Errorf("%d effects; %d were expected: the transaction has not ended", n, before+2)
					}
					if err := BeginReadOnly(context.Background(), conn); err != nil {
						t.Error(err)
					}
				}
				ended(t, conn) // of a transaction without any statement
				counted(t, conn, id)
				_ = conn.Close()
				twentyQueries(t, db)
			})
		}
	}
}

// TestBeginGoesWithTheFirstStatement has a network that brings the answer to BEGIN late: the statement has been done by then.
func TestBeginGoesWithTheFirstStatement(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	db := open(t, p.Address, Options{})
	late := make(chan struct{})
	struck := p.Arm(faultproxy.Fault{Kind: faultproxy.HoldAnswer, Statement: "BEGIN", Held: late})
	var conn *sql.Conn
	within(t, 5*time.Second, func() { conn = reading(t, db) })
	if x := p.Exchanges(); len(x) > 0 {
		t.Error("something was sent before the first statement:", x)
	}
	done := make(chan int)
	go func() { done <- counted(t, conn, "nobody") }()
	<-struck
	if x := p.Exchanges(); len(x) != 2 {
		t.Error("the server has not got BEGIN and the statement at once, but", x)
	}
	close(late)
	if n := <-done; n != 0 {
		t.Error(n)
	}
	ended(t, conn)
}

// TestEndDoesNotWait has a network that brings the answer to ROLLBACK late. The next request gets its own answer all the same.
func TestEndDoesNotWait(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	db := open(t, p.Address, Options{})
	conn := reading(t, db)
	counted(t, conn, "nobody")
	late := make(chan struct{})
	struck := p.Arm(faultproxy.Fault{Kind: faultproxy.HoldAnswer, Statement: "ROLLBACK", Held: late})
	within(t, 5*time.Second, func() { ended(t, conn); <-struck })
	time.AfterFunc(50*time.Millisecond, func() { close(late) })
	id := newID()
	if _, err := conn.ExecContext(context.Background(), insert, id); err != nil {
		t.Error(err)
	}
	if n := counted(t, conn, id); n != 1 {
		t.Errorf("%d effects", n)
	}
}

// TestAnswersWithMoreInThem has a server that puts a changed parameter into the answer to ROLLBACK, and a warning into that to BEGIN.
func TestAnswersWithMoreInThem(t *testing.T) {
	t.Parallel()
	db := open(t, server, Options{})
	conn := reading(t, db)
	if _, err := conn.ExecContext(context.Background(), "SET TimeZone = 'Asia/Tokyo'"); err != nil {
		t.Fatal(err)
	}
	ended(t, conn)
	counted(t, conn, "nobody")
	if _, err := conn.ExecContext(context.Background(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	if err := BeginReadOnly(context.Background(), conn); err != nil { // "there is already a transaction in progress"
		t.Error(err)
	}
	counted(t, conn, "nobody")
	ended(t, conn)
	counted(t, conn, "nobody")
}

// TestBeginIsRefused has a server that refuses BEGIN, and carries out the statement behind it: its answer reaches nobody.
func TestBeginIsRefused(t *testing.T) {
	t.Parallel()
	id := newID()
	db := open(t, server, Options{Settings: map[string]string{"application_name": id}})
	conn := begun(t, db, newID())
	_, _ = conn.ExecContext(context.Background(), "SELECT 1/0")
	if err := BeginReadOnly(context.Background(), conn); err != nil {
		t.Error(err)
	}
	_, err := conn.ExecContext(context.Background(), "ROLLBACK") // which the server does, as it should after what failed
	if !errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("%v; an unknown outcome was expected", err)
	}
	_ = conn.Close()
	eventually(t, isGone, id)
	twentyQueries(t, db)
}

// TestLostAround ends the connection, or the patience, at BEGIN with its statement and at what follows ROLLBACK.
func TestLostAround(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		f    faultproxy.Fault
	}{
		{"the request with BEGIN is lost", faultproxy.Fault{Kind: faultproxy.LoseRequest, Statement: "BEGIN"}},
		{"the answer to BEGIN is cut", faultproxy.Fault{Kind: faultproxy.CutAnswer, Statement: "BEGIN", Bytes: 9}},
		{"the answer to BEGIN is all that comes", faultproxy.Fault{Kind: faultproxy.CutAnswer, Statement: "BEGIN", Bytes: len(beginAnswer)}},
		{"the answer to BEGIN does not come", faultproxy.Fault{Kind: faultproxy.SwallowAnswer, Statement: "BEGIN"}},
		{"the answer to BEGIN is an error", faultproxy.Fault{Kind: faultproxy.FakeAnswer, Statement: "BEGIN",
			Fake: faultproxy.ErrorAnswer("ERROR", "57014")}},
		{"the answer to ROLLBACK is cut", faultproxy.Fault{Kind: faultproxy.CutAnswer, Statement: "ROLLBACK", Bytes: 9}},
		{"the answer to ROLLBACK does not come", faultproxy.Fault{Kind: faultproxy.SwallowAnswer, Statement: "ROLLBACK"}},
		{"the answer to ROLLBACK is an error", faultproxy.Fault{Kind: faultproxy.FakeAnswer, Statement: "ROLLBACK",
			Fake: faultproxy.ErrorAnswer("ERROR", "57014")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t)
			db := open(t, p.Address, Options{})
			conn := reading(t, db)
			p.Arm(c.f)
			ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
			defer cancel()
			within(t, 10*time.Second, func() {
				var one int
				err := conn.QueryRowContext(ctx, "SELECT 1").Scan(&one)
				if err == nil {
					ended(t, conn)
					err = conn.QueryRowContext(ctx, "SELECT 1").Scan(&one)
				}
				if err == nil {
					t.Error("nothing was noticed")
				}
			})
			_ = conn.Close()
			twentyQueries(t, db)
		})
	}
}

// TestNobodyEnds gives back a connection whose transaction was begun, and which nobody has ended.
func TestNobodyEnds(t *testing.T) {
	t.Parallel()
	db := open(t, server, Options{})
	conn := reading(t, db)
	for range 2 { // a second time changes nothing
		if err := BeginReadOnly(context.Background(), conn); err != nil {
			t.Error(err)
		}
	}
	_ = conn.Close()
	if n := db.Stats().OpenConnections; n != 0 {
		t.Errorf("%d connections are open", n)
	}
	twentyQueries(t, db)
}

// TestEndsUnheard has a server that ends the session while the answer to ROLLBACK is still to be read: nobody notices.
func TestEndsUnheard(t *testing.T) {
	t.Parallel()
	id := newID()
	db := open(t, server, Options{Settings: map[string]string{"application_name": id}})
	conn := reading(t, db)
	counted(t, conn, id)
	ended(t, conn)
	_ = conn.Close()
	do(t, terminate, id)
	eventually(t, isGone, id)
	twentyQueries(t, db)
}
