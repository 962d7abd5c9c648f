package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/paygraph/paygraph/answer"
)

// serveItems is a gateway whose accounts have had a list of entries, told to whoever subscribes, all booked at one time.
func serveItems(t *testing.T, booked time.Time, numbers ...int64) (address string) {
	t.Helper()
	var id answer.UUID
	binary.BigEndian.PutUint64(id[:], uint64(booked.UnixMilli())<<16)
	upgrader := websocket.Upgrader{Subprotocols: []string{"graphql-transport-ws"}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = ws.Close() }()
		say := func(text string) { _ = ws.WriteMessage(websocket.TextMessage, []byte(text)) }
		_, _, _ = ws.ReadMessage() // connection_init
		say(`{"type":"connection_ack"}`)
		_, _, _ = ws.ReadMessage() // subscribe
		say(`{"type":"ping"}`)
		for _, n := range numbers {
			say(fmt.Sprintf(`{"id":"s","type":"next","payload":{"data":{"accountActivity":{"cursor":%q,"sequence":"%d","entry":{"id":%q}}}}}`,
				strings.Repeat("c", int(200*n)), n, answer.Encode(answer.EntryPrefix, id)))
		}
		_, _, _ = ws.ReadMessage() // pong
		_, _, _ = ws.ReadMessage()
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestWrongOrdersAreFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		numbers   []int64
		delivered int64
		faults    string
	}{
		{"as it should be", []int64{1, 2, 3, 4, 5, 6}, 5, ""},
		{"a gap", []int64{1, 2, 4}, 1, "1 × number 4 came after 2"},
		{"a repeat", []int64{1, 2, 2, 3}, 2, "1 × number 2 came after 2"},
		{"two changed places", []int64{1, 2, 4, 3, 5}, 1, "1 × number 3 came after 4; 1 × number 4 came after 2; 1 × number 5 came after 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			booked := time.Now().Add(-time.Second)
			a, err := gather(t.Context(), serveItems(t, booked, c.numbers...), "token", 1, followAccount("acc_x"))
			if err != nil {
				t.Fatal(err)
			}
			defer a.close()
			a.measure(0, time.Minute)
			if err := a.gathered(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			a.await(t.Context(), &a.delivered, c.delivered, time.Second)
			for end := time.Now().Add(time.Second); reasons(a.faults()) != c.faults && time.Now().Before(end); {
				time.Sleep(lookAgain)
			}
			faults := strings.Split(reasons(a.faults()), "; ")
			for _, want := range strings.Split(c.faults, "; ") {
				if !strings.Contains(strings.Join(faults, "; "), want) || len(faults) != len(strings.Split(c.faults, "; ")) {
					t.Errorf("found is %q, want %q", faults, c.faults)
				}
			}
			if n := a.delivered.Load(); n != c.delivered {
				t.Errorf("%d were delivered, want %d", n, c.delivered)
			}
			if p := a.arrivals.millis(50); a.arrivals.latency.TotalCount() > 0 && p < 1000 {
				t.Errorf("they took %v ms, not the second since they were booked", p)
			}
		})
	}
}

func TestOneFaultOrOneMissingItemMissesTheTarget(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		f    streamFigure
		good bool
	}{
		{streamFigure{Due: 1e6, Delivered: 1e6}, true},
		{streamFigure{Due: 1e6, Delivered: 1e6 - 1}, false},
		{streamFigure{Due: 1e6, Delivered: 1e6 + 1}, false},
		{streamFigure{Due: 1e6, Delivered: 1e6, Faults: 1}, false},
		{streamFigure{}, false},
	} {
		if verdict := streamTargets[0].judge(c.f.share()); strings.HasPrefix(verdict, "met") != c.good {
			t.Errorf("%+v: %s", c.f, verdict)
		}
	}
}

func TestASubscriberThatIsLostIsAFault(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "no")
	}))
	defer server.Close()
	if _, err := gather(t.Context(), strings.TrimPrefix(server.URL, "http://"), "token", 3, followAccount("acc_x")); err == nil {
		t.Error("three sockets were opened where none is")
	}
	a, err := gather(t.Context(), serveItems(t, time.Now(), 1), "token", 1, func(*audience, *socket) error { return io.ErrUnexpectedEOF })
	if err != nil {
		t.Fatal(err)
	}
	a.running.Wait()
	if faults := reasons(a.faults()); faults != "1 × a subscriber was lost: unexpected EOF" {
		t.Errorf("found is %q", faults)
	}
	a.close()
}
