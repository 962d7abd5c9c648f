package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	stormAccounts = 16 // a merchant's first, which nobody else pays while there is a storm: each of their entries is the storm's
	stormShare    = 2  // a storm comes once in this part of a round's length

	passes = time.Minute // without another of them back: the gateway lets few read at once, and one that collects all the time is slow
)

// storm is subscribers of some accounts that all lose their connections at once and come back at once, again and again. Each time an entry
// is booked on every account while they are away, which they must get by resuming, and another when all have: that finds them live.
type storm struct {
	*clients
	b       *bench
	t       *tenant
	conns   []*conn // that make the payments, one for each two accounts
	stop    context.CancelFunc
	raging  sync.WaitGroup
	due     int64           // items
	allBack []time.Duration // how long it took each time until all had what they had missed
}

// newStorm gathers n subscribers, and lets the storm begin. It has to be ended, also where there is an error.
func (b *bench) newStorm(ctx context.Context, address string, t *tenant, n int) (*storm, error) {
	s := &storm{b: b, t: t, stop: func() {}}
	followers := make([]resumer, n)
	s.clients = newClients(ctx, n, 0, func(c *clients, i int, l *line) error {
		return followers[i].followThrough(c, l, address, t.token, t.accounts[i%stormAccounts])
	})
	for range stormAccounts / 2 {
		c, err := dial(address)
		if err != nil {
			return s, err
		}
		s.conns = append(s.conns, c)
	}
	if err := s.gathered(ctx, n); err != nil {
		return s, err
	}
	calm, stop := context.WithCancel(ctx)
	s.stop = stop
	s.raging.Go(func() {
		for calm.Err() == nil {
			next := time.Now().Add(b.length() / stormShare)
			if err := s.blow(ctx); err != nil {
				s.complain("%v", err)
				return
			}
			sleepUntil(calm, next)
		}
	})
	return s, nil
}

// followThrough follows an account over one connection, until that is cut off.
func (r *resumer) followThrough(c *clients, l *line, address, token, account string) error {
	s, err := l.open(address, token)
	if err != nil {
		return err
	}
	defer s.close()
	if err := r.subscribe(s, accountActivity, map[string]string{"id": account}); err != nil {
		return err
	}
	for {
		message, err := s.receive()
		switch {
		case err != nil && l.wasLost():
			return nil
		case err != nil:
			return fmt.Errorf("a subscriber was lost: %w", err)
		}
		first := !r.numbers.begun
		if err := r.take(message); err != nil {
			c.complain("%v", err)
		}
		if first {
			c.begun.Add(1)
		} else {
			c.delivered.Add(1)
		}
	}
}

// blow is one storm.
func (s *storm) blow(ctx context.Context) error {
	from := time.Now()
	for i := range s.lines {
		s.lines[i].lose()
	}
	if err := s.book(ctx); err != nil {
		return err
	}
	s.allBack = append(s.allBack, time.Since(from))
	if err := s.book(ctx); err != nil {
		return err
	}
	s.done.Add(1)
	return nil
}

// book has an entry booked on each account, and waits until it has reached all subscribers.
func (s *storm) book(ctx context.Context) error {
	var group errgroup.Group
	for i, c := range s.conns {
		group.Go(func() error {
			if err := c.redial(); err != nil { // the gateway may have ended it while the last storm passed
				return err
			}
			return s.b.pay(c, s.t, 2*i, 2*i+1)
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("a payment to subscribers: %w", err)
	}
	s.due += int64(len(s.lines))
	s.await(ctx, &s.delivered, s.due, passes)
	if n := s.delivered.Load(); n != s.due {
		return fmt.Errorf("%d of %d items have reached subscribers who were cut off %d times", n, s.due, len(s.allBack)+1)
	}
	return nil
}

// end lets the last storm pass, so that what it has brought can be counted.
func (s *storm) end() {
	s.stop()
	s.raging.Wait()
	s.clients.end()
	for _, c := range s.conns {
		c.close()
	}
}

// tell adds what has reached the subscribers.
func (s *storm) tell(f *disturbanceFigure) {
	s.clients.tell(f)
	f.Due += float64(s.due)
	f.Delivered += float64(s.delivered.Load())
	for _, took := range s.allBack {
		f.AllBackMs = max(f.AllBackMs, millis(took))
	}
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
