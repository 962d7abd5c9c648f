package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"
	"unique"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
)

// stream is a subscription that has begun, whatever transport it goes over.
type stream struct {
	*event.Subscription
	engine *engine
	op     *operation
	id     string // of the request
	key    any    // a handle of its frameKey: keys are compared for each item and subscriber
}

// frameKey says who may share a frame: operations of the same plan, for principals who see the same, and with the same values of the
// variables that stand below the root field. The root field's own arguments say which stream it is, and a frame is an item's of one stream.
type frameKey struct {
	plan      *plan
	view      string
	variables string
}

// subscribe begins a subscription: the generated code asks the resolver, who leaves it in the handoff. after, where it is not nil, takes the
// place of the argument.
func (e *engine) subscribe(ctx context.Context, op *operation, after *string, seen *watched) (*stream, *requestError) {
	sub, refused := e.join(seen.executes(ctx), op, after)
	if refused == nil || ctx.Err() != nil { // nobody hears a refusal then
		seen.answered(nil)
	} else {
		seen.answered(refused.errors)
	}
	return sub, refused
}

func (e *engine) join(ctx context.Context, op *operation, after *string) (_ *stream, refused *requestError) {
	defer e.caught(ctx, &refused)
	done, err := e.turns.take(ctx, op.principal.Merchant)
	if err != nil {
		return nil, refuse(newError(Internal, internalMessage)) // nobody hears it
	}
	defer done()
	handoff := &event.Handoff{After: after}
	ctx, cancel := context.WithTimeout(event.NewContext(ctx, handoff), e.config.Limits.Deadline)
	defer cancel()
	ctx, end := e.context(ctx, op)
	defer end()
	e.config.Schema.Exec(ctx)
	errs := graphql.GetErrors(ctx)
	if sub := handoff.Subscription; len(errs) == 0 && sub != nil {
		op.extensions, op.headers = nil, nil // nothing that could be large is kept for what may run for days
		sub.Read = e.inTurn(op.principal.Merchant, sub.Read)
		return &stream{Subscription: sub, engine: e, op: op, id: RequestID(ctx), key: unique.Make(op.frameKey())}, nil
	}
	if handoff.Subscription != nil {
		handoff.Subscription.Close()
	}
	if len(errs) == 0 {
		return nil, refuse(newError(Internal, internalMessage))
	}
	return nil, &requestError{errors: errs, cause: handoff.Err}
}

// readItems is a stream's Read.
type readItems = func(ctx context.Context, after int64, limit int) ([]*event.Item, error)

// inTurn reads when the turn of a merchant's subscriber has come.
func (e *engine) inTurn(m answer.MerchantID, read readItems) readItems {
	return func(ctx context.Context, after int64, limit int) ([]*event.Item, error) {
		done, err := e.turns.take(ctx, m)
		if err != nil {
			return nil, err
		}
		defer done()
		ctx, cancel := context.WithTimeout(ctx, e.config.Limits.Deadline) // a turn that did not end would be missed by all
		defer cancel()
		return read(ctx, after, limit)
	}
}

func (op *operation) frameKey() frameKey {
	k := frameKey{plan: op.plan, view: op.principal.View()}
	if len(op.plan.inner) > 0 {
		values := make([]any, len(op.plan.inner))
		for i, name := range op.plan.inner {
			values[i] = op.variables[name]
		}
		text, _ := json.Marshal(values) // they came as JSON
		k.variables = string(text)
	}
	return k
}

// frame is an item as the subscriber asked for it: the JSON of a GraphQL response. It is nil where the gateway stops before it is made.
func (s *stream) frame(i *event.Item) []byte {
	return i.Frame(s.key, func() []byte { return s.engine.encode(s.op, i) })
}

// Where something that an item's frame needs cannot be read, its subscribers wait: with a hole in the frame, nobody would ask for it again. But
// what cannot be read for so long may be too much to ask for, and is told as it is.
const (
	remakeFirst = 50 * time.Millisecond
	remakeMost  = time.Second
	remakeTime  = 10 * time.Second
)

// encode makes the frame of an item, for all who share it. It is nil where the gateway stops: then all of them resume elsewhere.
func (e *engine) encode(op *operation, i *event.Item) []byte {
	for wait, begun := remakeFirst, time.Now(); ; wait = min(2*wait, remakeMost) {
		frame, whole := e.encodeOnce(op, i)
		if e.stopping.Err() != nil { // perhaps in the midst of it
			return nil
		}
		if whole || time.Since(begun) > remakeTime {
			return frame
		}
		select {
		case <-e.stopping.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// encodeOnce executes the selection for one item. No subscriber's context ends it, and its name in the log is its own. whole is false where the
// same may succeed later.
func (e *engine) encodeOnce(op *operation, i *event.Item) (frame []byte, whole bool) {
	ctx := context.WithValue(e.stopping, requestIDKey{}, requestID(nil))
	ctx, cancel := context.WithTimeout(ctx, e.config.Limits.Deadline)
	defer cancel()
	defer func() {
		if cause := recover(); cause != nil {
			e.panicked(ctx, cause)
			frame, whole = []byte(`{"errors":`+unspeakable+`}`), true
		}
	}()
	response := e.run(event.NewContext(ctx, &event.Handoff{Item: i}), op)
	body := buffers.Get().(*bytes.Buffer)
	defer release(body)
	encodeResponse(body, response, nil)
	return bytes.Clone(body.Bytes()), !slices.ContainsFunc(response.Errors, isRetryable)
}

// Pauses of a stream that cannot read.
const (
	rereadFirst = 100 * time.Millisecond
	rereadMost  = 2 * time.Second
)

// catchUp gives what the stream has before it is live, the oldest first; wake tells of what comes then. Where the database cannot be read
// the subscriber waits. It returns when the stream is live (true), or has nothing more to give: it has ended with an item, or with an error.
func (s *stream) catchUp(ctx context.Context, wake func(), give func([]*event.Item) error) (live bool, err error) {
	for wait := rereadFirst; ; {
		items, live, err := s.CatchUp(ctx, wake)
		if errors.Is(err, event.ErrOver) {
			return false, nil
		}
		if err != nil {
			if ended := s.Err(); ended != nil {
				return false, ended
			}
			if ctx.Err() != nil {
				return false, err
			}
			s.engine.config.Log.Debug("a stream cannot be read; its subscriber waits", "requestId", s.id, "error", err)
			select {
			case <-ctx.Done():
				return false, ctx.Err()
			case <-time.After(wait):
			}
			wait = min(2*wait, rereadMost)
			continue
		}
		if ctx.Err() != nil { // while it was read
			return false, ctx.Err()
		}
		wait = rereadFirst
		items, over := s.until(items)
		if err := give(items); err != nil || over {
			return false, err
		}
		if live {
			return true, nil
		}
	}
}

// until returns the items up to the one after which the stream is over, if it is.
func (s *stream) until(items []*event.Item) (_ []*event.Item, over bool) {
	if s.Ends == nil {
		return items, false
	}
	if last := slices.IndexFunc(items, s.Ends); last >= 0 {
		return items[:last+1], true
	}
	return items, false
}

// checkSubscription sees to it that a subscription has one root field, whatever its variables are (GraphQL, section 5.2.4.1). gqlparser's
// rule counts one field under two names once, and lets it be left out.
func checkSubscription(op *ast.OperationDefinition) (bad *gqlerror.Error) {
	name := ""
	var walk func(ast.SelectionSet)
	walk = func(set ast.SelectionSet) {
		for _, selection := range set {
			var directives ast.DirectiveList
			switch selection := selection.(type) {
			case *ast.Field:
				directives = selection.Directives
				if name == "" {
					name = selection.Alias
				} else if name != selection.Alias && bad == nil {
					bad = at(newError(ValidationFailed, "a subscription has one root field"), selection.Position)
				}
			case *ast.InlineFragment:
				directives = selection.Directives
				walk(selection.SelectionSet)
			case *ast.FragmentSpread:
				directives = selection.Directives
				walk(selection.Definition.SelectionSet)
			}
			for _, d := range directives {
				if bad == nil && (d.Name == "skip" || d.Name == "include") {
					bad = at(newError(ValidationFailed, "a subscription's root field can be neither skipped nor included"), d.Position)
				}
			}
		}
	}
	walk(op.SelectionSet)
	return bad
}

// innerVariables are the names of the variables of an operation that stand anywhere but in the arguments of its root fields.
func innerVariables(op *ast.OperationDefinition) []string {
	found := map[string]bool{}
	collectInner(op.SelectionSet, true, found)
	return slices.Sorted(maps.Keys(found))
}

func collectInner(set ast.SelectionSet, root bool, found map[string]bool) {
	for _, selection := range set {
		switch selection := selection.(type) {
		case *ast.Field:
			collectDirectives(selection.Directives, found)
			if !root {
				collectArguments(selection.Arguments, found)
			}
			collectInner(selection.SelectionSet, false, found)
		case *ast.InlineFragment:
			collectDirectives(selection.Directives, found)
			collectInner(selection.SelectionSet, root, found)
		case *ast.FragmentSpread:
			collectDirectives(selection.Directives, found)
			collectInner(selection.Definition.SelectionSet, root, found)
		}
	}
}

func collectDirectives(directives ast.DirectiveList, found map[string]bool) {
	for _, d := range directives {
		collectArguments(d.Arguments, found)
	}
}

func collectArguments(arguments ast.ArgumentList, found map[string]bool) {
	for _, a := range arguments {
		collectValue(a.Value, found)
	}
}

func collectValue(v *ast.Value, found map[string]bool) {
	if v == nil {
		return
	}
	if v.Kind == ast.Variable {
		found[v.Raw] = true
	}
	for _, child := range v.Children {
		collectValue(child.Value, found)
	}
}
