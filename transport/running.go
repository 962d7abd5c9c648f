package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"sync/atomic"
	"time"
	"unique"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/event"
)

// running is an operation on a socket, from subscribe to its end.
type running struct {
	socket   *socket
	id       string
	size     int                   // bytes of what it asks for, while it runs
	document unique.Handle[string] // of whoever asks for the same
	next     []byte                // how its results begin
	ctx      context.Context
	cancel   context.CancelFunc
	sub      atomic.Pointer[stream] // once it is a subscription that has begun
	done     bool                   // nothing is sent for it any more; under the socket's writing
	queued   bool                   // it is among the socket's waiting, or still catches up; under the socket's mu
	kind     ast.Operation          // once it is known; under the socket's mu
	dropped  bool                   // nobody waits for its answer; under the socket's mu
	seen     watched
}

// subscribe begins an operation. The identifier is taken at once: a second one right behind it finds it in use.
func (s *socket) subscribe(m message) {
	asked, err := readSubscribe(m.payload)
	if err != nil {
		s.close(closeMalformed, err.Error())
		return
	}
	ctx, seen := s.handler.engine.watch(s.ctx, nil)
	r := &running{
		socket: s, id: m.id, size: len(m.payload), document: unique.Make(asked.query),
		next: append(about(m.id, "next"), `,"payload":`...), queued: true, seen: seen,
	}
	asked.query = r.document.Value() // one text for all
	s.mu.Lock()
	_, used := s.operations[m.id]
	document := s.only(r)
	refused := s.refusal(r.size, document)
	if !used && refused == nil {
		s.held += r.size
		s.documents += document
		s.operations[m.id] = r
		s.answering++
	}
	s.mu.Unlock()
	switch {
	case used:
		r.seen.answered(nil)
		s.close(closeDuplicateID, reasonDuplicate+m.id+reasonDuplicateEnd)
	case refused != nil:
		r.seen.answered(refused.errors)
		_ = s.send(errorMessage(m.id, refused, s.id))
	default:
		r.ctx, r.cancel = context.WithCancel(ctx)
		go r.run(&asked)
	}
}

// complete is the client's word that it listens no more to an operation: nothing is sent for it from here on, and its identifier is free.
func (s *socket) complete(id string) {
	s.mu.Lock()
	r := s.operations[id]
	known := s.forget(r)
	s.mu.Unlock()
	if !known {
		return // it has ended by itself meanwhile
	}
	s.writing.Lock()
	r.done = true
	s.writing.Unlock()
	r.stop()
}

// stop ends what the operation does.
func (r *running) stop() {
	r.cancel()
	if sub := r.sub.Load(); sub != nil {
		sub.Close()
	}
}

// run executes the operation, and brings a subscription to the point where items come to it by themselves.
func (r *running) run(asked *request) {
	defer r.socket.survive()
	if op := r.answer(asked); op != nil {
		r.listen(op)
	}
}

// answer executes a query or a mutation, and returns what is none: a subscription, which has yet to begin.
func (r *running) answer(asked *request) (subscription *operation) {
	defer r.answered()
	op, refused := r.prepare(asked)
	if refused == nil {
		refused = r.is(op.plan.kind())
	}
	switch {
	case refused != nil:
		r.seen.answered(refused.errors)
		if op != nil {
			op.place.Leave()
		}
		r.refuse(refused)
	case op.plan.kind() == ast.Subscription:
		return op
	default:
		response, refused := r.socket.handler.execute(r.ctx, op, &r.seen)
		if refused != nil {
			r.refuse(refused)
			return nil
		}
		body := buffers.Get().(*bytes.Buffer)
		defer release(body)
		encodeResponse(body, response, &op.charge)
		_ = r.give([][]byte{body.Bytes()}, r.complete())
		r.stop()
	}
	return nil
}

func (r *running) prepare(asked *request) (_ *operation, refused *requestError) {
	s := r.socket
	asked.address = s.address
	e := s.handler.engine
	defer e.caught(r.ctx, &refused)
	ctx, cancel := context.WithTimeout(r.ctx, e.config.Limits.Deadline)
	defer cancel()
	principal, err := s.still(ctx)
	switch {
	case errors.Is(err, auth.ErrUnauthenticated):
		s.retire(&tokenEnded)
		return nil, refuse(newError(Unauthenticated, tokenHasEnded))
	case err != nil:
		return nil, e.refuseUnknown(ctx, err)
	}
	r.seen.by(principal)
	plan, refused := e.find(ctx, &principal, asked)
	if refused != nil {
		return nil, refused
	}
	r.seen.plan = plan
	if refused := s.found(r, asked.query); refused != nil {
		return nil, refused
	}
	return e.prepare(plan, principal, asked, nil)
}

// listen begins a subscription. A client that begins and ends them all the time waits for it, as it waits for its messages to be read.
func (r *running) listen(op *operation) {
	if r.socket.begins.Wait(r.ctx) != nil { // it has been ended meanwhile
		r.seen.answered(nil)
		return
	}
	sub, refused := r.socket.handler.engine.subscribe(r.ctx, op, nil, &r.seen)
	switch {
	case refused != nil && r.ctx.Err() != nil: // nobody waits for it any more, and a client that resumes is to do that
		return
	case refused != nil && errors.Is(refused.cause, event.ErrStopping): // nor after an error
		r.fail(refused.cause)
		return
	case refused != nil:
		r.refuse(refused)
		return
	}
	r.sub.Store(sub)
	if r.ctx.Err() != nil { // it has been ended before it could be found
		sub.Close()
		return
	}
	page := func(items []*event.Item) error { return r.items(items, nil) }
	live, err := sub.catchUp(r.ctx, r.wake, page)
	switch {
	case live:
		r.socket.mu.Lock()
		r.queued = false
		r.socket.mu.Unlock()
		r.wake() // for what has come meanwhile
	case err == nil:
		r.finish()
	default:
		r.fail(err)
	}
}

// wake has the socket write what waits for the operation. It does not wait, and may be called under locks of the stream.
func (r *running) wake() {
	s := r.socket
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.queued {
		return
	}
	r.queued = true
	s.waiting = append(s.waiting, r)
	if !s.attended {
		s.attended = true
		s.handler.writers.add(s.principal.Merchant, s)
	}
}

// next is the operation whose turn it is, nil where nothing waits: then nobody attends to the socket any more.
func (s *socket) next() *running {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		s.attended, s.waiting = false, nil
		return nil
	}
	r := s.waiting[0]
	s.waiting = s.waiting[1:]
	r.queued = false
	return r
}

// attend writes what waits, as one of a merchant's writers, who wait for nobody: not for a frame that is yet to be made, nor for another who
// writes, nor for a client. Where somebody has to wait, a goroutine of the socket's own does.
func (s *socket) attend() {
	defer s.survive()
	for r := s.next(); r != nil; r = s.next() {
		items, err := r.sub.Load().Take()
		if err != nil || !r.offer(items) {
			go s.flush(r, items, err)
			runtime.Gosched() // mostly it makes the frame for all who come next
			return
		}
	}
}

// flush writes what waits, an operation's items first, and ends when nothing does.
func (s *socket) flush(r *running, items []*event.Item, err error) {
	defer s.survive()
	for {
		r.deliver(items, err)
		if r = s.next(); r == nil {
			return
		}
		items, err = r.sub.Load().Take()
	}
}

// offer sends a subscription's items if it goes on after them, they are made, and nobody has to wait. Otherwise it is false, and has done nothing.
func (r *running) offer(items []*event.Item) bool {
	if len(items) == 0 {
		return true
	}
	s, sub := r.socket, r.sub.Load()
	if _, over := sub.until(items); over || !s.writing.TryLock() {
		return false
	}
	defer s.writing.Unlock()
	if r.done {
		return true
	}
	frames := buffers.Get().(*bytes.Buffer)
	defer release(frames)
	for _, item := range items {
		result := item.Made(sub.key)
		if result == nil || frames.Len() > heldAtMost {
			return false
		}
		addText(frames, r.next, result, endOfNext)
	}
	offered, err := s.line.offer(frames.Bytes())
	if errors.Is(err, errUnfinished) {
		go s.finish()
	} else if err != nil {
		s.giveUp()
	}
	return offered
}

// finish writes the rest of what a writer began.
func (s *socket) finish() {
	defer s.survive()
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.line.text(nil); err != nil && !errors.Is(err, errClosed) {
		s.giveUp()
	}
}

// deliver writes the items that wait for a subscription, or tells what has ended it.
func (r *running) deliver(items []*event.Item, err error) {
	if err != nil {
		r.fail(err)
		return
	}
	sub := r.sub.Load()
	items, over := sub.until(items)
	var last []byte
	if over {
		last = r.complete()
	}
	if err := r.items(items, last); errors.Is(err, event.ErrStopping) {
		r.fail(err) // without them nothing may follow
	}
	if over {
		r.stop() // also where it could not be said
	}
}

// items sends a subscription's items, and with last the last message about it.
func (r *running) items(items []*event.Item, last []byte) error {
	sub := r.sub.Load()
	var made [][]byte
	var since time.Time
	for n, item := range items {
		if r.ctx.Err() != nil { // perhaps its token has ended
			return r.ctx.Err()
		}
		frame := sub.frame(item)
		if frame == nil { // the gateway stops
			return event.ErrStopping
		}
		if made = append(made, frame); n == 0 && len(items) > 1 {
			since = time.Now()
		}
		var end []byte
		if n == len(items)-1 {
			end = last
		} else if time.Since(since) < heldAtLongest {
			continue
		}
		if err := r.give(made, end); err != nil {
			return err
		}
		made, since = made[:0], time.Now()
	}
	return nil
}

var endOfNext = []byte{'}'}

// give sends results, and the last message about the operation where it is not nil, unless nothing more is said of the operation. The identifier
// is free before the client can see the last message, and the caller has to end what the operation does.
func (r *running) give(results [][]byte, last []byte) error {
	s := r.socket
	if last != nil {
		s.mu.Lock()
		known := s.forget(r)
		s.mu.Unlock()
		if !known {
			return errClosed
		}
	}
	frames := buffers.Get().(*bytes.Buffer)
	defer release(frames)
	s.writing.Lock()
	defer s.writing.Unlock()
	if r.done {
		return errClosed
	}
	r.done = last != nil
	for _, result := range results {
		if frames.Len() > heldAtMost {
			if err := s.write(frames); err != nil {
				return err
			}
		}
		addText(frames, r.next, result, endOfNext)
	}
	if last != nil {
		addText(frames, last)
	}
	return s.write(frames)
}

// complete is the last message about an operation that has ended well.
func (r *running) complete() []byte { return append(about(r.id, "complete"), '}') }

// finish says that nothing follows, and gives the stream back.
func (r *running) finish() {
	_ = r.give(nil, r.complete())
	r.stop()
}

// refuse tells why the operation did not run. Nothing follows.
func (r *running) refuse(refused *requestError) {
	_ = r.give(nil, errorMessage(r.id, refused, r.socket.id))
	r.cancel()
}

// errorMessage is the last message about an operation of which nothing was executed.
func errorMessage(id string, refused *requestError, requestID string) []byte {
	refused.complete(requestID)
	errs := refused.errors
	if len(errs) == 0 {
		errs = gqlerror.List{newError(Internal, internalMessage)}
	}
	text, err := json.Marshal(errs)
	if err != nil {
		text = []byte(unspeakable)
	}
	return append(append(append(about(id, "error"), `,"payload":`...), text...), '}')
}
