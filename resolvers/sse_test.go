package resolvers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// patience is what these tests wait for something on a busy machine.
const patience = 20 * time.Second

// told is one event of a stream as it has arrived.
type told struct {
	event, id, data string
}

// listening reads a stream of Server-Sent Events (WHATWG HTML, section 9.2.6), of which it knows what the gateway uses.
type listening struct {
	t      *testing.T
	events chan told
	end    context.CancelFunc
}

// hear opens a stream. lastID, where it is not empty, is sent as Last-Event-ID. It is closed at the end of the test.
func (c *client) hear(t *testing.T, document string, variables vars, lastID string) *listening {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	return c.hearBody(t, string(body), lastID)
}

func (c *client) hearBody(t *testing.T, body, lastID string) *listening {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+"/graphql", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "text/event-stream")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	if lastID != "" {
		request.Header.Set("Last-Event-ID", lastID)
	}
	response, err := c.Client().Do(request) //nolint:bodyclose // who reads it closes it
	if err != nil {
		t.Fatal(err)
	}
	if kind := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "text/event-stream") {
		t.Fatalf("%s: HTTP %d, %s", body, response.StatusCode, kind)
	}
	l := &listening{t: t, events: make(chan told, 4096), end: cancel}
	go func() {
		defer func() { _ = response.Body.Close() }()
		defer close(l.events)
		lines := bufio.NewScanner(response.Body)
		lines.Buffer(nil, 1<<20)
		var now told
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				now.event = value
			case "id":
				now.id = value
			case "data":
				now.data = value
			case "":
				if now.event != "" {
					l.events <- now
				}
				now = told{}
			}
		}
	}()
	return l
}

// arrival waits for the next event. ok is false where the stream has ended.
func (l *listening) arrival() (_ told, ok bool) {
	l.t.Helper()
	select {
	case e, ok := <-l.events:
		return e, ok
	case <-time.After(patience):
		l.t.Fatal("nothing comes")
	}
	return told{}, false
}

// item is one item of a subscription.
type item struct {
	id    string
	field map[string]any // what stands under the root field
}

func (i item) number() string { return text(i.field, "sequence") }

// next waits for the next item, which is no error.
func (l *listening) next() item {
	l.t.Helper()
	e, ok := l.arrival()
	r := parse(l.t, e.data)
	if !ok || e.event != "next" || len(r.Errors) > 0 || len(r.Data) != 1 {
		l.t.Fatalf("an item is awaited; %+v arrives", e)
	}
	for _, field := range r.Data {
		return item{e.id, field.(map[string]any)}
	}
	return item{}
}

// refusal waits for an error, and for the stream's end after it.
func (l *listening) refusal() problem {
	l.t.Helper()
	e, ok := l.arrival()
	r := parse(l.t, e.data)
	if !ok || e.event != "next" || e.id != "" || len(r.Errors) != 1 {
		l.t.Fatalf("a refusal is awaited; %+v arrives", e)
	}
	l.complete()
	return r.Errors[0]
}

// complete waits for the word that nothing follows.
func (l *listening) complete() {
	l.t.Helper()
	if e, ok := l.arrival(); !ok || e.event != "complete" {
		l.t.Fatalf("complete is awaited; %+v arrives", e)
	}
	if e, ok := l.arrival(); ok {
		l.t.Fatalf("after complete %+v arrives", e)
	}
}

// silent fails if anything arrives in a while.
func (l *listening) silent(while time.Duration) {
	l.t.Helper()
	select {
	case e, ok := <-l.events:
		l.t.Fatalf("nothing is awaited; %+v arrives (%v)", e, ok)
	case <-time.After(while):
	}
}

// run waits for items with the numbers from one to another, and returns them.
func (l *listening) run(from, to int) []item {
	l.t.Helper()
	var items []item
	for n := from; n <= to; n++ {
		i := l.next()
		if i.number() != fmt.Sprint(n) || i.id == "" || at(i.field, "snapshot") == true {
			l.t.Fatalf("number %d is awaited; %v arrives", n, i)
		}
		items = append(items, i)
	}
	return items
}

func parse(t *testing.T, data string) *reply {
	t.Helper()
	r := &reply{text: data}
	if data != "" {
		if err := json.Unmarshal([]byte(data), r); err != nil {
			t.Fatalf("%v in %q", err, data)
		}
	}
	return r
}
