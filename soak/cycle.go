package soak

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	knownWithin = 15 * time.Second       // what a command may take that was in flight when a fault was over
	goingOn     = 300 * time.Millisecond // of load between a fault's end and the next
)

// fault is something that happens to a world.
type fault struct {
	name   string // its line in the report
	strike func(ctx context.Context, w *world, c *cycle) error
}

// cycle is one fault that struck, and what came of it.
type cycle struct {
	fault    string
	lifted   time.Time     // when the fault was over
	stopped  time.Duration // how long the merchant was stopped at the node that nothing had happened to; 0: not measured
	started  time.Duration // from then on until PostgreSQL accepted connections again; 0: not measured
	back     time.Duration // from then on until every node had answered a fresh command with a success
	unknown  int           // outcomes that clients met
	known    int64         // commands of which clients have learned everything
	inFlight int64         // commands, at the least
	missed   bool          // the fault did not find what it was to strike
	few      bool          // commands were in flight: it says too little
	wrongs   []string
}

// errMissed says that a fault has waited in vain for what it was to strike.
var errMissed = errors.New("the fault did not strike")

// run has one fault strike under load, waits until everything is well again, and checks what has to be so. The error is of the soak itself.
func (w *world) run(ctx context.Context, f *fault) (*cycle, error) {
	c := &cycle{fault: f.name}
	w.load.mark()
	unknown, known := w.load.unknowns(), w.load.answered.Load()
	err := f.strike(ctx, w, c)
	if c.missed = errors.Is(err, errMissed); err != nil && !c.missed {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	if c.lifted.IsZero() {
		c.lifted = time.Now()
	}
	if c.back, err = w.served(ctx, c.lifted, 0, 1); err != nil {
		c.wrong("STUCK: %v", err)
	}
	for _, client := range w.load.settled(ctx, c.lifted, w.limit(knownWithin)) {
		c.wrong("STUCK: a command of %s is not known %v after the fault", client, w.limit(knownWithin))
	}
	time.Sleep(goingOn)
	if err := w.examine(ctx); err != nil {
		return nil, fmt.Errorf("after %s: %w", f.name, err)
	}
	c.unknown, c.known, c.inFlight = w.load.unknowns()-unknown, w.load.answered.Load()-known, w.load.least.Load()
	c.few = c.inFlight < inFlightAtLeast
	c.judge(w)
	return c, ctx.Err()
}

// examine checks everything but the log.
func (w *world) examine(ctx context.Context) error {
	return errors.Join(w.checker.check(ctx), w.askAgain(ctx, w.load.takeDoubtful()), w.sumOfBalances(ctx))
}

// judge takes what the register has found wrong, and holds the times against their limits.
func (c *cycle) judge(w *world) {
	if c.back > w.limit(backWithin) {
		c.wrong("SLOW: service was back after %v", c.back)
	}
	if c.stopped > w.limit(stopsWithin) {
		c.wrong("STOPPED: the merchant was stopped for %v", c.stopped)
	}
	w.register.mu.Lock()
	c.wrongs = append(c.wrongs, w.register.wrongs...)
	w.register.wrongs = nil
	w.register.mu.Unlock()
	w.load.mu.Lock()
	c.wrongs = append(c.wrongs, w.load.defects...)
	w.load.defects = nil
	w.load.mu.Unlock()
}

func (c *cycle) wrong(format string, args ...any) {
	c.wrongs = append(c.wrongs, fmt.Sprintf(format, args...))
}
