//go:build ci

package transport_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/transport"
	"github.com/paygraph/paygraph/transport/internal/testschema"
)

// TestRealClients needs Node and Chromium, and fails without them.
func TestRealClients(t *testing.T) {
	t.Parallel()
	install := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund")
	install.Dir = "clients"
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("Debian's package chromium is missing: %v", err)
	}
	for name, script := range map[string][]string{
		"graphql-ws":                        {"sockets.mjs"},
		"graphql-sse":                       {"streams.mjs"},
		"digests in the place of documents": {"persisted.mjs"},
		"a reader over fetch in Chromium":   {"browser.mjs", chromium},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drive(t, script[0], script[1:]...)
		})
	}
}

// nodes are gateways behind one address, one after the other, with one log: what is stopped is followed by the next.
type nodes struct {
	*gateway
	config    transport.Config
	current   atomic.Pointer[transport.Handler]
	network   *network
	published int
	ends      func() // the token "ending"
}

// drive runs a script against a server, and does what the script wishes for.
func drive(t *testing.T, script string, args ...string) {
	t.Helper()
	n, address := startNodes(t)
	ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
	defer cancel()
	run := exec.CommandContext(ctx, "node", append([]string{script, address}, args...)...)
	run.Dir, run.Stderr = "clients", os.Stderr
	wishes, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, err := run.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	passed := false
	for lines := bufio.NewScanner(wishes); lines.Scan(); fmt.Fprintln(answers, "done", n.published) {
		switch wish := lines.Text(); wish {
		case "passed":
			passed = true
		default:
			if !n.grant(ctx, t, wish) {
				t.Errorf("%s says %q", script, wish)
			}
		}
	}
	if err := run.Wait(); err != nil || !passed {
		t.Errorf("%s: %v", script, err)
	}
}

// startNodes begins with two items.
func startNodes(t *testing.T) (n *nodes, address string) {
	t.Helper()
	ended := make(chan struct{})
	n = &nodes{ends: sync.OnceFunc(func() { close(ended) })}
	n.gateway = start(t, func(c *transport.Config) {
		c.Sockets.PingInterval, c.Sockets.PongTimeout = 200*time.Millisecond, 2*time.Second
		known := c.Authenticate
		c.Authenticate = func(ctx context.Context, token string) (auth.Principal, error) {
			if token != "ending" {
				return known(ctx, token)
			}
			select {
			case <-ended:
				return auth.Nobody, errors.New("it has ended")
			default:
				return auth.Principal{Kind: auth.Backend, Merchant: "mer_1", Expires: time.Now().Add(3 * time.Second)}, nil
			}
		}
		n.config = *c
	})
	n.publish(2)
	n.current.Store(n.handler)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { n.current.Load().ServeHTTP(w, r) }))
	n.network = &network{Listener: server.Listener}
	server.Listener = n.network
	watchGoroutines(t, server.Start)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		n.current.Load().Stop(ctx)
		server.CloseClientConnections()
		server.Close()
	})
	return n, server.URL + "/graphql"
}

func (n *nodes) publish(items int) {
	n.events.Publish(items)
	n.published += items
}

// grant does what a script wishes for, if it is something that there is.
func (n *nodes) grant(ctx context.Context, t *testing.T, wish string) bool {
	t.Helper()
	switch wish {
	case "publish":
		n.publish(1)
	case "flood":
		n.flood(t)
	case "stop": // the next one is there before the clients are told
		old := n.current.Swap(transport.New(n.config))
		old.Stop(ctx)
	case "cut":
		n.network.cut()
	case "die":
		n.network.die()
	case "end the token":
		n.ends()
	case "nobody": // is to be left
		if !within(patience, func() bool { return n.current.Load().OpenSockets() == 0 && !n.events.Heard() }) {
			t.Errorf("%d sockets are open; somebody listens: %t", n.current.Load().OpenSockets(), n.events.Heard())
		}
	default:
		return false
	}
	return true
}

// flood publishes more than may wait for a client, while the network takes nothing. Another client, with a network of its own, shows that it
// has been brought to everybody.
func (n *nodes) flood(t *testing.T) {
	t.Helper()
	const batch = 10
	server := httptest.NewServer(transport.New(n.config))
	defer server.Close()
	ticks := fmt.Sprintf(`subscription { ticks(after: %q) }`, testschema.Cursor(int64(n.published))) // its stream begins before it does
	other := (&gateway{Server: server}).listen(t, http.MethodGet, ticks, onlyStream).opened()
	defer other.leave()
	n.network.full.Lock()
	defer n.network.full.Unlock()
	for range 2*event.MaxWaiting/batch + batch { // the first ones that were taken together wait to be written, and do not count
		n.publish(batch)
		for number := n.published - batch + 1; number <= n.published; number++ {
			other.want(item(testschema.Cursor(int64(number)), fmt.Sprintf(`{"ticks":%d}`, number)))
		}
	}
}
