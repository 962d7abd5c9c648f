package store

import (
	"context"
	"database/sql"
	"sync/atomic"
	"time"

	"github.com/paygraph/paygraph/store/connector"
)

// Watcher is told what becomes of commands, and what the writers do, which is once a batch. It must not wait.
type Watcher interface {
	// Decided is told of a command's outcome: nil, a refusal, or an error of the package command.
	Decided(operation string, err error)
	// Took is told that a writer has taken so many commands, and how long the first of them has waited for that.
	Took(commands int, waited time.Duration)
	// Locked is told how long a batch has waited for its merchant's lock and what is read with it. A batch that goes the short way asks for none before it is sent.
	Locked(after time.Duration)
	// Committed is told how long writing a batch and its COMMIT took, and whether it went the short way.
	Committed(after time.Duration, assumed bool)
	// Refuted is told that the short way has failed: the batch goes the long one.
	Refuted()
	// Retried is told that the database did not take a batch, which is tried again.
	Retried()
}

// Tracer follows commands that belong to something that is followed: their contexts say so. What its methods begin ends with end.
type Tracer interface {
	connector.Tracer
	// Command follows a command until its answer.
	Command(ctx context.Context, operation string) (_ context.Context, end func(error))
	// Batch follows a batch, which serves the commands with these contexts.
	Batch(ctx context.Context, commands []context.Context) (_ context.Context, end func(error))
}

// follow has a batch followed if one of its commands is.
func (w *writer) follow(ctx context.Context, items []*item) (context.Context, func(error)) {
	if w.tracer == nil {
		return ctx, func(error) {}
	}
	commands := make([]context.Context, len(items))
	for n, i := range items {
		commands[n] = i.Command.traced
	}
	return w.tracer.Batch(ctx, commands)
}

// followed sends a batch as a statement that is followed: the session's own has no context.
func (w *writer) followed(ctx context.Context, b *batch, stamp int64) error {
	if w.tracer == nil {
		return w.send(b, stamp)
	}
	end := w.tracer.Statement(ctx, "WRITE")
	err := w.send(b, stamp)
	end(err)
	return err
}

// unwatched is a Watcher that listens to nothing.
type unwatched struct{}

func (unwatched) Decided(string, error)         {}
func (unwatched) Took(int, time.Duration)       {}
func (unwatched) Locked(time.Duration)          {}
func (unwatched) Committed(time.Duration, bool) {}
func (unwatched) Refuted()                      {}
func (unwatched) Retried()                      {}

// Stats says how things stand with a store.
type Stats struct {
	Waiting int                    // commands that no writer has taken yet
	Pools   map[string]sql.DBStats // by their names: writers, readers, once, and hints unless there are none
	Hints   HintStats
}

// HintStats counts what nodes tell each other of their commits, since the start.
type HintStats struct {
	Heard  int64 // hints of other nodes
	Missed int64 // times that some may have been missed: all heads were looked at
	Failed int64 // hints that could not be sent
}

// Stats says how things stand. It waits for no database.
func (s *Store) Stats() Stats {
	stats := Stats{Waiting: s.queue.Waiting(), Pools: map[string]sql.DBStats{
		"writers": s.writers.Stats(), "readers": s.readers.Stats(), "once": s.once.db.Stats(),
	}}
	if s.hints != nil {
		stats.Pools["hints"] = s.hints.db.Stats()
		stats.Hints = HintStats{s.hints.heard.Load(), s.hints.missed.Load(), s.hints.failed.Load()}
	}
	return stats
}

// hintCounters are HintStats while they are counted.
type hintCounters struct{ heard, missed, failed atomic.Int64 }
