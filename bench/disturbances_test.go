package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// findsSubscribersThatAreLeft counts a gateway's goroutines while it has subscribers, and a connection that says nothing.
func findsSubscribersThatAreLeft(t *testing.T, b *bench) {
	t.Helper()
	const (
		subscribers = 3
		settling    = 200 * time.Millisecond // until who has sent the first item to a subscriber has ended, on a busy machine
	)
	ctx := t.Context()
	g, one, err := b.another(ctx, "fourth", "GOTRACEBACK=all")
	if err != nil {
		t.Fatal(err)
	}
	defer g.Kill()
	silent, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	a, err := gather(ctx, g.address, one.token, subscribers, followAccount(one.accounts[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	a.closing.Store(true) // that it loses them is no surprise
	if err := a.gathered(ctx, subscribers); err != nil {
		t.Fatal(err)
	}
	time.Sleep(settling)
	stacks, err := g.quit()
	if err != nil {
		t.Fatal(err)
	}
	// Each socket's reader, the merchant's feed, and the silent connection's.
	if n, want := len(serving(stacks)), subscribers+1+1; n != want {
		t.Errorf("%d goroutines serve somebody, want %d:\n%s", n, want, strings.Join(serving(stacks), "\n\n"))
	}
}

func TestGoroutinesThatAreLeftAreCounted(t *testing.T) {
	t.Parallel()
	const log = `time=2026-11-26T22:00:00Z level=INFO msg=ready
SIGQUIT: quit
PC=0x47d4a1 m=0 sigcode=0

goroutine 0 gp=0x1a2b3c m=0 mp=0x1a2c40 [idle]:
runtime.futex(0x1a2d80, 0x80)
	/usr/local/go/src/runtime/sys_linux_amd64.s:558 +0x21

goroutine 1 gp=0xc000002380 m=nil [select]:
main.(*front).serve(0xc0001a4000)
	/work/main/front.go:80 +0x1d6

goroutine 40 gp=0xc000102380 m=nil [IO wait, 2 minutes]:
internal/poll.(*FD).Read(0xc0001c4000)
	/usr/local/go/src/internal/poll/fd_unix.go:165 +0x27a
github.com/paygraph/paygraph/transport.(*socket).read(0xc0002a0000)
	/work/main/transport/socket.go:142 +0x105
created by github.com/paygraph/paygraph/transport.(*Handler).serveSocket in goroutine 39

goroutine 41 gp=0xc000102540 m=nil [select]:
github.com/paygraph/paygraph/event.(*Hub).poll(0xc0001b6000)
	/work/main/event/hub.go:112 +0x9c

goroutine 42 gp=0xc000102700 m=nil [select]:
github.com/paygraph/paygraph/event.(*feed).run(0xc0001b6100)
	/work/main/event/feed.go:109 +0x9c

goroutine 43 gp=0xc0001028c0 m=nil [IO wait]:
net/http.(*connReader).Read(0xc0001b6200)
	/usr/local/go/src/net/http/server.go:808 +0x154
net/http.(*conn).serve(0xc0001c6000)
	/usr/local/go/src/net/http/server.go:2027 +0x7e5

goroutine 44 gp=0xc000102a80 m=nil [IO wait]:
net/http.(*Server).Serve(0xc0001c8000)
	/work/main/transport/nothing.go:1 +0x1

rax    0xca
`
	all := goroutinesIn(log)
	if len(all) != 7 {
		t.Errorf("%d goroutines were found of 7", len(all))
	}
	var numbers []string
	for _, stack := range serving(all) {
		numbers = append(numbers, strings.Fields(stack)[1])
	}
	if want := []string{"40", "42", "43"}; !slices.Equal(numbers, want) {
		t.Errorf("goroutines %v serve somebody, want %v", numbers, want)
	}
}

// serveResumed is a gateway that tells whoever subscribes for the nth time the nth list of numbers. afters gets the cursors they come with.
func serveResumed(t *testing.T, lists ...[]int64) (address string, afters <-chan string) {
	t.Helper()
	came := make(chan string, len(lists)+1)
	var mu sync.Mutex
	upgrader := websocket.Upgrader{Subprotocols: []string{"graphql-transport-ws"}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = ws.Close() }()
		_, _, _ = ws.ReadMessage() // connection_init
		_ = ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"connection_ack"}`))
		var subscribe struct {
			Payload struct{ Variables struct{ After string } }
		}
		_ = ws.ReadJSON(&subscribe)
		mu.Lock()
		var numbers []int64
		if len(lists) > 0 {
			numbers, lists = lists[0], lists[1:]
		}
		mu.Unlock()
		for _, n := range numbers {
			_ = ws.WriteMessage(websocket.TextMessage,
				fmt.Appendf(nil, `{"id":"s","type":"next","payload":{"data":{"accountActivity":{"cursor":"c%d","sequence":"%d"}}}}`, n, n))
		}
		came <- subscribe.Payload.Variables.After
		_, _, _ = ws.ReadMessage()
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), came
}

func TestWhoComesBackMustMissNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		resumed []int64
		faults  string
	}{
		{"as it should be", []int64{4, 5}, ""},
		{"one is missing", []int64{5, 6}, "1 × number 5 came after 3"},
		{"one comes again", []int64{3, 4}, "1 × number 3 came after 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			address, afters := serveResumed(t, []int64{1, 2, 3}, c.resumed)
			var follower resumer
			all := newClients(t.Context(), 1, 0, func(all *clients, _ int, l *line) error {
				return follower.followThrough(all, l, address, "token", "acc_x")
			})
			defer all.end()
			for i, want := range []string{"", "c3"} {
				if after := <-afters; after != want {
					t.Errorf("it came with the cursor %q, want %q", after, want)
				}
				all.await(t.Context(), &all.delivered, int64(2+2*i), time.Second)
				if i == 0 {
					all.lines[0].lose()
				}
			}
			if n := all.delivered.Load(); n != 4 {
				t.Errorf("%d were delivered, want 4", n)
			}
			if faults := reasons(all.faults()); faults != c.faults {
				t.Errorf("found is %q, want %q", faults, c.faults)
			}
		})
	}
}

func TestWhoIsCutOffByTheGatewayIsAFault(t *testing.T) {
	t.Parallel()
	address, _ := serveResumed(t, []int64{1})
	var follower resumer
	lost := make(chan error, 1)
	all := newClients(t.Context(), 1, 0, func(all *clients, _ int, l *line) error {
		err := follower.followThrough(all, l, address, "token", "acc_x")
		select {
		case lost <- err:
		default:
		}
		return err
	})
	defer all.end()
	if err := all.gathered(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	l := &all.lines[0]
	l.mu.Lock()
	_ = l.conn.Close() // not by lose
	l.mu.Unlock()
	if err := <-lost; err == nil {
		t.Error("a subscriber that was lost is none")
	}
}

func TestAsManyStayHalfOpenAsThereWere(t *testing.T) {
	t.Parallel()
	const n = 9
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	said := make(chan string, 100)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
				text, _ := io.ReadAll(conn)
				select {
				case said <- string(text):
				default:
				}
				_ = conn.Close()
			}()
		}
	}()
	address := listener.Addr().String()
	request := upgradeRequest(address)
	c, err := halfOpen(t.Context(), address, n, 0, "", request[:len(request)/2], request)
	defer c.end()
	if err != nil {
		t.Fatal(err)
	}
	c.await(t.Context(), &c.begun, 3*n, time.Second)
	c.end()
	if c.did() < 2*n || len(c.faults()) > 0 {
		t.Errorf("%d connections were opened again, want %d; %s", c.did(), 2*n, reasons(c.faults()))
	}
	lengths := map[int]int{}
	for range 2 * n {
		lengths[len(<-said)]++
	}
	whole := len(upgradeRequest(address))
	if lengths[0] == 0 || lengths[whole/2] == 0 || lengths[whole] == 0 || len(lengths) != 3 {
		t.Errorf("lengths of what was sent, and how often: %v; want 0, %d and %d", lengths, whole/2, whole)
	}
}

// serveOperations is a gateway that reads operations and counts those that are open. Whoever opens one twice or too many is refused.
func serveOperations(t *testing.T, most int) (address string) {
	t.Helper()
	upgrader := websocket.Upgrader{Subprotocols: []string{"graphql-transport-ws"}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = ws.Close() }()
		say := func(format string, args ...any) {
			_ = ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, format, args...))
		}
		open := map[string]bool{}
		for {
			var m struct{ ID, Type string }
			_, text, err := ws.ReadMessage()
			if err != nil || json.Unmarshal(text, &m) != nil {
				return
			}
			switch {
			case m.Type == "connection_init":
				say(`{"type":"connection_ack"}`)
			case m.ID == prepareOperation:
				say(`{"id":"p","type":"next","payload":{"data":{"createPayment":{"payment":{"id":"pay_x","status":"REQUIRES_CONFIRMATION"}}}}}`)
				say(`{"id":"p","type":"complete"}`)
				say(`{"type":"ping"}`)
			case m.Type == "complete":
				delete(open, m.ID)
			case m.Type == "subscribe" && (open[m.ID] || len(open) == most):
				say(`{"id":%q,"type":"error","payload":[]}`, m.ID)
			case m.Type == "subscribe":
				open[m.ID] = true
				say(`{"id":%q,"type":"next","payload":{}}`, m.ID)
			case m.Type == "pong":
				say(`{"id":"0","type":"next","payload":{"pong":true}}`)
			}
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestAFloodKeepsAsManyOperationsOpenAsAllowed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		most   int
		faults bool
	}{{floodOperations, false}, {floodOperations - 1, true}} {
		one := &tenant{token: "token", accounts: []string{"acc_x", "acc_y"}}
		f, err := flood(t.Context(), serveOperations(t, c.most), one)
		if err != nil {
			t.Fatal(err)
		}
		f.await(t.Context(), &f.delivered, int64(4*c.most), time.Second)
		f.end()
		if f.did() < 3*floodOperations || f.delivered.Load() < int64(4*c.most) {
			t.Errorf("%d operations were begun, and %d items came", f.did(), f.delivered.Load())
		}
		if faults := f.faults(); len(faults) > 0 != c.faults {
			t.Errorf("where %d operations are allowed, found is %q", c.most, reasons(faults))
		}
	}
}

func TestSlowClientsComeBackWhereTheyWere(t *testing.T) {
	t.Parallel()
	address, afters := serveResumed(t, []int64{1, 2, 3}, []int64{4, 6})
	var follower resumer
	c := newClients(t.Context(), 1, 0, func(c *clients, _ int, l *line) error {
		s, err := l.open(address, "token")
		if err != nil {
			return err
		}
		defer s.close()
		if err := follower.subscribe(s, merchantLog, nil); err != nil {
			return err
		}
		return follower.readSlowly(c, s)
	})
	defer c.end()
	for i, want := range []string{"", "c3"} {
		if after := <-afters; after != want {
			t.Errorf("it came with the cursor %q, want %q", after, want)
		}
		c.await(t.Context(), &c.delivered, int64(3+2*i), time.Second)
		c.lines[0].lose()
	}
	if faults := reasons(c.faults()); faults != "1 × a slow client: number 6 came after 4" {
		t.Errorf("found is %q", faults)
	}
}

func TestADeadClientFindsOutThatItHasNoConnection(t *testing.T) {
	t.Parallel()
	address, afters := serveResumed(t)
	c, err := slow(t.Context(), address, &tenant{token: "token"}, 1)
	defer c.end()
	if err != nil {
		t.Fatal(err)
	}
	<-afters // and the gateway closes with the first pong
	c.await(t.Context(), &c.done, 1, 5*time.Second)
	if c.did() == 0 || len(c.faults()) > 0 {
		t.Errorf("it came back %d times; %s", c.did(), reasons(c.faults()))
	}
}

func TestTooFewOpenFilesAreRefused(t *testing.T) {
	t.Parallel()
	o := options{HalfOpen: 10_000, Returning: 2000, Clients: []int{64}, Parts: allParts()}
	if err := o.filesSuffice(11_064); err != nil {
		t.Error(err)
	}
	if err := o.filesSuffice(11_063); err == nil || !strings.Contains(err.Error(), "ulimit -n") {
		t.Errorf("one file too few: %v", err)
	}
	if o.Parts = []string{"storm"}; o.filesSuffice(3064) != nil || o.filesSuffice(3063) == nil {
		t.Error("a storm alone does not need as many files as it has subscribers")
	}
}

func TestClientsBeginOneAfterTheOther(t *testing.T) {
	t.Parallel()
	const n, over = 4, 80 * time.Millisecond
	begin := time.Now()
	c := newClients(t.Context(), n, over, func(c *clients, _ int, _ *line) error {
		c.begun.Add(1)
		time.Sleep(over)
		return nil
	})
	defer c.end()
	if took := time.Since(begin); took < over*(n-1)/n {
		t.Errorf("all had begun after %v", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	none := newClients(ctx, n, time.Hour, func(*clients, int, *line) error { return nil })
	none.end()
}
