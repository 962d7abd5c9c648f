package soak

import (
	"context"
	"fmt"
	"time"
)

const (
	jump     = time.Hour
	jumpLoad = time.Second // of load after each
)

// ownClock makes a clock that the writers see in the place of PostgreSQL's, since it comes first in their search path. It can be shifted while they run.
const ownClock = `
CREATE SCHEMA IF NOT EXISTS clock;
CREATE TABLE IF NOT EXISTS clock.shift (by interval NOT NULL);
TRUNCATE clock.shift;
INSERT INTO clock.shift VALUES ('0');
CREATE OR REPLACE FUNCTION clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
	'SELECT pg_catalog.clock_timestamp() + (SELECT by FROM clock.shift)';
GRANT USAGE ON SCHEMA clock TO paygraph_runtime;
GRANT SELECT ON clock.shift TO paygraph_runtime;
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = clock, pg_catalog, public', current_database()); END $$`

const itsOwnClock = `
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET search_path', current_database()); END $$`

// jumpClock has the database's clock jump an hour forward, then two back, and then forward to where it should be. Payments go on, the jumps are
// seen in them, and a merchant's times never go back.
func jumpClock() *fault {
	return &fault{"the clock jumps an hour forward and back", func(ctx context.Context, w *world, c *cycle) error {
		from, err := w.lastEvent(ctx)
		if err != nil {
			return err
		}
		if err := w.useClock(ctx, ownClock); err != nil {
			return err
		}
		for _, shift := range []time.Duration{jump, -jump, 0} {
			if err := w.shiftClock(ctx, c, shift); err != nil {
				return err
			}
		}
		var back int
		err = w.db.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE occurred_at < before) FROM
			(SELECT occurred_at, lag(occurred_at) OVER (ORDER BY sequence) AS before FROM event WHERE merchant_id = $1 AND sequence >= $2) e`,
			w.checker.merchant, from.sequence).Scan(&back)
		if err == nil && back > 0 {
			c.wrong("the merchant's time has gone back %d times", back)
		}
		if err != nil {
			return err
		}
		return w.useClock(ctx, itsOwnClock)
	}}
}

// useClock says which clock new sessions see, and has the writers begin new ones.
func (w *world) useClock(ctx context.Context, statements string) error {
	if _, err := w.db.ExecContext(ctx, statements); err != nil {
		return err
	}
	return w.terminateWriters(ctx)
}

// shiftClock has the clock jump, and looks whether the merchant's events show that: they follow the clock forward, and where it is behind them they
// hardly go on.
func (w *world) shiftClock(ctx context.Context, c *cycle, shift time.Duration) error {
	before, err := w.lastEvent(ctx)
	if err != nil {
		return err
	}
	if _, err := w.db.ExecContext(ctx, `UPDATE clock.shift SET by = $1::interval`, fmt.Sprintf("%d seconds", int(shift.Seconds()))); err != nil {
		return err
	}
	set, err := w.lastEvent(ctx) // a batch that has read the clock before may still come
	if err != nil {
		return err
	}
	time.Sleep(jumpLoad)
	if _, err := w.served(ctx, time.Now(), 0, 1); err != nil {
		return err
	}
	shown := time.Now().Add(shift)
	after, err := w.lastEvent(ctx)
	if err != nil {
		return err
	}
	switch {
	case after.sequence <= before.sequence:
		c.wrong("nothing has happened after the clock was %v off", shift)
	case after.at.Before(shown.Add(-w.limit(2 * jumpLoad))):
		c.wrong("the clock is %v off, and the last event is of %v", shift, after.at)
	case set.at.After(shown) && after.at.Sub(set.at) > jumpLoad/2:
		c.wrong("the clock was set back to %v, and events go on from %v to %v", shown, set.at, after.at)
	}
	return nil
}

// moment is an event's number and time.
type moment struct {
	sequence int64
	at       time.Time
}

func (w *world) lastEvent(ctx context.Context) (m moment, err error) {
	err = w.db.QueryRowContext(ctx, `SELECT sequence, occurred_at FROM event WHERE merchant_id = $1 ORDER BY sequence DESC LIMIT 1`,
		w.checker.merchant).Scan(&m.sequence, &m.at)
	return m, err
}
