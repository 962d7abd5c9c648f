// Package clock is how what runs side by side is started, waits and tells the time: in goroutines and real time, or, in tests, in a simulation
// that can be repeated (docs/decisions/021).
package clock

import (
	"math"
	"sync"
	"time"
)

// Clock starts what runs beside the caller, and lets it wait. Whoever is given one waits for nothing in another way, but for locks that nobody
// holds while waiting.
type Clock interface {
	// Now is the time.
	Now() time.Time
	// Go runs a function beside the caller.
	Go(run func())
	// Wait waits until something can be received from one of the channels, of which there are three at most, and receives it: the result is
	// the channel's place. After so long it is TimeUp.
	Wait(most time.Duration, on ...<-chan struct{}) int
}

// Forever is longer than anybody waits.
const Forever time.Duration = math.MaxInt64

// TimeUp is what Wait returns where nothing came.
const TimeUp = -1

// Real is the machine's clock, and goroutines.
var Real Clock = realClock{}

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) Go(run func()) { go run() }

func (realClock) Wait(most time.Duration, on ...<-chan struct{}) int {
	var from [3]<-chan struct{} // from one that is nil nothing comes
	copy(from[:], on)
	var timeUp <-chan time.Time
	if most < Forever {
		timer := time.NewTimer(most)
		defer timer.Stop()
		timeUp = timer.C
	}
	select {
	case <-from[0]:
		return 0
	case <-from[1]:
		return 1
	case <-from[2]:
		return 2
	case <-timeUp:
		return TimeUp
	}
}

// Group runs functions by a clock, and waits until all have ended. It is made with its clock.
type Group struct {
	Clock   Clock
	mu      sync.Mutex
	running int
	ended   chan struct{} // is closed when nothing runs any more; nil: nobody waits
}

// Go runs a function.
func (g *Group) Go(run func()) {
	g.mu.Lock()
	g.running++
	g.mu.Unlock()
	g.Clock.Go(func() {
		defer g.done()
		run()
	})
}

func (g *Group) done() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running--; g.running == 0 && g.ended != nil {
		close(g.ended)
	}
}

// Wait returns when nothing runs. It is called once, after the last Go but those of what still runs.
func (g *Group) Wait() {
	g.mu.Lock()
	if g.running == 0 {
		g.mu.Unlock()
		return
	}
	g.ended = make(chan struct{})
	g.mu.Unlock()
	g.Clock.Wait(Forever, g.ended)
}
