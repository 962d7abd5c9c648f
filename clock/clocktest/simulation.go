// Package clocktest simulates machines with clocks: what they run takes turns in one thread, in an order that a seed decides, and time passes
// when all wait. The same seed gives the same run.
package clocktest

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/paygraph/paygraph/clock"
)

// begin is when simulations begin: so late that no context's deadline, which the machine's own clock measures, is ever over.
var begin = time.Date(2200, time.January, 1, 0, 0, 0, 0, time.UTC)

// Simulation is one run. It is used by one goroutine.
type Simulation struct {
	Rand    *rand.Rand
	now     time.Time
	tasks   []*task
	running *task
	started int
	failed  error
	steps   uint64 // a hash of what ran when
}

// Machines have other things to do: once in so many turns, what others wait for comes although somebody could go on, if it is near.
const (
	busy = 30
	late = 20 * time.Millisecond
)

// New begins a run.
func New(seed uint64) *Simulation {
	return &Simulation{Rand: rand.New(rand.NewPCG(seed, seed)), now: begin}
}

// Host is a machine of the simulation: a clock.Clock.
type Host struct {
	Ahead  time.Duration // of its clock, before the simulation's
	sim    *Simulation
	name   string
	frozen bool
}

var _ clock.Clock = (*Host)(nil)

// Host makes a machine.
func (s *Simulation) Host(name string) *Host { return &Host{sim: s, name: name} }

// task is what Go has started.
type task struct {
	host    *Host
	number  int
	resume  func() (struct{}, bool)
	stop    func()
	yield   func(struct{}) bool
	until   time.Time
	on      []<-chan struct{}
	got     int // what Wait returns
	stopped bool
	ended   bool
}

// unwinding ends a task that waits when the simulation is over.
type unwinding struct{}

// Now is the simulation's time, as the machine shows it.
func (h *Host) Now() time.Time { return h.sim.now.Add(h.Ahead) }

// Freeze stops everything on the machine, until it is thawed, or for good.
func (h *Host) Freeze() { h.frozen = true }

// Thaw lets a machine go on. What it waited for may have been long ago.
func (h *Host) Thaw() { h.frozen = false }

// Go starts a function on the machine. It runs when its turn comes.
func (h *Host) Go(run func()) {
	s := h.sim
	s.started++
	t := &task{host: h, number: s.started}
	t.resume, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		defer func() {
			t.ended = true
			if cause := recover(); cause != nil && cause != any(unwinding{}) && s.failed == nil {
				s.failed = fmt.Errorf("a task on %s panics: %v\n%s", h.name, cause, debug.Stack())
			}
		}()
		run()
	})
	s.tasks = append(s.tasks, t)
}

// Wait lets others have their turn. Of several things that have come it takes any.
func (h *Host) Wait(most time.Duration, on ...<-chan struct{}) int {
	t := h.sim.running
	if t.stopped {
		panic(unwinding{})
	}
	t.on = on
	t.until = begin.Add(1 << 62) // for ever
	if most < clock.Forever {
		t.until = h.sim.now.Add(max(0, most))
	}
	if !t.yield(struct{}{}) {
		t.stopped = true
		panic(unwinding{})
	}
	return t.got
}

// came says whether something can be received: nobody else runs, and so it stays. In what has something to give there is a buffer, or it is
// closed.
func came(from <-chan struct{}) bool {
	if from == nil || len(from) > 0 {
		return from != nil
	}
	select {
	case <-from:
		return true
	default:
		return false
	}
}

// choices are what the task's Wait could return now.
func (t *task) choices(now time.Time, into []int) []int {
	for place, from := range t.on {
		if came(from) {
			into = append(into, place)
		}
	}
	if !t.until.After(now) {
		into = append(into, clock.TimeUp)
	}
	return into
}

// Run lets everything run for so long, or until nothing has anything left to wait for. Its error is a task's panic.
func (s *Simulation) Run(most time.Duration) error {
	end := s.now.Add(most)
	var ready []*task
	var choices []int
	for s.failed == nil {
		ready = ready[:0]
		next := end
		for _, t := range s.tasks {
			if t.host.frozen {
				continue
			}
			if len(t.choices(s.now, choices[:0])) > 0 {
				ready = append(ready, t)
			} else if t.until.Before(next) {
				next = t.until
			}
		}
		if len(ready) == 0 && !next.Before(end) {
			s.now = end
			break
		}
		if len(ready) == 0 || s.Rand.IntN(busy) == 0 && next.Sub(s.now) < late {
			s.now = next
			continue
		}
		t := ready[s.Rand.IntN(len(ready))]
		choices = t.choices(s.now, choices[:0])
		s.step(t, choices[s.Rand.IntN(len(choices))])
	}
	return s.failed
}

// step lets a task run until it waits again.
func (s *Simulation) step(t *task, got int) {
	if got >= 0 && len(t.on[got]) > 0 {
		<-t.on[got]
	}
	t.got = got
	s.steps = s.steps*31 + uint64(t.number)<<8 + uint64(got+1) + uint64(s.now.Sub(begin))
	outer := s.running
	s.running = t
	t.resume()
	s.running = outer
	if t.ended {
		s.forget(t)
	}
}

func (s *Simulation) forget(gone *task) {
	for i, t := range s.tasks {
		if t == gone {
			s.tasks = append(s.tasks[:i], s.tasks[i+1:]...)
			return
		}
	}
}

// Elapsed is how long the simulation has run, by its own time.
func (s *Simulation) Elapsed() time.Duration { return s.now.Sub(begin) }

// Steps stands for all that has run, and when: it is the same for the same run.
func (s *Simulation) Steps() uint64 { return s.steps }

// Close ends what still runs, by a panic where it waits.
func (s *Simulation) Close() {
	for len(s.tasks) > 0 {
		t := s.tasks[0]
		t.host.frozen = false
		s.running = t
		t.stop()
		t.ended = true
		s.forget(t)
	}
}
