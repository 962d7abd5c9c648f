package event_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/paygraph/paygraph/event"
)

// The database is restored to a moment before, while others keep the feed from ending.
func TestALogThatGoesBackEndsItsSubscribersAndNoOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, h *event.Hub, m *memory) {
		m.happen(strings.Repeat("c", 10))
		before := mustListen(t, h, m, wholeLog, 0, 0)
		stuck, err := h.Subscribe(t.Context(), shop, m.stream(wholeLog, nil)) // told, and never leaves
		if err != nil {
			t.Fatal(err)
		}
		defer stuck.Close()
		m.restore(5)
		time.Sleep(1500 * time.Millisecond)
		wantHeard(t, before, 10, event.ErrLogChanged)
		after := mustListen(t, h, m, wholeLog, 5, 0)
		for range 20 {
			time.Sleep(700 * time.Millisecond)
			h.Committed(m.happen("c"))
		}
		synctest.Wait()
		wantHeard(t, after, 20, nil)
	})
}

// After a failover the log may be as long as the one that was passed on, or longer, and another one. Whoever tells of it first, nothing of it
// follows what subscribers have heard.
func TestALogThatIsAnotherEndsItsSubscribers(t *testing.T) {
	for name, learn := range map[string]func(h *event.Hub, m *memory){
		"as long, by a look":        func(_ *event.Hub, m *memory) { m.happen("ccc"); time.Sleep(1500 * time.Millisecond) },
		"longer, by a hint":         func(h *event.Hub, m *memory) { m.happen("cccc"); h.Hint(shop, 11) },
		"longer, by a commit":       func(h *event.Hub, m *memory) { h.Committed(m.happen("cccc")) },
		"longer, by the next":       func(h *event.Hub, m *memory) { m.happen("ccc"); h.Committed(m.happen("c")) },
		"longer, by a late overlap": func(h *event.Hub, m *memory) { m.happen("cccc"); h.Committed(m.from(9)) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, h *event.Hub, m *memory) {
				l := mustListen(t, h, m, wholeLog, 0, 0)
				h.Committed(m.happen(strings.Repeat("c", 10)))
				synctest.Wait()
				m.restore(7)
				learn(h, m)
				synctest.Wait()
				wantHeard(t, l, 10, event.ErrLogChanged)
				again := mustListen(t, h, m, wholeLog, 7, 0)
				h.Committed(m.happen("c"))
				synctest.Wait()
				wantHeard(t, again, int(m.head().Sequence)-7, nil)
			})
		})
	}
}

// A commit that the log does not reach cannot be; its subscribers, who would have a gap without knowing it where they ask for some types,
// are ended.
func TestACommitThatTheLogDoesNotReach(t *testing.T) {
	inBubble(t, func(t *testing.T, h *event.Hub, m *memory) {
		m.happen("pp")
		l, _, err := listen(h, m, wholeLog, ofPayments, -1, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.close)
		m.happen("pppp")
		c := m.from(6)
		m.restore(3)
		h.Committed(c)
		synctest.Wait()
		wantHeard(t, l, 0, event.ErrLogChanged) // even what it could have had is read again
	})
}
