package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/lib/pq"

	"github.com/paygraph/paygraph/clock"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/store/connector"
)

// assume writes a batch of a merchant that has been this process's alone without asking first: one request locks the head, writes and commits.
// It is refuted, and nothing has happened, where that could not be tried; or where it was tried, and somebody else has committed meanwhile
// or a command's key is known. Then the batch has to go the long way.
func (w *writer) assume(ctx context.Context, m merchant.ID, items []*item) (refuted bool, err error) {
	b := w.assumed(m, items)
	if b == nil {
		return true, nil
	}
	err = w.finish(ctx, b, items, map[key]*record{})
	if err == nil || !isRefutation(err) {
		return false, err
	}
	w.watcher.Refuted()
	w.caches.refute(b)
	for _, i := range items {
		i.Command.attempt = nil
	}
	return true, nil
}

// assumed is a batch that has everything in memory, or nil.
func (w *writer) assumed(m merchant.ID, items []*item) *batch {
	now, ok := w.server.now()
	if !ok {
		return nil
	}
	for _, i := range items {
		if i.Command.Invalid != nil { // unless its key is known
			return nil
		}
	}
	b := newBatch(m)
	if !w.caches.assume(b) || !b.missing(items, nil).nothing() {
		return nil
	}
	b.assumed = true
	b.setTime(now)
	return b
}

// isRefutation says whether the server has refused to write a batch, and can go on: for another stamp, a known key, or what a command has
// caused, which is found out on the long way.
func isRefutation(err error) bool {
	var answer *pq.Error
	return errors.As(err, &answer) && !errors.Is(err, connector.ErrOutcomeUnknown) && isData(answer)
}

const (
	clockGoodFor = time.Second           // after which the database is asked again
	clockOld     = 10 * time.Second      // a reading that two clocks' speeds may have made wrong by a millisecond
	clockLate    = 50 * time.Millisecond // more than an answer takes from the database to us; a clock that was set back is taken as it is
)

// serverClock is the database's, as all writers have read it last, for batches that do not ask. An answer that came late shows it too early: so of
// the readings of some time the one that was fastest counts.
type serverClock struct {
	own     clock.Clock // our clock
	mu      sync.Mutex
	read    time.Time // what the database's clock showed
	at      time.Time // when, by ours
	checked time.Time // the last reading of all, by ours
}

// learn takes a reading that has just come.
func (c *serverClock) learn(shows time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checked = c.own.Now()
	late := c.read.Add(c.checked.Sub(c.at)).Sub(shows)
	if late < 0 || late > clockLate || c.checked.Sub(c.at) > clockOld {
		c.read, c.at = shows, c.checked
	}
}

// now is what the database's clock shows, or false where it has not been read for a while.
func (c *serverClock) now() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.own.Now()
	age := now.Sub(c.checked)
	stood := now.Round(0).Sub(c.checked.Round(0)) - age // while the machine slept
	return c.read.Add(now.Sub(c.at)), age < clockGoodFor && stood.Abs() < clockLate
}
