package testschema

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/paygraph/paygraph/event"
)

// Errors of subscriptions.
var (
	ErrCursor  = errors.New("this is no cursor")
	ErrMissing = errors.New("there is nothing to listen to")
)

// Cursor is the place after the item with a number.
func Cursor(number int64) string { return fmt.Sprintf("after-%d", number) }

func numberOf(cursor string) (int64, error) {
	number, err := strconv.ParseInt(strings.TrimPrefix(cursor, "after-"), 10, 64)
	if err != nil || Cursor(number) != cursor {
		return 0, ErrCursor
	}
	return number, nil
}

// course says how a subscription begins and ends.
type course struct {
	snapshot bool  // it begins with the last item, unless it goes on after another
	upTo     int64 // the number of the item with which it ends; 0: none
}

// follow answers a subscription as the gateway's own resolvers do: once to begin, and then for each item by itself.
func follow[T any](ctx context.Context, l *Log, after *string, c course, show func(*event.Item) T) (<-chan T, error) {
	h := event.FromContext(ctx)
	answers := make(chan T, 1)
	if h.Item != nil {
		answers <- show(h.Item)
		return answers, nil
	}
	if h.After != nil {
		after = h.After
	}
	h.Subscription, h.Err = l.subscribe(ctx, after, c)
	return answers, h.Err
}

func (l *Log) subscribe(ctx context.Context, after *string, c course) (*event.Subscription, error) {
	var from int64
	if after != nil {
		var err error
		if from, err = numberOf(*after); err != nil {
			return nil, err
		}
	}
	sub, err := l.Hub.Subscribe(ctx, merchant, event.Stream{
		Topic: event.Topic{Kind: event.OfMerchant}, Read: l.read,
		Ends:   func(i *event.Item) bool { return c.upTo > 0 && i.Number >= c.upTo },
		Cursor: func(i *event.Item) string { return Cursor(i.Number) },
	})
	if err != nil {
		return nil, err
	}
	var first []*event.Item
	if after == nil {
		from = l.last()
		if c.snapshot && from > 0 {
			if first, err = l.read(ctx, from-1, 1); err != nil {
				sub.Close()
				return nil, err
			}
		}
	}
	sub.Start(from, after != nil, first...)
	return sub, nil
}

func (r root) Ticks(ctx context.Context, after *string) (<-chan int32, error) {
	r.called(ctx)
	return follow(ctx, r.Log, after, course{}, func(i *event.Item) int32 { return int32(i.Number) })
}

func (r root) Secrets(ctx context.Context, after *string) (<-chan int32, error) {
	return r.Ticks(ctx, after)
}

func (r root) Missing(ctx context.Context) (<-chan int32, error) {
	r.called(ctx)
	return nil, ErrMissing
}

func (r root) Broken(ctx context.Context) (<-chan int32, error) { r.called(ctx); panic("broken") }

// Parcel is an item in full.
type Parcel struct{ Number int64 }

func (r root) Parcels(ctx context.Context, after *string, upTo *int32) (<-chan *Parcel, error) {
	r.called(ctx)
	var c course
	if upTo != nil {
		c.upTo = int64(*upTo)
	}
	return follow(ctx, r.Log, after, c, parcelOf)
}

func (r root) Latest(ctx context.Context, after *string) (<-chan *Parcel, error) {
	r.called(ctx)
	return follow(ctx, r.Log, after, course{snapshot: true}, parcelOf)
}

func parcelOf(i *event.Item) *Parcel { return &Parcel{i.Number} }

// Text is "1", "22", "333" … of the size that was asked for.
func (p *Parcel) Text(size int32) string {
	return strings.Repeat(strconv.FormatInt(p.Number%10, 10), int(size))
}

// Sum adds.
func (p *Parcel) Sum(of []int32) int32 {
	var sum int32
	for _, n := range of {
		sum += n
	}
	return sum
}

// Echo is the text of the filter's innermost one.
func (p *Parcel) Echo(filter Filter) *string {
	for len(filter.And) > 0 {
		filter = filter.And[0]
	}
	return filter.Text
}

// Metadata has a line end in its JSON, where white space may be.
func (p *Parcel) Metadata() map[string]any { return map[string]any{"number": p.Number} }

// Fails is an error in the midst of an answer.
func (p *Parcel) Fails() (*string, error) { return nil, ErrRefused }

// Panics panics.
func (p *Parcel) Panics() (*string, error) { panic("a parcel") }
