package connector

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/connector/faultproxy"
)

// scenario is a use of the pool whose effect is one row with the given id.
type scenario struct {
	name     string
	run      func(db *sql.DB, id string) error
	requests []string // what each request of it is, in order; see step
}

// What a request is to a scenario.
const (
	harmless = "harmless"           // changes nothing: may be sent again, and its loss is never an unknown outcome
	inside   = "inside transaction" // changes nothing unless a later one commits
	commits  = "commits"            // when it has run, the effect is there
	together = "with COMMIT"        // COMMIT is in it: when all but its last message has arrived, the effect may be there
)

const insert = "INSERT INTO effect (id) VALUES ($1)"

func scenarios() []scenario {
	ctx := context.Background()
	literal := func(sql, id string) string { return fmt.Sprintf(sql, "'"+id+"'") }
	return []scenario{
		{"Exec without parameters", func(db *sql.DB, id string) error {
			return result(db.Exec(literal("INSERT INTO effect (id) VALUES (%s)", id)))
		}, []string{commits}},
		{"Exec with parameters", func(db *sql.DB, id string) error {
			return result(db.Exec(insert, id))
		}, []string{commits}},
		{"Exec of a statement prepared on the pool", func(db *sql.DB, id string) error {
			stmt, err := db.Prepare(insert)
			if err != nil {
				return err
			}
			defer stmt.Close()
			return result(stmt.Exec(id))
		}, []string{harmless, commits, harmless}},
		{"Exec of a statement prepared on a connection", func(db *sql.DB, id string) error {
			return onConn(db, func(conn *sql.Conn) error {
				stmt, err := conn.PrepareContext(ctx, insert)
				if err != nil {
					return err
				}
				defer stmt.Close()
				return result(stmt.ExecContext(ctx, id))
			})
		}, []string{harmless, commits, harmless}},
		{"QueryRow without parameters", func(db *sql.DB, id string) error {
			return db.QueryRow(literal("INSERT INTO effect (id) VALUES (%s) RETURNING id", id)).Scan(new(string))
		}, []string{commits}},
		{"QueryRow with parameters", func(db *sql.DB, id string) error {
			return db.QueryRow(insert+" RETURNING id", id).Scan(new(string))
		}, []string{commits}},
		{"Query of five rows", func(db *sql.DB, id string) error {
			return fiveRows(db.Query("WITH w AS ("+insert+" RETURNING id) SELECT id, n FROM w, generate_series(1, 5) n", id))
		}, []string{commits}},
		{"Query of a prepared statement of five rows", func(db *sql.DB, id string) error {
			stmt, err := db.Prepare("WITH w AS (" + insert + " RETURNING id) SELECT id, n FROM w, generate_series(1, 5) n")
			if err != nil {
				return err
			}
			defer stmt.Close()
			return fiveRows(stmt.Query(id))
		}, []string{harmless, commits, harmless}},
		{"transaction", func(db *sql.DB, id string) error {
			return inTx(db, (*sql.Tx).Commit, func(tx *sql.Tx) error { return result(tx.Exec(insert, id)) })
		}, []string{inside, inside, commits}},
		{"transaction with a prepared statement", func(db *sql.DB, id string) error {
			return inTx(db, (*sql.Tx).Commit, func(tx *sql.Tx) error {
				stmt, err := tx.Prepare(insert)
				if err != nil {
					return err
				}
				return result(stmt.Exec(id))
			})
		}, []string{inside, harmless, inside, commits, harmless}},
		{"transaction that is rolled back", func(db *sql.DB, id string) error {
			return inTx(db, (*sql.Tx).Rollback, func(tx *sql.Tx) error { return result(tx.Exec(insert, id)) })
		}, []string{inside, inside, inside}},
		{"transaction by hand, as the store's writers do it", byHand, []string{inside, inside, together}},
		{"statement alone, as the store's writers do it", func(db *sql.DB, id string) error {
			return onConn(db, func(conn *sql.Conn) error { return ExecAlone(conn, 5*time.Second, insert, id) })
		}, []string{commits}},
	}
}

// byHand is what the store's writers do on a connection of their own.
func byHand(db *sql.DB, id string) error {
	ctx := context.Background()
	return onConn(db, func(conn *sql.Conn) error {
		if err := result(conn.ExecContext(ctx, "PREPARE lock_head (text) AS INSERT INTO head VALUES ($1) RETURNING id")); err != nil {
			return err
		}
		rows, err := conn.QueryContext(ctx, "BEGIN; EXECUTE lock_head('"+id+"')")
		if err != nil {
			return err
		}
		defer rows.Close()
		n := 0
		for rows.Next() {
			n++
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if n != 1 {
			return fmt.Errorf("the lock returned %d rows", n)
		}
		return ExecAndCommit(conn, 5*time.Second, insert, id)
	})
}

// onConn runs f on a connection of its own, and discards that after an error, since a transaction may be open on it.
func onConn(db *sql.DB, f func(*sql.Conn) error) error {
	conn, err := db.Conn(context.Background())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err = f(conn); err != nil {
		Discard(conn)
	}
	return err
}

func inTx(db *sql.DB, end func(*sql.Tx) error, f func(*sql.Tx) error) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := f(tx); err != nil {
		return err
	}
	return end(tx)
}

func result(_ sql.Result, err error) error { return err }

func fiveRows(rows *sql.Rows, err error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		n++
	}
	if rows.Err() == nil && n != 5 {
		return fmt.Errorf("%d rows and no error", n)
	}
	return rows.Err()
}

// TestCut cuts every request of every scenario at every place: before and in the middle of the request, before the answer, and after
// and within each of its messages. A scenario keeps one pool through all of it.
func TestCut(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t)
			db := open(t, p.Address, Options{})
			if err := s.run(db, newID()); err != nil {
				t.Fatal("without a fault:", err)
			}
			exchanges := p.Exchanges()
			if len(exchanges) != len(s.requests) {
				t.Fatalf("%d requests were sent, %d were expected: %v", len(exchanges), len(s.requests), exchanges)
			}
			for at, x := range exchanges {
				for _, f := range faults(at, x) {
					name := fmt.Sprintf("request %d (%s, %s) %s", at+1, s.requests[at], x.Request, described(f))
					t.Run(name, func(t *testing.T) { s.cut(t, p, db, f) })
				}
			}
		})
	}
}

// faults are the places at which an exchange can be cut. End of file and reset take turns.
func faults(at int, x faultproxy.Exchange) (all []faultproxy.Fault) {
	for _, kind := range []faultproxy.Kind{faultproxy.LoseRequest, faultproxy.CutRequest, faultproxy.CutAnswer} {
		all = append(all, faultproxy.Fault{Kind: kind}, faultproxy.Fault{Kind: kind, Reset: true})
	}
	before := 0
	for i, length := range x.Answer {
		all = append(all, faultproxy.Fault{Kind: faultproxy.CutAnswer, Bytes: before + length/2, Reset: i%2 == 0})
		before += length
		if i < len(x.Answer)-1 {
			all = append(all, faultproxy.Fault{Kind: faultproxy.CutAnswer, Bytes: before, Reset: i%2 == 1})
		}
	}
	for i := range all {
		all[i].At = at
	}
	return all
}

func described(f faultproxy.Fault) string {
	end := "end of file"
	if f.Reset {
		end = "reset"
	}
	switch f.Kind {
	case faultproxy.LoseRequest:
		return "never arrives, " + end
	case faultproxy.CutRequest:
		return "arrives in part, " + end
	default:
		return fmt.Sprintf("runs, %d bytes of the answer arrive, %s", f.Bytes, end)
	}
}

// cut runs the scenario with the fault and checks everything that the package promises.
func (s scenario) cut(t *testing.T, p *faultproxy.Proxy, db *sql.DB, f faultproxy.Fault) {
	id := newID()
	struck := p.Arm(f)
	err := s.run(db, id)

	switch lost := s.requests[f.At]; {
	case lost != harmless && !errors.Is(err, ErrOutcomeUnknown):
		t.Errorf("the error is %v, not ErrOutcomeUnknown", err)
	case lost == harmless && err != nil && !errors.Is(err, driver.ErrBadConn):
		t.Errorf("the error is %v, neither nil nor ErrBadConn", err)
	case lost != harmless && errors.Is(err, driver.ErrBadConn):
		t.Errorf("the error asks for another try: %v", err)
	}
	inPart := s.requests[f.At] == together && f.Kind == faultproxy.CutRequest // COMMIT has gone out, and a reset may overtake it
	if got, want := effects(t, id), s.effects(f, err); got != want && (!inPart || got > 1) {
		t.Errorf("the effect happened %d times, not %d; the error was %v", got, want, err)
	}
	select {
	case <-struck:
	default:
		t.Errorf("the fault did not strike")
	}
	twentyQueries(t, db)
}

// effects is how often the effect of the scenario must have happened.
func (s scenario) effects(f faultproxy.Fault, err error) int {
	for at, request := range s.requests {
		ran := f.At == at && f.Kind == faultproxy.CutAnswer
		if request != inside && request != harmless && (err == nil || f.At > at || ran) {
			return 1
		}
	}
	return 0
}

var ids atomic.Int64

// newID is of one length always, so that answers are.
func newID() string { return fmt.Sprintf("id-%09d", ids.Add(1)) }

var direct = sync.OnceValues(func() (*sql.DB, error) { return Open(dsn(server), Options{}) })

// effects counts the rows with this id, without the proxy.
func effects(t testing.TB, id string) (n int) {
	t.Helper()
	db, err := direct()
	if err == nil {
		err = db.QueryRow("SELECT count(*) FROM effect WHERE id = $1", id).Scan(&n)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// twentyQueries finds out whether the pool has kept a connection that is of no use, or one with an open transaction.
func twentyQueries(t testing.TB, db *sql.DB) {
	t.Helper()
	failed := 0
	var last error
	for i := range 10 {
		var n int
		err := db.QueryRow("SELECT $1::int", i).Scan(&n)
		if err == nil && n != i {
			err = fmt.Errorf("asked for %d, got %d", i, n)
		}
		var outside bool
		err2 := db.QueryRow("SELECT now() = statement_timestamp()").Scan(&outside)
		if err2 == nil && !outside {
			err2 = errors.New("a transaction is open")
		}
		for _, err := range []error{err, err2} {
			if err != nil {
				failed, last = failed+1, err
			}
		}
	}
	if failed > 0 {
		t.Errorf("%d of 20 later queries failed, the last with: %v", failed, last)
	}
}
