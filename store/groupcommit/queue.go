// Package groupcommit brings commands that arrive one by one to writers that take many at once: a queue a key, one batch in flight
// a key. It knows no domain and no database.
package groupcommit

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/paygraph/paygraph/clock"
)

// Errors of Do.
var (
	// ErrFull says that the queue has no room. Nothing was done.
	ErrFull = errors.New("the queue is full")
	// ErrKeyFull says that as many items wait under this key as may. Nothing was done, and other keys are not concerned.
	ErrKeyFull = errors.New("the key's queue is full")
	// ErrClosed says that the queue takes nothing more. Nothing was done.
	ErrClosed = errors.New("the queue is closed")
	// ErrTimeUp says that the caller's time was up before its item was settled. The item goes on.
	ErrTimeUp = errors.New("time was up before the item was settled")
)

// Limits of a queue.
type Limits struct {
	Writers      int           // batches in flight at once, each with another key
	Batch        int           // items in one batch
	Waiting      int           // items that wait, in all keys together
	WaitingOfKey int           // items that wait under one key, so that it leaves room for others
	Patience     time.Duration // how long Do waits at most
}

// Writer does the work. Write settles every item of the batch before it returns; it is called by one goroutine at a time.
type Writer[K comparable, C, R any] interface {
	Write(key K, batch []*Item[C, R])
	Close()
}

// Item is one command on its way.
type Item[C, R any] struct {
	Command  C
	Since    time.Time // when it came
	Deadline time.Time // when its caller stops waiting
	result   R
	err      error
	settled  bool
	done     chan struct{}
}

// Settle gives the caller its answer. Only the first call counts.
func (i *Item[C, R]) Settle(result R, err error) {
	if i.settled {
		return
	}
	i.result, i.err, i.settled = result, err, true
	close(i.done)
}

// Queue is a queue a key in front of a pool of writers. The key that has waited longest comes first, and of several idle writers the
// one that has worked last takes it.
type Queue[K comparable, C, R any] struct {
	limits  Limits
	clock   clock.Clock
	mu      sync.Mutex
	lines   map[K]*line[C, R]
	ready   []K             // keys with items and no batch in flight, the longest waiting first
	idle    []chan struct{} // what wakes the writers that have nothing to do, the one that worked last at the end
	waiting int
	closed  bool
	writers clock.Group
}

type line[C, R any] struct {
	items    []*Item[C, R]
	inFlight bool
}

// New starts the writers, each made by the function with its number.
func New[K comparable, C, R any](c clock.Clock, limits Limits, writer func(n int) Writer[K, C, R]) *Queue[K, C, R] {
	q := &Queue[K, C, R]{limits: limits, clock: c, lines: map[K]*line[C, R]{}, writers: clock.Group{Clock: c}}
	for n := range limits.Writers {
		q.writers.Go(func() { q.run(writer(n)) })
	}
	return q
}

// Do puts a command into its key's queue and waits for its answer, for the queue's patience or the context's deadline, whichever
// ends first; the end of the context alone does not take the command back. Errors: ErrFull, ErrKeyFull, ErrClosed, all three at once,
// ErrTimeUp, and what the writer settles with.
func (q *Queue[K, C, R]) Do(ctx context.Context, key K, c C) (R, error) {
	now := q.clock.Now()
	item := &Item[C, R]{Command: c, Since: now, Deadline: now.Add(q.limits.Patience), done: make(chan struct{})}
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(item.Deadline) {
		item.Deadline = deadline
	}
	var none R
	if err := q.put(key, item); err != nil {
		return none, err
	}
	switch q.clock.Wait(item.Deadline.Sub(now), item.done, ctx.Done()) {
	case 0:
		return item.result, item.err
	case 1:
		return none, errors.Join(ErrTimeUp, ctx.Err())
	}
	return none, ErrTimeUp
}

func (q *Queue[K, C, R]) put(key K, item *Item[C, R]) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	l := q.lines[key]
	switch {
	case l != nil && len(l.items) >= q.limits.WaitingOfKey:
		return ErrKeyFull
	case q.waiting >= q.limits.Waiting:
		return ErrFull
	case l == nil:
		l = &line[C, R]{}
		q.lines[key] = l
	}
	l.items = append(l.items, item)
	q.waiting++
	if !l.inFlight && len(l.items) == 1 {
		q.ready = append(q.ready, key)
		q.wake(1)
	}
	return nil
}

// Waiting is how many items no writer has taken yet.
func (q *Queue[K, C, R]) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}

// wake wakes as many idle writers, or all there are.
func (q *Queue[K, C, R]) wake(n int) {
	rest := max(0, len(q.idle)-n)
	for _, wake := range q.idle[rest:] {
		wake <- struct{}{}
	}
	q.idle = q.idle[:rest]
}

func (q *Queue[K, C, R]) run(w Writer[K, C, R]) {
	defer w.Close()
	wake := make(chan struct{}, 1)
	for {
		key, batch, ok := q.take(wake)
		if !ok {
			return
		}
		w.Write(key, batch)
		q.finish(key)
	}
}

// take waits for a key that is ready and takes a batch of its items, in the order in which they came.
func (q *Queue[K, C, R]) take(wake chan struct{}) (K, []*Item[C, R], bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for place := len(q.idle); len(q.ready) == 0; place = 0 { // 0 where another has taken the key: this one has not worked
		if q.closed && q.waiting == 0 {
			var none K
			return none, nil, false
		}
		q.idle = slices.Insert(q.idle, place, wake)
		q.rest(wake)
	}
	key := q.ready[0]
	q.ready = q.ready[1:]
	l := q.lines[key]
	n := min(len(l.items), q.limits.Batch)
	batch := l.items[:n:n]
	l.items = l.items[n:]
	l.inFlight = true
	q.waiting -= n
	return key, batch, true
}

// rest waits without the lock until somebody wakes the writer.
func (q *Queue[K, C, R]) rest(wake chan struct{}) {
	q.mu.Unlock()
	defer q.mu.Lock()
	q.clock.Wait(clock.Forever, wake)
}

// finish lets the next batch of the key go. It wakes nobody: its writer takes next what has waited longest.
func (q *Queue[K, C, R]) finish(key K) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[key]
	l.inFlight = false
	if len(l.items) == 0 {
		delete(q.lines, key)
	} else {
		q.ready = append(q.ready, key)
	}
	if q.closed && q.waiting == 0 {
		q.wake(len(q.idle))
	}
}

// Close takes nothing more, waits until everything that was taken is settled, and ends the writers.
func (q *Queue[K, C, R]) Close() {
	q.mu.Lock()
	q.closed = true
	q.wake(len(q.idle))
	q.mu.Unlock()
	q.writers.Wait()
}
