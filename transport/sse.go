package transport

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/quota"
)

// streamRetry is after which time a client comes back; it is told so.
const streamRetry = time.Second

// errTokenEnded ends a stream whose token has ended.
var errTokenEnded = errors.New("the access token has ended")

// events writes a stream of Server-Sent Events (WHATWG HTML, section 9.2) in the distinct connections mode of GraphQL over SSE.
type events struct {
	w          http.ResponseWriter
	controller *http.ResponseController
	times      times
	panicked   func(cause any) // is told of what goes wrong beside the stream; nil without comments

	mu    sync.Mutex // one writer at a time: comments are written beside the others
	text  bytes.Buffer
	since time.Time   // when the first of the results that wait there came
	beat  *time.Timer // the next comment
	quiet bool        // there are no more
}

func (h *Handler) startEvents(w http.ResponseWriter) *events {
	header := w.Header()
	header["Content-Type"] = contentTypes[eventStream]
	header.Set("X-Accel-Buffering", "no") // a proxy is not to collect them
	w.WriteHeader(http.StatusOK)
	e := &events{w: w, controller: http.NewResponseController(w), times: h.times, since: time.Now()}
	e.text.WriteString("retry: " + strconv.FormatInt(streamRetry.Milliseconds(), 10) + "\n\n")
	return e
}

// flush sends what is written. Its error says that the client is gone, or takes nothing.
func (e *events) flush() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.send()
}

// send is flush for who has the lock. While nothing is sent there is no deadline: over HTTP/2 it would end a stream that is silent.
func (e *events) send() error {
	_ = e.controller.SetWriteDeadline(time.Now().Add(e.times.write)) // a recorder in a test has none
	_, err := e.w.Write(e.text.Bytes())
	e.text.Reset()
	err = errors.Join(err, e.controller.Flush())
	_ = e.controller.SetWriteDeadline(time.Time{})
	return err
}

// next writes a result, to be sent by flush, or at once where others have waited too long. id is the place of a durable item, for
// Last-Event-ID; empty for what is none.
func (e *events) next(id string, result []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.text.Len() == 0 {
		e.since = time.Now()
	}
	e.text.WriteString("event: next\n")
	if id != "" {
		e.text.WriteString("id: " + id + "\n")
	}
	e.text.WriteString("data: ")
	e.line(result)
	e.text.WriteString("\n\n")
	if e.text.Len() > heldAtMost || time.Since(e.since) > heldAtLongest {
		return e.send()
	}
	return nil
}

// line writes JSON on one line; mu is held. Outside of strings it may have line ends, as encoding/json's Encoder writes; inside it has none.
func (e *events) line(text []byte) {
	for end := bytes.IndexAny(text, "\r\n"); end >= 0; end = bytes.IndexAny(text, "\r\n") {
		e.text.Write(text[:end])
		text = text[end+1:]
	}
	e.text.Write(text)
}

// complete says that nothing follows. An event without data would not be dispatched.
func (e *events) complete() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.text.WriteString("event: complete\ndata: \n\n")
	_ = e.send()
}

// keepAlive writes a comment at once, so that the client sees that it is connected, and then at intervals, whatever the stream waits for, until
// hush. A client that takes none ends what the stream waits for, as one does that is no good any more, and a panic.
func (e *events) keepAlive(end context.CancelFunc, good func() bool) {
	defer func() { // nobody else would catch it
		if cause := recover(); cause != nil {
			e.panicked(cause)
			end()
		}
	}()
	if !good() {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.quiet {
		return
	}
	e.text.WriteString(":\n\n")
	if e.send() != nil {
		end()
		return
	}
	e.beat = time.AfterFunc(e.times.keepAlive, func() { e.keepAlive(end, good) })
}

// hush ends the comments: nothing is written by them after it has returned. The end of the answer, which follows, has its own time.
func (e *events) hush() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.quiet = true
	if e.beat != nil {
		e.beat.Stop()
	}
	_ = e.controller.SetWriteDeadline(time.Now().Add(e.times.write))
}

func (e *events) refuse(refused *requestError, id string) {
	refused.complete(id)
	e.result(&graphql.Response{Errors: refused.errors}, refused.charge)
}

func (e *events) result(response *graphql.Response, charge *quota.Charge) {
	var body bytes.Buffer
	encodeResponse(&body, response, charge)
	_ = e.next("", body.Bytes())
}

// refuseStream tells of a refusal within the stream, because a browser's EventSource shows nothing of any other answer.
func (h *Handler) refuseStream(w http.ResponseWriter, refused *requestError, id string) {
	if refused.charge != nil {
		setRateLimit(w.Header(), refused.charge)
	}
	e := h.startEvents(w)
	e.refuse(refused, id)
	if isRetryable(refused.errors[0]) { // the client is to come back
		_ = e.flush()
		return
	}
	e.complete()
}

// serveStream answers by a stream of events.
func (h *Handler) serveStream(ctx context.Context, w http.ResponseWriter, r *http.Request, op *operation, seen *watched) {
	if op.plan.kind() != ast.Subscription {
		response, refused := h.execute(ctx, op, seen)
		if refused != nil {
			h.refuseStream(w, refused, RequestID(ctx))
			return
		}
		e := h.startEvents(w)
		e.result(response, &op.charge)
		e.complete()
		return
	}
	if r.Method == http.MethodHead { // it would not end: writing to it tells nothing
		seen.answered(nil)
		op.place.Leave()
		h.startEvents(w)
		return
	}
	var after *string
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		after = &last
	}
	h.serveSubscription(ctx, w, op, after, seen)
}

// serveSubscription sends a subscription's items. The stream begins at once, and the subscription when its turn has come.
func (h *Handler) serveSubscription(ctx context.Context, w http.ResponseWriter, op *operation, after *string, seen *watched) {
	defer op.place.Leave()
	ctx, leave := h.open.enter(ctx)
	defer leave()
	h.open.streams.Add(1)
	defer h.open.streams.Add(-1)
	if end := op.principal.Expires; !end.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, end, errTokenEnded)
		defer cancel()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e := h.startEvents(w)
	defer e.hush()
	e.panicked = func(cause any) { h.engine.panicked(ctx, cause) }
	e.keepAlive(leave, func() bool {
		_, err := h.engine.still(ctx, op.principal)
		if errors.Is(err, auth.ErrUnauthenticated) {
			cancel(errTokenEnded)
			return false
		}
		return true // also where that cannot be found out
	})
	sub, refused := h.engine.subscribe(ctx, op, after, seen)
	if refused == nil {
		defer sub.Close()
		err := e.follow(ctx, sub)
		if err == nil {
			e.complete()
			return
		}
		switch {
		case errors.Is(err, event.ErrTooSlow):
			refused = refuse(newError(unavailable, "too slow: resume from your last event's id"))
		case errors.Is(err, event.ErrLogChanged):
			refused = refuse(newError(unavailable, "the log is not the one that was heard so far: resume from your last event's id"))
		case errors.Is(err, event.ErrOwnerChanged):
			refused = refuse(newError(unavailable, "whose this is has changed: resume from your last event's id"))
		}
	}
	switch {
	case errors.Is(context.Cause(ctx), errTokenEnded):
		refused = refuse(newError(Unauthenticated, "%s: come back with a new one, and the last event's id", errTokenEnded))
	case ctx.Err() != nil: // the client is gone, or the gateway stops
		return
	case refused == nil: // the hub stops
		return
	}
	e.refuse(refused, RequestID(ctx))
	if isRetryable(refused.errors[0]) { // without complete the client comes back
		_ = e.flush()
		return
	}
	e.complete()
}

// follow sends a subscription's items until it has ended. Without an error nothing can follow.
func (e *events) follow(ctx context.Context, sub *stream) error {
	woken := make(chan struct{}, 1)
	wake := func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	}
	give := func(items []*event.Item) error {
		for _, i := range items {
			if ctx.Err() != nil { // perhaps the token has ended
				return ctx.Err()
			}
			frame := sub.frame(i)
			if frame == nil { // the gateway stops
				return event.ErrStopping
			}
			if err := e.next(sub.Cursor(i), frame); err != nil {
				return err
			}
		}
		return e.flush()
	}
	live, err := sub.catchUp(ctx, wake, give)
	if !live {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-woken:
			items, err := sub.Take()
			if err != nil {
				return err
			}
			items, over := sub.until(items)
			if err := give(items); err != nil || over {
				return err
			}
		}
	}
}
