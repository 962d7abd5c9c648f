package transport

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/paygraph/paygraph/event"
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
	text       bytes.Buffer
	since      time.Time // when the first of the results that wait there came
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
	_ = e.controller.SetWriteDeadline(time.Now().Add(e.times.write)) // a recorder in a test has none
	_, err := e.w.Write(e.text.Bytes())
	e.text.Reset()
	return errors.Join(err, e.controller.Flush())
}

// next writes a result, to be sent by flush, or at once where others have waited too long. id is the place of a durable item, for
// Last-Event-ID; empty for what is none.
func (e *events) next(id string, result []byte) error {
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
		return e.flush()
	}
	return nil
}

// line writes JSON on one line. Outside of strings it may have line ends, as encoding/json's Encoder writes; inside it has none.
func (e *events) line(text []byte) {
	for end := bytes.IndexAny(text, "\r\n"); end >= 0; end = bytes.IndexAny(text, "\r\n") {
		e.text.Write(text[:end])
		text = text[end+1:]
	}
	e.text.Write(text)
}

// complete says that nothing follows. An event without data would not be dispatched.
func (e *events) complete() {
	e.text.WriteString("event: complete\ndata: \n\n")
	_ = e.flush()
}

func (e *events) keepAlive() error {
	e.text.WriteString(":\n\n")
	return e.flush()
}

func (e *events) refuse(refused *requestError, id string) {
	refused.complete(id)
	e.result(&graphql.Response{Errors: refused.errors})
}

func (e *events) result(response *graphql.Response) {
	var body bytes.Buffer
	encodeResponse(&body, response)
	_ = e.next("", body.Bytes())
}

// refuseStream tells of a refusal within the stream, because a browser's EventSource shows nothing of any other answer.
func (h *Handler) refuseStream(w http.ResponseWriter, refused *requestError, id string) {
	e := h.startEvents(w)
	e.refuse(refused, id)
	e.complete()
}

// serveStream answers by a stream of events.
func (h *Handler) serveStream(ctx context.Context, w http.ResponseWriter, r *http.Request, op *operation) {
	if op.plan.kind() != ast.Subscription {
		response, refused := h.execute(ctx, op)
		if refused != nil {
			h.refuseStream(w, refused, RequestID(ctx))
			return
		}
		e := h.startEvents(w)
		e.result(response)
		e.complete()
		return
	}
	if r.Method == http.MethodHead { // it would not end: writing to it tells nothing
		h.startEvents(w)
		return
	}
	var after *string
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		after = &last
	}
	sub, refused := h.engine.subscribe(ctx, op, after)
	if refused != nil {
		h.refuseStream(w, refused, RequestID(ctx))
		return
	}
	defer sub.Close()
	ctx, leave := h.open.enter(ctx)
	defer leave()
	if end := op.principal.Expires; !end.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, end, errTokenEnded)
		defer cancel()
	}
	e := h.startEvents(w)
	err := e.follow(ctx, sub)
	switch {
	case err == nil:
		e.complete()
	case errors.Is(context.Cause(ctx), errTokenEnded):
		e.refuse(refuse(newError(Unauthenticated, "%s: come back with a new one, and the last event's id", errTokenEnded)), RequestID(ctx))
		e.complete()
	} // else the connection ends without complete, so that the client comes back
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
			if err := e.next(sub.Cursor(i), sub.frame(i)); err != nil {
				return err
			}
		}
		return e.flush()
	}
	if err := e.keepAlive(); err != nil { // the client sees that it is connected
		return err
	}
	live, err := sub.catchUp(ctx, wake, give, e.keepAlive)
	if !live {
		return err
	}
	silence := time.NewTicker(e.times.keepAlive)
	defer silence.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-silence.C:
			if err := e.keepAlive(); err != nil {
				return err
			}
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
