package transport_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/paygraph/paygraph/transport"
)

// TestThoseWhoComeAtOnceComeInOneAfterTheOther opens sockets while payments keep the machine busy, and while they do not.
func TestThoseWhoComeAtOnceComeInOneAfterTheOther(t *testing.T) {
	t.Parallel()
	var busy atomic.Bool
	g := start(t, func(c *transport.Config) { c.Busy = busy.Load })
	g.handler.SetArrivals(20)
	for _, is := range []bool{true, false} {
		busy.Store(is)
		begun := time.Now()
		var all sync.WaitGroup
		for range 11 {
			all.Go(func() {
				ws, _, err := g.dial(&websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}})
				if err != nil {
					t.Error(err)
					return
				}
				_ = ws.Close()
			})
		}
		all.Wait()
		if took := time.Since(begun); (took >= 500*time.Millisecond) != is {
			t.Errorf("busy: %v; 11 sockets were open after %s", is, took)
		}
	}
}

// TestWhoWouldComeInTooLateIsSentAway has so many come that the last would wait for minutes.
func TestWhoWouldComeInTooLateIsSentAway(t *testing.T) {
	t.Parallel()
	g := start(t, func(c *transport.Config) { c.Busy = func() bool { return true } })
	g.handler.SetArrivals(1)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	var refused atomic.Int32
	for range 60 {
		all.Go(func() {
			dialer := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}}
			ws, response, err := dialer.DialContext(ctx, "ws"+g.URL[len("http"):], nil)
			if response != nil {
				defer response.Body.Close()
			}
			switch {
			case err == nil:
				_ = ws.Close()
			case response != nil && response.StatusCode == http.StatusServiceUnavailable && response.Header.Get("Retry-After") != "":
				refused.Add(1)
			case ctx.Err() == nil:
				t.Error(err, response)
			}
		})
	}
	if !within(patience, func() bool { return refused.Load() >= 18 }) {
		t.Errorf("%d were sent away", refused.Load())
	}
}
