// Package timer serves what is due: every node looks, and whoever comes second finds it done.
package timer

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/clock"
	"github.com/paygraph/paygraph/command"
)

// Limits of a sweep.
const (
	interval      = time.Second
	atOnce        = 128 // timers that are looked at together, from either end
	atOnceOfOne   = 64  // timers of one merchant that are in the queue: a quarter of a batch, so that clients are not delayed
	mostFailures  = 5   // after which a timer is set aside
	mostSetAside  = 10_000
	pauseAfterBad = 5 * time.Second
)

// Source finds timers of some kinds that are due: some that have been for longest, and as many that have become so last.
type Source interface {
	Due(ctx context.Context, kinds []command.TimerKind, limit int) ([]command.Due, error)
}

// Serve does what a timer is for. It may be called for a timer that has been served.
type Serve func(context.Context, command.Due) error

// Sweeper serves due timers until it is stopped.
type Sweeper struct {
	Source Source
	Serve  map[command.TimerKind]Serve
	Clock  clock.Clock
	Log    *slog.Logger

	due    atomic.Int64 // at the last look
	served atomic.Int64
	failed atomic.Int64

	mu       sync.Mutex
	failures map[command.Due]int
}

// Stats says how things stand with a sweeper.
type Stats struct {
	Due      int64 // timers that the last look has found: as many as it looks for, where there are more
	Served   int64 // since the start
	Failed   int64 // attempts that say something of the timer
	SetAside int   // timers that are not tried again
}

// Stats says how things stand.
func (s *Sweeper) Stats() Stats {
	stats := Stats{Due: s.due.Load(), Served: s.served.Load(), Failed: s.failed.Load()}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, failures := range s.failures {
		if failures >= mostFailures {
			stats.SetAside++
		}
	}
	return stats
}

// Start sweeps in the background. stop waits until nothing is being served.
func (s *Sweeper) Start() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	running := &clock.Group{Clock: s.Clock}
	running.Go(func() { s.run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

func (s *Sweeper) run(ctx context.Context) {
	for wait := time.Duration(0); s.Clock.Wait(wait, ctx.Done()) != 0; {
		begin := s.Clock.Now()
		switch served, err := s.Sweep(ctx); {
		case err != nil && ctx.Err() == nil:
			s.Log.Warn("timers cannot be read; trying again", "error", err)
			wait = pauseAfterBad
		case served == 0:
			wait = interval
		default:
			wait = s.Clock.Now().Sub(begin) // there may be more; clients have half of the time to themselves
		}
	}
}

// Sweep serves some of what is due, and says how many timers it has served.
func (s *Sweeper) Sweep(ctx context.Context) (served int, err error) {
	kinds := slices.Collect(maps.Keys(s.Serve)) // one of a later version is that version's
	due, err := s.Source.Due(ctx, kinds, atOnce+s.setAside())
	if err != nil {
		return 0, err
	}
	s.due.Store(int64(len(due)))
	taken := map[answer.MerchantID]int{}
	all := clock.Group{Clock: s.Clock}
	var done atomic.Int64
	for _, d := range due {
		if s.isSetAside(d) || taken[d.Merchant] == atOnceOfOne {
			continue
		}
		taken[d.Merchant]++
		all.Go(func() {
			err := s.Serve[d.Kind](ctx, d)
			if err == nil {
				done.Add(1)
			}
			s.note(ctx, d, err)
		})
	}
	all.Wait()
	s.served.Add(done.Load())
	return int(done.Load()), nil
}

// passing are failures that say nothing of the timer: nothing can be committed now, and it is tried again as long as that lasts.
var passing = []error{command.ErrUnavailable, command.ErrRateLimited, command.ErrOutcomeUnknown}

// note counts failures. A timer that fails again and again would be tried for ever: it is set aside until the next start, with an alarm.
func (s *Sweeper) note(ctx context.Context, d command.Due, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil || ctx.Err() != nil {
		delete(s.failures, d)
		return
	}
	if slices.ContainsFunc(passing, func(p error) bool { return errors.Is(err, p) }) {
		return
	}
	s.failed.Add(1)
	if s.failures == nil || len(s.failures) > mostSetAside {
		s.failures = map[command.Due]int{}
	}
	if s.failures[d]++; s.failures[d] < mostFailures {
		return
	}
	s.Log.Error("a timer cannot be served, and is set aside until the next start", "merchant", d.Merchant, "kind", d.Kind, "object", d.ObjectID,
		"due", d.DueAt, "error", err)
}

func (s *Sweeper) isSetAside(d command.Due) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failures[d] >= mostFailures
}

func (s *Sweeper) setAside() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.failures)
}
