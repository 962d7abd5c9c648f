package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// recorder is a subscriber who writes down each number as it arrives. When a stream ends, it goes to the next node with the last cursor
// that it has, as an EventSource does.
type recorder struct {
	t         *testing.T
	field     string // of the subscription
	variables map[string]any
	connect   *protocol
	clients   []*client     // of the nodes
	silence   time.Duration // on a WebSocket, after which it goes to the next node; 0: it waits
	deaf      atomic.Bool   // it answers no ping
	ended     chan struct{}

	mu       sync.Mutex
	place    int    // of the node where it is
	cut      func() // ends the connection that it has
	after    string // the last cursor
	arrived  []int64
	snapshot []bool // of each
	returns  int
	told     string // why the last stream ended
}

// asked is what recorders ask for, by the field.
var asked = map[string]string{
	"events":          `subscription ($after: Cursor) { events(after: $after) { cursor sequence } }`,
	"accountActivity": `subscription ($id: ID!, $after: Cursor) { accountActivity(accountId: $id, after: $after) { cursor sequence snapshot } }`,
	"paymentStatus":   `subscription ($id: ID!, $after: Cursor) { paymentStatus(paymentId: $id, after: $after) { cursor sequence snapshot } }`,
}

// record begins to subscribe: until the test ends, or the stream completes.
func (r *recorder) record() *recorder {
	r.cut, r.ended = func() {}, make(chan struct{})
	r.t.Cleanup(func() { <-r.ended })
	go func() {
		defer close(r.ended)
		for r.t.Context().Err() == nil && !r.read() {
			time.Sleep(50 * time.Millisecond)
		}
	}()
	return r
}

// read reads one stream to its end, and says whether it has completed.
func (r *recorder) read() (completed bool) {
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	r.mu.Lock()
	r.cut = cancel
	c, after := r.clients[r.place], r.after
	r.mu.Unlock()
	err := r.connect.read(ctx, c, &subscription{asked[r.field], r.variables, after, r.silence, &r.deaf}, r.arrive)
	if err == nil {
		if r.field != "paymentStatus" {
			r.t.Errorf("%s completes", r.field)
		}
		return true
	}
	var closed *websocket.CloseError
	if errors.As(err, &closed) && !slices.Contains(comeBack, closed.Code) {
		r.t.Errorf("%s: the socket is closed with %v", r.field, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.place = (r.place + 1) % len(r.clients)
	r.returns++
	r.told = err.Error()
	return false
}

// comeBack are the codes with which a socket may end: no close frame, restart, try again, and no pong, which a node that was frozen may have
// waited for.
var comeBack = []int{websocket.CloseAbnormalClosure, websocket.CloseServiceRestart, websocket.CloseTryAgainLater, 4408}

// subscription is what a subscriber asks for, and how it keeps the connection.
type subscription struct {
	query     string
	variables map[string]any
	after     string        // the cursor after which it begins, if there is one
	silence   time.Duration // on a WebSocket, after which it goes; 0: it waits
	deaf      *atomic.Bool  // it answers no ping
}

// protocol reads one stream to its end, and gives each response, with its cursor where that is not in the response. There is no error where
// the stream completes.
type protocol struct {
	read func(ctx context.Context, c *client, s *subscription, give func([]byte, string) error) error
}

var bySSE, bySocket = &protocol{readSSE}, &protocol{readSocket}

// readSSE reads Server-Sent Events, and resumes by the last event's id.
func readSSE(ctx context.Context, c *client, s *subscription, give func([]byte, string) error) error {
	body, err := json.Marshal(map[string]any{"query": s.query, "variables": s.variables})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/graphql", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Authorization", "Bearer "+c.token)
	if s.after != "" {
		request.Header.Set("Last-Event-ID", s.after)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP %d", response.StatusCode)
	}
	lines := bufio.NewScanner(response.Body)
	event, id := "", ""
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "event":
			event = value
		case name == "id":
			id = value
		case name == "data" && event == "next":
			if err := give([]byte(value), id); err != nil {
				return err
			}
		case name == "data" && event == "complete":
			return nil
		}
	}
	return cmp.Or(lines.Err(), io.ErrUnexpectedEOF)
}

// readSocket reads a WebSocket with subprotocol graphql-transport-ws, and resumes by the argument after.
func readSocket(ctx context.Context, c *client, s *subscription, give func([]byte, string) error) error {
	dialer := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}, HandshakeTimeout: s.silence, TLSClientConfig: c.tls}
	ws, response, err := dialer.DialContext(ctx, "ws"+strings.TrimPrefix(c.url, "http")+"/graphql", nil)
	if response != nil {
		defer response.Body.Close()
	}
	if err != nil {
		return err
	}
	defer ws.Close()
	defer context.AfterFunc(ctx, func() { _ = ws.Close() })()
	values := map[string]any{}
	maps.Copy(values, s.variables)
	if s.after != "" {
		values["after"] = s.after
	}
	type message map[string]any
	err = ws.WriteJSON(message{"type": "connection_init", "payload": message{"Authorization": "Bearer " + c.token}})
	for err == nil {
		var came struct {
			Type    string
			Payload json.RawMessage
		}
		if s.silence > 0 {
			_ = ws.SetReadDeadline(time.Now().Add(s.silence))
		}
		if err = ws.ReadJSON(&came); err != nil {
			return err
		}
		switch came.Type {
		case "connection_ack":
			err = ws.WriteJSON(message{"id": "1", "type": "subscribe", "payload": message{"query": s.query, "variables": values}})
		case "ping":
			if !s.deaf.Load() {
				err = ws.WriteJSON(message{"type": "pong"})
			}
		case "next":
			err = give(came.Payload, "")
		case "error":
			err = give(fmt.Appendf(nil, `{"errors":%s}`, came.Payload), "")
		case "complete":
			return nil
		}
	}
	return err
}

// arrive writes down what has arrived. The error is a refusal: the stream could not begin.
func (r *recorder) arrive(response []byte, cursor string) error {
	var answer struct {
		Data map[string]*struct {
			Cursor, Sequence string
			Snapshot         bool
		}
		Errors []struct {
			Message    string
			Extensions struct {
				Code      string
				Retryable bool
			}
		}
	}
	if err := json.Unmarshal(response, &answer); err != nil {
		r.t.Errorf("%v in %s", err, response)
		return err
	}
	item := answer.Data[r.field]
	if len(answer.Errors) > 0 || item == nil {
		if item != nil || len(answer.Errors) != 1 || !answer.Errors[0].Extensions.Retryable {
			r.t.Errorf("%s is told %s", r.field, response)
		}
		return fmt.Errorf("%s", response)
	}
	number, err := strconv.ParseInt(item.Sequence, 10, 64)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arrived, r.snapshot, r.after = append(r.arrived, number), append(r.snapshot, item.Snapshot), cmp.Or(cursor, item.Cursor)
	return err
}

// move has the recorder be at a node: at another its connection is cut, in the midst of whatever comes.
func (r *recorder) move(place int) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		r.mu.Lock()
		is, cut := r.place, r.cut
		r.mu.Unlock()
		if is == place {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: it does not leave node %d", r.field, is)
		}
		cut()
	}
}

// count is how many have arrived.
func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.arrived)
}

// await waits until so many have arrived.
func (r *recorder) await(n int) {
	r.t.Helper()
	r.awaitWithin(patience, n)
}

func (r *recorder) awaitWithin(most time.Duration, n int) {
	r.t.Helper()
	for deadline := time.Now().Add(most); r.count() < n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.t.Fatalf("%s: %d have arrived after %v, want %d; it is at node %d, came back %d times, and was told %s",
				r.field, len(r.arrived), most, n, r.place, r.returns, r.told)
		}
	}
}

// awaitTold waits until the recorder has been told why a stream ends.
func (r *recorder) awaitTold(most time.Duration, part string) {
	r.t.Helper()
	for deadline := time.Now().Add(most); ; time.Sleep(10 * time.Millisecond) {
		r.mu.Lock()
		told := r.told
		r.mu.Unlock()
		if strings.Contains(told, part) {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: after %v it was told %q, want %q", r.field, most, told, part)
		}
	}
}

// awaitEnd waits until the stream has completed.
func (r *recorder) awaitEnd() {
	r.t.Helper()
	select {
	case <-r.ended:
	case <-time.After(patience):
		r.t.Fatalf("%s of %v does not complete", r.field, r.variables)
	}
}

// judge looks at the record as it is: numbers from the first to the last, each once, and a snapshot nowhere but at the beginning.
func (r *recorder) judge(first, last int64) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, number := range r.arrived {
		if number != first+int64(n) || r.snapshot[n] && n > 0 {
			r.t.Errorf("%s: arrival %d is number %d (snapshot %v), want %d", r.field, n, number, r.snapshot[n], first+int64(n))
			return
		}
	}
	if int64(len(r.arrived)) != last-first+1 {
		r.t.Errorf("%s: %d have arrived, want the numbers from %d to %d", r.field, len(r.arrived), first, last)
	}
}
