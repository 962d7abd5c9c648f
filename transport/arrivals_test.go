package transport_test

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/paygraph/paygraph/quota"
	"github.com/paygraph/paygraph/transport"
)

// TestThoseWhoComeAtOnceComeInOneAfterTheOther opens sockets while payments keep the machine busy, and while they do not.
func TestThoseWhoComeAtOnceComeInOneAfterTheOther(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		busy  bool
		every time.Duration
		least time.Duration // until all are in
	}{
		"busy": {true, 50 * time.Millisecond, 500 * time.Millisecond}, "not busy": {false, time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, func(config *transport.Config) { config.Busy = func() bool { return c.busy } })
			g.handler.SetArrivals(c.every, patience)
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
			if took := time.Since(begun); took < c.least {
				t.Errorf("11 sockets were open after %s", took)
			}
		})
	}
}

// TestWhoWouldComeInTooLateIsSentAway: one comes in, and the others' time ends before their turn comes.
func TestWhoWouldComeInTooLateIsSentAway(t *testing.T) {
	t.Parallel()
	g := start(t, func(c *transport.Config) { c.Busy = func() bool { return true } })
	g.handler.SetArrivals(time.Hour, time.Second)
	var all sync.WaitGroup
	var opened, refused atomic.Int32
	for range 5 {
		all.Go(func() {
			dialer := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}}
			ws, response, err := dialer.DialContext(t.Context(), "ws"+g.URL[len("http"):], nil)
			if response != nil {
				defer response.Body.Close()
			}
			switch {
			case err == nil:
				opened.Add(1)
				_ = ws.Close()
			case response != nil && response.StatusCode == http.StatusServiceUnavailable && response.Header.Get("Retry-After") == "1":
				refused.Add(1)
			default:
				t.Error(err, response)
			}
		})
	}
	all.Wait()
	if opened.Load() != 1 || refused.Load() != 4 {
		t.Errorf("%d came in, %d were sent away", opened.Load(), refused.Load())
	}
}

// TestPlacesOfThoseWhoBegin: the last place of an address is given back, however its socket ends.
func TestPlacesOfThoseWhoBegin(t *testing.T) {
	t.Parallel()
	strangers := quota.NewStrangers(time.Now)
	for range quota.Handshakes - 1 {
		_, err := strangers.Begin(t.Context(), netip.MustParseAddr("127.0.0.1"), func(context.Context) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	g := start(t, func(c *transport.Config) { c.Strangers = strangers })
	for name, end := range map[string]func(*client){
		"acknowledged": func(c *client) { c.send(`{"type":"connection_init"}`); c.want(`{"type":"connection_ack"}`) },
		"closed":       func(c *client) { _ = c.ws.Close() },
		"refused": func(c *client) {
			c.send(`{"type":"connection_init","payload":{"Authorization":"Bearer wrong"}}`)
			c.wantClosed(4403, "Forbidden")
		},
	} {
		g.handler.SetArrivals(time.Hour, patience)
		last := g.open(t)
		g.handler.SetArrivals(time.Hour, 100*time.Millisecond)
		if _, _, err := g.dial(&websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}}); err == nil {
			t.Fatalf("%s: one too many has come in", name)
		}
		end(last)
	}
}
