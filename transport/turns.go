package transport

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/paygraph/paygraph/answer"
)

// Limits of a turn, and of the rest after it.
const (
	longestTurn = 250 * time.Millisecond // then it passes on, and its owner goes on beside the others
	slowTurns   = 4                      // so many times as many as there are turns may do that
	turnsOfOne  = 2                      // and so many times as many are one merchant's at once
	longestRest = 200 * time.Millisecond
	crowd       = 2000 // waiting subscribers with whom a rest is longest
	restShare   = 3    // and so many times as long as the turn
)

// turns are those of subscribers to read the database, to begin or to catch up. Thousands may come back at the same moment, and payments are
// to go on meanwhile: half of the cores take turns, each followed by a rest, in a crowd three times as long as it took. So the busier the machine,
// the fewer turns. Those who come and go every day are no crowd, and rests that they did not need would make them one: a crowd is so many that the
// hundreds who have come while the gateway stood still for a second are begun faster than others come. Merchants come in turn too: the subscribers
// of each queue among themselves, and only the first of them in the queue of all. A read that takes long holds up few.
type turns struct {
	taken chan struct{} // holds a place for each turn, until its rest is over
	slow  chan struct{} // and one for each that goes on beside them

	mu      sync.Mutex
	queues  map[answer.MerchantID]*queue // of the merchants whose subscribers wait, or have a turn
	waiting int                          // subscribers of all merchants
}

// queue is one merchant's.
type queue struct {
	turns chan struct{} // holds a place for each that has a turn, and for the next: no merchant alone has all the places of slow ones
	first chan struct{} // holds the one that waits in the queue of all
	users int           // subscribers that wait, or have a turn; under the turns' mu
}

func newTurns() *turns { return newTurnsOf((runtime.GOMAXPROCS(0) + 1) / 2) }

func newTurnsOf(n int) *turns {
	return &turns{taken: make(chan struct{}, n), slow: make(chan struct{}, slowTurns*n), queues: map[answer.MerchantID]*queue{}}
}

// take waits for the turn of a merchant's subscriber. Its only error is the context's, which gets no turn once it has ended.
func (t *turns) take(ctx context.Context, m answer.MerchantID) (done func(), err error) {
	q := t.join(m)
	err = t.wait(ctx, q)
	t.waited()
	if err != nil {
		t.leave(m, q)
		return nil, err
	}
	end := t.begin()
	return func() {
		end()
		<-q.turns
		t.leave(m, q)
	}, nil
}

// wait returns when the merchant has one turn less, and a turn has been taken.
func (t *turns) wait(ctx context.Context, q *queue) error {
	if err := enter(ctx, q.turns); err != nil {
		return err
	}
	err := t.advance(ctx, q)
	if err != nil {
		<-q.turns
	}
	return err
}

// advance goes through the queue of all, as soon as nobody of the merchant's stands there.
func (t *turns) advance(ctx context.Context, q *queue) error {
	if err := enter(ctx, q.first); err != nil {
		return err
	}
	defer func() { <-q.first }()
	return enter(ctx, t.taken)
}

// enter takes a place.
func enter(ctx context.Context, places chan struct{}) error {
	select {
	case places <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil { // both were ready
		<-places
		return err
	}
	return nil
}

// begin begins a turn. It passes on when it has ended, or has lasted too long and there is room beside the others.
func (t *turns) begin() (end func()) {
	begun, ended := time.Now(), make(chan struct{})
	pass := func() { time.AfterFunc(t.rest(time.Since(begun)), func() { <-t.taken }) }
	long := time.AfterFunc(longestTurn, func() {
		select {
		case t.slow <- struct{}{}:
			pass()
			<-ended
			<-t.slow
		case <-ended:
			pass()
		}
	})
	return func() {
		if long.Stop() {
			pass()
		} else {
			close(ended)
		}
	}
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
		q = &queue{turns: make(chan struct{}, turnsOfOne*cap(t.taken)), first: make(chan struct{}, 1)}
		t.queues[m] = q
	}
	q.users++
	t.waiting++
	return q
}

// waited says that a subscriber waits no more.
func (t *turns) waited() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting--
}

func (t *turns) leave(m answer.MerchantID, q *queue) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q.users--; q.users == 0 {
		delete(t.queues, m)
	}
}
