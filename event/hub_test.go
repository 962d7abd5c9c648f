package event_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/paygraph/paygraph/clock"
	"github.com/paygraph/paygraph/event"
)

var (
	wholeLog = event.Topic{Kind: event.OfMerchant}
	accountA = event.Topic{Kind: event.OfAccount, Object: "acc_a"}
)

// inBubble runs a test of the hub with time that passes when nothing else happens. It fails where a goroutine is left behind.
func inBubble(t *testing.T, test func(t *testing.T, h *event.Hub, m *memory)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		h := event.NewHub(clock.Real, m, silent)
		defer h.Close()
		test(t, h, m)
	})
}

// mustListen subscribes, and leaves at the end of the test.
func mustListen(t *testing.T, h *event.Hub, m *memory, topic event.Topic, after int64, pause time.Duration) *listener {
	t.Helper()
	l, _, err := listen(h, m, topic, nil, after, pause)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	synctest.Wait()
	return l
}

func wantHeard(t *testing.T, l *listener, numbers int, want error) {
	t.Helper()
	got, err := l.heard()
	if len(got) != numbers || !errors.Is(err, want) {
		t.Errorf("got %d numbers (%v) and %v, want %d and %v", len(got), got, err, numbers, want)
	}
	for i, n := range got {
		if n != got[0]+int64(i) {
			t.Errorf("number %d is %d", i, n)
		}
	}
}

func TestACommitIsPassedOnAtOnceAndNotRead(t *testing.T) {
	inBubble(t, func(t *testing.T, h *event.Hub, m *memory) {
		m.happen("ccc")
		l := mustListen(t, h, m, wholeLog, -1, 0)
		reads := m.reads
		begin := time.Now()
		h.Committed(m.happen("cc"))
		synctest.Wait()
		wantHeard(t, l, 2, nil)
		if m.reads != reads || time.Since(begin) != 0 {
			t.Errorf("%d reads, %v", m.reads-reads, time.Since(begin))
		}
	})
}

func TestWhatNobodyTellsOfIsFoundWithinASecond(t *testing.T) {
	inBubble(t, func(t *testing.T, h *event.Hub, m *memory) {
		l := mustListen(t, h, m, accountA, -1, 0)
		m.happen("abca")
		time.Sleep(time.Second)
		synctest.Wait()
		wantHeard(t, l, 2, nil)
		m.happen("a")
		h.Look()
		synctest.Wait()
		wantHeard(t, l, 3, nil)
	})
}

// A hint is anybody's word who can connect to the database. A wrong one must not make the hub deaf to right ones.
func TestAHintThatIsNotTrue(t *testing.T) {
	inBubble(t, func(t *testing.T, h *event.Hub, m *memory) {
		l := mustListen(t, h, m, wholeLog, -1, 0)
		h.Hint(shop, math.MaxInt64)
		h.Hint(shop, -1)
		h.Hint("mer_other", 5)
		synctest.Wait()
		m.happen("ccc")
		h.Hint(shop, 3)
		synctest.Wait()
		wantHeard(t, l, 3, nil)
		h.Committed(m.happen("c"))
		synctest.Wait()
		wantHeard(t, l, 4, nil)
		m.happen("c")
		time.Sleep(time.Second)
		synctest.Wait()
		wantHeard(t, l, 5, nil)
	})
}

func TestASubscriberWhoTakesNothingIsEnded(t *testing.T) {
	inBubble(t, func(t *testing.T, h *event.Hub, m *memory) {
		slow, quick := mustListen(t, h, m, wholeLog, -1, time.Hour), mustListen(t, h, m, wholeLog, -1, 0)
		for range event.MaxWaiting + 44 {
			h.Committed(m.happen("c"))
			synctest.Wait()
		}
		wantHeard(t, quick, event.MaxWaiting+44, nil)
		time.Sleep(2 * time.Hour)
		wantHeard(t, slow, 1, event.ErrTooSlow) // the one that it was busy with
		if got := h.Stats(); got.Given != 2*(event.MaxWaiting+44) || got.TooSlow != 1 {
			t.Errorf("it counts %+v", got)
		}
	})
}

func TestASubscriberWhoIsBehindWhileMuchHappensReadsIt(t *testing.T) {
	inBubble(t, func(t *testing.T, h *event.Hub, m *memory) {
		m.happen(strings.Repeat("c", 250))
		l := mustListen(t, h, m, wholeLog, 0, time.Millisecond)
		for range 700 {
			h.Committed(m.happen("c"))
		}
		time.Sleep(2 * time.Second)
		wantHeard(t, l, 950, nil)
		if got := h.Stats(); got.Merchants != 1 || got.Subscribers != 1 || got.Read < 250 || got.TooSlow != 0 {
			t.Errorf("it counts %+v", got)
		}
	})
}

func TestASnapshotIsFollowedByAllThatCameMeanwhile(t *testing.T) {
	inBubble(t, func(t *testing.T, h *event.Hub, m *memory) {
		m.happen("aa")
		sub, err := h.Subscribe(t.Context(), shop, m.stream(accountA, nil))
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		const more = event.MaxWaiting + 44
		for range more {
			h.Committed(m.happen("a"))
			synctest.Wait()
		}
		sub.Start(2, false, &event.Item{Number: 2, Snapshot: true})
		next := int64(2)
		for live := false; !live; {
			var items []*event.Item
			if items, live, err = sub.CatchUp(t.Context(), func() {}); err != nil {
				t.Fatal(err)
			}
			for _, i := range items {
				if i.Number != next || i.Snapshot != (next == 2) {
					t.Fatalf("got %d (snapshot %v), want %d", i.Number, i.Snapshot, next)
				}
				next++
			}
		}
		if next != 3+more {
			t.Errorf("the next is %d", next)
		}
	})
}

// TestWhatWasReadBefore comes first, and nothing is read where nothing can be missing.
func TestWhatWasReadBefore(t *testing.T) {
	inBubble(t, func(t *testing.T, h *event.Hub, m *memory) {
		m.happen("aaa")
		for _, behind := range []bool{false, true} {
			s := m.stream(wholeLog, nil)
			reads := 0
			read := s.Read
			s.Read = func(ctx context.Context, after int64, limit int) ([]*event.Item, error) {
				reads++
				return read(ctx, after, limit)
			}
			sub, err := h.Subscribe(t.Context(), shop, s)
			if err != nil {
				t.Fatal(err)
			}
			h.Committed(m.happen("a"))
			synctest.Wait()
			first, err := read(t.Context(), 1, 2)
			if err != nil || len(first) != 2 {
				t.Fatal(first, err)
			}
			sub.Start(1, behind, first...)
			woken := make(chan struct{}, 1)
			items, live, err := sub.CatchUp(t.Context(), func() { woken <- struct{}{} })
			if err != nil || len(items) != 2 || live == behind {
				t.Fatalf("%v, live %v, %v", items, live, err)
			}
			if behind {
				if items, live, err = sub.CatchUp(t.Context(), func() {}); err != nil || !live || items[0].Number != 4 {
					t.Errorf("%v, live %v, %v", items, live, err)
				}
			} else {
				<-woken
				if items, err = sub.Take(); err != nil || len(items) != 1 || items[0].Number != 4 {
					t.Errorf("%v, %v", items, err)
				}
			}
			if want := map[bool]int{false: 0, true: 1}[behind]; reads != want {
				t.Errorf("it has read %d times, want %d", reads, want)
			}
			sub.Close()
		}
	})
}

func TestReadsThatFailAreRepeated(t *testing.T) {
	inBubble(t, func(t *testing.T, h *event.Hub, m *memory) {
		m.fail(5)
		l := mustListen(t, h, m, wholeLog, 0, 0)
		m.happen("ccc")
		m.fail(5)
		h.Hint(shop, 3)
		time.Sleep(10 * time.Second)
		wantHeard(t, l, 3, nil)
	})
}

func TestWhoCannotBeginIsNotLeftBehind(t *testing.T) {
	inBubble(t, func(t *testing.T, h *event.Hub, m *memory) {
		m.fail(math.MaxInt)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := h.Subscribe(ctx, shop, m.stream(wholeLog, nil)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if h.Listens(shop) {
			t.Error("the feed goes on")
		}
	})
}

func TestAFeedEndsWithItsLastSubscriber(t *testing.T) {
	inBubble(t, func(t *testing.T, h *event.Hub, m *memory) {
		one, two := mustListen(t, h, m, wholeLog, -1, 0), mustListen(t, h, m, accountA, -1, 0)
		one.close()
		if !h.Listens(shop) {
			t.Error("the feed ended with its first subscriber")
		}
		two.close()
		two.sub.Close()
		reads := m.reads
		time.Sleep(10 * time.Second)
		if h.Listens(shop) || m.reads != reads {
			t.Errorf("listens: %v, %d reads of nobody's", h.Listens(shop), m.reads-reads)
		}
		three := mustListen(t, h, m, wholeLog, -1, 0)
		h.Committed(m.happen("c"))
		synctest.Wait()
		wantHeard(t, three, 1, nil)
	})
}

// TestCloseInEveryPhase ends the hub while subscribers are live, have just caught up, read, cannot read, and wait to begin.
func TestCloseInEveryPhase(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(m *memory){
		"live":           func(*memory) {},
		"busy":           func(m *memory) { m.happen(strings.Repeat("a", 200)) },
		"slow reads":     func(m *memory) { m.happen(strings.Repeat("a", 500)); m.slow = time.Second },
		"reads that end": func(m *memory) { m.happen("a"); m.failing = math.MaxInt },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, at := range []time.Duration{0, time.Millisecond, 500 * time.Millisecond, 2500 * time.Millisecond} {
				synctest.Test(t, func(t *testing.T) {
					m := newMemory()
					h := event.NewHub(clock.Real, m, silent)
					prepare(m)
					var all sync.WaitGroup
					for n := range 4 {
						all.Go(func() {
							l, _, err := listen(h, m, accountA, nil, int64(n)-1, time.Duration(n)*time.Millisecond)
							if err == nil {
								<-l.ended
								_, err = l.heard()
								l.close()
							}
							if !errors.Is(err, event.ErrStopping) {
								t.Errorf("closed after %v: got %v", at, err)
							}
						})
					}
					time.Sleep(at)
					h.Close()
					all.Wait()
					h.Look()
					h.Hint(shop, 5)
					h.Committed(m.happen("a"))
					if _, err := h.Subscribe(t.Context(), shop, m.stream(accountA, nil)); !errors.Is(err, event.ErrStopping) {
						t.Errorf("after Close: %v", err)
					}
				})
			}
		})
	}
}

func TestWhatIsOverEndsAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, h *event.Hub, m *memory) {
		sub, err := h.Subscribe(t.Context(), shop, m.stream(accountA, nil))
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		sub.Start(0, true)
		sub.Over()
		h.Committed(m.happen("a"))
		if items, live, err := sub.CatchUp(t.Context(), func() {}); len(items) > 0 || live || !errors.Is(err, event.ErrOver) {
			t.Errorf("got %v, %v, %v", items, live, err)
		}
	})
}

// A payment can become another customer's: who has heard it comes again, whether it is live when that happens or not yet.
func TestWhatMayBeForeignSendsItsSubscriberAway(t *testing.T) {
	inBubble(t, func(t *testing.T, h *event.Hub, m *memory) {
		stream := m.stream(accountA, nil)
		stream.Foreign = func(i *event.Item) bool { return i.Number%2 == 0 }
		for round, ahead := range []string{"", "aa"} {
			sub, err := h.Subscribe(t.Context(), shop, stream)
			if err != nil {
				t.Fatal(err)
			}
			sub.Start(int64(2*round), false, &event.Item{Number: int64(2 * round), Snapshot: true})
			happen := func(what string) {
				h.Committed(m.happen(what))
				synctest.Wait()
			}
			happen(ahead)
			woken := 0
			if items, live, err := sub.CatchUp(t.Context(), func() { woken++ }); len(items) != 1 || !live || err != nil {
				t.Errorf("%q is ahead: it begins with %v, %v, %v", ahead, items, live, err)
			}
			happen("aa"[len(ahead):])
			if items, err := sub.Take(); len(items) > 0 || !errors.Is(err, event.ErrOwnerChanged) || woken == 0 {
				t.Errorf("%q is ahead: got %v, %v; woken %d times", ahead, items, err, woken)
			}
			sub.Close()
		}
	})
}

func TestAFrameIsMadeOnceForAKey(t *testing.T) {
	t.Parallel()
	var item event.Item
	var made, panics atomic.Int64
	var all sync.WaitGroup
	for n := range 200 {
		all.Go(func() {
			key := n % 3
			defer func() {
				if cause := recover(); cause != nil {
					panics.Add(1)
				}
			}()
			frame := item.Frame(key, func() []byte {
				made.Add(1)
				time.Sleep(10 * time.Millisecond)
				if key == 2 {
					panic("it cannot be made")
				}
				return []byte(fmt.Sprint("frame ", key))
			})
			if string(frame) != fmt.Sprint("frame ", key) {
				t.Errorf("key %d: %q", key, frame)
			}
		})
	}
	all.Wait()
	if made.Load() != 3 || panics.Load() != 66 {
		t.Errorf("made %d times, %d panics; want 3 and 66", made.Load(), panics.Load())
	}
}

// Others may come and go while an item is given: the feed holds no lock for as long as that takes, and nobody else's commit waits for it.
func TestWhoComesAndGoesDoesNotWaitForDeliveries(t *testing.T) {
	inBubble(t, func(t *testing.T, h *event.Hub, m *memory) {
		sub, err := h.Subscribe(t.Context(), shop, m.stream(wholeLog, nil))
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		sub.Start(0, false)
		came := 0
		if _, live, err := sub.CatchUp(t.Context(), func() {
			other, err := h.Subscribe(t.Context(), shop, m.stream(accountA, nil))
			if err != nil {
				t.Error(err)
			}
			other.Close()
			came++
		}); !live || err != nil {
			t.Fatal(live, err)
		}
		h.Committed(m.happen("c"))
		synctest.Wait()
		if came != 1 {
			t.Errorf("%d came and went during one delivery", came)
		}
	})
}
