package transport_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/transport"
	"github.com/paygraph/paygraph/transport/internal/testschema"
)

// urql is what it says that it accepts, with every operation.
const urql = "Accept: application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed"

func TestStreamOfEvents(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for name, accept := range map[string]string{"a stream": onlyStream, "anything": "Accept: */*", "urql": urql, "nothing said": "X-None: 1"} {
			t.Run(method+" "+name, func(t *testing.T) {
				t.Parallel()
				g := start(t)
				g.events.Publish(1)
				s := g.listen(t, method, `subscription { parcels(after: "after-0", upTo: 3) { number metadata text } }`, accept).opened()
				s.want(":") // so that a client behind a proxy sees that it is connected
				parcel := func(n int) string {
					return item(fmt.Sprintf("after-%d", n), fmt.Sprintf(`{"parcels":{"number":%d,"metadata":{"number":%[1]d},"text":"%[1]d"}}`, n))
				}
				s.want(parcel(1))
				g.events.Publish(3)
				s.want(parcel(2), parcel(3), completed)
				s.wantEnd()
				if !within(patience, func() bool { return !g.events.Heard() }) {
					t.Error("somebody still listens")
				}
			})
		}
	}
}

func TestLastEventID(t *testing.T) {
	t.Parallel()
	g := start(t)
	g.events.Publish(5)
	for name, c := range map[string]struct {
		headers []string
		after   string
		first   int
	}{
		"the argument":            {nil, `(after: "after-2")`, 3},
		"the header":              {[]string{"Last-Event-ID: after-3"}, ``, 4},
		"the header wins":         {[]string{"Last-Event-ID: after-3"}, `(after: "after-1")`, 4},
		"an empty header is none": {[]string{"Last-Event-ID: "}, `(after: "after-4")`, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := g.listen(t, http.MethodGet, `subscription { ticks`+c.after+` }`, append(c.headers, onlyStream)...).opened()
			for n := c.first; n <= 5; n++ {
				s.want(item(fmt.Sprintf("after-%d", n), fmt.Sprintf(`{"ticks":%d}`, n)))
			}
			s.leave()
		})
	}
	t.Run("one that is no cursor", func(t *testing.T) {
		t.Parallel()
		s := g.listen(t, http.MethodGet, ticks, onlyStream, "Last-Event-ID: "+cardNumber).opened()
		if code := s.wantError(); code != "CURSOR_INVALID" {
			t.Error(code)
		}
	})
	t.Run("a query has no use for it", func(t *testing.T) {
		t.Parallel()
		s := g.listen(t, http.MethodGet, `{ hello }`, onlyStream, "Last-Event-ID: x").opened()
		s.want("event: next\ndata: "+`{"data":{"hello":"hello"}}`, completed)
		s.wantEnd()
	})
}

// TestErrorsInAStream: an EventSource shows nothing of any answer but 200.
func TestErrorsInAStream(t *testing.T) {
	t.Parallel()
	g := start(t, func(c *transport.Config) {
		c.Begin = func(ctx context.Context) (context.Context, func()) {
			if auth.FromContext(ctx).Subject == "all" {
				panic("no loaders")
			}
			return ctx, func() {}
		}
	})
	for name, c := range map[string]struct{ document, token, code string }{
		"an unknown field":            {`subscription { tocks }`, "", "GRAPHQL_VALIDATION_FAILED"},
		"a syntax error":              {`subscription {`, "", "GRAPHQL_PARSE_FAILED"},
		"a query's unknown field":     {`{ helo }`, "", "GRAPHQL_VALIDATION_FAILED"},
		"a scope, nobody":             {`subscription { secrets }`, "", "UNAUTHENTICATED"},
		"a scope, another":            {`subscription { secrets }`, "writer", "FORBIDDEN"},
		"nothing to listen to":        {`subscription { missing }`, "", "INTERNAL"},
		"no cursor":                   {`subscription { ticks(after: "x") }`, "", "CURSOR_INVALID"},
		"a panic":                     {`subscription { broken }`, "", "INTERNAL"},
		"a panic before the resolver": {ticks, "all", "INTERNAL"},
		"a variable":                  {`subscription($a: String!) { ticks(after: $a) }`, "", "BAD_USER_INPUT"},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(name+" "+method, func(t *testing.T) {
				t.Parallel()
				headers := []string{onlyStream}
				if c.token != "" {
					headers = append(headers, "Authorization: Bearer "+c.token)
				}
				s := g.listen(t, method, c.document, headers...).opened()
				if code := s.wantError(); code != c.code {
					t.Errorf("code %s, want %s", code, c.code)
				}
			})
		}
	}
	t.Run("one among the items", func(t *testing.T) {
		t.Parallel()
		s := g.listen(t, http.MethodGet, `subscription { parcels(after: "after-0", upTo: 2) { number panics } }`, onlyStream).opened()
		g.events.Publish(2)
		for n := 1; n <= 2; n++ {
			block, _ := s.block()
			for block == ":" {
				block, _ = s.block()
			}
			if !strings.HasPrefix(block, fmt.Sprintf("event: next\nid: after-%d\ndata: {\"errors\":[{", n)) || !strings.Contains(block, `"INTERNAL"`) ||
				!strings.HasSuffix(block, fmt.Sprintf(`"data":{"parcels":{"number":%d,"panics":null}}}`, n)) {
				t.Errorf("got %q", block)
			}
		}
		s.want(completed)
	})
}

// TestAnswersThatAreNoStream are JSON with a status, for who asks for a stream too.
func TestAnswersThatAreNoStream(t *testing.T) {
	t.Parallel()
	g := start(t)
	get := func(document string) string { return "?query=" + url.QueryEscape(document) }
	for name, c := range map[string]struct {
		method, url string
		headers     []string
		status      int
		code        string
	}{
		"wrong credentials":         {http.MethodGet, get(ticks), []string{onlyStream, "Authorization: Bearer nobody"}, 401, "UNAUTHENTICATED"},
		"no scheme":                 {http.MethodGet, get(ticks), []string{onlyStream, "Authorization: all"}, 401, "UNAUTHENTICATED"},
		"keys that are away":        {http.MethodGet, get(ticks), []string{onlyStream, "Authorization: Bearer down"}, 503, "UNAVAILABLE"},
		"a mutation by GET":         {http.MethodGet, get(thePingTest), []string{onlyStream}, 405, "BAD_USER_INPUT"},
		"no query":                  {http.MethodGet, "", []string{onlyStream}, 400, "BAD_USER_INPUT"},
		"another method":            {http.MethodPut, get(ticks), []string{onlyStream}, 405, "BAD_USER_INPUT"},
		"a subscription, JSON":      {http.MethodGet, get(ticks), []string{"Accept: application/json"}, 200, "BAD_USER_INPUT"},
		"a subscription, GraphQL's": {http.MethodGet, get(ticks), []string{"Accept: application/graphql-response+json"}, 400, "BAD_USER_INPUT"},
		"a stream of weight 0":      {http.MethodGet, get(ticks), []string{"Accept: application/json, text/event-stream;q=0"}, 200, "BAD_USER_INPUT"},
		"urql's subscription wrong": {http.MethodGet, get(`subscription { tocks }`), []string{urql}, 400, "GRAPHQL_VALIDATION_FAILED"},
		"urql's query":              {http.MethodGet, get(`{ hello }`), []string{urql}, 200, ""},
		"urql's mutation by GET":    {http.MethodGet, get(thePingTest), []string{urql}, 405, "BAD_USER_INPUT"},
		"the stream first":          {http.MethodGet, get(`{ hello }`), []string{"Accept: text/event-stream, application/json;q=0.1"}, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := http.NewRequest(c.method, g.URL+"/graphql"+c.url, nil)
			setHeaders(r, c.headers)
			a := g.do(t, r)
			if a.status != c.status || a.code() != c.code || !strings.Contains(a.header.Get("Content-Type"), "json") {
				t.Errorf("%d %s %s, want %d %s", a.status, a.header.Get("Content-Type"), a.text, c.status, c.code)
			}
			if (c.status == 401) != (a.header.Get("Www-Authenticate") != "") {
				t.Errorf("WWW-Authenticate %q", a.header.Get("Www-Authenticate"))
			}
		})
	}
	t.Cleanup(func() {
		if n := g.resolver.Calls.Load(); n != 2 {
			t.Errorf("%d resolvers ran", n)
		}
	})
}

func TestQueriesAsAStream(t *testing.T) {
	t.Parallel()
	g := start(t)
	for _, c := range []struct{ method, document, data string }{
		{http.MethodGet, `{ hello }`, `{"hello":"hello"}`},
		{http.MethodPost, `{ hello }`, `{"hello":"hello"}`},
		{http.MethodPost, thePingTest, `{"ping":"pong"}`},
	} {
		s := g.listen(t, c.method, c.document, onlyStream).opened()
		s.want("event: next\ndata: "+`{"data":`+c.data+`}`, completed)
		s.wantEnd()
	}
}

func TestHeadOfAStream(t *testing.T) {
	t.Parallel()
	g := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, document := range []string{ticks, `{ hello }`, `{ helo }`} {
		r, _ := http.NewRequestWithContext(ctx, http.MethodHead, g.URL+"?query="+url.QueryEscape(document), nil)
		setHeaders(r, []string{onlyStream})
		if a := g.do(t, r); a.status != 200 || a.header.Get("Content-Type") != "text/event-stream; charset=utf-8" || a.text != "" {
			t.Errorf("%d %v %q", a.status, a.header, a.text)
		}
	}
	if !within(patience, func() bool { return !g.events.Heard() }) {
		t.Error("somebody still listens")
	}
}

// TestKeepAlive: a stream on which nothing happens outlives the server's time for an answer, and the client's for taking something, and says that it is
// there.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	for protocol, begin := range map[string]func(*httptest.Server){"HTTP/1.1": (*httptest.Server).Start, "HTTP/2.0": (*httptest.Server).StartTLS} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			g := start(t)
			g.handler.SetTimes(500*time.Millisecond, 700*time.Millisecond)
			server := httptest.NewUnstartedServer(g.handler)
			server.Config.WriteTimeout, server.EnableHTTP2 = 200*time.Millisecond, true
			begin(server)
			defer server.Close()
			s := (&gateway{Server: server}).listen(t, http.MethodGet, ticks, onlyStream).opened()
			if s.answer.Proto != protocol {
				t.Error(s.answer.Proto)
			}
			s.want(":", ":", ":")
			g.events.Publish(1)
			s.want(item("after-1", `{"ticks":1}`))
			s.leave()
		})
	}
}

// A proxy would take a stream for dead that is silent while the log cannot be read.
func TestAStreamThatWaitsForTheLogIsKeptAlive(t *testing.T) {
	t.Parallel()
	g := start(t)
	g.handler.SetTimes(time.Second, 50*time.Millisecond)
	g.events.Publish(1)
	g.events.SetReadable(false)
	s := g.listen(t, http.MethodGet, ticks, onlyStream).opened()
	for range 4 {
		s.want(":")
	}
	g.events.SetReadable(true)
	s.want(item("after-1", `{"ticks":1}`))
}

func TestTokenThatEndsInAStream(t *testing.T) {
	t.Parallel()
	var end time.Time
	g := start(t, func(c *transport.Config) {
		c.Authenticate = func(context.Context, string) (auth.Principal, error) {
			return auth.Principal{Kind: auth.Backend, Merchant: "mer_1", Expires: end}, nil
		}
	})
	g.events.Publish(1)
	end = time.Now().Add(400 * time.Millisecond)
	s := g.listen(t, http.MethodGet, ticks, onlyStream, "Authorization: Bearer x").opened()
	s.want(item("after-1", `{"ticks":1}`))
	if code := s.wantError(); code != "UNAUTHENTICATED" || time.Now().Before(end) {
		t.Error(code)
	}
	g.events.SetReadable(false) // while it waits for the log too
	end = time.Now().Add(400 * time.Millisecond)
	if code := g.listen(t, http.MethodGet, ticks, onlyStream, "Authorization: Bearer x").opened().wantError(); code != "UNAUTHENTICATED" {
		t.Error(code)
	}
}

// TestStreamsThatStop end without complete, so that clients come back.
func TestStreamsThatStop(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(*gateway){
		"the handler": func(g *gateway) { g.handler.Stop(context.Background()) },
		"the hub":     func(g *gateway) { g.events.Hub.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t)
			s := g.listen(t, http.MethodGet, ticks, onlyStream).opened()
			g.events.Publish(1)
			s.want(item("after-1", `{"ticks":1}`))
			stop(g)
			s.wantEnd()
		})
	}
	t.Run("before it began", func(t *testing.T) {
		t.Parallel()
		g := start(t)
		g.handler.Stop(context.Background())
		g.listen(t, http.MethodGet, ticks, onlyStream).opened().wantEnd()
	})
}

// TestAStreamThatWaitsForItsTurn has begun all the same: a proxy would take one for dead that says nothing.
func TestAStreamThatWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	waiting := func(t *testing.T) (*gateway, *sse, func()) {
		g := start(t)
		g.handler.SetTimes(time.Second, 50*time.Millisecond)
		g.events.Publish(1)
		letGo := g.handler.HoldTurns()
		began := time.Now()
		s := g.listen(t, http.MethodGet, ticks, onlyStream).opened()
		for range 5 {
			s.want(":")
		}
		if took := time.Since(began); took < 4*50*time.Millisecond {
			t.Errorf("four intervals took %s", took)
		}
		if g.resolver.Calls.Load() != 0 {
			t.Error("it did not wait for its turn")
		}
		return g, s, letGo
	}
	t.Run("and has it", func(t *testing.T) {
		t.Parallel()
		g, s, letGo := waiting(t)
		letGo()
		s.want(item("after-1", `{"ticks":1}`))
		g.events.Publish(1)
		s.want(item("after-2", `{"ticks":2}`), ":", ":")
	})
	t.Run("until the handler stops", func(t *testing.T) {
		t.Parallel()
		g, s, letGo := waiting(t)
		defer letGo()
		g.handler.Stop(context.Background())
		s.wantEnd()
	})
	t.Run("while the hub stops", func(t *testing.T) {
		t.Parallel()
		g, s, letGo := waiting(t)
		g.events.Hub.Close()
		letGo()
		if e := s.refusal(); e.Extensions.Code != "UNAVAILABLE" || !e.Extensions.Retryable {
			t.Error(e)
		}
		s.wantEnd()
	})
	t.Run("and its reader goes", func(t *testing.T) {
		t.Parallel()
		_, s, letGo := waiting(t)
		s.leave() // that nothing of it is left is looked at when the test ends
		letGo()
	})
}

// TestTokenThatEndsBeforeATurn: whose token has ended gets nothing any more.
func TestTokenThatEndsBeforeATurn(t *testing.T) {
	t.Parallel()
	end := time.Now().Add(400 * time.Millisecond)
	g := start(t, func(c *transport.Config) {
		c.Authenticate = func(context.Context, string) (auth.Principal, error) {
			return auth.Principal{Kind: auth.Backend, Merchant: "mer_1", Expires: end}, nil
		}
	})
	g.events.Publish(1)
	defer g.handler.HoldTurns()()
	s := g.listen(t, http.MethodGet, ticks, onlyStream, "Authorization: Bearer x").opened()
	if code := s.wantError(); code != "UNAUTHENTICATED" || time.Now().Before(end) {
		t.Error(code)
	}
	if g.resolver.Calls.Load() != 0 {
		t.Error("it has begun")
	}
}

// TestAStormLeavesTurnsToOtherMerchants: a subscriber begins although many of another merchant came before.
func TestAStormLeavesTurnsToOtherMerchants(t *testing.T) {
	t.Parallel()
	const many = 250
	begun := make(chan string, many+1)
	g := start(t, func(c *transport.Config) {
		c.Authenticate = func(_ context.Context, token string) (auth.Principal, error) {
			if token == "other" {
				return auth.Principal{Kind: auth.Backend, Merchant: "mer_other"}, nil
			}
			return auth.Principal{Kind: auth.Backend, Merchant: "mer_storm"}, nil
		}
		c.Begin = func(ctx context.Context) (context.Context, func()) {
			begun <- string(auth.FromContext(ctx).Merchant)
			time.Sleep(20 * time.Millisecond)
			return ctx, func() {}
		}
	})
	letGo := g.handler.HoldTurns()
	storm := g.connect(t, "storm")
	for n := range many {
		storm.send(subscribe(fmt.Sprint(n), ticks))
	}
	storm.settled()
	time.Sleep(50 * time.Millisecond) // their goroutines have come to wait
	other := g.connect(t, "other")
	other.send(subscribe("1", ticks))
	other.settled()
	time.Sleep(50 * time.Millisecond)
	letGo()
	before := 0
	for <-begun != "mer_other" {
		before++
	}
	if most := transport.PartySize * g.handler.Turns(); before > most {
		t.Errorf("%d of the storm began before it, more than %d", before, most)
	}
}

// TestAnItemThatCannotBeReadNow comes when it can be, and is whole.
func TestAnItemThatCannotBeReadNow(t *testing.T) {
	t.Parallel()
	const document = `subscription { parcels(after: "after-0") { number fails } }`
	const stays = `"errors":[{"message":"internal error","path":["parcels","fails"]`
	var away atomic.Bool
	var asked atomic.Int32
	g := start(t, func(c *transport.Config) {
		c.PresentError = func(ctx context.Context, err error) *gqlerror.Error {
			if away.Load() && errors.Is(err, testschema.ErrRefused) {
				asked.Add(1)
				err = errDown
			}
			return presentError(ctx, err)
		}
	})
	socket := g.connect(t, "")
	socket.send(subscribe("1", document))
	stream := g.listen(t, http.MethodGet, document, onlyStream).opened()
	away.Store(true)
	g.events.Publish(1)
	if !within(patience, func() bool { return asked.Load() > 4 }) { // the two do not share it: one of them reads the log
		t.Fatalf("it is asked for %d times", asked.Load())
	}
	away.Store(false)
	if m := fmt.Sprint(socket.next()); !strings.Contains(m, "internal error") {
		t.Errorf("got %s, want the item as it can be", m)
	}
	block, _ := stream.block()
	for block == ":" {
		block, _ = stream.block()
	}
	if !strings.HasPrefix(block, "event: next\nid: after-1\n") || !strings.Contains(block, stays) {
		t.Errorf("got %q, want the item as it can be", block)
	}
}

// TestAStreamThatIsTooSlow lets more come than may wait to a client that reads none. It is told to resume, and can.
func TestAStreamThatIsTooSlow(t *testing.T) {
	t.Parallel()
	const all = 2*event.MaxWaiting + 100 // in the worst case all that may wait were taken before the first was written
	g := start(t)
	g.handler.SetTimes(patience, time.Minute)
	slow := g.listen(t, http.MethodGet, parcels, onlyStream).opened()
	other := g.listen(t, http.MethodGet, ticks, onlyStream).opened()
	last := 0
	number := func(block string) bool {
		return strings.HasPrefix(block, fmt.Sprintf("event: next\nid: after-%d\ndata: {\"data\":{\"parcels\":{\"number\":%[1]d,", last+1))
	}
	g.events.Publish(1)
	block, _ := slow.block()
	for block == ":" {
		block, _ = slow.block()
	}
	if !number(block) {
		t.Fatalf("got %.100q", block)
	}
	last++
	time.Sleep(100 * time.Millisecond) // it is live: who still reads the log does so at its own pace
	other.want(item("after-1", `{"ticks":1}`))
	for n := 2; n <= all; n++ {
		g.events.Publish(1)
		other.want(item(fmt.Sprintf("after-%d", n), fmt.Sprintf(`{"ticks":%d}`, n)))
	}
	for slow.next("event: next\nid: ") {
		if block, _ := slow.block(); !number(block) {
			t.Fatalf("after %d: %.100q", last, block)
		}
		last++
	}
	e := slow.refusal()
	if e.Message != "too slow: resume from your last event's id" || e.Extensions.Code != "UNAVAILABLE" || !e.Extensions.Retryable ||
		e.Extensions.RetryAfterMs == 0 {
		t.Error(e)
	}
	slow.wantEnd()
	if last >= all {
		t.Fatalf("it got all %d items", last)
	}
	again := g.listen(t, http.MethodGet, ticks, onlyStream, fmt.Sprintf("Last-Event-ID: after-%d", last)).opened()
	for n := last + 1; n <= all; n++ {
		again.want(item(fmt.Sprintf("after-%d", n), fmt.Sprintf(`{"ticks":%d}`, n)))
	}
}

func TestReaderOfAStreamThatGoes(t *testing.T) {
	t.Parallel()
	g := start(t)
	s := g.listen(t, http.MethodPost, ticks, onlyStream).opened()
	g.events.Publish(1)
	s.want(item("after-1", `{"ticks":1}`))
	if !g.events.Heard() {
		t.Fatal("nobody listens")
	}
	s.leave()
	if !within(patience, func() bool { return !g.events.Heard() }) {
		t.Error("somebody still listens")
	}
}

// TestReaderOfAStreamThatStalls takes nothing, and is gone when its time to take something is over.
func TestReaderOfAStreamThatStalls(t *testing.T) {
	t.Parallel()
	g := start(t)
	g.handler.SetTimes(500*time.Millisecond, time.Minute)
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(16 << 10)
	fmt.Fprintf(conn, "GET /graphql?query=%s HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n", url.QueryEscape(parcels))
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatal(line, err)
	}
	other := g.listen(t, http.MethodGet, ticks, onlyStream).opened()
	g.events.Publish(200)
	for n := 1; n <= 200; n++ {
		other.want(item(fmt.Sprintf("after-%d", n), fmt.Sprintf(`{"ticks":%d}`, n)))
	}
	other.leave()
	if !within(5*time.Second, func() bool { return !g.events.Heard() }) {
		t.Error("somebody still listens")
	}
}

// TestConnectionAfterAStream: the time to take something does not outlive the stream.
func TestConnectionAfterAStream(t *testing.T) {
	t.Parallel()
	g := start(t)
	g.handler.SetTimes(200*time.Millisecond, time.Minute)
	s := g.listen(t, http.MethodGet, `{ hello }`, onlyStream).opened()
	s.want("event: next\ndata: "+`{"data":{"hello":"hello"}}`, completed)
	s.wantEnd()
	time.Sleep(300 * time.Millisecond)
	reused := false
	trace := httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }}
	r, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &trace), http.MethodPost, g.URL, strings.NewReader(typename))
	r.Header.Set("Content-Type", "application/json")
	if a := g.do(t, r); a.status != 200 || !json.Valid([]byte(a.text)) || !reused {
		t.Errorf("%d %s, reused: %v", a.status, a.text, reused)
	}
}
