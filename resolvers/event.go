package resolvers

import (
	"bytes"
	"context"
	"encoding/binary"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/merchant"
)

type eventReads interface {
	Events(ctx context.Context, m merchant.ID, ids []string) ([]*event.Event, error)
	ListEvents(ctx context.Context, m merchant.ID, types []event.Type, after int64, limit int) ([]*event.Event, error)
}

func (r queryResolver) Events(ctx context.Context, first int32, after *string, types []event.Type) (*event.Page, error) {
	if err := checkFirst(first); err != nil {
		return nil, err
	}
	p := auth.FromContext(ctx)
	start, err := r.logPosition(ctx, p, after)
	if err != nil {
		return nil, err
	}
	found, err := from(ctx).ListEvents(ctx, p.Merchant, types, start, int(first)+1)
	if err != nil {
		return nil, err
	}
	page := answer.Cut(found, int(first), start > 0, func(e *event.Event) string { return r.logCursor(p, e) })
	if page.Standing = after; after == nil {
		beginning := r.logCursor(p, &event.Event{})
		page.Standing = &beginning
	}
	return page, nil
}

func (r eventResolver) Cursor(ctx context.Context, e *event.Event) (string, error) {
	return r.logCursor(auth.FromContext(ctx), e), nil
}

func (r eventResolver) Object(ctx context.Context, e *event.Event) (answer.Node, error) {
	return node(ctx, e.ObjectID)
}

// hashLength is how much of an event's hash its cursor holds: enough to find out that the log is another one since, as after a
// restore of the database.
const hashLength = 8

const logPurpose = "log"

// logCursor is an event's place in the merchant's log; number 0 is the beginning.
func (r *Resolver) logCursor(p auth.Principal, e *event.Event) string {
	return r.cursors(p, logPurpose).seal(append(binary.BigEndian.AppendUint64(nil, uint64(e.Sequence)), e.Hash[:hashLength]...))
}

// logPosition is the number in a cursor of the log, once the event with this number is still the same. Error: auth.ErrCursorInvalid.
func (r *Resolver) logPosition(ctx context.Context, p auth.Principal, after *string) (int64, error) {
	if after == nil {
		return 0, nil
	}
	content, err := r.Cursors.Open(r.cursors(p, logPurpose).purpose, *after)
	if err != nil || len(content) != 8+hashLength {
		return 0, auth.ErrCursorInvalid
	}
	number := int64(binary.BigEndian.Uint64(content))
	if number == 0 {
		return 0, nil
	}
	last, err := from(ctx).ListEvents(ctx, p.Merchant, nil, number-1, 1)
	if err != nil {
		return 0, err
	}
	if len(last) == 0 || last[0].Sequence != number || !bytes.Equal(last[0].Hash[:hashLength], content[8:]) {
		return 0, auth.ErrCursorInvalid
	}
	return number, nil
}
