package event

import (
	"cmp"
	"context"
	"sync"

	"github.com/paygraph/paygraph/answer"
)

// MaxWaiting bounds the items that a subscriber has not taken: four of the largest batches, which one socket may be behind for a moment.
const MaxWaiting = 1024

// CatchUpPage is how many items a subscriber that is behind reads at once.
const CatchUpPage = 100

// Stream says how one subscriber hears a topic.
type Stream struct {
	Topic Topic
	// Read reads the items after a number that the subscriber wants, the oldest first: at most limit.
	Read func(ctx context.Context, after int64, limit int) ([]*Item, error)
	// Wants says whether the subscriber is to get an item; nil: all. Where some are left out the numbers have gaps.
	Wants func(*Item) bool
	// Foreign says whether what an item is of may have ceased to be the subscriber's to hear: it has to come again, and is asked who it is. nil:
	// never. It must not wait.
	Foreign func(*Item) bool
	// Ends says whether nothing can follow an item; nil: never.
	Ends func(*Item) bool
	// Cursor is the place after an item, by which the subscriber can go on.
	Cursor func(*Item) string
}

// Subscription is one subscriber's way through a stream: it is first behind, and reads, and then live, and is told. Between the two there
// is no gap, because it has been joined to the hub before it reads: what is committed while it reads waits for it.
type Subscription struct {
	Stream
	hub      *Hub
	merchant answer.MerchantID
	topic    Topic
	feed     *feed // nil: it has left; under the hub's lock
	place    int   // in the feed's list; under the feed's lock

	mu       sync.Mutex
	last     int64   // the number of the last item that was given, or read
	first    []*Item // what comes before everything
	behind   bool    // there may be items in the database that come before those that wait
	live     bool    // the subscriber is told of what comes
	waiting  []*Item // in the order of their numbers
	overflow bool    // items that came while it was behind found no room
	err      error   // what ended it
	wake     func()
}

// Subscribe joins a subscriber to a stream of a merchant. Start says where it begins. Errors: ErrStopping, the context's.
func (h *Hub) Subscribe(ctx context.Context, m answer.MerchantID, s Stream) (*Subscription, error) {
	sub := &Subscription{Stream: s, hub: h, merchant: m, topic: s.Topic}
	return sub, h.join(ctx, sub)
}

// Start begins after a number that the database has had since Subscribe. What comes first is a snapshot of how things stand with it, or what was
// read after it since Subscribe. behind: there may be later items in the database.
func (s *Subscription) Start(after int64, behind bool, first ...*Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.first, s.behind = after, first, behind
	if len(first) > 0 {
		s.last = first[len(first)-1].Number
	}
}

// Over says that nothing can follow where the subscription begins. It is said before the subscription is live.
func (s *Subscription) Over() { s.fail(ErrOver) }

// Close ends the subscription. It may be called again.
func (s *Subscription) Close() {
	s.hub.leave(s)
	s.fail(context.Canceled)
}

// CatchUp returns the next items of a subscriber that is behind, and reads them. live is true with the last of them: what follows is
// announced by wake, which must not wait, and taken by Take. wake may be called before CatchUp returns. Errors: ErrOver where nothing can
// follow; what else ended the subscription, as Take says; those of the stream's Read, after which it may be called again.
func (s *Subscription) CatchUp(ctx context.Context, wake func()) (items []*Item, live bool, err error) {
	s.mu.Lock()
	after, behind, first, err := s.last, s.behind, s.first, s.err
	s.first = nil
	s.mu.Unlock()
	if err != nil {
		return nil, false, err
	}
	if len(first) > 0 {
		return first, !behind && s.goLive(wake), nil
	}
	if behind {
		if items, err = s.Read(ctx, after, CatchUpPage); err != nil {
			return nil, false, cmp.Or(s.Err(), err)
		}
		s.hub.read.Add(int64(len(items)))
	}
	s.mu.Lock()
	if len(items) > 0 {
		s.last = items[len(items)-1].Number
	}
	s.behind = len(items) == CatchUpPage
	s.mu.Unlock()
	return items, !s.behind && s.goLive(wake), nil
}

// goLive goes over from reading to being told, unless items have come meanwhile that found no room.
func (s *Subscription) goLive(wake func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.overflow {
		s.overflow, s.behind = false, true
		return false
	}
	s.live, s.wake = true, wake
	waiting := s.waiting
	s.waiting = nil
	for _, i := range waiting {
		s.keep(i)
	}
	if len(s.waiting) > 0 || s.err != nil {
		wake()
	}
	return true
}

// put takes an item from the feed.
func (s *Subscription) put(i *Item) {
	if s.Wants != nil && !s.Wants(i) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil || s.overflow:
	case s.live:
		s.keep(i)
		if len(s.waiting) == 1 || s.err != nil {
			s.wake()
		}
	case len(s.waiting) == MaxWaiting:
		s.waiting, s.overflow = nil, true // it reads them
	default:
		s.waiting = append(s.waiting, i)
	}
}

// keep lets an item wait for a subscriber that is live, if it is new to it. A gap would be a defect of ours, and is never passed on; nor is what
// may not be the subscriber's to hear.
func (s *Subscription) keep(i *Item) {
	if s.err != nil || i.Number <= s.last {
		return
	}
	gap := s.Wants == nil && i.Number != s.last+1
	if gap {
		s.hub.log.Error("a gap in a stream: its subscriber has to resume", "merchant", s.merchant, "stream", s.topic.Kind, "of", s.topic.Object,
			"after", s.last, "came", i.Number)
	}
	switch {
	case s.Foreign != nil && s.Foreign(i):
		s.waiting, s.err = nil, ErrOwnerChanged
	case gap || len(s.waiting) == MaxWaiting:
		s.waiting, s.err = nil, ErrTooSlow
		s.hub.tooSlow.Add(1)
	default:
		s.last = i.Number
		s.waiting = append(s.waiting, i)
	}
}

// fail ends the subscription, and tells its subscriber.
func (s *Subscription) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err, s.waiting = err, nil
	if s.live {
		s.wake()
	}
}

// Take returns what waits for a subscriber that is live, and does not wait itself. The error, where nothing waits, says what ended the
// subscription: ErrTooSlow, ErrLogChanged, ErrOwnerChanged, ErrStopping, context.Canceled after Close.
func (s *Subscription) Take() ([]*Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	items := s.waiting
	s.waiting = nil
	if len(items) == 0 {
		return nil, s.err
	}
	return items, nil
}

// Err says what has ended the subscription, or nil.
func (s *Subscription) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
