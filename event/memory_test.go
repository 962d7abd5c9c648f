package event_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
)

const shop = answer.MerchantID("mer_1")

var silent = slog.New(slog.DiscardHandler)

var errRead = errors.New("the database is away")

// memory is one merchant's log: what the database is to the hub.
type memory struct {
	mu       sync.Mutex
	events   []event.Event
	entries  [][]event.Entry // of each event
	versions map[string]int32
	numbers  map[string]int64
	happened int           // with those that were taken back
	failing  int           // reads that are to fail
	slow     time.Duration // of each read
	reads    int
}

func newMemory() *memory {
	return &memory{versions: map[string]int32{}, numbers: map[string]int64{}}
}

// The things that happen: a letter each.
//
//	p, q  an event of the payment pay_p or pay_q      a, b  an entry on the account acc_a or acc_b
//	m     entries on both accounts                    c     a customer is made
func (m *memory) happen(what string) event.Commit {
	m.mu.Lock()
	defer m.mu.Unlock()
	from := len(m.events)
	for _, letter := range what {
		e := event.Event{Sequence: int64(len(m.events)) + 1, Type: event.CustomerCreated, ObjectID: "cus_c", ObjectVersion: 1}
		var entries []event.Entry
		switch letter {
		case 'p', 'q':
			e.Type, e.ObjectID = event.PaymentCreated, "pay_"+string(letter)
			m.versions[e.ObjectID]++
			e.ObjectVersion = m.versions[e.ObjectID]
		case 'a', 'b', 'm':
			e.Type = event.FundsDeposited
			for _, account := range map[rune][]string{'a': {"acc_a"}, 'b': {"acc_b"}, 'm': {"acc_a", "acc_b"}}[letter] {
				m.numbers[account]++
				entries = append(entries, event.Entry{Account: account, Number: m.numbers[account], Object: m.numbers[account]})
			}
		}
		m.happened++
		e.Payload = fmt.Append(nil, m.happened)
		e.Hash = event.Next(m.end().Hash, shop, e.Sequence, e.Schema, e.Payload)
		m.events, m.entries = append(m.events, e), append(m.entries, entries)
	}
	return m.commit(from, len(m.events))
}

// end is the log's head. mu is held.
func (m *memory) end() event.Head {
	if len(m.events) == 0 {
		return event.Head{Hash: event.Genesis(shop)}
	}
	last := &m.events[len(m.events)-1]
	return event.Head{Sequence: last.Sequence, Hash: last.Hash}
}

// commit is what stands between two places of the log, as it is handed to the hub.
func (m *memory) commit(from, to int) event.Commit {
	return event.Commit{
		Merchant: shop, Events: slices.Clone(m.events[from:to]), Entries: slices.Concat(m.entries[from:to]...), Objects: map[string]any{},
	}
}

// from is the log from a number on, as a commit.
func (m *memory) from(sequence int64) event.Commit {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.commit(int(sequence-1), len(m.events))
}

func (m *memory) head() event.Head {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.end()
}

// restore takes the log back to a number.
func (m *memory) restore(sequence int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events, m.entries = m.events[:sequence], m.entries[:sequence]
}

// fail has the next reads fail.
func (m *memory) fail(reads int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failing = reads
}

func (m *memory) read(ctx context.Context) error {
	m.mu.Lock()
	slow := m.slow
	m.reads++
	if m.failing > 0 {
		m.failing--
		m.mu.Unlock()
		return errRead
	}
	m.mu.Unlock()
	if slow > 0 {
		time.Sleep(slow)
	}
	return ctx.Err()
}

// Heads is a read of the hub's.
func (m *memory) Heads(ctx context.Context, merchants []answer.MerchantID) (map[answer.MerchantID]event.Head, error) {
	if err := m.read(ctx); err != nil {
		return nil, err
	}
	heads := map[answer.MerchantID]event.Head{}
	for _, merchant := range merchants {
		if merchant == shop {
			heads[merchant] = m.head()
		}
	}
	return heads, nil
}

// Since is a read of the hub's.
func (m *memory) Since(ctx context.Context, _ answer.MerchantID, after int64, limit int) (event.Commit, error) {
	if err := m.read(ctx); err != nil {
		return event.Commit{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	from := min(int(after), len(m.events))
	return m.commit(from, min(from+limit, len(m.events))), nil
}

// items are a topic's, as they are read.
func (m *memory) items(t event.Topic, wants func(*event.Item) bool) []*event.Item {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []*event.Item
	for i := range m.events {
		e := &m.events[i]
		item := &event.Item{Number: e.Sequence, Event: e}
		switch t.Kind {
		case event.OfPayment:
			if item.Number = int64(e.ObjectVersion); e.ObjectID == t.Object {
				found = append(found, item)
			}
		case event.OfAccount:
			for _, entry := range m.entries[i] {
				if entry.Account == t.Object {
					found = append(found, &event.Item{Number: entry.Number, Object: entry.Object})
				}
			}
		default:
			if wants == nil || wants(item) {
				found = append(found, item)
			}
		}
	}
	return found
}

// stream is a topic as one subscriber hears it.
func (m *memory) stream(t event.Topic, wants func(*event.Item) bool) event.Stream {
	return event.Stream{Topic: t, Wants: wants, Read: func(ctx context.Context, after int64, limit int) ([]*event.Item, error) {
		if err := m.read(ctx); err != nil {
			return nil, err
		}
		found := slices.DeleteFunc(m.items(t, wants), func(i *event.Item) bool { return i.Number <= after })
		return found[:min(limit, len(found))], nil
	}}
}

// listener is one subscriber, who does what a transport does.
type listener struct {
	sub    *event.Subscription
	pause  time.Duration // for each item
	cancel context.CancelFunc
	ended  chan struct{}

	mu  sync.Mutex
	got []int64
	err error
}

// listen subscribes and takes what comes. after is a number to resume from; below zero the subscriber begins where the stream stands.
func listen(h *event.Hub, m *memory, t event.Topic, wants func(*event.Item) bool, after int64, pause time.Duration) (*listener, int64, error) {
	ctx, cancel := context.WithCancel(context.Background())
	sub, err := h.Subscribe(ctx, shop, m.stream(t, wants))
	if err != nil {
		cancel()
		return nil, 0, err
	}
	l := &listener{sub: sub, pause: pause, cancel: cancel, ended: make(chan struct{})}
	if after >= 0 {
		sub.Start(after, true)
	} else {
		after = 0
		if all := m.items(t, nil); len(all) > 0 {
			after = all[len(all)-1].Number
		}
		sub.Start(after, false, &event.Item{Number: after, Snapshot: true})
	}
	go l.run(ctx)
	return l, after, nil
}

func (l *listener) run(ctx context.Context) {
	defer close(l.ended)
	woken := make(chan struct{}, 1)
	wake := func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	}
	for live := false; !live; {
		items, now, err := l.sub.CatchUp(ctx, wake)
		switch {
		case errors.Is(err, errRead):
			time.Sleep(20 * time.Millisecond)
		case err != nil:
			l.end(err)
			return
		}
		l.take(items)
		live = now
	}
	for {
		select {
		case <-ctx.Done():
			l.end(ctx.Err())
			return
		case <-woken:
		}
		items, err := l.sub.Take()
		if err != nil {
			l.end(err)
			return
		}
		l.take(items)
	}
}

func (l *listener) take(items []*event.Item) {
	for _, i := range items {
		if l.pause > 0 && !i.Snapshot {
			time.Sleep(l.pause)
		}
		if !i.Snapshot {
			l.mu.Lock()
			l.got = append(l.got, i.Number)
			l.mu.Unlock()
		}
	}
}

func (l *listener) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// heard is what has come so far, and what has ended it.
func (l *listener) heard() ([]int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got), l.err
}

// close ends the subscriber as a transport does whose client is gone.
func (l *listener) close() {
	l.cancel()
	l.sub.Close()
	<-l.ended
}

// judge compares what a subscriber has with what it must have: all of it; or the beginning of it, where it was ended for being too slow or
// has gone itself.
func (l *listener) judge(want []int64) error {
	got, err := l.heard()
	cut := errors.Is(err, event.ErrTooSlow) || errors.Is(err, context.Canceled)
	if err != nil && !cut {
		return err
	}
	if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) || !cut && len(got) < len(want) {
		return fmt.Errorf("got %v, want %v (ended: %v)", got, want, err)
	}
	return nil
}
