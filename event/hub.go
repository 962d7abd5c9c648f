package event

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/clock"
)

// Errors of subscriptions.
var (
	// ErrTooSlow ends a subscription whose subscriber does not take what comes. It goes on from the last cursor that it has.
	ErrTooSlow = errors.New("this subscriber is too slow: resume from your last cursor")
	// ErrLogChanged ends the subscriptions to a log that is not the one that they have heard so far: a restore or a failover has taken events
	// back. What of them still holds, their cursors tell.
	ErrLogChanged = errors.New("the log is not the one that was heard so far: resume from your last cursor")
	// ErrOwnerChanged ends a subscription to what may be another's by now: whoever resumes is asked again whether it may hear it.
	ErrOwnerChanged = errors.New("whose this is has changed: resume from your last cursor")
	// ErrOver ends a subscription after which nothing can follow.
	ErrOver = errors.New("nothing can follow")
	// ErrStopping ends all subscriptions when the gateway stops.
	ErrStopping = errors.New("the gateway is stopping: resume from your last cursor")
)

// Limits of the hub.
const (
	maxWaitingCommits = 64                    // that a feed has not passed on; with more it reads them from the database again
	readPage          = 500                   // events that a feed reads at once
	pollInterval      = time.Second           // between two looks at the heads of merchants that somebody listens to
	pollTime          = 5 * time.Second       // for one look
	retryFirst        = 50 * time.Millisecond // after a read that failed
	retryMost         = 2 * time.Second       // after many
	fairShare         = 64                    // subscribers that a feed wakes before it lets others work
)

// Source is what the hub reads from the database: from the primary, since a replica may show another order.
type Source interface {
	// Heads are the ends of the logs of some merchants.
	Heads(ctx context.Context, merchants []answer.MerchantID) (map[answer.MerchantID]Head, error)
	// Since reads the log of a merchant after a number, the oldest first: at most limit events, with their entries.
	Since(ctx context.Context, m answer.MerchantID, after int64, limit int) (Commit, error)
}

// Hub passes on to subscribers what is committed: what this process commits from memory, what others commit as soon as it hears of it.
// A hint means "read on", and losing one delays and does not falsify: in any case the hub looks at the heads once a second. What reaches
// a merchant's subscribers continues the event before it, by its number and its hash, or is read first.
type Hub struct {
	source Source
	clock  clock.Clock
	log    *slog.Logger

	mu     sync.RWMutex
	feeds  map[answer.MerchantID]*feed // of merchants that somebody listens to
	closed bool

	given   atomic.Int64 // items to subscriptions that were live or about to be
	read    atomic.Int64 // items that subscriptions have read
	tooSlow atomic.Int64 // subscriptions that ended so

	hurry   chan struct{} // somebody wants a look before the next second
	stop    context.CancelFunc
	ctx     context.Context
	running clock.Group
}

// NewHub starts a hub. It has to be closed.
func NewHub(c clock.Clock, source Source, log *slog.Logger) *Hub {
	h := &Hub{
		source: source, clock: c, log: log, feeds: map[answer.MerchantID]*feed{}, hurry: make(chan struct{}, 1), running: clock.Group{Clock: c},
	}
	h.ctx, h.stop = context.WithCancel(context.Background())
	h.running.Go(h.poll)
	return h
}

// Close ends all subscriptions with ErrStopping, and waits until nothing of the hub runs.
func (h *Hub) Close() {
	h.mu.Lock()
	h.closed = true
	for _, f := range h.feeds {
		f.end(ErrStopping)
	}
	h.mu.Unlock()
	h.stop()
	h.running.Wait()
}

// Listens says whether anybody in this process listens to a merchant.
func (h *Hub) Listens(m answer.MerchantID) bool { return h.feed(m) != nil }

func (h *Hub) feed(m answer.MerchantID) *feed {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.feeds[m]
}

// Committed takes what this process has committed, in any order. It does not wait.
func (h *Hub) Committed(c Commit) {
	if f := h.feed(c.Merchant); f != nil && len(c.Events) > 0 {
		f.take(c)
	}
}

// Hint says that a merchant's log is known to reach a number. It does not wait.
func (h *Hub) Hint(m answer.MerchantID, sequence int64) {
	if f := h.feed(m); f != nil {
		f.heard(sequence)
	}
}

// Look has the hub look at all heads soon: after hints may have been lost. It does not wait, and many calls are one look.
func (h *Hub) Look() {
	select {
	case h.hurry <- struct{}{}:
	default:
	}
}

// Stats says how things stand with a hub.
type Stats struct {
	Merchants   int   // whose log somebody listens to
	Subscribers int   // those who listen now
	Given       int64 // items that subscribers were given from memory, since the start, each for each of them
	Read        int64 // items that they have read from the database
	TooSlow     int64 // subscribers that did not take what came
}

// Stats says how things stand.
func (h *Hub) Stats() Stats {
	h.mu.RLock()
	defer h.mu.RUnlock()
	stats := Stats{Merchants: len(h.feeds), Given: h.given.Load(), Read: h.read.Load(), TooSlow: h.tooSlow.Load()}
	for _, f := range h.feeds {
		f.mu.RLock()
		stats.Subscribers += f.count
		f.mu.RUnlock()
	}
	return stats
}

func (h *Hub) poll() {
	for h.clock.Wait(pollInterval, h.ctx.Done(), h.hurry) != 0 {
		h.look()
	}
}

func (h *Hub) look() {
	h.mu.RLock()
	merchants := make([]answer.MerchantID, 0, len(h.feeds))
	feeds := make(map[*feed]*Head, len(h.feeds))
	for m, f := range h.feeds {
		merchants = append(merchants, m)
		feeds[f] = f.position.Load()
	}
	h.mu.RUnlock()
	if len(merchants) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(h.ctx, pollTime)
	defer cancel()
	heads, err := h.source.Heads(ctx, merchants)
	if err != nil {
		h.log.Debug("the heads cannot be read; subscribers may wait", "error", err)
		return
	}
	for f, passed := range feeds {
		switch found := heads[f.merchant]; {
		case passed == nil: // it has only begun
		case found.Sequence > passed.Sequence:
			f.heard(found.Sequence)
		case found != *passed:
			h.drop(f)
		}
	}
}

// drop ends a feed whose log is not what it has passed on: the database was restored to a moment before, or another took its place which
// lacked the last commits. Its subscribers find that out by their cursors when they resume, and those who come from now on have a feed that
// knows the log as it is.
func (h *Hub) drop(f *feed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.feeds[f.merchant] != f {
		return
	}
	h.log.Warn("a merchant's log is not the one that was passed on: its subscribers have to resume", "merchant", f.merchant,
		"after", f.position.Load().Sequence)
	delete(h.feeds, f.merchant)
	f.stop()
	f.end(ErrLogChanged)
}

// join adds a subscription to its merchant's feed, and waits until the feed knows where it stands: whatever is committed from then on
// reaches the subscription, and whatever was before can be read.
func (h *Hub) join(ctx context.Context, s *Subscription) error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return ErrStopping
	}
	f := h.feeds[s.merchant]
	if f == nil {
		f = newFeed(h, s.merchant)
		h.feeds[s.merchant] = f
		h.running.Go(f.run)
	}
	f.add(s)
	h.mu.Unlock()
	switch h.clock.Wait(clock.Forever, f.ready, ctx.Done(), h.ctx.Done()) {
	case 0:
		return nil
	case 1:
		h.leave(s)
		return ctx.Err()
	}
	return ErrStopping
}

// leave takes a subscription out. The feed ends with its last one.
func (h *Hub) leave(s *Subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := s.feed
	if f == nil {
		return
	}
	if f.remove(s) > 0 {
		return
	}
	f.stop()
	if h.feeds[s.merchant] == f { // else it was dropped
		delete(h.feeds, s.merchant)
	}
}
