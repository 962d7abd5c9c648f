package storetest

import (
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/connector"
	"github.com/paygraph/paygraph/store/dbclock"
)

// Clock gives a fresh database a clock that can be set, for sessions that begin from now on. forward sets it on, or back.
func Clock(t testing.TB, dsn string) (forward func(time.Duration)) {
	t.Helper()
	db, err := connector.Open(dsn, connector.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := dbclock.Install(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	var shift time.Duration
	return func(by time.Duration) {
		t.Helper()
		shift += by
		if err := dbclock.Set(t.Context(), db, shift); err != nil {
			t.Fatal(err)
		}
	}
}
