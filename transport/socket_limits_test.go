package transport_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/transport"
)

const comeBack = "the gateway is stopping: come back"

// parcels are of a size that fills what a client does not read.
const parcels = `subscription { parcels(after: "after-0") { number text(size: 262144) } }`

func TestLongestMessage(t *testing.T) {
	t.Parallel()
	g := start(t)
	long := func(size int) string {
		m := subscribe("1", `{ hello }`)
		return m + strings.Repeat(" ", size-len(m))
	}
	t.Run("1 MiB", func(t *testing.T) {
		t.Parallel()
		c := g.connect(t, "")
		c.send(long(1 << 20))
		c.want(`{"id":"1","type":"next","payload":{"data":{"hello":"hello"}}}`, complete("1"))
	})
	for name, size := range map[string]int{"1 MiB and a byte": 1<<20 + 1, "12 MiB": 12 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := g.connect(t, "")
			go func() { _ = c.ws.WriteMessage(websocket.TextMessage, []byte(long(size))) }()
			if m, err := c.read(patience); !websocket.IsCloseError(err, websocket.CloseMessageTooBig) {
				t.Errorf("got %v and %v, want 1009", m, err)
			}
		})
	}
	t.Run("in fragments", func(t *testing.T) {
		t.Parallel()
		c := g.connect(t, "")
		w, _ := c.ws.NextWriter(websocket.TextMessage)
		go func() {
			for range 1100 {
				_, _ = io.WriteString(w, strings.Repeat(" ", 1024))
			}
		}()
		if m, err := c.read(patience); !websocket.IsCloseError(err, websocket.CloseMessageTooBig) {
			t.Errorf("got %v and %v, want 1009", m, err)
		}
	})
}

// TestWhoSendsTooFastWaits sends more than a socket may at once: everything is answered, in its time.
func TestWhoSendsTooFastWaits(t *testing.T) {
	t.Parallel()
	const burst, perSecond, more = 512, 500, 300
	g := start(t)
	c := g.connect(t, "")
	begun := time.Now()
	for range burst + more {
		c.send(`{"type":"ping"}`)
	}
	for range burst + more {
		c.want(`{"type":"pong"}`)
	}
	if took, least := time.Since(begun), (more-50)*time.Second/perSecond; took < least {
		t.Errorf("it took %v, want %v at least", took, least)
	}
}

// TestWhoBeginsTooManySubscriptionsWaits ends and begins them all the time: they begin in their time, and whatever else the socket has goes on.
func TestWhoBeginsTooManySubscriptionsWaits(t *testing.T) {
	t.Parallel()
	const open, perSecond, more = transport.MaxOperations - 2, 50, 60
	g := start(t)
	g.events.Publish(1)
	c := g.connect(t, "")
	begun := time.Now()
	for i := range open {
		c.send(subscribe(strconv.Itoa(i), `subscription { ticks }`))
	}
	if !within(patience, func() bool { return g.resolver.Calls.Load() == open }) {
		t.Fatalf("%d have begun", g.resolver.Calls.Load())
	}
	begins := func() int64 { return g.resolver.Calls.Load() - open }
	for i := range more {
		c.send(complete(strconv.Itoa(i)), subscribe(strconv.Itoa(i), `subscription { ticks }`))
	}
	c.send(subscribe("query", `{ hello }`))
	if m := c.next(); m["id"] != "query" || m["type"] != "next" {
		t.Errorf("a query gets %v", m)
	}
	c.next()
	const atOnce = 4 // two that the socket may begin at once, the query, and one that is just beginning
	if n, most := begins(), int64(atOnce+perSecond*time.Since(begun).Seconds()); n > most {
		t.Errorf("%d have begun, and at most %d should have", n, most)
	}
	for i := range more { // they give up
		c.send(complete(strconv.Itoa(i)))
	}
	c.send(subscribe("last", `subscription { latest { number } }`))
	if m := c.next(); m["id"] != "last" || m["type"] != "next" {
		t.Errorf("the last one gets %v", m)
	}
	if n, most := begins(), int64(atOnce+1+perSecond*time.Since(begun).Seconds()); n > most {
		t.Errorf("with those who have given up %d have begun, and at most %d should have", n, most)
	}
}

func TestStopClosesSockets(t *testing.T) {
	t.Parallel()
	g := start(t)
	idle, busy, new, mute := g.connect(t, ""), g.connect(t, ""), g.open(t), g.connect(t, "")
	busy.send(subscribe("1", ticks))
	g.events.Publish(1)
	busy.want(tick("1", 1))
	stopped := make(chan time.Duration)
	go func() {
		began := time.Now()
		g.handler.Stop(context.Background())
		stopped <- time.Since(began)
	}()
	for _, c := range []*client{idle, busy, new} {
		c.wantClosed(1012, comeBack)
	}
	if d := <-stopped; d > 5*time.Second { // for the one that answers nothing
		t.Errorf("Stop took %s", d)
	}
	mute.wantClosed(1012, comeBack)
	late := g.open(t)
	_ = late.ws.WriteMessage(websocket.TextMessage, []byte(initOf("")))
	late.wantClosed(1012, comeBack)
	if !within(patience, func() bool { return !g.events.Heard() }) {
		t.Error("somebody still listens")
	}
}

// TestHubThatCloses: a subscriber that is live, one that cannot read the log, and one that begins are all told to come back.
func TestHubThatCloses(t *testing.T) {
	t.Parallel()
	g := start(t)
	live, behind := g.connect(t, ""), g.connect(t, "")
	live.send(subscribe("1", ticks))
	g.events.Publish(1)
	live.want(tick("1", 1))
	g.events.SetReadable(false)
	behind.send(subscribe("1", ticks))
	behind.settled()
	time.Sleep(50 * time.Millisecond) // it waits for its second try
	g.events.Hub.Close()
	live.wantClosed(1012, "")
	behind.wantClosed(1012, "")
}

// TestLogThatCannotBeRead: the subscriber waits, and misses nothing.
func TestLogThatCannotBeRead(t *testing.T) {
	t.Parallel()
	g := start(t)
	g.events.Publish(1)
	g.events.SetReadable(false)
	c := g.connect(t, "")
	c.send(subscribe("1", ticks))
	c.settled()
	g.events.Publish(1)
	c.settled()
	g.events.SetReadable(true)
	c.want(tick("1", 1), tick("1", 2))
	g.events.Publish(1)
	c.want(tick("1", 3))
}

// A client that stalls in the midst of the last item, after which the socket knows nothing of the operation, leaves nothing behind either.
func TestClientThatStallsAtTheEnd(t *testing.T) {
	t.Parallel()
	g := start(t)
	g.handler.SetTimes(200*time.Millisecond, time.Minute)
	stalled := g.openSmall(t).begin("")
	stalled.send(subscribe("1", `subscription { parcels(after: "after-0", upTo: 1) { number text(size: 52428800) } }`))
	if !within(patience, g.events.Heard) {
		t.Fatal("it has not begun")
	}
	time.Sleep(100 * time.Millisecond) // it is live
	g.events.Publish(1)
	if !within(patience, func() bool { return !g.events.Heard() }) {
		t.Error("somebody still listens")
	}
}

// TestClientThatStalls takes nothing, holds nobody, and is gone when its time to take something is over.
func TestClientThatStalls(t *testing.T) {
	t.Parallel()
	g := start(t)
	g.handler.SetTimes(time.Second, time.Minute)
	stalled, other := g.openSmall(t).begin(""), g.connect(t, "")
	stalled.send(subscribe("1", parcels))
	if !within(patience, g.events.Heard) {
		t.Fatal("it has not begun")
	}
	other.send(subscribe("1", ticks))
	g.events.Publish(200) // 50 MB, more than the kernel keeps
	for n := 1; n <= 200; n++ {
		other.want(tick("1", n))
	}
	other.send(complete("1"))
	other.settled()
	if !g.events.Heard() {
		t.Fatal("the client that stalls has gone already")
	}
	began := time.Now()
	if !within(patience, func() bool { return !g.events.Heard() }) {
		t.Error("somebody still listens")
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("it was gone after %s", d)
	}
	other.settled()
}

// TestClientsThatStallHoldNoWriter: there are more of them than a merchant has writers, and the others of the merchant are served at once.
func TestClientsThatStallHoldNoWriter(t *testing.T) {
	t.Parallel()
	const events, most, pause = 300, 30 * time.Second, 4 * time.Millisecond // half of the time that a client who takes nothing has
	g := start(t)
	g.handler.SetTimes(2*most, time.Minute)
	other := g.connect(t, "")
	other.send(subscribe("1", ticks))
	for range 4 * runtime.GOMAXPROCS(0) {
		c := g.openSmall(t).begin("")
		c.send(subscribe("1", `subscription { parcels(after: "after-0") { number text(size: 60000) } }`))
	}
	if !within(patience, g.events.Heard) {
		t.Fatal("nobody listens")
	}
	time.Sleep(200 * time.Millisecond) // they are live
	for n, began := 1, time.Now(); n <= events; n++ {
		g.events.Publish(1)
		other.want(tick("1", n))
		if d := time.Since(began); d > most {
			t.Fatalf("event %d came after %v", n, d)
		}
		time.Sleep(pause) // until it has been written to all
	}
}

// TestStopWithAClientThatStalls does not wait for the client's deadline, which is 10 s.
func TestStopWithAClientThatStalls(t *testing.T) {
	t.Parallel()
	g := start(t)
	stalled, other := g.openSmall(t).begin(""), g.connect(t, "")
	stalled.send(subscribe("1", parcels))
	other.send(subscribe("1", ticks))
	g.events.Publish(200)
	for n := 1; n <= 200; n++ {
		other.want(tick("1", n))
	}
	began := time.Now()
	go g.handler.Stop(context.Background())
	other.wantClosed(1012, comeBack)
	if d := time.Since(began); d > time.Second {
		t.Errorf("the other client was told after %s", d)
	}
	g.handler.Stop(context.Background())
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("Stop took %s", d)
	}
}

// TestSubscriberThatIsTooSlow lets more items come than may wait to one that reads none, and has already more than the kernel takes: what waits for it is
// bounded, and it is told to resume. It has got the first ones, without a gap, and goes on from the last.
func TestSubscriberThatIsTooSlow(t *testing.T) {
	t.Parallel()
	const all = (2*event.MaxWaiting+100)/10*10 + 10 // the kernel takes some, and in the worst case all that may wait were taken before the first is written
	g := start(t)
	c, other := g.connect(t, ""), g.connect(t, "")
	c.send(subscribe("1", parcels))
	other.send(subscribe("1", ticks))
	last := 0
	receive := func() ([]byte, error) {
		for {
			_ = c.ws.SetReadDeadline(time.Now().Add(patience))
			_, text, err := c.ws.ReadMessage()
			if string(text) != `{"type":"ping"}` { // the race detector makes all of it take longer than the server waits with that
				return text, err
			}
			c.send(`{"type":"pong"}`)
		}
	}
	for n := 1; n <= all; n++ {
		if n%10 == 1 {
			g.events.Publish(10)
		}
		other.want(tick("1", n))
		if n == 10 { // it has caught up, and is told of what comes: who still reads the log does so at its own pace
			for ; last < n; last++ {
				if _, err := receive(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for {
		text, err := receive()
		if closed, is := err.(*websocket.CloseError); is {
			if closed.Code != 1013 || closed.Text != "too slow: resume from your last cursor" {
				t.Error(err)
			}
			break
		}
		if begin := fmt.Sprintf(`{"id":"1","type":"next","payload":{"data":{"parcels":{"number":%d,`, last+1); !strings.HasPrefix(string(text), begin) {
			t.Fatalf("after %d: %.100q, %v", last, text, err)
		}
		last++
	}
	if last == 0 || last >= all {
		t.Fatalf("it got %d items", last)
	}
	again := g.connect(t, "")
	again.send(subscribe("1", fmt.Sprintf(`subscription { ticks(after: "after-%d") }`, last)))
	for n := last + 1; n <= all; n++ {
		again.want(tick("1", n))
	}
}

// TestPanicsCloseTheSocket: in a goroutine of a socket's own nobody else would catch them.
func TestPanicsCloseTheSocket(t *testing.T) {
	t.Parallel()
	g := start(t, func(c *transport.Config) {
		authenticate := c.Authenticate
		c.Authenticate = func(ctx context.Context, token string) (auth.Principal, error) {
			if token == "panic" {
				panic("no keys")
			}
			return authenticate(ctx, token)
		}
		c.Begin = func(ctx context.Context) (context.Context, func()) {
			if auth.FromContext(ctx).Subject == "writer" {
				panic("no loaders")
			}
			return ctx, func() {}
		}
	})
	c := g.open(t)
	c.send(initOf("panic"))
	c.wantClosed(4500, "internal error")
	for _, document := range []string{`{ hello }`, ticks, thePingTest} {
		c := g.connect(t, "writer")
		c.send(subscribe("1", document))
		if code := c.wantError("1"); code != "INTERNAL" {
			t.Error(code)
		}
		c.settled()
	}
	if !g.log.has("no keys", "no loaders", "goroutine") {
		t.Errorf("log: %s", g.log)
	}
}

// TestManyHalfOpenSockets runs alone: it counts all goroutines.
func TestManyHalfOpenSockets(t *testing.T) {
	g := start(t, func(c *transport.Config) { c.Sockets.InitTimeout = 3 * time.Second })
	many := 2000 // two descriptors each
	if testing.Short() {
		many = 500
	}
	before := runtime.NumGoroutine()
	payments := g.connect(t, "")
	conns := make(chan net.Conn, many)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range many / 50 {
				ws, _, err := g.dial(&websocket.Dialer{
					Subprotocols: []string{"graphql-transport-ws"}, ReadBufferSize: 256, WriteBufferSize: 256,
				})
				if err != nil {
					t.Error(err)
					return
				}
				conns <- ws.NetConn()
			}
		})
	}
	wg.Wait()
	payments.send(subscribe("1", thePingTest))
	payments.want(`{"id":"1","type":"next","payload":{"data":{"ping":"pong"}}}`, complete("1"))
	close(conns)
	for conn := range conns { // each ends with a close frame, and then really
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		text, err := io.ReadAll(conn)
		if err != nil || !strings.HasSuffix(string(text), "\x11\x38"+initTimeout) {
			t.Fatalf("%q, %v", text, err)
		}
		_ = conn.Close()
	}
	payments.ws.Close()
	if !within(patience, func() bool { return runtime.NumGoroutine() <= before }) {
		t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
	}
}
