package resolvers

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/merchant"
)

type eventReads interface {
	Events(ctx context.Context, m merchant.ID, ids []string) ([]*event.Event, error)
	ListEvents(ctx context.Context, m merchant.ID, types []event.Type, after int64, limit int) ([]*event.Event, error)
	Head(ctx context.Context, m merchant.ID) (*event.Head, error)
}

func (r queryResolver) Events(ctx context.Context, first int32, after *string, types []event.Type, waitMs int32) (*event.Page, error) {
	if err := checkFirst(first); err != nil {
		return nil, err
	}
	p := auth.FromContext(ctx)
	stream := r.log(p, types)
	if waitMs != 0 {
		if err := r.await(ctx, stream, after, waitMs); err != nil {
			return nil, err
		}
	}
	start, err := stream.position(ctx, from(ctx), after)
	if err != nil {
		return nil, err
	}
	found, err := from(ctx).ListEvents(ctx, p.Merchant, types, start, int(first)+1)
	if err != nil {
		return nil, err
	}
	page := answer.Cut(found, int(first), start > 0, stream.cursor)
	if page.Standing = after; after == nil {
		beginning := stream.cursor(&event.Event{})
		page.Standing = &beginning
	}
	return page, nil
}

// maxWait bounds waitMs: less than an operation may take.
const maxWait = 25 * time.Second

// await returns when there is an event after a cursor, or when the time is up. It reads before the query's snapshot is taken, and so the
// query must not have taken it for another field.
func (r *Resolver) await(ctx context.Context, of logStream, after *string, waitMs int32) error {
	wait := time.Duration(waitMs) * time.Millisecond
	if wait < 0 || wait > maxWait {
		return fmt.Errorf("%w: waitMs is a number from 0 to %d", ErrBadUserInput, maxWait.Milliseconds())
	}
	if end := of.principal.Expires; !end.IsZero() { // what happens after it is not for this token
		wait = min(wait, time.Until(end))
	}
	up := time.NewTimer(wait)
	defer up.Stop()
	op := graphql.GetOperationContext(ctx)
	if len(graphql.CollectFields(op, op.Operation.SelectionSet, []string{"Query"})) > 1 {
		return fmt.Errorf("%w: a query that waits has no other field", ErrBadUserInput)
	}
	reads := r.now(of.principal)
	start, err := of.position(ctx, reads, after)
	if err != nil {
		return err
	}
	sub, err := r.Hub.Subscribe(ctx, of.principal.Merchant, of.stream(reads))
	if errors.Is(err, event.ErrStopping) {
		return nil // nobody waits any more
	}
	if err != nil {
		return err
	}
	defer sub.Close()
	sub.Start(start, true)
	woken := make(chan struct{}, 1)
	found, live, err := sub.CatchUp(ctx, func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	})
	if err == nil && len(found) == 0 && live {
		select {
		case <-woken:
		case <-up.C:
		case <-ctx.Done():
		}
	}
	if errors.Is(err, event.ErrTooSlow) || errors.Is(err, event.ErrLogChanged) || errors.Is(err, event.ErrStopping) {
		return nil // there is something, the cursor is found out, or nobody waits any more
	}
	return err
}

func (r queryResolver) EventHead(ctx context.Context) (*event.Head, error) {
	return from(ctx).Head(ctx, auth.FromContext(ctx).Merchant)
}

func (r eventHeadResolver) Cursor(ctx context.Context, h *event.Head) (string, error) {
	e := &event.Event{Sequence: h.Sequence, Hash: h.Hash}
	if h.Sequence == 0 { // what stands for the hash of nothing is in no event
		e.Hash = event.Hash{}
	}
	return r.log(auth.FromContext(ctx), nil).cursor(e), nil
}

func (r eventResolver) Cursor(ctx context.Context, e *event.Event) (string, error) {
	return r.log(auth.FromContext(ctx), nil).cursor(e), nil
}

func (r eventResolver) Object(ctx context.Context, e *event.Event) (answer.Node, error) {
	return node(ctx, e.ObjectID)
}

// hashLength is how much of an event's hash its cursor holds: enough to find out that the log is another one since, as after a
// restore of the database.
const hashLength = 8

// numbered is the content of a cursor in a stream: the number, and what tells the history that it was given in.
func numbered(number int64, mark []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(number)), mark...)
}
