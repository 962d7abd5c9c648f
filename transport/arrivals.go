package transport

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/time/rate"

	"github.com/paygraph/paygraph/quota"
)

// Limits of those who open a WebSocket while payments keep the machine busy.
const (
	arrivalRate     = 50 // sockets a second and core, for long
	arrivalBurst    = 64 // sockets at once
	arrivalsAreLate = "many come at once: come back later"
)

// arrivals are those who open a WebSocket. Thousands may come back at the same moment, and their handshakes at once would take half a machine's payments
// for as long as they last. So they come in one after the other while payments keep the machine busy, at a pace that takes a tenth of it.
type arrivals struct {
	busy     func() bool
	pace     *rate.Limiter
	patience time.Duration // for all that a handshake waits for
}

func newArrivals(busy func() bool) *arrivals {
	return &arrivals{busy, rate.NewLimiter(rate.Limit(arrivalRate*runtime.GOMAXPROCS(0)), arrivalBurst), quota.HandshakeWait}
}

// wait returns when one more may come in. Error: that the context has ended, or would before.
func (a *arrivals) wait(ctx context.Context) error {
	if !a.busy() {
		return nil
	}
	return a.pace.Wait(ctx)
}
