package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder is a subscriber by Server-Sent Events who writes down each number as it arrives. When a stream ends, it goes to the next node
// with the last id that it has, as an EventSource does.
type recorder struct {
	t       *testing.T
	field   string // of the subscription
	body    string
	clients []*client
	ends    bool // whether the stream completes

	mu       sync.Mutex
	arrived  []int64
	snapshot []bool // of each
	returns  int
	told     string // the last refusal
	ended    chan struct{}
}

// recording subscribes until the test ends, or the stream completes.
func recording(ctx context.Context, t *testing.T, clients []*client, field, query string, variables map[string]any) *recorder {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{t: t, field: field, body: string(body), clients: clients, ends: field == "paymentStatus", ended: make(chan struct{})}
	t.Cleanup(func() { <-r.ended })
	go func() {
		defer close(r.ended)
		last := ""
		for n := 0; ctx.Err() == nil; n++ {
			completed, err := r.read(ctx, clients[n%len(clients)], &last)
			if completed {
				return
			}
			r.mu.Lock()
			r.returns++
			if err != nil {
				r.told = err.Error()
			}
			r.mu.Unlock()
			time.Sleep(50 * time.Millisecond)
		}
	}()
	return r
}

// read reads one stream to its end.
func (r *recorder) read(ctx context.Context, c *client, last *string) (completed bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/graphql", strings.NewReader(r.body))
	if err != nil {
		return false, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Authorization", "Bearer "+c.token)
	if *last != "" {
		request.Header.Set("Last-Event-ID", *last)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return false, fmt.Errorf("HTTP %d", response.StatusCode)
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
			if err := r.arrive([]byte(value)); err != nil {
				return false, err
			}
			*last = id
		case name == "data" && event == "complete":
			if !r.ends {
				r.t.Errorf("%s completes", r.field)
			}
			return true, nil
		}
	}
	return false, lines.Err()
}

// arrive writes down what has arrived. The error is a refusal: the stream could not begin.
func (r *recorder) arrive(data []byte) error {
	var answer struct {
		Data map[string]*struct {
			Sequence string
			Snapshot bool
		}
		Errors []struct {
			Message    string
			Extensions struct {
				Code      string
				Retryable bool
			}
		}
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		r.t.Errorf("%v in %s", err, data)
		return err
	}
	item := answer.Data[r.field]
	if len(answer.Errors) > 0 || item == nil {
		if item != nil || len(answer.Errors) != 1 || !answer.Errors[0].Extensions.Retryable {
			r.t.Errorf("%s is told %s", r.field, data)
		}
		return fmt.Errorf("%s", data)
	}
	number, err := strconv.ParseInt(item.Sequence, 10, 64)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arrived, r.snapshot = append(r.arrived, number), append(r.snapshot, item.Snapshot)
	return err
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
	for deadline := time.Now().Add(patience); r.count() < n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.t.Fatalf("%s: %d have arrived, want %d; it came back %d times, and was told %s", r.field, len(r.arrived), n, r.returns, r.told)
		}
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
