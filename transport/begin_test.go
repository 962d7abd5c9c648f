package transport_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/paygraph/paygraph/quota"
	"github.com/paygraph/paygraph/transport"
)

// TestPlacesOfThoseWhoBegin: the last place of an address is given back, however its socket ends.
func TestPlacesOfThoseWhoBegin(t *testing.T) {
	t.Parallel()
	strangers := quota.NewStrangers(time.Now)
	for range quota.Handshakes - 1 {
		_, err := strangers.Begin(t.Context(), netip.MustParseAddr("127.0.0.1"))
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
		g.handler.SetPatience(patience)
		last := g.open(t)
		g.handler.SetPatience(100 * time.Millisecond)
		if _, _, err := g.dial(&websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}}); err == nil {
			t.Fatalf("%s: one too many has come in", name)
		}
		end(last)
	}
}
