package transport

import (
	"errors"

	"github.com/paygraph/paygraph/event"
)

// farewell is why a socket ends that takes no more operations.
type farewell struct {
	code    int    // with which it is closed
	reason  string // for the close frame, and for operations that come too late
	refusal string // the code of their errors
}

var (
	restarting = farewell{closeRestart, stopping, unavailable}
	tokenEnded = farewell{closeForbidden, tokenHasEnded, Unauthenticated}
	logChanged = farewell{closeRestart, event.ErrLogChanged.Error(), unavailable}
	newOwner   = farewell{closeRestart, event.ErrOwnerChanged.Error(), unavailable}
)

// retire closes the socket when the queries and mutations on it have answered: what became of a mutation is not to be left open where it can be said.
// Each has its deadline. Subscriptions end at once, since they are resumed, and what comes from now on is refused.
func (s *socket) retire(f *farewell) {
	s.mu.Lock()
	if s.farewell == nil {
		s.farewell = f
	}
	f = s.farewell
	idle := s.answering == 0
	var streams []*running
	for _, r := range s.operations {
		if r.streams {
			streams = append(streams, r)
		}
	}
	s.mu.Unlock()
	if idle {
		s.close(f.code, f.reason)
		return
	}
	for _, r := range streams {
		r.stop()
	}
}

// answered says that an operation has come to its end, or is a subscription, whose end nobody waits for. The last one on a socket that retires
// closes it.
func (r *running) answered(streams bool) {
	s := r.socket
	s.mu.Lock()
	s.answering--
	r.streams = streams
	f, idle := s.farewell, s.answering == 0
	s.mu.Unlock()
	switch {
	case f == nil:
	case idle:
		s.close(f.code, f.reason)
	default:
		r.cancel()
	}
}

// fail ends the socket of a subscriber that cannot go on here: it comes back, and resumes.
func (r *running) fail(err error) {
	switch {
	case errors.Is(err, event.ErrTooSlow):
		r.socket.close(closeTryAgain, tooSlow)
	case errors.Is(err, event.ErrStopping):
		r.socket.retire(&restarting)
	case errors.Is(err, event.ErrLogChanged):
		r.socket.retire(&logChanged)
	case errors.Is(err, event.ErrOwnerChanged):
		r.socket.retire(&newOwner)
	}
}
