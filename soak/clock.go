package soak

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/paygraph/paygraph/store/dbclock"
)

const (
	jump     = time.Hour
	jumpLoad = time.Second // of load after each
)

// jumpClock has the database's clock jump an hour forward, then two back, and then forward to where it should be. Payments go on, the jumps are
// seen in them, and a merchant's times never go back.
func jumpClock() *fault {
	return &fault{"the clock jumps an hour forward and back", func(ctx context.Context, w *world, c *cycle) error {
		from, err := w.lastEvent(ctx)
		if err != nil {
			return err
		}
		if err := w.useClock(ctx, dbclock.Install); err != nil {
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
		return w.useClock(ctx, dbclock.Remove)
	}}
}

const (
	longest   = 8 * 24 * time.Hour // more than any payment waits
	dueServed = 5 * time.Minute    // after which all that was due at once has been served, beside the load
)

// expireAll has the clock jump beyond the time of every payment that waits, so that all timers are due at once, and kills a node while both serve them.
// Each must have been served once. The clock stays there: it is for the end of a run.
func expireAll() *fault {
	return &fault{"all timers are due at once, and a node is killed amid that", func(ctx context.Context, w *world, c *cycle) error {
		if err := w.useClock(ctx, dbclock.Install); err != nil {
			return err
		}
		var due int
		if err := w.db.QueryRowContext(ctx, `SELECT count(*) FROM timer`).Scan(&due); err != nil {
			return err
		}
		if due == 0 {
			return errMissed
		}
		w.load.timeIsUp()
		if err := dbclock.Set(ctx, w.db, longest); err != nil {
			return err
		}
		if err := w.awaitTimers(ctx, func(left int) bool { return left < due }); err != nil {
			return err
		}
		w.nodes[0].kill()
		if err := w.nodes[0].begin(); err != nil {
			return err
		}
		return w.allAreServed(ctx, c)
	}}
}

// allAreServed waits until nothing is due, and looks whether a payment waits beyond its time.
func (w *world) allAreServed(ctx context.Context, c *cycle) error {
	err := w.awaitTimers(ctx, func(due int) bool { return due == 0 })
	if errors.Is(err, errStillDue) {
		c.wrong("STUCK: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	var late int
	err = w.db.QueryRowContext(ctx, `SELECT count(*) FROM payment WHERE merchant_id = $1 AND expires_at < pg_catalog.clock_timestamp() + make_interval(secs => $2)
		AND status IN ('REQUIRES_CONFIRMATION', 'AUTHORIZED', 'PARTIALLY_CAPTURED')`, w.checker.merchant, longest.Seconds()).Scan(&late)
	if late > 0 {
		c.wrong("%d payments wait beyond their time", late)
	}
	return err
}

var errStillDue = errors.New("timers are due, and are not served")

// awaitTimers waits until the number of timers that are due is as it should be.
func (w *world) awaitTimers(ctx context.Context, enough func(due int) bool) error {
	for deadline := time.Now().Add(w.limit(dueServed)); ; time.Sleep(20 * time.Millisecond) {
		var due int
		err := w.db.QueryRowContext(ctx, `SELECT count(*) FROM timer WHERE due_at < pg_catalog.clock_timestamp() + make_interval(secs => $1)`,
			longest.Seconds()).Scan(&due)
		switch {
		case err != nil || enough(due):
			return err
		case time.Now().After(deadline):
			return fmt.Errorf("%w: %d after %v", errStillDue, due, w.limit(dueServed))
		}
	}
}

// useClock says which clock new sessions see, and has the writers begin new ones.
func (w *world) useClock(ctx context.Context, choose func(context.Context, *sql.DB) error) error {
	if err := choose(ctx, w.db); err != nil {
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
	if err := dbclock.Set(ctx, w.db, shift); err != nil {
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
