package transport_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/quota"
	"github.com/paygraph/paygraph/transport"
)

// next is the message with a tick.
func tick(id string, number int) string {
	return fmt.Sprintf(`{"id":%q,"type":"next","payload":{"data":{"ticks":%d}}}`, id, number)
}

const (
	ticks       = `subscription { ticks(after: "after-0") }`
	slowQuery   = `{ slow }`
	idIsUsed    = "Subscriber for 1 already exists"
	thePingTest = `mutation { ping }`
)

func TestQueriesAndMutationsOverTheSocket(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.connect(t, "")
	for _, op := range []struct{ document, data string }{
		{`{ hello(name: "Ada") }`, `{"hello":"hello Ada"}`},
		{thePingTest, `{"ping":"pong"}`},
		{`{ __typename }`, `{"__typename":"Query"}`},
	} {
		c.send(subscribe("q", op.document))
		c.want(`{"id":"q","type":"next","payload":{"data":`+op.data+`}}`, complete("q"))
	}
	c.send(`{"id":"v","type":"subscribe","payload":{"query":"query A($n: String) { hello(name: $n) }","operationName":"A","variables":{"n":"Eve"}}}`)
	c.want(`{"id":"v","type":"next","payload":{"data":{"hello":"hello Eve"}}}`, complete("v"))
	for field, data := range map[string]string{"fails": `map[fails:<nil>]`, "panics": `map[panics:<nil>]`, "strict": `<nil>`} {
		c.send(subscribe("e", `{ `+field+` }`))
		m := c.next()
		payload := m["payload"].(map[string]any)
		errs := payload["errors"].([]any)
		if m["type"] != "next" || fmt.Sprint(payload["data"]) != data || len(errs) != 1 || !strings.Contains(fmt.Sprint(errs[0]), "code:INTERNAL") {
			t.Errorf("%s: %v", field, m)
		}
		c.want(complete("e"))
	}
	c.settled()
}

// TestOperationsThatAreRefused: error, no complete, and the identifier is free.
func TestOperationsThatAreRefused(t *testing.T) {
	t.Parallel()
	g := start(t, func(c *transport.Config) {
		c.Introspection = func(p auth.Principal) bool { return p.Kind == auth.Backend }
	})
	for name, c := range map[string]struct{ token, document, code string }{
		"an unknown field":                     {"", `{ helo }`, "GRAPHQL_VALIDATION_FAILED"},
		"a syntax error":                       {"", `{ hello`, "GRAPHQL_PARSE_FAILED"},
		"an empty document":                    {"", ``, "GRAPHQL_VALIDATION_FAILED"},
		"two operations without a name":        {"", `query A { hello } query B { hello }`, "BAD_USER_INPUT"},
		"a variable that is missing":           {"", `query($n: Int!) { number(n: $n) }`, "BAD_USER_INPUT"},
		"a scope, nobody":                      {"", `{ payment(id: 1) { id } }`, "UNAUTHENTICATED"},
		"a scope, another":                     {"writer", `{ payment(id: 1) { id } }`, "FORBIDDEN"},
		"a subscription's scope, nobody":       {"", `subscription { secrets }`, "UNAUTHENTICATED"},
		"a subscription's scope, another":      {"writer", `subscription { secrets }`, "FORBIDDEN"},
		"introspection, nobody":                {"", `{ __schema { queryType { name } } }`, "UNAUTHENTICATED"},
		"a subscription with an unknown field": {"", `subscription { tocks }`, "GRAPHQL_VALIDATION_FAILED"},
		"two subscriptions at once":            {"", `subscription { a: ticks b: ticks }`, "GRAPHQL_VALIDATION_FAILED"},
		"a subscription that is skipped":       {"", `subscription($a: Boolean = true) { ticks @skip(if: $a) }`, "GRAPHQL_VALIDATION_FAILED"},
		"a fragment that is not included":      {"", `subscription { ... @include(if: false) { ticks } }`, "GRAPHQL_VALIDATION_FAILED"},
		"two subscriptions by fragments":       {"", `subscription { ...a ...b } fragment a on Subscription { x: ticks } fragment b on Subscription { ticks }`, "GRAPHQL_VALIDATION_FAILED"},
		"a subscription and its type's name":   {"", `subscription { ticks __typename }`, "GRAPHQL_VALIDATION_FAILED"},
		"a subscription to nothing":            {"", `subscription { missing }`, "INTERNAL"},
		"a subscription from no cursor":        {"", `subscription { ticks(after: "x") }`, "CURSOR_INVALID"},
		"a subscription that panics":           {"", `subscription { broken }`, "INTERNAL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := g.connect(t, c.token)
			for range 2 {
				client.send(subscribe("1", c.document))
				if code := client.wantError("1"); code != c.code {
					t.Errorf("code %s, want %s", code, c.code)
				}
			}
			client.settled()
			client.send(subscribe("1", `{ hello }`))
			client.want(`{"id":"1","type":"next","payload":{"data":{"hello":"hello"}}}`, complete("1"))
		})
	}
	t.Run("introspection by who may", func(t *testing.T) {
		t.Parallel()
		client := g.connect(t, "reader")
		client.send(subscribe("1", `{ __schema { queryType { name } } }`))
		client.want(`{"id":"1","type":"next","payload":{"data":{"__schema":{"queryType":{"name":"Query"}}}}}`, complete("1"))
	})
	t.Run("nothing of it comes back", func(t *testing.T) {
		t.Parallel()
		client := g.connect(t, "")
		client.send(`{"id":"1","type":"subscribe","payload":{"query":"query($n: Int!) { number(n: $n) }","variables":{"n":"` + cardNumber + `"}}}`)
		if m := client.next(); m["type"] != "error" || strings.Contains(fmt.Sprint(m), cardNumber) {
			t.Error(m)
		}
	})
}

func TestSubscription(t *testing.T) {
	t.Parallel()
	g := start(t)
	c, other := g.connect(t, "reader"), g.connect(t, "")
	c.send(subscribe("1", ticks), subscribe("s", `subscription { secrets(after: "after-1") }`))
	other.send(subscribe("1", ticks))
	g.events.Publish(1)
	c.want(tick("1", 1))
	other.want(tick("1", 1))
	c.send(subscribe("2", ticks)) // it finds the first in the log, and the others live
	c.want(tick("2", 1))
	c.send(complete("1"))
	c.settled()
	g.events.Publish(2)
	seen := ""
	for range 4 {
		m := c.next()
		seen += fmt.Sprint(m["id"])
		if m["type"] != "next" {
			t.Fatal(m)
		}
	}
	if strings.Count(seen, "2") != 2 || strings.Count(seen, "s") != 2 {
		t.Errorf("items of %s", seen)
	}
	other.want(tick("1", 2), tick("1", 3))
	c.send(complete("2"), complete("s"), complete("s"))
	c.settled() // no complete in answer
	if !g.events.Heard() {
		t.Error("the other client's subscription has ended too")
	}
	other.ws.Close()
	if !within(patience, func() bool { return !g.events.Heard() }) {
		t.Error("somebody still listens")
	}
}

func TestSubscriptionThatEnds(t *testing.T) {
	t.Parallel()
	g := start(t)
	g.events.Publish(2)
	c := g.connect(t, "")
	c.send(subscribe("1", `subscription { parcels(after: "after-0", upTo: 3) { number metadata text(size: 3) } }`))
	parcel := func(n int) string {
		return fmt.Sprintf(`{"id":"1","type":"next","payload":{"data":{"parcels":{"number":%d,"metadata":{"number":%d},"text":"%[1]d%[1]d%[1]d"}}}}`, n, n)
	}
	c.want(parcel(1), parcel(2))
	c.settled()
	g.events.Publish(2)
	c.want(parcel(3), complete("1"))
	c.send(subscribe("1", `subscription { parcels(after: "after-1", upTo: 2) { number } }`)) // at once, and within the log
	c.want(`{"id":"1","type":"next","payload":{"data":{"parcels":{"number":2}}}}`, complete("1"))
	c.settled()
	if !within(patience, func() bool { return !g.events.Heard() }) {
		t.Error("somebody still listens")
	}
}

func TestErrorsInTheMidstOfASubscription(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.connect(t, "")
	c.send(subscribe("1", `subscription { parcels(after: "after-0") { number fails panics } }`))
	for n := 1; n < 3; n++ { // it goes on after them
		g.events.Publish(1)
		m := c.next()
		payload := m["payload"].(map[string]any)
		want := fmt.Sprintf("map[parcels:map[fails:<nil> number:%d panics:<nil>]]", n)
		if m["type"] != "next" || fmt.Sprint(payload["data"]) != want || len(payload["errors"].([]any)) != 2 {
			t.Errorf("got %v, want errors and %s", m, want)
		}
	}
}

func TestIdentifierInUse(t *testing.T) {
	t.Parallel()
	g := start(t)
	for name, first := range map[string]string{"a subscription": ticks, "a query": slowQuery} {
		t.Run(name+" that runs", func(t *testing.T) {
			t.Parallel()
			c := g.connect(t, "")
			c.send(subscribe("1", first))
			c.settled()
			c.send(subscribe("1", ticks))
			c.wantClosed(4409, idIsUsed)
		})
		t.Run(name+" back to back", func(t *testing.T) {
			t.Parallel()
			c := g.connect(t, "")
			c.burst(subscribe("1", first), subscribe("1", thePingTest))
			c.wantClosed(4409, idIsUsed)
		})
		t.Run(name+" that was completed", func(t *testing.T) {
			t.Parallel()
			c := g.connect(t, "")
			for range 20 {
				c.burst(subscribe("1", first), complete("1"))
			}
			c.send(subscribe("1", `{ hello }`))
			c.want(`{"id":"1","type":"next","payload":{"data":{"hello":"hello"}}}`, complete("1"))
			c.settled()
		})
	}
	t.Run("a long one", func(t *testing.T) {
		t.Parallel()
		c := g.connect(t, "")
		long := strings.Repeat("é", 120)
		c.burst(subscribe(long, slowQuery), subscribe(long, slowQuery))
		c.wantClosed(4409, "Subscriber for "+strings.Repeat("é", 54))
	})
	t.Run("on another socket", func(t *testing.T) {
		t.Parallel()
		one, two := g.connect(t, ""), g.connect(t, "")
		one.send(subscribe("1", slowQuery))
		two.send(subscribe("1", slowQuery))
		one.settled()
		two.settled()
	})
	if n := g.resolver.Calls.Load(); n > 1000 {
		t.Error(n)
	}
}

// TestIdentifierAtOnceAgain answers each end with the same identifier, many times.
func TestIdentifierAtOnceAgain(t *testing.T) {
	t.Parallel()
	g := start(t)
	g.events.Publish(1)
	c := g.connect(t, "")
	for range 100 {
		c.send(subscribe("1", `subscription { parcels(after: "after-0", upTo: 1) { number } }`))
		c.want(`{"id":"1","type":"next","payload":{"data":{"parcels":{"number":1}}}}`, complete("1"))
		c.send(subscribe("1", `{ hello }`))
		c.want(`{"id":"1","type":"next","payload":{"data":{"hello":"hello"}}}`, complete("1"))
		c.send(subscribe("1", `{ helo }`))
		c.wantError("1")
		c.send(subscribe("1", ticks))
		c.want(tick("1", 1))
		c.send(complete("1"))
	}
	c.settled()
}

// TestCompleteEndsWhatRuns: a query's context ends with the client's complete, and with its socket.
func TestCompleteEndsWhatRuns(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*gateway, *client){
		"complete": func(_ *gateway, c *client) { c.send(complete("1")); c.settled() },
		"gone":     func(_ *gateway, c *client) { c.ws.Close() },
		"closed":   func(_ *gateway, c *client) { c.send("x"); c.wantClosed(4400, "") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t)
			running := make(chan context.Context, 1)
			g.resolver.Seen = func(ctx context.Context) { running <- ctx }
			c := g.connect(t, "")
			c.send(subscribe("1", slowQuery))
			ctx := <-running
			end(g, c)
			select {
			case <-ctx.Done():
				if !errors.Is(ctx.Err(), context.Canceled) {
					t.Error(ctx.Err())
				}
			case <-time.After(patience):
				t.Error("it runs on")
			}
		})
	}
}

func TestMostOperations(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.connect(t, "")
	for i := range transport.MaxOperations {
		c.send(subscribe(fmt.Sprint(i), ticks))
	}
	c.send(subscribe("more", ticks))
	if code := c.wantError("more"); code != "RATE_LIMITED" {
		t.Error(code)
	}
	c.send(complete("0"), subscribe("more", `{ hello }`))
	c.want(`{"id":"more","type":"next","payload":{"data":{"hello":"hello"}}}`, complete("more"))
	g.events.Publish(1)
	seen := map[any]bool{}
	for range transport.MaxOperations - 1 {
		seen[c.next()["id"]] = true
	}
	c.settled()
	if len(seen) != transport.MaxOperations-1 || seen["0"] {
		t.Errorf("%d subscriptions got the item", len(seen))
	}
}

// TestFinishedOperationsLeaveNothing runs many queries on one socket. It counts memory, and so runs alone.
func TestFinishedOperationsLeaveNothing(t *testing.T) {
	g, _ := limited(t, quota.Plenty)
	c := g.connect(t, "all")
	many := func(n int) {
		for range n {
			c.send(subscribe("1", `{ hello }`))
			c.want(`{"id":"1","type":"next","payload":{"data":{"hello":"hello"}}}`, complete("1"))
		}
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	many(500)
	before := heap()
	many(5000)
	if grown := heap() - before; grown > 256<<10 {
		t.Errorf("after 5,000 queries %d bytes more are in use", grown)
	}
}
