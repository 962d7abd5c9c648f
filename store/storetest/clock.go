package storetest

import (
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/connector"
)

// Clock gives a fresh database a clock that can be set: sessions that begin from now on find a function of the name that the gateway calls
// before PostgreSQL's own. forward sets it on, or back.
func Clock(t testing.TB, dsn string) (forward func(time.Duration)) {
	t.Helper()
	db, err := connector.Open(dsn, connector.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	_, err = db.ExecContext(t.Context(), `CREATE SCHEMA clock;
		CREATE TABLE clock.forward (by interval NOT NULL);
		INSERT INTO clock.forward VALUES ('0');
		CREATE FUNCTION clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
			AS 'SELECT pg_catalog.clock_timestamp() + by FROM clock.forward';
		GRANT USAGE ON SCHEMA clock TO PUBLIC;
		GRANT SELECT ON clock.forward TO PUBLIC;
		DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = clock, pg_catalog, public', current_database()); END $$`)
	if err != nil {
		t.Fatal(err)
	}
	return func(by time.Duration) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), `UPDATE clock.forward SET by = by + make_interval(secs => $1)`, by.Seconds()); err != nil {
			t.Fatal(err)
		}
	}
}
