package transport

import (
	"runtime"
	"slices"
	"sync"

	"github.com/paygraph/paygraph/answer"
)

// fairShare is how many sockets a writer attends to before it lets others work.
const fairShare = 64

// writers write to the sockets of many subscribers what one commit brings them all: a few goroutines for each merchant, which wait for nobody, and
// which are there only while something is to be written. Among merchants the cores are shared by Go's scheduler.
type writers struct {
	mu     sync.Mutex
	queues map[answer.MerchantID]*socketQueue // of the merchants with sockets that wait
}

// socketQueue is one merchant's sockets with something to be written, who waits longest first.
type socketQueue struct {
	waiting []*socket
	next    int // of those
	writers int
}

func newWriters() *writers { return &writers{queues: map[answer.MerchantID]*socketQueue{}} }

// add has a merchant's socket attended to soon. It does not wait.
func (w *writers) add(m answer.MerchantID, s *socket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := w.queues[m]
	if q == nil {
		q = &socketQueue{}
		w.queues[m] = q
	}
	q.push(s)
	if q.writers < runtime.GOMAXPROCS(0) {
		q.writers++
		go w.run(m, q)
	}
}

// run is one of a merchant's writers. It ends when no socket waits.
func (w *writers) run(m answer.MerchantID, q *socketQueue) {
	for n := 1; ; n++ {
		s := w.take(m, q)
		if s == nil {
			return
		}
		s.attend()
		if n%fairShare == 0 {
			runtime.Gosched()
		}
	}
}

// take is the socket whose turn it is, nil where none waits: then there is a writer less.
func (w *writers) take(m answer.MerchantID, q *socketQueue) *socket {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := q.pop()
	if s == nil {
		if q.writers--; q.writers == 0 {
			delete(w.queues, m)
		}
	}
	return s
}

// push lets a socket wait. Before the slice grows, those who wait move to its beginning if more than half of it has been taken: a queue that is
// never empty stays as small as it can be, and each socket moves less than once on average.
func (q *socketQueue) push(s *socket) {
	if len(q.waiting) == cap(q.waiting) && q.next > len(q.waiting)/2 {
		q.waiting = slices.Delete(q.waiting, 0, q.next)
		q.next = 0
	}
	q.waiting = append(q.waiting, s)
}

// pop is the socket that waits longest, nil where none does.
func (q *socketQueue) pop() *socket {
	if q.next == len(q.waiting) {
		q.waiting, q.next = q.waiting[:0], 0
		return nil
	}
	s := q.waiting[q.next]
	q.waiting[q.next] = nil
	q.next++
	return s
}
