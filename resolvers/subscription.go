package resolvers

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
)

// ErrNotFound is what a subscription to an object answers that the principal cannot see.
var ErrNotFound = errors.New("there is no such object here")

// cursorElsewhere is auth.ErrCursorInvalid for a stream that is known to reach a number.
type cursorElsewhere struct{ last int64 }

func (cursorElsewhere) Error() string { return auth.ErrCursorInvalid.Error() }
func (cursorElsewhere) Unwrap() error { return auth.ErrCursorInvalid }

// follow answers a subscription: the transport asks once to begin, and then for each item by itself, so that subscribers who ask for the
// same can share the answer.
func follow[T any](ctx context.Context, after *string, begin func(after *string) (*event.Subscription, error), show func(*event.Item) (T, error)) (<-chan T, error) {
	h := event.FromContext(ctx)
	answers := make(chan T, 1)
	if h.Item != nil {
		answer, err := show(h.Item)
		answers <- answer
		return answers, err
	}
	if h.After != nil {
		after = h.After
	}
	h.Subscription, h.Err = begin(after)
	return answers, h.Err
}

// start subscribes, and closes what it has subscribed where the beginning cannot be found.
func (r *Resolver) start(ctx context.Context, m merchant.ID, s event.Stream, begin func(*event.Subscription) error) (_ *event.Subscription, err error) {
	sub, err := r.Hub.Subscribe(ctx, m, s)
	if err != nil {
		return nil, err
	}
	begun := false
	defer func() { // after a panic too
		if !begun {
			sub.Close()
		}
	}()
	if err := begin(sub); err != nil {
		return nil, err
	}
	begun = true
	return sub, nil
}

// itemsOf makes a stream's items of what was read for it.
func itemsOf[T any](found []T, item func(T) *event.Item) []*event.Item {
	items := make([]*event.Item, len(found))
	for i, f := range found {
		items[i] = item(f)
	}
	return items
}

// position reads a numbered cursor, and holds it against the stream as it is: mark gives what the stream has with a number, nil where it
// has none, and last the last number. Errors: auth.ErrCursorExpired, cursorElsewhere.
func (c cursors) position(after string, length int, mark func(number int64) ([]byte, error), last func() (int64, error)) (int64, error) {
	content, err := c.open(after, 8+length)
	if errors.Is(err, auth.ErrCursorExpired) {
		return 0, err
	}
	if err == nil {
		number := int64(binary.BigEndian.Uint64(content))
		is, err := mark(number)
		if err != nil || is != nil && bytes.Equal(is, content[8:]) {
			return number, err
		}
	}
	known, err := last()
	return 0, cmp.Or[error](err, cursorElsewhere{known})
}

// logStream is a merchant's log as one principal hears it.
type logStream struct {
	cursors
	principal auth.Principal
	types     []event.Type
}

func (r *Resolver) log(p auth.Principal, types []event.Type) logStream {
	return logStream{r.cursors(p, "log"), p, types}
}

// cursor is an event's place in the log; number 0 is the beginning.
func (l logStream) cursor(e *event.Event) string {
	return l.seal(numbered(e.Sequence, e.Hash[:hashLength]))
}

// position is the number in a cursor, once the event with this number is still the same. Errors: those of cursors.position.
func (l logStream) position(ctx context.Context, reads Reads, after *string) (int64, error) {
	if after == nil {
		return 0, nil
	}
	return l.cursors.position(*after, hashLength, func(number int64) ([]byte, error) {
		if number == 0 {
			return make([]byte, hashLength), nil
		}
		found, err := reads.ListEvents(ctx, l.principal.Merchant, nil, number-1, 1)
		return hashOf(found, func(e *event.Event) bool { return e.Sequence == number }), err
	}, func() (int64, error) {
		head, err := reads.Head(ctx, l.principal.Merchant)
		if err != nil {
			return 0, err
		}
		return head.Sequence, nil
	})
}

// hashOf is what a cursor holds of the event that was found, if it is the one that was meant.
func hashOf(found []*event.Event, meant func(*event.Event) bool) []byte {
	if len(found) == 0 || !meant(found[0]) {
		return nil
	}
	return found[0].Hash[:hashLength]
}

func (l logStream) stream(reads Reads) event.Stream {
	s := event.Stream{
		Topic: event.Topic{Kind: event.OfMerchant},
		Read: func(ctx context.Context, after int64, limit int) ([]*event.Item, error) {
			found, err := reads.ListEvents(ctx, l.principal.Merchant, l.types, after, limit)
			return itemsOf(found, func(e *event.Event) *event.Item { return &event.Item{Number: e.Sequence, Event: e} }), err
		},
		Cursor: func(i *event.Item) string { return l.cursor(i.Event) },
	}
	if len(l.types) > 0 {
		s.Wants = func(i *event.Item) bool { return slices.Contains(l.types, i.Event.Type) }
	}
	return s
}

func (r subscriptionResolver) Events(ctx context.Context, after *string, types []event.Type) (<-chan *event.Event, error) {
	l := r.log(auth.FromContext(ctx), types)
	reads := r.now(l.principal)
	return follow(ctx, after, func(after *string) (*event.Subscription, error) {
		return r.start(ctx, l.principal.Merchant, l.stream(reads), func(sub *event.Subscription) error {
			if after == nil {
				head, err := reads.Head(ctx, l.principal.Merchant)
				if err == nil {
					sub.Start(head.Sequence, false)
				}
				return err
			}
			number, err := l.position(ctx, reads, after)
			sub.Start(number, true)
			return err
		})
	}, func(i *event.Item) (*event.Event, error) { return i.Event, nil })
}

func (r subscriptionResolver) PaymentStatus(ctx context.Context, paymentID string, after *string) (<-chan *payment.StatusEvent, error) {
	s := r.status(auth.FromContext(ctx), paymentID)
	return follow(ctx, after, func(after *string) (*event.Subscription, error) {
		return r.start(ctx, s.principal.Merchant, s.stream(), func(sub *event.Subscription) error { return s.begin(ctx, sub, after) })
	}, showStatus)
}

func (r subscriptionResolver) AccountActivity(ctx context.Context, accountID string, after *string) (<-chan *ledger.Activity, error) {
	p, id := auth.FromContext(ctx), ledger.AccountID(accountID)
	stream := event.Stream{
		Topic: event.Topic{Kind: event.OfAccount, Object: accountID},
		Read: func(ctx context.Context, after int64, limit int) ([]*event.Item, error) {
			found, err := r.entriesAfter(ctx, p, id, after, limit)
			return itemsOf(found, itemOf), err
		},
		Cursor: func(i *event.Item) string { return r.activityCursor(p, showActivity(id, i)) },
	}
	return follow(ctx, after, func(after *string) (*event.Subscription, error) {
		return r.start(ctx, p.Merchant, stream, func(sub *event.Subscription) error { return r.beginAccount(ctx, sub, id, after) })
	}, func(i *event.Item) (*ledger.Activity, error) { return showActivity(id, i), nil })
}

func itemOf(e *ledger.Entry) *event.Item { return &event.Item{Number: e.AccountSequence, Object: e} }

// entriesAfter are the entries of an account after a number, the oldest first: at most limit. Their numbers have no gaps.
func (r *Resolver) entriesAfter(ctx context.Context, p auth.Principal, id ledger.AccountID, after int64, limit int) ([]*ledger.Entry, error) {
	found, err := r.now(p).AccountEntries(ctx, p.Merchant, []ledger.Span{{Account: id, After: after, Before: after + int64(limit) + 1}})
	entries := slices.Concat(found...)
	slices.Reverse(entries)
	return entries, err
}

// beginAccount finds the account, and where its subscriber begins.
func (r *Resolver) beginAccount(ctx context.Context, sub *event.Subscription, id ledger.AccountID, after *string) error {
	p := auth.FromContext(ctx)
	found, err := r.now(p).Accounts(ctx, p.Merchant, []string{string(id)})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return ErrNotFound
	}
	read := func(number int64, more int) (at *ledger.Entry, later []*ledger.Entry, err error) { // the entry with a number, and those that follow
		if later, err = r.entriesAfter(ctx, p, id, number-1, 1+more); len(later) > 0 && later[0].AccountSequence == number {
			at, later = later[0], later[1:]
		}
		return at, later, err
	}
	last := found[0].Sequence
	if after == nil {
		entry, _, err := read(last, 0)
		sub.Start(last, false, &event.Item{Number: last, Object: entry, Snapshot: true})
		return err
	}
	var later []*ledger.Entry
	number, err := r.activityCursors(p, id).position(*after, len(answer.UUID{}), func(number int64) ([]byte, error) {
		entry, follow, err := read(number, event.CatchUpPage)
		if err != nil || entry == nil && number != 0 {
			return nil, err
		}
		later = follow
		return entryMark(entry), nil
	}, func() (int64, error) { return last, nil })
	sub.Start(number, len(later) >= event.CatchUpPage, itemsOf(later, itemOf)...)
	return err
}

func (r *Resolver) activityCursors(p auth.Principal, id ledger.AccountID) cursors {
	return r.cursors(p, "account "+string(id))
}

func (r *Resolver) activityCursor(p auth.Principal, a *ledger.Activity) string {
	return r.activityCursors(p, a.AccountID).seal(numbered(a.Sequence, entryMark(a.Last)))
}

// entryMark tells an entry from one that has its number in another history: its transaction's identifier has 48 random bits. Before the
// first entry it is all zeros.
func entryMark(e *ledger.Entry) []byte {
	var u answer.UUID
	if e != nil {
		u, _ = answer.Decode(answer.TransactionPrefix, string(e.TransactionID))
	}
	return u[:]
}

func showActivity(id ledger.AccountID, i *event.Item) *ledger.Activity {
	a := &ledger.Activity{AccountID: id, Sequence: i.Number, Snapshot: i.Snapshot}
	a.Last, _ = i.Object.(*ledger.Entry)
	return a
}

func (r accountActivityEventResolver) Cursor(ctx context.Context, a *ledger.Activity) (string, error) {
	return r.activityCursor(auth.FromContext(ctx), a), nil
}

func (r accountActivityEventResolver) Account(ctx context.Context, a *ledger.Activity) (*ledger.Account, error) {
	return from(ctx).accounts.Load(ctx, string(a.AccountID))
}
