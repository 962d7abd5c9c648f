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
	"github.com/paygraph/paygraph/transport"
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
	t.Run("graphql-ws and graphql-sse", func(t *testing.T) {
		t.Parallel()
		drive(t, "clients.mjs")
	})
	t.Run("a reader over fetch in Chromium", func(t *testing.T) {
		t.Parallel()
		drive(t, "browser.mjs", chromium)
	})
}

// nodes are gateways behind one address, one after the other, with one log: what is stopped is followed by the next.
type nodes struct {
	*gateway
	config  transport.Config
	current atomic.Pointer[transport.Handler]
	ends    chan struct{} // the token "ending" ends
}

// drive runs a script against a server, and does what the script wishes for.
func drive(t *testing.T, script string, args ...string) {
	t.Helper()
	n := &nodes{ends: make(chan struct{})}
	n.gateway = start(t, func(c *transport.Config) {
		known := c.Authenticate
		c.Authenticate = func(ctx context.Context, token string) (auth.Principal, error) {
			if token != "ending" {
				return known(ctx, token)
			}
			select {
			case <-n.ends:
				return auth.Nobody, errors.New("it has ended")
			default:
				return auth.Principal{Kind: auth.Backend, Merchant: "mer_1", Expires: time.Now().Add(3 * time.Second)}, nil
			}
		}
		n.config = *c
	})
	n.events.Publish(2)
	n.current.Store(n.handler)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { n.current.Load().ServeHTTP(w, r) }))
	t.Cleanup(func() {
		n.current.Load().Stop(context.Background())
		server.CloseClientConnections()
		server.Close()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
	defer cancel()
	run := exec.CommandContext(ctx, "node", append([]string{script, server.URL + "/graphql"}, args...)...)
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
	var once sync.Once
	for lines := bufio.NewScanner(wishes); lines.Scan(); fmt.Fprintln(answers, "done") {
		switch lines.Text() {
		case "publish":
			n.events.Publish(1)
		case "stop": // the next one is there before the clients are told
			old := n.current.Swap(transport.New(n.config))
			old.Stop(ctx)
		case "end the token":
			once.Do(func() { close(n.ends) })
		case "passed":
			passed = true
		default:
			t.Errorf("%s says %q", script, lines.Text())
		}
	}
	if err := run.Wait(); err != nil || !passed {
		t.Errorf("%s: %v", script, err)
	}
}
