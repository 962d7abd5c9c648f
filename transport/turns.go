package transport

import (
	lists "container/list"
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/paygraph/paygraph/answer"
)

// Limits of a turn, and of the rest after it.
const (
	partySize   = 64                     // subscribers of one merchant that share a turn
	longestTurn = 250 * time.Millisecond // then it passes on, and its owners go on beside the others
	slowTurns   = 4                      // so many times as many as there are turns may do that
	turnsOfOne  = 2                      // and so many times as many are one merchant's at once
	longestRest = 200 * time.Millisecond
	crowd       = 2000 // waiting subscribers with whom a rest is longest
	restShare   = 3    // and so many times as long as the turn
)

// turns are those of subscribers to read the database, to begin or to catch up. Thousands may come back at the same moment, and payments are
// to go on meanwhile: half of the cores take turns, each followed by a rest, in a crowd three times as long as it took. So the busier the machine,
// the fewer turns. Those who come and go every day are no crowd, and rests that they did not need would make them one: a crowd is so many that the
// hundreds who have come while the gateway stood still for a second are begun faster than others come.
//
// The subscribers of a merchant who wait share its next turn, since what they ask is asked together. Merchants come in turn. A read that takes long holds
// up few.
type turns struct {
	mu      sync.Mutex
	most    int // turns at once
	party   int // subscribers that share one at most
	taken   int // of them, until the rest of each is over
	slow    int // those that go on beside them
	waiting int // subscribers of all merchants
	queues  map[answer.MerchantID]*queue
	order   lists.List // of the queues in which somebody waits, each once
	late    lists.List // of the parties whose turn has lasted too long, and that have no place beside the others yet
}

// queue is one merchant's, as long as somebody waits or has a turn.
type queue struct {
	merchant answer.MerchantID
	waiting  lists.List     // of channels that are closed when the turn begins
	place    *lists.Element // in the order; nil: nobody waits
	turns    int            // that it has, also those beside the others
}

// party is the subscribers who share a turn.
type party struct {
	queue  *queue
	left   int // of them, who are not done
	begun  time.Time
	timer  *time.Timer
	beside bool           // its turn has passed on, and it goes on
	place  *lists.Element // among those that are late; nil: it is not
}

func newTurns() *turns { return newTurnsOf((runtime.GOMAXPROCS(0) + 1) / 2) }

func newTurnsOf(n int) *turns {
	return &turns{most: n, party: partySize, queues: map[answer.MerchantID]*queue{}}
}

// subscriber waits for its turn.
type subscriber struct {
	begun chan struct{} // closed when it begins
	party *party        // once it has begun
}

// take waits for the turn of a merchant's subscriber. Its only error is the context's, which gets no turn once it has ended.
func (t *turns) take(ctx context.Context, m answer.MerchantID) (done func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := &subscriber{begun: make(chan struct{})}
	q, place := t.join(m, s)
	select {
	case <-s.begun:
	case <-ctx.Done():
		if t.leave(q, place, s) {
			return nil, ctx.Err()
		}
	}
	if err := ctx.Err(); err != nil { // both were ready
		t.done(s.party)
		return nil, err
	}
	return func() { t.done(s.party) }, nil
}

// join has a subscriber wait.
func (t *turns) join(m answer.MerchantID, s *subscriber) (*queue, *lists.Element) {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.queues[m]
	if q == nil {
		q = &queue{merchant: m}
		t.queues[m] = q
	}
	place := q.waiting.PushBack(s)
	t.waiting++
	if q.place == nil {
		q.place = t.order.PushBack(q)
	}
	t.begin()
	return q, place
}

// leave has a subscriber wait no more. It is false where its turn has begun.
func (t *turns) leave(q *queue, place *lists.Element, s *subscriber) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.party != nil {
		return false
	}
	q.waiting.Remove(place)
	t.waiting--
	t.settle(q)
	return true
}

// settle takes a queue out of the order where nobody waits, and forgets it where nobody has a turn either. mu is held.
func (t *turns) settle(q *queue) {
	if q.waiting.Len() > 0 {
		return
	}
	if q.place != nil {
		t.order.Remove(q.place)
		q.place = nil
	}
	if q.turns == 0 {
		delete(t.queues, q.merchant)
	}
}

// begin gives the turns that are free to those who come next. mu is held.
func (t *turns) begin() {
	for place := t.order.Front(); place != nil && t.taken < t.most; {
		q := place.Value.(*queue)
		following := place.Next()
		if q.turns < turnsOfOne*t.most {
			t.beginParty(q)
			if q.place != nil { // more wait: they come after those of others
				t.order.MoveToBack(place)
				if following == nil {
					following = place
				}
			}
		}
		place = following
	}
}

func (t *turns) beginParty(q *queue) {
	p := &party{queue: q, begun: time.Now()}
	for ; p.left < t.party && q.waiting.Len() > 0; p.left++ {
		s := q.waiting.Remove(q.waiting.Front()).(*subscriber)
		s.party = p
		close(s.begun)
	}
	t.taken++
	t.waiting -= p.left
	q.turns++
	t.settle(q)
	p.timer = time.AfterFunc(longestTurn, func() { t.tooLong(p) })
}

// done is called by each subscriber of a party.
func (t *turns) done(p *party) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.left--; p.left > 0 {
		return
	}
	p.timer.Stop()
	p.queue.turns--
	t.settle(p.queue)
	if p.place != nil {
		t.late.Remove(p.place)
		p.place = nil
	}
	if !p.beside {
		t.pass(p)
		t.begin() // the merchant has one turn less
		return
	}
	t.slow--
	if next := t.late.Front(); next != nil {
		t.goBeside(next.Value.(*party))
	}
	t.begin()
}

// tooLong has a party go on beside the others, as soon as there is room.
func (t *turns) tooLong(p *party) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.left == 0 {
		return
	}
	p.place = t.late.PushBack(p)
	if t.slow < slowTurns*t.most {
		t.goBeside(p)
	}
}

// goBeside passes a party's turn on. mu is held.
func (t *turns) goBeside(p *party) {
	t.late.Remove(p.place)
	p.place, p.beside = nil, true
	t.slow++
	t.pass(p)
}

// pass gives a party's place to the next after a rest. mu is held.
func (t *turns) pass(p *party) {
	time.AfterFunc(t.rest(time.Since(p.begun)), func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.taken--
		t.begin()
	})
}

// rest is how long nobody takes the place of a turn that took so long. mu is held.
func (t *turns) rest(took time.Duration) time.Duration {
	return min(restShare*took, longestRest) * time.Duration(min(t.waiting, crowd)) / crowd
}
