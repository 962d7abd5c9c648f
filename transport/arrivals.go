package transport

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/time/rate"
)

// Limits of those who open a WebSocket while payments keep the machine busy.
const (
	arrivalRate     = 50 // sockets a second and core, for long
	arrivalBurst    = 64 // sockets at once
	longestArrival  = 40 * time.Second
	arrivalsAreLate = "many come at once: come back later"
)

// arrivals are those who open a WebSocket. Thousands may come back at the same moment, and their handshakes at once would take half a machine's payments
// for as long as they last. So they come in one after the other while payments keep the machine busy, at a pace that takes a tenth of it.
type arrivals struct {
	busy func() bool
	pace *rate.Limiter
}

func newArrivals(busy func() bool) *arrivals {
	return &arrivals{busy, rate.NewLimiter(rate.Limit(arrivalRate*runtime.GOMAXPROCS(0)), arrivalBurst)}
}

// wait returns when one more may come in, or the context has ended. It is false, at once, where that would be too late.
func (a *arrivals) wait(ctx context.Context) bool {
	if !a.busy() {
		return true
	}
	turn := a.pace.Reserve()
	delay := turn.Delay()
	if delay > longestArrival {
		turn.Cancel()
		return false
	}
	if delay > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
	}
	return true
}
