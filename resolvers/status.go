package resolvers

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/payment"
)

// statusStream is a payment's status as one principal hears it: its events up to the first that leaves it in a final status. What follows are
// refunds, which leave the status as it is: whoever has been told a final status has the end, live or from whichever cursor.
type statusStream struct {
	cursors
	principal auth.Principal
	payment   string
	reads     Reads
	own       map[ledger.AccountID]bool // a customer's side of the payment, as it was when the stream began
}

func (r *Resolver) status(p auth.Principal, payment string) *statusStream {
	return &statusStream{cursors: r.cursors(p, "payment "+payment), principal: p, payment: payment, reads: r.now(p)}
}

func (s *statusStream) cursor(e *event.Event) string {
	return s.seal(numbered(int64(e.ObjectVersion), e.Hash[:hashLength]))
}

func (s *statusStream) stream() event.Stream {
	stream := event.Stream{
		Topic:  event.Topic{Kind: event.OfPayment, Object: s.payment},
		Read:   s.read,
		Ends:   func(i *event.Item) bool { return isFinal(i.Event) },
		Cursor: func(i *event.Item) string { return s.cursor(i.Event) },
	}
	if s.principal.Kind == auth.Customer && s.principal.Payment == "" {
		stream.Foreign = s.foreign
	}
	return stream
}

// isFinal says whether an event leaves its payment in a final status.
func isFinal(e *event.Event) bool {
	status, err := payment.StatusOf(e)
	return err == nil && payment.Terminal(status)
}

// foreign says whether a payment may be another customer's since an event: it was confirmed with another source, and the one who listened had the
// first. The new one may be the same customer's, too: who comes again finds that out.
func (s *statusStream) foreign(i *event.Item) bool {
	source, destination, err := payment.AccountsOf(i.Event)
	return err != nil || !s.own[source] && !s.own[destination]
}

// read reads items after a version. A customer whose payment has become another's since the stream began gets none of them, and is told by the one
// that is live.
func (s *statusStream) read(ctx context.Context, after int64, limit int) ([]*event.Item, error) {
	found, err := s.events(ctx, after, limit)
	if err == nil && s.principal.Kind == auth.Customer {
		var own []*payment.Payment
		if own, err = s.reads.Payments(ctx, s.principal.Merchant, []string{s.payment}); err == nil && len(own) == 0 {
			return nil, nil
		}
	}
	return s.items(found), err
}

func (s *statusStream) items(of []*event.Event) []*event.Item {
	return itemsOf(of, func(e *event.Event) *event.Item { return &event.Item{Number: int64(e.ObjectVersion), Event: e} })
}

func (s *statusStream) events(ctx context.Context, after int64, limit int) ([]*event.Event, error) {
	found, err := s.reads.PaymentEvents(ctx, s.principal.Merchant, []string{s.payment}, after, limit)
	return slices.Concat(found...), err
}

// from is the event of a version, nil where there is none, and what followed it.
func (s *statusStream) from(ctx context.Context, version int64) (at *event.Event, later []*event.Event, err error) {
	found, err := s.events(ctx, version-1, 1+event.CatchUpPage)
	if err != nil || len(found) == 0 || int64(found[0].ObjectVersion) != version {
		return nil, nil, err
	}
	return found[0], found[1:], nil
}

// current is the payment as it is, nil where there is none, with the event that made it so.
func (s *statusStream) current(ctx context.Context) (_ *payment.Payment, by *event.Event, err error) {
	var found []payment.Current
	if c, is := s.reads.(customerReads); is {
		found, s.own, err = c.currentPayments(ctx, s.principal.Merchant, []string{s.payment})
	} else {
		found, err = s.reads.CurrentPayments(ctx, s.principal.Merchant, []string{s.payment})
	}
	if len(found) == 0 || err != nil {
		return nil, nil, err
	}
	return found[0].Payment, found[0].By, nil
}

// begin finds the payment, and where its subscriber begins.
func (s *statusStream) begin(ctx context.Context, sub *event.Subscription, after *string) error {
	current, by, err := s.current(ctx)
	if err != nil || current == nil {
		return cmp.Or(err, ErrNotFound)
	}
	number := int64(current.Version)
	if after != nil {
		return s.resume(ctx, sub, *after, number, by)
	}
	if by == nil {
		return fmt.Errorf("payment %s has no event of its version %d", s.payment, number)
	}
	sub.Start(number, false, &event.Item{Number: number, Event: by, Object: current, Snapshot: true})
	return nil
}

// resume has a subscriber go on after a cursor, in a stream that reaches a number, with an event.
func (s *statusStream) resume(ctx context.Context, sub *event.Subscription, after string, last int64, by *event.Event) error {
	at := by
	var later []*event.Event
	number, err := s.position(after, hashLength, func(number int64) (mark []byte, err error) {
		if number != last {
			at, later, err = s.from(ctx, number)
		}
		if at != nil {
			mark = at.Hash[:hashLength]
		}
		return mark, err
	}, func() (int64, error) { return last, nil })
	if err != nil {
		return err
	}
	behind := len(later) == event.CatchUpPage
	if s.principal.Kind == auth.Customer { // read asks whose they are
		later, behind = nil, true
	}
	sub.Start(number, behind, s.items(later)...)
	if isFinal(at) {
		sub.Over()
	}
	return nil
}

func showStatus(i *event.Item) (*payment.StatusEvent, error) {
	status, err := payment.StatusOf(i.Event)
	current, _ := i.Object.(*payment.Payment)
	return &payment.StatusEvent{Event: i.Event, Snapshot: i.Snapshot, Status: status, Payment: current}, err
}

func (r paymentStatusEventResolver) Cursor(ctx context.Context, s *payment.StatusEvent) (string, error) {
	return r.status(auth.FromContext(ctx), s.Event.ObjectID).cursor(s.Event), nil
}

func (r paymentStatusEventResolver) Payment(ctx context.Context, s *payment.StatusEvent) (*payment.Payment, error) {
	if s.Payment != nil && auth.FromContext(ctx).Kind != auth.Customer { // whose it is now has to be read
		return s.Payment, nil
	}
	return from(ctx).payments.Load(ctx, s.Event.ObjectID)
}

func (r paymentStatusEventResolver) PreviousStatus(ctx context.Context, s *payment.StatusEvent) (*payment.Status, error) {
	if s.Sequence() < 2 {
		return nil, nil
	}
	before, err := from(ctx).paymentEvents.Load(ctx, part[int64]{s.Event.ObjectID, slice[int64]{s.Sequence() - 2, 1}})
	if err != nil || len(before) == 0 {
		return nil, err
	}
	status, err := payment.StatusOf(before[0])
	return &status, err
}
