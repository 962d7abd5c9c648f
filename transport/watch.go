package transport

import (
	"context"
	"net/http"
	"time"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/paygraph/paygraph/auth"
)

// Watcher is told of each operation once. It must not wait.
type Watcher interface {
	Answered(Answered)
}

// Answered is an operation that was answered, a subscription that has begun, or a request that was refused.
type Answered struct {
	Kind  ast.Operation // empty: no operation could be found in the request
	Name  string        // the client's own for the operation, a GraphQL name of any length; empty: it has none
	Known bool          // somebody who has shown a good token asks
	Took  time.Duration // until the answer was made
	Codes []string      // of the errors in the answer, in their order; a refusal in a mutation's result is none of them
}

// Tracer follows requests. What its methods begin ends with end, which is told the code of the first error, or "".
type Tracer interface {
	// Request follows a request over HTTP, whose caller may say in the header that it follows it already, or, where that is nil, a message on a socket.
	Request(ctx context.Context, header http.Header, requestID string) (_ context.Context, end func(code string))
	// Operation follows the execution of an operation. The name is the client's, of any length.
	Operation(ctx context.Context, kind ast.Operation, name string) (_ context.Context, end func(code string))
}

// watched is a request on its way to its answer.
type watched struct {
	engine *engine
	begun  time.Time
	plan   *plan // nil: no operation was found yet
	known  bool  // somebody who has shown a good token asks

	// Where the request is followed: what ends the traces of the request and of its operation.
	ends, executed func(code string)
}

// watch begins with a request: header is that of HTTP, nil for a message on a socket.
func (e *engine) watch(ctx context.Context, header http.Header) (context.Context, watched) {
	w := watched{engine: e, begun: time.Now()}
	if e.config.Tracer != nil {
		ctx, w.ends = e.config.Tracer.Request(ctx, header, RequestID(ctx))
	}
	return ctx, w
}

// executes begins with the execution of the plan.
func (w *watched) executes(ctx context.Context) context.Context {
	if w.engine.config.Tracer != nil {
		ctx, w.executed = w.engine.config.Tracer.Operation(ctx, w.plan.kind(), w.plan.operation.Name)
	}
	return ctx
}

// by notes who asks.
func (w *watched) by(p auth.Principal) { w.known = p.Kind == auth.Backend || p.Kind == auth.Staff }

// answered is called when the answer is made, with its errors.
func (w *watched) answered(errs gqlerror.List) {
	for _, end := range []func(string){w.executed, w.ends} {
		if end != nil {
			end(codeOf(errs))
		}
	}
	watcher := w.engine.config.Watcher
	if watcher == nil {
		return
	}
	a := Answered{Known: w.known, Took: time.Since(w.begun)}
	if w.plan != nil {
		a.Kind, a.Name = w.plan.kind(), w.plan.operation.Name
	}
	for _, err := range errs {
		a.Codes = append(a.Codes, codeOf(gqlerror.List{err}))
	}
	watcher.Answered(a)
}

// codeOf is the code of the first error; empty: there is none.
func codeOf(errs gqlerror.List) string {
	if len(errs) == 0 {
		return ""
	}
	if code, ok := errs[0].Extensions["code"].(string); ok {
		return code
	}
	return Internal
}

// Stats says what stays open.
type Stats struct {
	Waiting      int // WebSockets that are not acknowledged
	Acknowledged int // WebSockets on which operations may run
	Ending       int // WebSockets that take no more operations
	Streams      int // Server-Sent Events
}

// Stats says what stays open.
func (h *Handler) Stats() Stats {
	stats := Stats{Streams: int(h.open.streams.Load())}
	h.open.mu.Lock()
	sockets := make([]*socket, 0, len(h.open.sockets))
	for s := range h.open.sockets {
		sockets = append(sockets, s)
	}
	h.open.mu.Unlock()
	for _, s := range sockets {
		s.mu.Lock()
		switch {
		case s.farewell != nil || s.line.isClosed():
			stats.Ending++
		case s.acknowledged:
			stats.Acknowledged++
		default:
			stats.Waiting++
		}
		s.mu.Unlock()
	}
	return stats
}
