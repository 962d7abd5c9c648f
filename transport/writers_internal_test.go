package transport

import (
	"runtime"
	"testing"
)

// TestQueueOfAMerchantThatIsNeverIdleStaysSmall: one of its writers is busy all the time, so that its queue is not made anew.
func TestQueueOfAMerchantThatIsNeverIdleStaysSmall(t *testing.T) {
	t.Parallel()
	const adds = 1_000_000
	for name, waiting := range map[string]int{"and often empty": 0, "and never empty": 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWriters()
			q := &socketQueue{writers: runtime.GOMAXPROCS(0) + 1} // so that none is started: this test is one of them, and another is busy
			w.queues["mer_1"] = q
			sockets := make([]socket, waiting+1)
			for n := range adds {
				w.add("mer_1", &sockets[n%len(sockets)])
				if n < waiting {
					continue
				}
				if got := w.take("mer_1", q); got != &sockets[(n-waiting)%len(sockets)] {
					t.Fatalf("after %d sockets the one that is taken is not the one that waits longest", n)
				}
				if waiting == 0 && w.take("mer_1", q) != nil {
					t.Fatal("somebody waits")
				}
				q.writers = runtime.GOMAXPROCS(0) + 1
				if cap(q.waiting) > 4*(waiting+1) {
					t.Fatalf("after %d sockets there is room for %d, and %d wait", n, cap(q.waiting), waiting)
				}
			}
		})
	}
}

// TestQueueOfSocketsKeepsNoneThatHasGone: what was taken is not held by the room that is left.
func TestQueueOfSocketsKeepsNoneThatHasGone(t *testing.T) {
	t.Parallel()
	q, last := &socketQueue{}, 0
	for n := range 1000 {
		q.push(&socket{})
		if n%3 > 0 {
			q.pop()
			last++
		}
	}
	held := 0
	for _, s := range q.waiting[:cap(q.waiting)] {
		if s != nil {
			held++
		}
	}
	if held != 1000-last {
		t.Errorf("%d sockets are held, and %d wait", held, 1000-last)
	}
}
