package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"time"

	"github.com/lib/pq"

	"github.com/paygraph/paygraph/clock"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store/connector"
	"github.com/paygraph/paygraph/store/groupcommit"
)

// Limits of the write path.
const (
	maxBatch        = 256
	maxWaiting      = 20_000 // commands of all merchants
	maxWaitingOfOne = 5_000  // commands of one merchant: twenty batches, which a healthy database writes in about a second
	callerPatience  = 10 * time.Second
	attemptDeadline = 8 * time.Second
	commitDeadline  = 5 * time.Second
	firstBackoff    = 10 * time.Millisecond
	longestBackoff  = 200 * time.Millisecond // what a merchant may wait longer than the database was away
)

type item = groupcommit.Item[*request, command.Result]

// writer takes batches of one merchant at a time through the serial section.
type writer struct {
	database
	clock   clock.Clock
	server  *serverClock
	caches  *caches
	log     *slog.Logger
	hub     *event.Hub
	hint    func(merchant.ID, int64) // tells other nodes how far a log reaches; nil: they are not told
	codec   codec
	watcher Watcher
	tracer  Tracer // nil: nothing is followed
}

// database is a writer's own way to the database: a session of PostgreSQL's, or a simulated one.
type database interface {
	// connect makes a session, if there is none, which sees the rows of a merchant.
	connect(context.Context, merchant.ID) error
	// lock begins a transaction, locks the merchant's head, which is the only lock in the system, reads the clock, and finds which of the
	// commands' keys have a record already.
	lock(context.Context, merchant.ID, []*item) (*batch, map[key]*record, error)
	// load reads what the commands name and the batch does not have.
	load(context.Context, *batch, []*item, map[key]*record) error
	// send writes everything that the batch has decided, with the head's new stamp, and commits it: nothing where the head has another stamp
	// than the batch found, or assumed.
	send(b *batch, stamp int64) error
	// rollback ends the transaction, and discard the session, if there is one.
	rollback()
	discard()
}

// errPoison wraps what one of the batch's commands has caused, and would cause again.
var errPoison = errors.New("a command of the batch met a defect")

// Write settles every item of the batch: it goes through the serial section again and again until the database has answered, or
// the items' deadlines are past.
func (w *writer) Write(m merchant.ID, items []*item) {
	w.watcher.Took(len(items), w.clock.Now().Sub(items[0].Since))
	w.settle(m, items, false)
}

// settle is Write for items of which an earlier attempt may have been committed, if inDoubt.
func (w *writer) settle(m merchant.ID, items []*item, inDoubt bool) {
	wait := firstBackoff
	for {
		err := w.attempt(m, items)
		if err == nil {
			return
		}
		w.caches.drop(m)
		if errors.Is(err, errPoison) {
			w.rollback()
			w.halve(m, items, inDoubt, err)
			return
		}
		w.discard()
		w.hub.Look() // it may have been committed
		inDoubt = inDoubt || errors.Is(err, connector.ErrOutcomeUnknown)
		w.watcher.Retried()
		w.log.Warn("the database did not take a batch; trying again", "merchant", m, "commands", len(items), "error", err)
		w.clock.Wait(wait/2 + w.any(wait/2))
		wait = min(2*wait, longestBackoff)
		if items = w.stillWaited(items, inDoubt); len(items) == 0 {
			return
		}
	}
}

// any is a part of a time: which, the clock's last digits say, so that nodes do not wait in step, and a simulation can be repeated.
func (w *writer) any(of time.Duration) time.Duration {
	return time.Duration(w.clock.Now().Nanosecond()) % of
}

// halve finds the command that poisons a batch. It alone gets ErrInternal; its key stays free.
func (w *writer) halve(m merchant.ID, items []*item, inDoubt bool, err error) {
	if len(items) > 1 {
		w.settle(m, items[:len(items)/2], inDoubt)
		w.settle(m, items[len(items)/2:], inDoubt)
		return
	}
	w.log.Error("a command met a defect", "merchant", m, "operation", items[0].Command.Operation, "error", err)
	items[0].Settle(command.Result{}, command.ErrInternal)
}

// stillWaited drops the items whose callers have stopped waiting: they ask again with the same key.
func (w *writer) stillWaited(items []*item, inDoubt bool) []*item {
	now := w.clock.Now()
	var waited []*item
	for _, i := range items {
		switch {
		case now.Before(i.Deadline):
			waited = append(waited, i)
		case inDoubt:
			i.Settle(command.Result{}, command.ErrOutcomeUnknown)
		default:
			i.Settle(command.Result{}, command.ErrUnavailable)
		}
	}
	return waited
}

// attempt goes once through the serial section. On an error nothing is settled, and the merchant's cache is not to be believed. The
// error is errPoison where a command has caused it: by a panic in its decision or in writing what it decided, or by its data.
func (w *writer) attempt(m merchant.ID, items []*item) (err error) {
	defer func() {
		if defect := recover(); defect != nil {
			err = fmt.Errorf("%w: %v", errPoison, defect)
		}
		err = classify(err)
	}()
	// A command that was taken is not taken back. This deadline is for a server that acknowledges, and never answers.
	ctx, cancel := context.WithTimeout(context.Background(), attemptDeadline)
	defer cancel()
	ctx, end := w.follow(ctx, items)
	defer func() { end(err) }()
	if err := w.connect(ctx, m); err != nil {
		return err
	}
	if refuted, err := w.assume(ctx, m, items); !refuted {
		return err
	}
	begun := w.clock.Now()
	b, known, err := w.lock(ctx, m, items)
	if err != nil {
		return err
	}
	w.watcher.Locked(w.clock.Now().Sub(begun))
	w.server.learn(b.shown)
	w.caches.current(b)
	if err := w.load(ctx, b, items, known); err != nil {
		return err
	}
	return w.finish(ctx, b, items, known)
}

// finish decides, writes, commits and answers.
func (w *writer) finish(ctx context.Context, b *batch, items []*item, known map[key]*record) error {
	outcomes, err := w.decide(b, items, known)
	if err != nil {
		return err
	}
	if len(b.records) == 0 {
		w.rollback() // nothing but replays: nothing to write
	} else if err := w.write(ctx, b); err != nil {
		return err
	}
	for n, i := range items {
		i.Settle(outcomes[n].result, outcomes[n].err)
	}
	w.publish(b)
	return nil
}

// write writes the batch and commits it.
func (w *writer) write(ctx context.Context, b *batch) error {
	b.close()
	stamp, begun := mathrand.Int64(), w.clock.Now()
	if err := w.followed(ctx, b, stamp); err != nil {
		return err
	}
	w.watcher.Committed(w.clock.Now().Sub(begun), b.assumed)
	b.saved()
	w.caches.keep(b, stamp)
	return nil
}

// classify tells what a command has caused from what the database has met. SQL classes 22 and 23 are about the data.
func classify(err error) error {
	var answer *pq.Error
	if errors.As(err, &answer) && isData(answer) {
		return fmt.Errorf("%w: %w", errPoison, err)
	}
	return err
}

func isData(e *pq.Error) bool { return e.Code.Class() == "22" || e.Code.Class() == "23" }

type outcome struct {
	result command.Result
	err    error
}

// decide runs the commands in the order of their arrival.
func (w *writer) decide(b *batch, items []*item, known map[key]*record) ([]outcome, error) {
	outcomes := make([]outcome, len(items))
	for n, i := range items {
		r := i.Command
		if earlier := known[r.key()]; earlier != nil {
			outcomes[n].result, outcomes[n].err = w.codec.replay(b, earlier, r)
			continue
		}
		if r.Invalid != nil {
			outcomes[n].err = r.Invalid
			continue
		}
		b.cause = r.cause()
		before := len(b.events)
		object, err := r.decide(b)
		if err != nil && len(b.events) != before {
			return nil, fmt.Errorf("%w: %s was to be refused after it had written: %w", errPoison, r.Operation, err)
		}
		rec, err := w.codec.record(r, b.t, object, b.events[before:], err)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errPoison, r.Operation, err)
		}
		b.records = append(b.records, rec)
		known[r.key()], r.attempt = rec, rec
		if b.behind {
			r.attempt = nil // it could not be told from another node's
		}
		outcomes[n].result, outcomes[n].err = rec.first()
	}
	return outcomes, nil
}

// Close gives the connection back.
func (w *writer) Close() { w.discard() }

// head is a merchant's last number, hash and time, and what is read with them.
type head struct {
	sequence int64
	hash     event.Hash
	at       time.Time
	stamp    int64
	plans    map[money.Currency]payment.FeePlan
}
