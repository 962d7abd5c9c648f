package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	gatherers   = 64               // sockets that are opened at once
	gatherTime  = time.Minute      // after which a subscriber has begun, or never will
	arrivalTime = 15 * time.Second // after which what was committed has reached a subscriber, or never will
	lookAgain   = 5 * time.Millisecond
)

var errSubscribersStall = errors.New("subscribers do not get on")

// audience is subscribers, each with a socket of its own, and what has reached them. Nothing is sorted or removed before it is counted.
type audience struct {
	sockets []*socket
	running sync.WaitGroup
	closing atomic.Bool

	begun     atomic.Int64 // subscriptions that have had their first item
	delivered atomic.Int64 // items after the first of each subscription
	ended     atomic.Int64 // subscriptions that were completed

	mu          sync.Mutex
	from, until time.Time // items that come between are measured
	arrivals    *tally    // its good ones are the items that were measured, its failures are what must not happen
}

// gather opens n sockets, for which Go has raised the limit of open files as far as it may. Each of them follow serves until it ends.
func gather(ctx context.Context, address, token string, n int, follow func(*audience, *socket) error) (*audience, error) {
	a := &audience{sockets: make([]*socket, n), arrivals: newTally()}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(gatherers)
	for i := range a.sockets {
		group.Go(func() (err error) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			a.sockets[i], err = dialSocket(address, token)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		a.close()
		return nil, fmt.Errorf("opening %d WebSockets: %w", n, err)
	}
	for _, s := range a.sockets {
		a.running.Go(func() {
			if err := follow(a, s); err != nil && !a.closing.Load() {
				a.complain("a subscriber was lost: %v", err)
			}
		})
	}
	return a, nil
}

// close ends all subscribers.
func (a *audience) close() {
	a.closing.Store(true)
	for _, s := range a.sockets {
		if s != nil {
			s.close()
		}
	}
	a.running.Wait()
}

// complain notes what must not happen.
func (a *audience) complain(format string, args ...any) {
	a.arrivals.add(verdict{reason: fmt.Sprintf(format, args...)}, 0, false)
}

// await waits until a counter has reached a number, or has stood still for a while: what is late is not lost. That it does not reach it is no
// error here: the counts tell.
func (a *audience) await(ctx context.Context, counter *atomic.Int64, number int64, still time.Duration) {
	before, end := counter.Load(), time.Now().Add(still)
	for now := before; now < number && time.Now().Before(end) && ctx.Err() == nil; now = counter.Load() {
		if now != before {
			before, end = now, time.Now().Add(still)
		}
		time.Sleep(lookAgain)
	}
}

// gathered waits until n have begun.
func (a *audience) gathered(ctx context.Context, n int) error {
	a.await(ctx, &a.begun, int64(n), gatherTime)
	if begun := a.begun.Load(); begun < int64(n) {
		return fmt.Errorf("%d of %d have begun after %v; %s", begun, n, gatherTime, reasons(a.faults()))
	}
	return context.Cause(ctx)
}

// measure has what comes measured after a while, for a while.
func (a *audience) measure(lead, length time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.from = time.Now().Add(lead)
	a.until = a.from.Add(length)
}

// arrived counts an item that was committed at a time, and has just come.
func (a *audience) arrived(committed time.Time) {
	now := time.Now()
	a.mu.Lock()
	measured := now.After(a.from) && now.Before(a.until)
	a.mu.Unlock()
	a.arrivals.add(verdict{good: true}, max(0, now.Sub(committed)), measured)
	a.delivered.Add(1) // who waits for it reads arrivals next
}

// faults are what must not have happened, and how often it did.
func (a *audience) faults() map[string]int64 {
	a.arrivals.mu.Lock()
	defer a.arrivals.mu.Unlock()
	all := map[string]int64{}
	for reason, n := range a.arrivals.failures {
		all[reason] = n
	}
	return all
}

// order is the numbers that a subscriber has seen of one stream. The first is where it begins; each other must be the next.
type order struct {
	begun bool
	last  int64
}

// next takes a number, and says whether it is the one that had to come.
func (o *order) next(number int64) error {
	last := o.last
	expected := !o.begun || number == last+1
	o.begun, o.last = true, number
	if !expected {
		return fmt.Errorf("number %d came after %d", number, last)
	}
	return nil
}
