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

// whose is the value that a session's setting has.
func whose(t *testing.T, conn *sql.Conn) (value string) {
	t.Helper()
	if err := conn.QueryRowContext(context.Background(), "SELECT current_setting('test.whose', true) WHERE $1", true).Scan(&value); err != nil {
		t.Error(err)
	}
	return value
}

func set(t *testing.T, conn *sql.Conn, value string) {
	t.Helper()
	if err := Set(context.Background(), conn, "test.whose", value); err != nil {
		t.Error(err)
	}
}

func connection(t *testing.T, db *sql.DB) *sql.Conn {
	t.Helper()
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestSet gives a session one value after the other, around transactions and in front of every kind of request.
func TestSet(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"disable", "require"} {
		t.Run("sslmode "+mode, func(t *testing.T) {
			t.Parallel()
			db, err := Open(dsn(server)+"?sslmode="+mode, Options{Statements: 10})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			conn := connection(t, db)
			const quoted = `it's "Ada's"; \`
			for _, value := range []string{"Ada", "Ada", quoted, "Ada"} {
				set(t, conn, value)
				if got := whose(t, conn); got != value {
					t.Errorf("%q, want %q", got, value)
				}
			}
			set(t, conn, "Ben")
			if err := BeginReadOnly(context.Background(), conn); err != nil {
				t.Error(err)
			}
			if got := whose(t, conn); got != "Ben" {
				t.Errorf("%q in a transaction", got)
			}
			ended(t, conn)
			set(t, conn, "Ben")
			if got := whose(t, conn); got != "Ben" {
				t.Errorf("%q after a transaction", got)
			}
			set(t, conn, "Cat")
			if err := BeginReadOnly(context.Background(), conn); err != nil {
				t.Error(err)
			}
			ended(t, conn) // nothing was asked
			set(t, conn, "Cat")
			if got := whose(t, conn); got != "Cat" {
				t.Errorf("%q after a transaction in which nothing was asked", got)
			}
			set(t, conn, "Dan")
			id := newID()
			if err := ExecAlone(conn, 5*time.Second, "INSERT INTO effect SELECT $1 || current_setting('test.whose')", id); err != nil {
				t.Error(err)
			}
			if n := effects(t, id+"Dan"); n != 1 {
				t.Errorf("%d effects", n)
			}
			_ = conn.Close()
			twentyQueries(t, db)
			if got := whose(t, connection(t, db)); got != "Dan" {
				t.Errorf("%q in the same session, given back and taken again", got)
			}
		})
	}
}

// TestSetGoesWithTheNextStatement counts what is sent.
func TestSetGoesWithTheNextStatement(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	conn := connection(t, open(t, p.Address, Options{}))
	set(t, conn, "Ada")
	if err := BeginReadOnly(context.Background(), conn); err != nil {
		t.Error(err)
	}
	if x := p.Exchanges(); len(x) > 0 {
		t.Error("something was sent before the first statement:", x)
	}
	whose(t, conn)
	ended(t, conn)
	set(t, conn, "Ada")
	whose(t, conn)
	texts := []string{}
	for _, x := range p.Exchanges() {
		texts = append(texts, x.Statement)
	}
	if all := strings.Join(texts, "; "); strings.Count(all, "SET test.whose") != 1 || strings.Index(all, "SET") > strings.Index(all, "BEGIN") {
		t.Error(all)
	}
}

// TestSetIsRefused has a server that refuses SET, and carries out the statement behind it: its answer reaches nobody.
func TestSetIsRefused(t *testing.T) {
	t.Parallel()
	id := newID()
	db := open(t, server, Options{Settings: map[string]string{"application_name": id}})
	conn := connection(t, db)
	if err := Set(context.Background(), conn, "block_size", "1"); err != nil {
		t.Error(err)
	}
	if _, err := conn.ExecContext(context.Background(), insert, id); !errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("%v; an unknown outcome was expected", err)
	}
	_ = conn.Close()
	eventually(t, isGone, id)
	twentyQueries(t, db)
}

// TestSetIsLost cuts the network around SET: the session is given up, and the next one is told anew.
func TestSetIsLost(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	db := open(t, p.Address, Options{})
	conn := connection(t, db)
	set(t, conn, "Ada")
	p.Arm(faultproxy.Fault{Kind: faultproxy.CutAnswer, Statement: "SET test.whose"})
	if _, err := conn.ExecContext(context.Background(), insert, newID()); !errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("%v; an unknown outcome was expected", err)
	}
	_ = conn.Close()
	other := connection(t, db)
	set(t, other, "Ada")
	if got := whose(t, other); got != "Ada" {
		t.Errorf("%q", got)
	}
}
