package transport

import (
	"errors"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/paygraph/paygraph/event"
)

// farewell is why a socket ends that takes no more operations.
type farewell struct {
	code    int    // with which it is closed
	reason  string // for the close frame, and for operations that come too late
	refusal string // the code of their errors
	queries bool   // those that run are waited for, as mutations are
}

var (
	restarting = farewell{closeRestart, stopping, unavailable, true}
	tokenEnded = farewell{closeForbidden, tokenHasEnded, Unauthenticated, false}
	logChanged = farewell{closeRestart, event.ErrLogChanged.Error(), unavailable, true}
	newOwner   = farewell{closeRestart, event.ErrOwnerChanged.Error(), unavailable, true}
)

// retire closes the socket when the mutations on it have answered, whose outcome is not to be left open where it can be said, and mostly the queries
// too. Each has its deadline. Subscriptions end at once, since they are resumed, and what comes from now on is refused. A query whose token has ended
// is not answered any more: it may be one that waits for what happens next.
func (s *socket) retire(f *farewell) {
	s.mu.Lock()
	if s.farewell == nil {
		s.farewell = f
	}
	f = s.farewell
	var stopped []*running
	for _, r := range s.operations {
		switch {
		case r.kind == ast.Subscription:
			stopped = append(stopped, r)
		case r.kind == ast.Query && !f.queries:
			s.forget(r) // nothing more is said of it
			s.answering--
			r.dropped = true
			stopped = append(stopped, r)
		}
	}
	idle := s.answering == 0
	s.mu.Unlock()
	if idle {
		s.close(f.code, f.reason)
		return
	}
	for _, r := range stopped {
		r.stop()
	}
}

// is notes what an operation is. Its error: it is a query for which its socket, which retires, does not wait.
func (r *running) is(kind ast.Operation) *requestError {
	s := r.socket
	s.mu.Lock()
	defer s.mu.Unlock()
	r.kind = kind
	if f := s.farewell; f != nil && kind == ast.Query && !f.queries {
		return refuse(newError(f.refusal, "%s", f.reason))
	}
	return nil
}

// answered says that an operation has come to its end, or is a subscription, whose end nobody waits for. The last one on a socket that retires
// closes it.
func (r *running) answered() {
	s := r.socket
	s.mu.Lock()
	if r.dropped {
		s.mu.Unlock()
		return
	}
	s.answering--
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
