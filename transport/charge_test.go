package transport_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/quota"
	"github.com/paygraph/paygraph/transport"
)

// clock is one that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Now()} }

func (c *clock) now() time.Time       { c.mu.Lock(); defer c.mu.Unlock(); return c.at }
func (c *clock) move(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.at = c.at.Add(d) }

// limited is a gateway whose principals have these limits, whose clock stands still, and where a query for hello costs 1.
func limited(t *testing.T, l quota.Limits) (*gateway, *clock) {
	t.Helper()
	c := newClock()
	return start(t, func(config *transport.Config) {
		config.Quota = quota.New(c.now)
		as := config.Authenticate
		config.Authenticate = func(ctx context.Context, token string) (auth.Principal, error) {
			p, err := as(ctx, token)
			p.Quota = l
			return p, err
		}
	}), c
}

// cost is what an answer says of it.
type cost struct{ Requested, Available, RestoreRate int }

func costOf(t *testing.T, response []byte) (c cost) {
	t.Helper()
	var answer struct{ Extensions struct{ Cost *cost } }
	if err := json.Unmarshal(response, &answer); err != nil || answer.Extensions.Cost == nil {
		t.Fatalf("%v: no cost in %s", err, response)
	}
	return *answer.Extensions.Cost
}

// get asks by GET, as all.
func (g *gateway) get(t *testing.T, document string) *answer {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, g.URL+"/graphql?query="+url.QueryEscape(document), nil)
	if err != nil {
		t.Fatal(err)
	}
	setHeaders(r, []string{byAll, "Accept: application/graphql-response+json"})
	return g.do(t, r)
}

const byAll = "Authorization: Bearer all"

func TestAnOperationIsChargedOrRefused(t *testing.T) {
	t.Parallel()
	g, now := limited(t, quota.Limits{PointsPerSecond: 10, Burst: 100})
	const sixty = `{ payments(first: 60) { id } }`
	a := g.query(t, sixty, "", byAll)
	if got := costOf(t, []byte(a.text)); a.status != 200 || got != (cost{60, 40, 10}) {
		t.Errorf("%d %s", a.status, a.text)
	}
	if limit, policy := a.header.Get("RateLimit"), a.header.Get("RateLimit-Policy"); limit != `"points";r=40` || policy != `"points";q=100;w=10;qu="points"` {
		t.Errorf("%q, %q", limit, policy)
	}
	calls := g.resolver.Calls.Load()
	for range 3 { // a refusal costs nothing
		a = g.query(t, sixty, "", byAll)
		if got := costOf(t, []byte(a.text)); a.status != 429 || a.code() != "RATE_LIMITED" || got != (cost{60, 40, 10}) {
			t.Errorf("%d %s", a.status, a.text)
		}
		if a.header.Get("Retry-After") != "3" || a.header.Get("RateLimit") != `"points";r=40;t=3` || !strings.Contains(a.text, `"retryAfterMs":2001`) {
			t.Errorf("%v %s", a.header, a.text)
		}
	}
	if a := g.query(t, sixty, "", byAll, "Accept: application/json"); a.status != 200 || a.code() != "RATE_LIMITED" {
		t.Errorf("%d %s", a.status, a.text)
	}
	if g.resolver.Calls.Load() != calls {
		t.Error("a resolver ran")
	}
	if a := g.query(t, `{ hello }`, "", byAll); a.code() != "" {
		t.Errorf("what is cheaper is not in the way of it: %s", a.text)
	}
	now.move(2001 * time.Millisecond) // as it was told, but for the point that was spent meanwhile
	if a := g.query(t, `{ payments(first: 59) { id } }`, "", byAll); a.code() != "" {
		t.Errorf("after the time that it was told: %s", a.text)
	}
	now.move(time.Second) // for a document that has to be read
	a = g.query(t, `{ payments(first: 100) { id amount } fee { price } }`, "", byAll)
	if a.code() != "QUERY_TOO_COMPLEX" || !strings.Contains(a.message(), "never more than 100") {
		t.Errorf("what the bucket never has: %s", a.text)
	}
}

// TestAnothersBucketIsUntouched, whoever it is.
func TestAnothersBucketIsUntouched(t *testing.T) {
	t.Parallel()
	g, _ := limited(t, quota.Limits{PointsPerSecond: 1, Burst: 100})
	drain := `{ payments(first: 100) { id } }`
	if a := g.query(t, drain, "", byAll); a.code() != "" {
		t.Fatal(a.text)
	}
	if a := g.query(t, `{ hello }`, "", byAll); a.code() != "RATE_LIMITED" {
		t.Error(a.text)
	}
	if a := g.query(t, drain, "", "Authorization: Bearer reader"); a.code() != "" {
		t.Errorf("another's: %s", a.text)
	}
	if a := g.query(t, `{ hello }`, ""); a.code() != "" {
		t.Errorf("nobody's: %s", a.text)
	}
}

// TestWhatEachWayCosts: aliases, sockets, streams of events and GET are charged to one bucket.
func TestWhatEachWayCosts(t *testing.T) {
	t.Parallel()
	g, _ := limited(t, quota.Limits{PointsPerSecond: 1, Burst: 1000})
	left := 1000
	expect := func(way, response string, points int) {
		t.Helper()
		left -= points
		if got := costOf(t, []byte(response)); got != (cost{points, left, 1}) {
			t.Errorf("%s: %+v, want %d of %d", way, got, points, left)
		}
	}
	expect("POST", g.query(t, `{ payments(first: 7) { id } }`, "", byAll).text, 7)
	expect("aliases", g.query(t, `{ a: payments(first: 7) { id } b: payments(first: 7) { id } }`, "", byAll).text, 14)
	expect("GET", g.get(t, `{ payments(first: 7) { id } }`).text, 7)
	expect("what fails", g.query(t, `{ fails payments(first: 7) { id } }`, "", byAll).text, 7)

	s := g.listen(t, http.MethodPost, `{ payments(first: 7) { id } }`, "Accept: text/event-stream", byAll).opened()
	block, _ := s.block()
	_, data, _ := strings.Cut(block, "data: ")
	expect("a query as a stream", data, 7)

	c := g.connect(t, "all")
	for n := range 3 {
		c.send(fmt.Sprintf(`{"id":"%d","type":"subscribe","payload":{"query":"{ payments(first: 7) { id } }"}}`, n))
		answer, _ := json.Marshal(c.next()["payload"])
		expect("a socket", string(answer), 7)
		c.next() // complete
	}

	g.events.Publish(1)
	stream := g.listen(t, http.MethodGet, `subscription { latest { number } }`, "Accept: text/event-stream", byAll).opened()
	for block = ":"; block == ":"; {
		block, _ = stream.block()
	}
	if strings.Contains(block, "cost") || !strings.Contains(block, "number") {
		t.Errorf("an item of a subscription: %s", block)
	}
	left-- // its beginning
	expect("afterwards", g.query(t, `{ payments(first: 7) { id } }`, "", byAll).text, 7)
}

func TestWhoHasSpentAllIsRefusedEachWay(t *testing.T) {
	t.Parallel()
	g, _ := limited(t, quota.Limits{PointsPerSecond: 1, Burst: 100})
	c := g.connect(t, "all")
	if a := g.query(t, `{ payments(first: 100) { id } }`, "", byAll); a.code() != "" {
		t.Fatal(a.text)
	}
	calls := g.resolver.Calls.Load()
	c.send(`{"id":"1","type":"subscribe","payload":{"query":"{ hello }"}}`)
	if code := c.wantError("1"); code != "RATE_LIMITED" {
		t.Errorf("a socket: %s", code)
	}
	c.send(`{"id":"2","type":"subscribe","payload":{"query":"subscription { ticks }"}}`)
	if code := c.wantError("2"); code != "RATE_LIMITED" {
		t.Errorf("a subscription: %s", code)
	}
	if a := g.get(t, `{ hello }`); a.code() != "RATE_LIMITED" {
		t.Errorf("GET: %s", a.text)
	}
	block, _ := g.listen(t, http.MethodPost, `subscription { ticks }`, "Accept: text/event-stream", byAll).opened().block()
	if !strings.Contains(block, "RATE_LIMITED") {
		t.Errorf("a stream of events: %s", block)
	}
	if n := g.resolver.Calls.Load(); n != calls {
		t.Errorf("%d resolvers ran", n-calls)
	}
}

// TestLimitsThatChangeWhileItRuns count from the next operation on, also on a socket that is open.
func TestLimitsThatChangeWhileItRuns(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now := quota.Limits{PointsPerSecond: 1, Burst: 10}
	g := start(t, func(config *transport.Config) {
		config.InForce = func(_ context.Context, p auth.Principal) (auth.Principal, error) {
			mu.Lock()
			defer mu.Unlock()
			p.Quota = now
			return p, nil
		}
	})
	c := g.connect(t, "all")
	ask := `{"id":"1","type":"subscribe","payload":{"query":"{ payments(first: 50) { id } }"}}`
	c.send(ask)
	if code := c.wantError("1"); code != "QUERY_TOO_COMPLEX" {
		t.Error(code)
	}
	mu.Lock()
	now = quota.Limits{PointsPerSecond: 1000, Burst: 1000}
	mu.Unlock()
	for { // the bucket fills at the new rate
		c.send(ask)
		m := c.next()
		if m["type"] == "next" {
			c.next() // complete
			break
		}
		if !strings.Contains(fmt.Sprint(m), "RATE_LIMITED") {
			t.Fatal(m)
		}
	}
	mu.Lock()
	now = quota.Limits{PointsPerSecond: 1, Burst: 10}
	mu.Unlock()
	c.send(ask)
	if code := c.wantError("1"); code != "QUERY_TOO_COMPLEX" {
		t.Error(code)
	}
}

// TestOperationsAtOnce are as many as the principal may have, whatever brings them.
func TestOperationsAtOnce(t *testing.T) {
	t.Parallel()
	g, _ := limited(t, quota.Limits{AtOnce: 2, PointsPerSecond: 1, Burst: 100})
	running, goOn := g.holdPings(t)
	c := g.busy(t, "all", running)
	answered := make(chan *answer, 1)
	go func() { answered <- g.query(t, thePingTest, "", byAll) }()
	<-running
	a := g.query(t, `{ hello }`, "", byAll)
	if a.status != 429 || a.code() != "RATE_LIMITED" || a.header.Get("Retry-After") == "" || !strings.Contains(a.message(), "2 operations") {
		t.Errorf("%d %s", a.status, a.text)
	}
	if got := costOf(t, []byte(a.text)); got.Available != 96 {
		t.Errorf("the refusal was charged more than a document that has to be read: %+v", got)
	}
	c.send(subscribe("third", `{ hello }`))
	if code := c.wantError("third"); code != "RATE_LIMITED" {
		t.Error(code)
	}
	if a := g.query(t, `{ hello }`, "", "Authorization: Bearer reader"); a.code() != "" {
		t.Errorf("another's: %s", a.text)
	}
	goOn()
	if a := <-answered; a.code() != "" {
		t.Error(a.text)
	}
	c.next() // the result
	c.next() // complete
	for range 5 {
		if a := g.query(t, `{ hello }`, "", byAll); a.code() != "" {
			t.Errorf("afterwards: %s", a.text)
		}
	}
}

// TestSocketsOfAPrincipal are as many as it may have, with streams of events among them. Clients of graphql-ws come back after 1013.
func TestSocketsOfAPrincipal(t *testing.T) {
	t.Parallel()
	g, _ := limited(t, quota.Limits{Sockets: 2, PointsPerSecond: 1, Burst: 100})
	const ticks = `subscription { ticks }`
	c := g.connect(t, "all")
	stream := g.listen(t, http.MethodPost, ticks, "Accept: text/event-stream", byAll).opened()
	stream.next(":")
	more := g.open(t)
	more.send(`{"type":"connection_init","payload":{"Authorization":"Bearer all"}}`)
	more.wantClosed(1013, "too many sockets are open: close one, and come back")
	block, _ := g.listen(t, http.MethodPost, ticks, "Accept: text/event-stream", byAll).opened().block()
	if !strings.Contains(block, "RATE_LIMITED") {
		t.Errorf("one more stream: %s", block)
	}
	if a := g.query(t, ticks, "", byAll, "Accept: text/event-stream, application/graphql-response+json"); a.status != 429 {
		t.Errorf("where the client takes JSON too: %d %s", a.status, a.text)
	}
	if got := costOf(t, []byte(g.query(t, `{ hello }`, "", byAll).text)); got.Available != 98 {
		t.Errorf("streams that were refused were charged: %+v", got)
	}
	g.connect(t, "reader").settled()
	_ = c.ws.Close()
	stream.leave()
	for range 2 { // those that are closed are soon forgotten
		for again := false; !again; {
			one := g.open(t)
			one.send(`{"type":"connection_init","payload":{"Authorization":"Bearer all"}}`)
			m, err := one.read(patience)
			again = err == nil && m["type"] == "connection_ack"
		}
	}
}

// failing is a gateway that counts who is asked for, where the token "known" was good before, and requests come from where X-Forwarded-For says.
func failing(t *testing.T) (g *gateway, asked *atomic.Int64, now *clock) {
	t.Helper()
	asked, now = new(atomic.Int64), newClock()
	return start(t, func(c *transport.Config) {
		c.Strangers = quota.NewStrangers(now.now)
		c.Address = quota.Proxies{netip.MustParsePrefix("127.0.0.0/8")}.Client
		c.Remembers = func(token string) bool { return token == "reader" }
		as := c.Authenticate
		c.Authenticate = func(ctx context.Context, token string) (auth.Principal, error) {
			asked.Add(1)
			if token == "ended" {
				return auth.Nobody, auth.ErrEnded
			}
			return as(ctx, token)
		}
	}), asked, now
}

func TestFailuresToAuthenticateAreBoundedByAddress(t *testing.T) {
	t.Parallel()
	g, asked, now := failing(t)
	for n := range 2 * quota.Failures { // tokens that were good once are no guesses
		if a := g.query(t, `{ hello }`, "", "Authorization: Bearer ended"); a.status != 401 {
			t.Fatalf("ended, %d: %d %s", n, a.status, a.text)
		}
	}
	for n := range quota.Failures {
		if a := g.query(t, `{ hello }`, "", "Authorization: Bearer wrong"); a.status != 401 {
			t.Fatalf("wrong, %d: %d %s", n, a.status, a.text)
		}
	}
	before := asked.Load()
	for _, header := range []string{"Authorization: Bearer wrong", "Authorization: Bearer all", "Authorization: Basic x"} {
		for _, accept := range []string{"application/json", "application/graphql-response+json"} {
			a := g.query(t, `{ hello }`, "", header, "Accept: "+accept)
			if a.status != 429 || a.code() != "RATE_LIMITED" || a.header.Get("Retry-After") != "2" && a.header.Get("Retry-After") != "1" {
				t.Errorf("%s: %d %v %s", header, a.status, a.header, a.text)
			}
		}
	}
	c := g.open(t)
	c.send(`{"type":"connection_init","payload":{"Authorization":"Bearer all"}}`)
	c.wantClosed(1013, "too many failures to authenticate from this address")
	if n := asked.Load(); n != before {
		t.Errorf("%d were looked at", n-before)
	}
	if a := g.query(t, `{ hello }`, "", "Authorization: Bearer reader"); a.code() != "" {
		t.Errorf("a token that was good before: %s", a.text)
	}
	if a := g.query(t, `{ hello }`, ""); a.code() != "" {
		t.Errorf("who shows nothing: %s", a.text)
	}
	if a := g.query(t, `{ hello }`, "", byAll, "X-Forwarded-For: 203.0.113.9"); a.code() != "" {
		t.Errorf("another address: %s", a.text)
	}
	if a := g.query(t, `{ hello }`, "", byAll, "X-Forwarded-For: 203.0.113.9, 127.0.0.1"); a.code() != "" {
		t.Errorf("another address, behind a proxy that is known: %s", a.text)
	}
	if a := g.query(t, `{ hello }`, "", byAll, "X-Forwarded-For: 203.0.113.9, nonsense"); a.status != 429 {
		t.Errorf("nonsense is no address: %d %s", a.status, a.text)
	}
	now.move(1001 * time.Millisecond)
	if a := g.query(t, `{ hello }`, "", byAll); a.code() != "" {
		t.Errorf("a good one after a while: %s", a.text)
	}
}

func TestFailuresOnSocketsAreBoundedByAddress(t *testing.T) {
	t.Parallel()
	g, asked, _ := failing(t)
	for range quota.Failures {
		c := g.open(t)
		c.send(`{"type":"connection_init","payload":{"Authorization":"Bearer wrong"}}`)
		c.wantClosed(4403, "Forbidden")
	}
	before := asked.Load()
	c := g.open(t)
	c.send(`{"type":"connection_init","payload":{"Authorization":"Bearer all"}}`)
	c.wantClosed(1013, "")
	if n := asked.Load(); n != before {
		t.Errorf("%d were looked at", n-before)
	}
	g.connect(t, "reader").settled()
}
