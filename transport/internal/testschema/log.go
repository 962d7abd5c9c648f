package testschema

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/clock"
	"github.com/paygraph/paygraph/event"
)

// merchant is the one that everything is published to.
const merchant answer.MerchantID = "mer_1"

// errUnreadable is like that of a database that has hung up in the midst of an answer.
var errUnreadable = fmt.Errorf("the log cannot be read: %w", io.EOF)

// Log is a merchant's log in memory, and the hub that brings it to subscribers. It is the hub's Source.
type Log struct {
	Hub *event.Hub

	mu         sync.Mutex
	events     []event.Event
	unreadable bool
}

// NewLog starts a log. Its hub has to be closed.
func NewLog() *Log {
	l := &Log{}
	l.Hub = event.NewHub(clock.Real, l, slog.New(slog.DiscardHandler))
	return l
}

// Publish appends n events, and tells the hub.
func (l *Log) Publish(n int) {
	for range n {
		l.mu.Lock()
		before := l.end()
		e := event.Event{Sequence: before.Sequence + 1, Type: event.PaymentCreated, ObjectID: "pay_1"}
		e.Hash = event.Next(before.Hash, merchant, e.Sequence, e.Schema, e.Payload)
		l.events = append(l.events, e)
		l.mu.Unlock()
		l.Hub.Committed(event.Commit{Merchant: merchant, Events: []event.Event{e}})
	}
}

// Restore takes the log back to an event, and has the hub look.
func (l *Log) Restore(to int64) {
	l.mu.Lock()
	l.events = slices.Clone(l.events[:to]) // what was passed on points at the others
	l.mu.Unlock()
	l.Hub.Look()
}

// SetReadable says whether subscribers can read the log, which a hub that is up to date does without.
func (l *Log) SetReadable(is bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unreadable = !is
}

// Heard says whether anybody listens.
func (l *Log) Heard() bool { return l.Hub.Listens(merchant) }

// Heads is where the log ends.
func (l *Log) Heads(context.Context, []answer.MerchantID) (map[answer.MerchantID]event.Head, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return map[answer.MerchantID]event.Head{merchant: l.end()}, nil
}

// end is where the log ends. mu is held.
func (l *Log) end() event.Head {
	if len(l.events) == 0 {
		return event.Head{Hash: event.Genesis(merchant)}
	}
	last := &l.events[len(l.events)-1]
	return event.Head{Sequence: last.Sequence, Hash: last.Hash}
}

func (l *Log) last() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end().Sequence
}

// Since reads the log.
func (l *Log) Since(_ context.Context, m answer.MerchantID, after int64, limit int) (event.Commit, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := l.events[min(after, int64(len(l.events))):]
	return event.Commit{Merchant: m, Events: found[:min(limit, len(found))]}, nil
}

func (l *Log) read(ctx context.Context, after int64, limit int) ([]*event.Item, error) {
	l.mu.Lock()
	unreadable := l.unreadable
	l.mu.Unlock()
	if unreadable {
		return nil, errUnreadable
	}
	c, err := l.Since(ctx, merchant, after, limit)
	items := make([]*event.Item, len(c.Events))
	for i := range c.Events {
		items[i] = &event.Item{Number: c.Events[i].Sequence, Event: &c.Events[i]}
	}
	return items, err
}
