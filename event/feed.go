package event

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/clock"
)

// feed brings what is committed of one merchant to its subscriptions, in the order of the log.
type feed struct {
	hub      *Hub
	merchant answer.MerchantID
	ctx      context.Context
	stop     context.CancelFunc
	ready    chan struct{}        // closed once position is known
	position atomic.Pointer[Head] // the last event that was passed on; run alone moves it; nil until it is known

	inbox struct {
		sync.Mutex
		commits []Commit
		known   int64 // the log is said to reach this number; 0: it has been read so far
	}
	wake chan struct{} // something is new in the inbox

	mu     sync.RWMutex
	topics map[Topic][]*Subscription
	count  int
}

func newFeed(h *Hub, m answer.MerchantID) *feed {
	f := &feed{
		hub: h, merchant: m, ready: make(chan struct{}), wake: make(chan struct{}, 1), topics: map[Topic][]*Subscription{},
	}
	f.ctx, f.stop = context.WithCancel(h.ctx)
	return f
}

func (f *feed) add(s *Subscription) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.feed, s.place = f, len(f.topics[s.topic])
	f.topics[s.topic] = append(f.topics[s.topic], s)
	f.count++
}

// remove takes a subscription out, and says how many are left.
func (f *feed) remove(s *Subscription) (left int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	of := f.topics[s.topic]
	last := of[len(of)-1]
	of[s.place], last.place = last, s.place
	if f.topics[s.topic] = slices.Delete(of, len(of)-1, len(of)); len(of) == 1 {
		delete(f.topics, s.topic)
	}
	s.feed = nil
	f.count--
	return f.count
}

// end ends all subscriptions with an error.
func (f *feed) end(err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, of := range f.topics {
		for _, s := range of {
			s.fail(err)
		}
	}
}

// take puts a commit of this process into the inbox. Where too many wait there, their events are read again.
func (f *feed) take(c Commit) {
	f.inbox.Lock()
	if len(f.inbox.commits) == maxWaitingCommits {
		f.inbox.commits = nil
	} else {
		f.inbox.commits = append(f.inbox.commits, c)
	}
	f.inbox.known = max(f.inbox.known, c.end().Sequence)
	f.inbox.Unlock()
	f.rouse()
}

// heard takes somebody's word that the log reaches a number. A wrong one costs a read.
func (f *feed) heard(sequence int64) {
	if position := f.position.Load(); position != nil && sequence <= position.Sequence {
		return
	}
	f.inbox.Lock()
	f.inbox.known = max(f.inbox.known, sequence)
	f.inbox.Unlock()
	f.rouse()
}

func (f *feed) rouse() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *feed) run() {
	if !f.begin() {
		return
	}
	for f.hub.clock.Wait(clock.Forever, f.ctx.Done(), f.wake) != 0 {
		f.inbox.Lock()
		commits, known := f.inbox.commits, f.inbox.known
		f.inbox.commits, f.inbox.known = nil, 0
		f.inbox.Unlock()
		for i := range commits {
			c := &commits[i]
			if !f.readTo(c.Events[0].Sequence - 1) {
				return
			}
			if !f.pass(c) {
				f.hub.drop(f)
				return
			}
		}
		if !f.readTo(known) {
			return
		}
	}
}

// begin finds out where the log stands.
func (f *feed) begin() bool {
	return f.retry(func(ctx context.Context) error {
		heads, err := f.hub.source.Heads(ctx, []answer.MerchantID{f.merchant})
		if err != nil {
			return err
		}
		head := heads[f.merchant]
		f.position.Store(&head)
		close(f.ready)
		return nil
	})
}

// readTo passes on what the log has up to a number and the feed has not seen, or less where the log does not reach it. It is false where
// the feed has ended.
func (f *feed) readTo(sequence int64) bool {
	for f.position.Load().Sequence < sequence {
		var c Commit
		read := f.retry(func(ctx context.Context) (err error) {
			c, err = f.hub.source.Since(ctx, f.merchant, f.position.Load().Sequence, readPage)
			return err
		})
		if !read {
			return false
		}
		if len(c.Events) == 0 {
			break
		}
		if !f.pass(&c) {
			f.hub.drop(f)
			return false
		}
	}
	return f.ctx.Err() == nil
}

// retry calls until there is no error. It is false where the feed has ended.
func (f *feed) retry(call func(context.Context) error) bool {
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		ctx, cancel := context.WithTimeout(f.ctx, pollTime)
		err := call(ctx)
		cancel()
		if err == nil {
			return true
		}
		if f.ctx.Err() != nil {
			return false
		}
		f.hub.log.Warn("a merchant's log cannot be read; its subscribers wait", "merchant", f.merchant, "error", err)
		if f.hub.clock.Wait(wait, f.ctx.Done()) == 0 {
			return false
		}
	}
}

// pass gives the subscriptions what is new of a commit. It is false where the commit is not of the log that the feed has passed on: then
// nothing of it was given.
func (f *feed) pass(c *Commit) bool {
	position := f.position.Load()
	if !c.continues(position) {
		return false
	}
	end := c.end()
	if end.Sequence <= position.Sequence {
		return true
	}
	for i := range c.Events {
		e := &c.Events[i]
		if e.Sequence <= position.Sequence {
			continue
		}
		f.give(Topic{Kind: OfMerchant}, func() *Item { return &Item{Number: e.Sequence, Event: e} })
		if e.Type.Object() == answer.PaymentPrefix {
			f.give(Topic{OfPayment, e.ObjectID}, func() *Item {
				return &Item{Number: int64(e.ObjectVersion), Event: e, Object: c.Objects[e.ObjectID]}
			})
		}
	}
	for i := range c.Entries { // of events before the position too: subscriptions know by the number
		e := &c.Entries[i]
		f.give(Topic{OfAccount, e.Account}, func() *Item { return &Item{Number: e.Number, Object: e.Object} })
	}
	f.position.Store(&end)
	return true
}

// give makes the item if anybody listens, and gives it to all who do. It holds no lock while it does, so that nobody who comes or goes has
// to wait: who comes meanwhile reads what is committed already, and who goes takes nothing more.
func (f *feed) give(t Topic, make func() *Item) {
	f.mu.RLock()
	of := slices.Clone(f.topics[t])
	f.mu.RUnlock()
	if len(of) == 0 {
		return
	}
	f.hub.given.Add(int64(len(of)))
	item := make()
	for n, s := range of {
		s.put(item)
		if n%fairShare == fairShare-1 {
			runtime.Gosched() // thousands of subscribers are not to keep payments waiting
		}
	}
}
