package event_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/paygraph/paygraph/clock"
	"github.com/paygraph/paygraph/event"
)

// act is one thing that a history does.
type act struct {
	kind  string
	what  string // commit: what happens
	way   string // commit: how the hub learns of it
	late  time.Duration
	back  int64 // commit: of how many events before it the hub is told again
	n     int   // fail: reads; leave: which subscriber
	topic event.Topic
	types bool          // subscribe: to payments' events alone
	after int           // subscribe: hundredths of what there is; below zero: where it stands
	pause time.Duration // subscribe: for each item; sleep
}

var acts = rapid.Custom(func(t *rapid.T) act {
	a := act{kind: rapid.SampledFrom([]string{"commit", "commit", "commit", "subscribe", "subscribe", "sleep", "fail", "leave", "look"}).Draw(t, "kind")}
	switch a.kind {
	case "commit":
		a.what = rapid.StringMatching(`[pqabmc]{1,8}`).Draw(t, "what")
		if rapid.IntRange(0, 9).Draw(t, "burst") == 0 {
			a.what = strings.Repeat(a.what, 60)
		}
		a.way = rapid.SampledFrom([]string{"memory", "hint", "poll", "twice"}).Draw(t, "way")
		a.late = rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond, 700 * time.Millisecond, 3 * time.Second}).Draw(t, "late")
		a.back = rapid.SampledFrom([]int64{0, 0, 1, 5}).Draw(t, "back")
	case "subscribe":
		a.topic = rapid.SampledFrom([]event.Topic{
			{Kind: event.OfMerchant}, {Kind: event.OfPayment, Object: "pay_p"}, {Kind: event.OfAccount, Object: "acc_a"},
			{Kind: event.OfAccount, Object: "acc_b"},
		}).Draw(t, "topic")
		a.types = a.topic.Kind == event.OfMerchant && rapid.Bool().Draw(t, "types")
		a.after = rapid.SampledFrom([]int{-1, 0, 50, 90, 100}).Draw(t, "after")
		a.pause = rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond, 100 * time.Millisecond}).Draw(t, "pause")
	case "sleep":
		a.pause = rapid.SampledFrom([]time.Duration{time.Microsecond, 10 * time.Millisecond, 2 * time.Second}).Draw(t, "pause")
	case "fail":
		a.n = rapid.IntRange(1, 4).Draw(t, "reads")
	case "leave":
		a.n = rapid.IntRange(0, 9).Draw(t, "who")
	}
	return a
})

// follower is a subscriber with what it has asked for.
type follower struct {
	*listener
	topic event.Topic
	wants func(*event.Item) bool
	after int64
}

func ofPayments(i *event.Item) bool { return i.Event.Type == event.PaymentCreated }

// TestEverySubscriberGetsEveryNumberOnce runs histories in which commits come from memory, by hints and by polls, late, doubled and
// overlapping, reads fail, and subscribers begin at any time, before others and after, and are slow or quick. Each gets exactly the numbers
// after its beginning, in order, or is told that it is too slow.
func TestEverySubscriberGetsEveryNumberOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		history := rapid.SliceOfN(acts, 1, 40).Draw(rt, "history")
		slow := rapid.SampledFrom([]time.Duration{0, 5 * time.Millisecond, 200 * time.Millisecond}).Draw(rt, "reads take")
		var err error
		synctest.Test(t, func(*testing.T) { err = live(history, slow) }) // which fails if a goroutine is left
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// live runs a history.
func live(history []act, slow time.Duration) error {
	m := newMemory()
	m.slow = slow
	h := event.NewHub(clock.Real, m, silent)
	defer h.Close()
	var followers []*follower
	defer func() {
		for _, f := range followers {
			f.close()
		}
	}()
	for _, a := range history {
		switch a.kind {
		case "commit":
			go tell(h, m, a, m.happen(a.what))
		case "subscribe":
			f, err := a.subscribe(h, m)
			if err != nil {
				return err
			}
			followers = append(followers, f)
		case "sleep":
			time.Sleep(a.pause)
		case "fail":
			m.fail(a.n)
		case "look":
			h.Look()
		case "leave":
			if a.n < len(followers) {
				followers[a.n].close()
			}
		}
	}
	time.Sleep(20 * time.Minute) // which takes no time
	for n, f := range followers {
		var want []int64
		for _, i := range m.items(f.topic, f.wants) {
			if i.Number > f.after {
				want = append(want, i.Number)
			}
		}
		if err := f.judge(want); err != nil {
			return fmt.Errorf("subscriber %d of %+v after %d: %w", n, f.topic, f.after, err)
		}
		if _, err := f.heard(); errors.Is(err, event.ErrTooSlow) && m.head().Sequence <= event.MaxWaiting {
			return fmt.Errorf("subscriber %d of %+v is said to be too slow for %d events", n, f.topic, m.head().Sequence)
		}
	}
	return nil
}

// tell has the hub learn of a commit.
func tell(h *event.Hub, m *memory, a act, c event.Commit) {
	first, last := c.Events[0].Sequence, c.Events[len(c.Events)-1].Sequence
	if a.back > 0 && first > a.back {
		c = m.from(first - a.back)
	}
	time.Sleep(a.late)
	switch a.way {
	case "memory":
		h.Committed(c)
	case "twice":
		h.Hint(shop, last)
		h.Committed(c)
		h.Committed(c)
	case "hint":
		h.Hint(shop, last)
	}
}

func (a act) subscribe(h *event.Hub, m *memory) (*follower, error) {
	f := &follower{topic: a.topic}
	if a.types {
		f.wants = ofPayments
	}
	after := int64(-1)
	if all := m.items(a.topic, nil); a.after >= 0 {
		if after = 0; len(all) > 0 {
			after = all[len(all)-1].Number * int64(a.after) / 100
		}
	}
	var err error
	f.listener, f.after, err = listen(h, m, a.topic, f.wants, after, a.pause)
	return f, err
}
