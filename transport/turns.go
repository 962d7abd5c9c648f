package transport

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/paygraph/paygraph/answer"
)

// Limits of the rest after a turn.
const (
	longestRest = 200 * time.Millisecond
	crowd       = 500 // waiting subscribers with whom a rest is longest
	restShare   = 2   // and so many times as long as the turn
)

// turns are those of subscribers to read the database, to begin or to catch up. Thousands may come back at the same moment, and payments are
// to go on meanwhile: half of the cores take turns, each followed by a rest, in a crowd twice as long as it took. So the busier the machine, the
// fewer turns. Those who come and go every day are no crowd, and rests that they did not need would make them one. Merchants come in turn too:
// the subscribers of each queue among themselves, and only the first of them in the queue of all.
type turns struct {
	taken chan struct{} // holds a place for each turn, until its rest is over

	mu      sync.Mutex
	queues  map[answer.MerchantID]*queue // of the merchants whose subscribers wait
	waiting int                          // subscribers of all merchants
}

// queue is one merchant's.
type queue struct {
	first   chan struct{} // holds the one that waits in the queue of all
	waiting int           // subscribers, with the first; under the turns' mu
}

func newTurns() *turns {
	return &turns{taken: make(chan struct{}, (runtime.GOMAXPROCS(0)+1)/2), queues: map[answer.MerchantID]*queue{}}
}

// take waits for the turn of a merchant's subscriber. Its only error is the context's, which gets no turn once it has ended.
func (t *turns) take(ctx context.Context, m answer.MerchantID) (done func(), err error) {
	q := t.join(m)
	defer t.leave(m, q)
	select {
	case q.first <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-q.first }()
	select {
	case t.taken <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := ctx.Err(); err != nil { // both were ready
		<-t.taken
		return nil, err
	}
	begun := time.Now()
	return func() { time.AfterFunc(t.rest(time.Since(begun)), func() { <-t.taken }) }, nil
}

// rest is how long nobody takes the place of a turn that took so long.
func (t *turns) rest(took time.Duration) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return min(restShare*took, longestRest) * time.Duration(min(t.waiting, crowd)) / crowd
}

func (t *turns) join(m answer.MerchantID) *queue {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.queues[m]
	if q == nil {
		q = &queue{first: make(chan struct{}, 1)}
		t.queues[m] = q
	}
	q.waiting++
	t.waiting++
	return q
}

func (t *turns) leave(m answer.MerchantID, q *queue) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting--
	if q.waiting--; q.waiting == 0 {
		delete(t.queues, m)
	}
}
