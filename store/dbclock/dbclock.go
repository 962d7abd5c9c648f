// Package dbclock gives a database a clock that can be set: for tests, the soak and the bench. The gateway goes by PostgreSQL's clock_timestamp, and
// finds a function of that name that comes before PostgreSQL's in its search path. The gateway's own code knows nothing of it.
package dbclock

import (
	"context"
	"database/sql"
	"time"
)

const install = `
CREATE SCHEMA IF NOT EXISTS clock;
CREATE TABLE IF NOT EXISTS clock.shift (by interval NOT NULL);
TRUNCATE clock.shift;
INSERT INTO clock.shift VALUES ('0');
CREATE OR REPLACE FUNCTION clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
	'SELECT pg_catalog.clock_timestamp() + (SELECT by FROM clock.shift)';
GRANT USAGE ON SCHEMA clock TO PUBLIC;
GRANT SELECT ON clock.shift TO PUBLIC;
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, clock, pg_catalog', current_database()); END $$`

const remove = `
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET search_path', current_database()); END $$`

// Install has all sessions that begin from now on go by a clock that can be set. It takes the database's owner.
func Install(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, install)
	return err
}

// Set has the clock be before (or behind) PostgreSQL's own by so much, for all sessions that go by it.
func Set(ctx context.Context, db *sql.DB, shift time.Duration) error {
	_, err := db.ExecContext(ctx, `UPDATE clock.shift SET by = make_interval(secs => $1)`, shift.Seconds())
	return err
}

// Remove has sessions that begin from now on go by PostgreSQL's clock.
func Remove(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, remove)
	return err
}
