package transport_test

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/paygraph/paygraph/transport"
)

// witness is a Watcher that notes what it is told.
type witness struct {
	mu  sync.Mutex
	saw []string
}

func (w *witness) Answered(a transport.Answered) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.saw = append(w.saw, fmt.Sprintf("%s %s %t %v %t", a.Kind, a.Name, a.Known, a.Codes, a.Took > 0))
}

func (w *witness) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	saw := ""
	for _, line := range w.saw {
		saw += line + "\n"
	}
	return saw
}

// want waits until the watcher was told of something, and nothing else, and forgets it.
func (w *witness) want(t *testing.T, name, want string) {
	t.Helper()
	for end := time.Now().Add(patience); w.String() != want+"\n"; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("%s: it was told %q, want %q", name, w, want)
			break
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.saw = nil
}

// TestAWatcherIsToldOfEachOperationOnce asks by every door, for what is answered and for what is refused at every station.
func TestAWatcherIsToldOfEachOperationOnce(t *testing.T) {
	t.Parallel()
	w := &witness{}
	g := start(t, func(c *transport.Config) { c.Watcher = w })
	const writer, all = "Authorization: Bearer writer", "Authorization: Bearer all"
	for _, request := range []struct {
		name, want string
		ask        func()
	}{
		{"a query", "query Greet true [] true", func() { g.query(t, `query Greet { hello }`, "", all) }},
		{"a stranger's", "query  false [] true", func() { g.query(t, `{ hello }`, "") }},
		{"one of two", "query B true [] true", func() {
			g.post(t, `{"query":"query A { hello } query B { hello }","operationName":"B"}`, all)
		}},
		{"errors of fields", "query F true [INTERNAL INTERNAL] true", func() { g.query(t, `query F { fails other: fails }`, "", all) }},
		{"a panic", "query P true [INTERNAL] true", func() { g.query(t, `query P { panics }`, "", all) }},
		{"a mutation", "mutation M true [] true", func() { g.query(t, `mutation M { ping }`, "", all) }},
		{"a mutation by GET", "mutation M false [BAD_USER_INPUT] true", func() { g.listen(t, "GET", `mutation M { ping }`).answer.Body.Close() }},
		{"no scope", "query Q true [FORBIDDEN] true", func() { g.query(t, `query Q { payment(id: "1") { id } }`, "", writer) }},
		{"a wrong token", "  false [UNAUTHENTICATED] true", func() { g.query(t, `query Q { hello }`, "", "Authorization: Bearer wrong") }},
		{"no GraphQL", "  true [GRAPHQL_PARSE_FAILED] true", func() { g.query(t, `query Q {`, "", all) }},
		{"no JSON", "  true [BAD_USER_INPUT] true", func() { g.post(t, `{`, all) }},
		{"nothing that is acceptable", "  false [BAD_USER_INPUT] true", func() { g.query(t, `{ hello }`, "", "Accept: image/png") }},
		{"a query as a stream", "query Greet true [] true", func() {
			g.listen(t, "POST", `query Greet { hello }`, onlyStream, all).answer.Body.Close()
		}},
		{"a subscription as a stream", "subscription T true [] true", func() { g.listen(t, "POST", `subscription T { ticks }`, onlyStream, all).leave() }},
		{"one that is refused", "subscription T false [UNAUTHENTICATED] true", func() { g.listen(t, "POST", `subscription T { secrets }`, onlyStream).leave() }},
		{"one without an object", "subscription T true [INTERNAL] true", func() {
			_, _ = io.ReadAll(g.listen(t, "POST", `subscription T { missing }`, onlyStream, all).answer.Body) // who leaves is told nothing
		}},
	} {
		request.ask()
		w.want(t, request.name, request.want)
	}
	c := g.connect(t, "all")
	for _, operation := range []struct{ document, want string }{
		{`query Greet { hello }`, "query Greet true [] true"},
		{`mutation M { ping }`, "mutation M true [] true"},
		{`subscription T { ticks }`, "subscription T true [] true"},
		{`query F { fails }`, "query F true [INTERNAL] true"},
		{`query Locked { locked }`, "query Locked true [FORBIDDEN] true"},
		{`query Q { nothing }`, "  true [GRAPHQL_VALIDATION_FAILED] true"},
	} {
		c.send(subscribe(operation.document, operation.document))
		w.want(t, "on a socket "+operation.document, operation.want)
	}
}

// TestStats has sockets in every state, and a stream.
func TestStats(t *testing.T) {
	t.Parallel()
	g := start(t)
	want := func(want transport.Stats) {
		t.Helper()
		for end := time.Now().Add(patience); g.handler.Stats() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("it stands so: %+v, want %+v", g.handler.Stats(), want)
			}
		}
	}
	want(transport.Stats{})
	g.open(t)
	g.open(t)
	acknowledged := g.connect(t, "all")
	stream := g.listen(t, "GET", `subscription { ticks }`, onlyStream).opened()
	want(transport.Stats{Waiting: 2, Acknowledged: 1, Streams: 1})
	acknowledged.send(`{"type":"no message"}`) // it is told so, and does not hang up
	want(transport.Stats{Waiting: 2, Ending: 1, Streams: 1})
	stream.leave()
	want(transport.Stats{Waiting: 2, Ending: 1})
	acknowledged.ws.Close()
	want(transport.Stats{Waiting: 2})
}
