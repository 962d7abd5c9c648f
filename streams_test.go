package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// stopsWithin is how long the gateway may take to stop where nothing keeps it but streams, and queries that wait for events, and beside it other tests. Its
// database's own stop is in it. What did wait would do so for 15 s and more.
const stopsWithin = 8 * time.Second

// TestSIGTERMEndsWhatWaits has a query wait for what does not come, also on a socket, a subscriber over each protocol, and a client who asks for
// nothing, and does not answer that its socket is closed.
func TestSIGTERMEndsWhatWaits(t *testing.T) {
	t.Parallel()
	p := serve(t, nil, "--data-dir", usedFolder(t))
	c := demoClient(t, p)
	from, to := c.twoWallets(t)
	begin := c.head(t)
	answered := c.waitForADeposit(t, begin.Cursor)
	idle, asking := dial(t, p), dial(t, p)
	for _, message := range []map[string]any{
		{"type": "connection_init", "payload": map[string]string{"Authorization": "Bearer " + c.token}},
		{"type": "subscribe", "id": "1", "payload": map[string]string{"query": aDeposit(begin.Cursor)}},
	} {
		if err := asking.WriteJSON(message); err != nil {
			t.Fatal(err)
		}
		if message["type"] == "connection_init" {
			wantAfter(t, time.Now(), 0, "connection_ack", asking)
		}
	}
	streams := c.followedByAll(t, begin.Cursor, "paid-before-the-stop", from, to)
	if len(answered) > 0 {
		t.Fatalf("the query does not wait: %+v", <-answered)
	}

	asked := time.Now()
	p.signal(syscall.SIGTERM)
	if status := p.wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if took := time.Since(asked); took > stopsWithin {
		t.Errorf("it took %s to stop", took)
	}
	if err := <-streams[bySocket].ended; !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
		t.Errorf("the socket ends with %v, want 1012", err)
	}
	if _, _, err := idle.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
		t.Errorf("the socket that asks for nothing ends with %v, want 1012", err)
	}
	if err := <-streams[bySSE].ended; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the stream of events ends with %v, want its end without complete", err)
	}
	nothing := fmt.Sprintf(`{"data":{"events":{"nodes":[],"pageInfo":{"endCursor":%q}}}`, begin.Cursor)
	if came := <-answered; !strings.HasPrefix(came, "HTTP 200 "+nothing) {
		t.Errorf("the query is answered %s, want %s", came, nothing)
	}
	for _, want := range []string{nothing, `{"id":"1","type":"complete"}`, "close 1012"} {
		wantAfter(t, time.Now(), 0, want, asking)
	}
}

// followedByAll has a subscriber over each protocol, who hear of two payments.
func (c *client) followedByAll(t *testing.T, after, key, from, to string) map[*protocol]*follower {
	t.Helper()
	streams := map[*protocol]*follower{}
	for _, connect := range protocols {
		streams[connect] = c.follow(t, connect, after)
	}
	for n := range 2 { // the second payment finds the subscribers there
		if status, err := c.pay(fmt.Sprintf("%s-%d", key, n), from, to); status != "SUCCEEDED" {
			t.Fatalf("a payment is %s, %v", status, err)
		}
		for _, f := range streams {
			f.await(t, c.head(t).Sequence)
		}
	}
	return streams
}

// aDeposit is a query that waits for one after a cursor.
func aDeposit(after string) string {
	return fmt.Sprintf(`{ events(after: %q, types: [FUNDS_DEPOSITED], waitMs: 20000) { nodes { id } pageInfo { endCursor } } }`, after)
}

func (c *client) head(t *testing.T) head {
	t.Helper()
	var data struct{ EventHead head }
	c.must(t, `{ eventHead { sequence cursor } }`, nil, &data)
	return data.EventHead
}

// waitForADeposit asks for one after a cursor, and returns when the question has gone out. The answer is told when it comes.
func (c *client) waitForADeposit(t *testing.T, after string) <-chan string {
	t.Helper()
	sent := make(chan struct{})
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) }})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/graphql?query="+url.QueryEscape(aDeposit(after)), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	answered := make(chan string, 1)
	go func() {
		response, err := new(http.Transport).RoundTrip(request)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		answered <- fmt.Sprintf("HTTP %d %s%s", response.StatusCode, strings.TrimSpace(string(body)), errorText(err))
	}()
	select {
	case <-sent:
	case <-time.After(patience):
		t.Fatal("the question does not go out")
	}
	return answered
}

// follower reads one stream to its end.
type follower struct {
	came  chan string // numbers
	ended chan error
}

// follow subscribes to the merchant's log.
func (c *client) follow(t *testing.T, connect *protocol, after string) *follower {
	f := &follower{came: make(chan string, 100), ended: make(chan error, 1)}
	give := func(response []byte, _ string) error {
		var answer struct{ Data struct{ Events head } }
		err := json.Unmarshal(response, &answer)
		f.came <- answer.Data.Events.Sequence
		return err
	}
	go func() {
		f.ended <- connect.read(t.Context(), c, &subscription{query: asked["events"], after: after, deaf: new(atomic.Bool)}, give)
	}()
	return f
}

// await waits for a number.
func (f *follower) await(t *testing.T, sequence string) {
	t.Helper()
	for {
		select {
		case number := <-f.came:
			if number == sequence {
				return
			}
		case err := <-f.ended:
			t.Fatalf("the stream ends with %v before number %s", err, sequence)
		case <-time.After(patience):
			t.Fatalf("number %s does not come", sequence)
		}
	}
}

// dial opens a WebSocket on which nothing is said yet.
func dial(t *testing.T, p *program) *websocket.Conn {
	t.Helper()
	ws, err := (&client{url: p.url, tls: p.tls}).dial(t)
	if err != nil {
		t.Fatal(err)
	}
	return ws
}

func (c *client) dial(t *testing.T) (*websocket.Conn, error) {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}, TLSClientConfig: c.tls, HandshakeTimeout: patience}
	ws, response, err := dialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(c.url, "http")+"/graphql", nil)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = ws.Close(); _ = response.Body.Close() })
	return ws, nil
}

// TestTheEnvironmentSaysHowLongASocketMayBeSilent has one client who does not begin, and one who answers the first ping and not the second. The
// times are in such an order that no two can be taken for one another.
func TestTheEnvironmentSaysHowLongASocketMayBeSilent(t *testing.T) {
	t.Parallel()
	const begins, pings, pongs = 150 * time.Millisecond, 600 * time.Millisecond, 300 * time.Millisecond
	p := serve(t, []string{
		fmt.Sprint("WS_INIT_TIMEOUT=", begins), fmt.Sprint("WS_PING_INTERVAL=", pings), fmt.Sprint("WS_PONG_TIMEOUT=", pongs),
	}, "--data-dir", usedFolder(t))
	since := time.Now()
	wantAfter(t, since, begins, "close 4408", dial(t, p))

	ws := dial(t, p)
	say := func(kind string) (at time.Time) {
		at = time.Now()
		if err := ws.WriteJSON(map[string]string{"type": kind}); err != nil {
			t.Error(err)
		}
		return at
	}
	since = say("connection_init")
	wantAfter(t, since, 0, "connection_ack", ws)
	wantAfter(t, since, pings, "ping", ws)
	since = say("pong")
	wantAfter(t, since, pings, "ping", ws)
	wantAfter(t, since, pings+pongs, "close 4408", ws)
}

// wantAfter wants a message, or the socket's end, not before a time is up, and long before it would be by default.
func wantAfter(t *testing.T, since time.Time, least time.Duration, want string, ws *websocket.Conn) {
	t.Helper()
	const byDefault = 10 * time.Second
	_ = ws.SetReadDeadline(since.Add(byDefault))
	_, message, err := ws.ReadMessage()
	took := time.Since(since)
	if came := string(message) + errorText(err); !strings.Contains(came, want) || took < least {
		t.Errorf("after %v came %s, want %s after %v", took, came, want, least)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return " " + err.Error()
}
