package connector

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"testing"

	"github.com/paygraph/paygraph/store/connector/faultproxy"
)

// TestWhyNotBare shows by lib/pq without the wrapper what the wrapper is for, and that the faults of these tests do strike. Should a
// release of lib/pq fail one of these, the wrapper's remedy for it can go. TestCut has the same faults with the wrapper.
func TestWhyNotBare(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T) (*faultproxy.Proxy, *sql.DB, string) {
		p := newProxy(t)
		db, err := sql.Open("postgres", dsn(p.Address)+"?sslmode=disable&binary_parameters=yes")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		if err := db.Ping(); err != nil {
			t.Fatal(err)
		}
		return p, db, newID()
	}
	t.Run("an INSERT whose answer was lost runs twice without an error", func(t *testing.T) {
		t.Parallel()
		p, db, id := begin(t)
		p.Arm(faultproxy.Fault{Kind: faultproxy.CutAnswer})
		if _, err := db.Exec(insert, id); err != nil {
			t.Error(err)
		}
		if n := effects(t, id); n != 2 {
			t.Errorf("the effect happened %d times", n)
		}
	})
	t.Run("a COMMIT whose answer was lost is reported as if it could be tried again", func(t *testing.T) {
		t.Parallel()
		p, db, id := begin(t)
		p.Arm(faultproxy.Fault{Kind: faultproxy.CutAnswer, At: 2})
		err := inTx(db, (*sql.Tx).Commit, func(tx *sql.Tx) error { return result(tx.Exec(insert, id)) })
		if !errors.Is(err, driver.ErrBadConn) {
			t.Error(err)
		}
		if n := effects(t, id); n != 1 {
			t.Errorf("the effect happened %d times", n)
		}
	})
	t.Run("an error followed by a closed socket spoils the pool", func(t *testing.T) {
		t.Parallel()
		p, db, _ := begin(t)
		p.Arm(faultproxy.Fault{Kind: faultproxy.FakeAnswer, Fake: faultproxy.ErrorMessage("ERROR", "42P01")})
		if _, err := db.Exec(insert, "x"); code(err) != "42P01" {
			t.Error(err)
		}
		if n := failures(db); n != 20 {
			t.Errorf("%d of 20 later queries failed", n)
		}
	})
	t.Run("parameters that lib/pq itself refuses spoil the pool", func(t *testing.T) {
		t.Parallel()
		_, db, _ := begin(t)
		if _, err := db.Exec("SELECT 1", make([]any, 65536)...); err == nil {
			t.Error("no error")
		}
		if n := failures(db); n != 20 {
			t.Errorf("%d of 20 later queries failed", n)
		}
	})
}

// failures is how many of 20 queries fail.
func failures(db *sql.DB) (n int) {
	for range 20 {
		if db.QueryRow("SELECT 1").Scan(new(int)) != nil {
			n++
		}
	}
	return n
}
