package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
)

// thinkOfPaying makes a payment: confirmed or not, captured at once or later, for a wallet or the merchant.
func (w *world) thinkOfPaying(from, to ledger.AccountID, amount money.Input) (what string, _ ask) {
	in := payment.CreateInput{
		Amount: amount, Source: &payment.Source{AccountID: &from}, Confirm: w.Rand.IntN(3) > 0,
		CaptureMethod: []payment.CaptureMethod{payment.Automatic, payment.Manual, payment.Manual}[w.Rand.IntN(3)],
	}
	if w.Rand.IntN(3) > 0 {
		in.DestinationAccountID = &to
	}
	return fmt.Sprintf("createPayment, %s, confirmed: %v", in.CaptureMethod, in.Confirm), pays(in)
}

// thinkOfPayment does something with a payment that there is: often one that waits, the more often the sooner its time is up.
func (w *world) thinkOfPayment(amount money.Input) (what string, _ ask) {
	id, some := pick(w, w.payments), &amount
	if timers := w.db.shelves[simMerchant].waiting(); len(timers) > 0 && w.Rand.IntN(4) > 0 {
		id = payment.ID(timers[w.Rand.IntN(1+w.Rand.IntN(len(timers)))].ObjectID)
	}
	if w.Rand.IntN(2) == 0 {
		some = nil
	}
	switch w.Rand.IntN(6) {
	case 0, 1:
		return "confirmPayment", confirms(id)
	case 2, 3:
		return "capturePayment", captures(payment.CaptureInput{PaymentID: id, Amount: some, Final: w.Rand.IntN(4) == 0})
	case 4:
		return "cancelPayment", cancels(id)
	default:
		return "refundPayment", refunds(payment.RefundInput{PaymentID: id, Amount: some})
	}
}

func pays(in payment.CreateInput) ask {
	return func(ctx context.Context, n *simNode, key string) (string, bool, error) {
		in := in
		in.IdempotencyKey, in.Reference = key, &key
		s, err := n.payments.Create(ctx, simPrincipal, in)
		return idOf(s.Payment), s.Replayed, err
	}
}

func confirms(id payment.ID) ask {
	return func(ctx context.Context, n *simNode, key string) (string, bool, error) {
		s, err := n.payments.Confirm(ctx, simPrincipal, payment.ConfirmInput{IdempotencyKey: key, PaymentID: id})
		return idOf(s.Payment), s.Replayed, err
	}
}

func captures(in payment.CaptureInput) ask {
	return func(ctx context.Context, n *simNode, key string) (string, bool, error) {
		in := in
		in.IdempotencyKey = key
		s, err := n.payments.Capture(ctx, simPrincipal, in)
		return idOf(s.Capture), s.Replayed, err
	}
}

func cancels(id payment.ID) ask {
	return func(ctx context.Context, n *simNode, key string) (string, bool, error) {
		s, err := n.payments.Cancel(ctx, simPrincipal, payment.CancelInput{IdempotencyKey: key, PaymentID: id})
		return idOf(s.Payment), s.Replayed, err
	}
}

func refunds(in payment.RefundInput) ask {
	return func(ctx context.Context, n *simNode, key string) (string, bool, error) {
		in := in
		in.IdempotencyKey, in.Reason = key, &key
		s, err := n.payments.Refund(ctx, simPrincipal, in)
		return idOf(s.Refund), s.Replayed, err
	}
}

// touched are the payments that something is written of.
func (w *written) touched() map[payment.ID]bool {
	all := map[payment.ID]bool{}
	for _, p := range w.payments {
		all[p.ID] = true
	}
	for _, timers := range [][]command.Timer{w.timers, w.served} {
		for _, t := range timers {
			all[payment.ID(t.ObjectID)] = true
		}
	}
	for _, h := range w.holds {
		if h.PaymentID != nil {
			all[payment.ID(*h.PaymentID)] = true
		}
	}
	return all
}

// fits says what no commit may leave behind: a payment that waits and has not one timer, of its time; a timer of one that does not wait; and a
// hold that outlives its payment, or that is not of what can be captured.
func (s *shelf) fits(id payment.ID) error {
	p, timers, held := s.payments[id], 0, int64(0)
	for _, t := range s.timers {
		if t.ObjectID == string(id) {
			timers++
		}
	}
	for _, h := range s.holds {
		switch {
		case answer.Or(h.PaymentID) != string(id) || h.Status() != ledger.HoldOpen:
		case answer.Or(p.HoldID) != h.ID:
			return fmt.Errorf("hold %s is open, and %s, which is %s, does not know it", h.ID, id, p.Status)
		default:
			held = h.Amount.MinorUnits
		}
	}
	switch {
	case payment.Terminal(p.Status) != (p.ExpiresAt == nil):
		return fmt.Errorf("%s is %s, and waits until %v", id, p.Status, p.ExpiresAt)
	case p.ExpiresAt == nil && timers > 0:
		return fmt.Errorf("%s is %s, and has a timer", id, p.Status)
	case p.ExpiresAt != nil && (timers != 1 || s.timers[keyOfTimer(timerOf(&p))].ObjectID == ""):
		return fmt.Errorf("%s waits until %v, and has %d timers", id, p.ExpiresAt, timers)
	case held != p.Capturable().MinorUnits:
		return fmt.Errorf("%d are held for %s, of which %d can be captured", held, id, p.Capturable().MinorUnits)
	}
	return nil
}

// timerOf is the timer of a payment that waits.
func timerOf(p *payment.Payment) command.Timer {
	return command.Timer{Kind: command.PaymentExpires, ObjectID: string(p.ID), DueAt: *p.ExpiresAt}
}

// parts are what belongs to payments, in minor units.
type parts struct{ captured, refunded, moved map[payment.ID]int64 }

// parts sums up what was captured later, what was refunded, and what has left the payments' sources.
func (s *shelf) parts() parts {
	p := parts{map[payment.ID]int64{}, map[payment.ID]int64{}, map[payment.ID]int64{}}
	for _, c := range s.captures {
		p.captured[c.PaymentID] += c.Amount.MinorUnits
	}
	for _, r := range s.refunds {
		p.refunded[r.PaymentID] += r.Amount.MinorUnits
	}
	for _, t := range s.posted {
		of := s.payments[payment.ID(answer.Or(t.PaymentID))]
		for _, e := range t.Entries {
			switch {
			case of.ID == "" || e.AccountID != *of.SourceAccountID:
			case e.Direction == ledger.Debit:
				p.moved[of.ID] += e.Amount.MinorUnits
			default:
				p.moved[of.ID] -= e.Amount.MinorUnits
			}
		}
	}
	return p
}

// checkPayments holds payments against what belongs to them, when the time of all is up.
func (s *shelf) checkPayments() error {
	if left := s.waiting(); len(left) > 0 {
		return fmt.Errorf("%s is left, and nobody serves it", left[0].Key())
	}
	sums := s.parts()
	for id, p := range s.payments {
		if err := s.fits(id); err != nil {
			return err
		}
		if p.CaptureMethod == payment.Automatic {
			sums.captured[id] = p.CapturedMinorUnits
		}
		switch {
		case !payment.Terminal(p.Status):
			return fmt.Errorf("%s is %s after its time", id, p.Status)
		case p.CapturedMinorUnits > p.Amount.MinorUnits, p.CapturedMinorUnits > p.Authorized().MinorUnits, p.RefundedMinorUnits > p.CapturedMinorUnits:
			return fmt.Errorf("more is captured than authorised, or more refunded than captured: %+v", p)
		case sums.captured[id] != p.CapturedMinorUnits, sums.refunded[id] != p.RefundedMinorUnits,
			sums.moved[id] != p.CapturedMinorUnits-p.RefundedMinorUnits:
			return fmt.Errorf("there are captures of %d, refunds of %d, and %d have moved: %+v", sums.captured[id], sums.refunded[id], sums.moved[id], p)
		case p.FeeMinorUnits != s.head.plans[p.Amount.Currency].Of(p.CapturedMinorUnits):
			return fmt.Errorf("the fee is %d: %+v", p.FeeMinorUnits, p)
		}
	}
	return nil
}

// life is what an event says of a payment.
type life struct {
	Cause struct{ Operation string }
	State struct {
		Status    payment.Status
		ExpiresAt *time.Time
	}
}

// checkLives follows payments through the log: they move by the table; when their time is up nobody does anything with them, but that they
// expire, once.
func (w *world) checkLives() error {
	s, lives := w.db.shelves[simMerchant], map[string]life{}
	for i := range s.events {
		e := &s.events[i]
		if e.Type.Object() != answer.PaymentPrefix {
			continue
		}
		var now life
		if err := json.Unmarshal(e.Payload, &now); err != nil {
			return err
		}
		if was, known := lives[e.ObjectID]; known {
			if err := w.follows(was, now, e.OccurredAt); err != nil {
				return fmt.Errorf("event %d of %s: %w", e.Sequence, e.ObjectID, err)
			}
		}
		lives[e.ObjectID] = now
	}
	for id, p := range s.payments {
		if last := lives[string(id)].State; last.Status != p.Status || last.ExpiresAt != nil {
			return fmt.Errorf("%s is %s, and its last event says %+v", id, p.Status, last)
		}
	}
	return nil
}

// follows says why one event of a payment cannot follow another.
func (w *world) follows(was, now life, at time.Time) error {
	up := was.State.ExpiresAt
	switch now.Cause.Operation {
	case "expirePayment":
		w.seen.Expired++
		if up == nil || at.Before(up.Add(-w.db.setBack)) {
			return fmt.Errorf("it expires at %v, and waited until %v", at, up)
		}
	case "refundPayment":
		w.seen.Refunded++
	default:
		if now.Cause.Operation == "capturePayment" {
			w.seen.Captured++
		}
		if up == nil || !at.Before(*up) {
			return fmt.Errorf("%s at %v, and its time was up at %v", now.Cause.Operation, at, up)
		}
	}
	for _, row := range payment.Table {
		if row.From == was.State.Status && row.To == now.State.Status {
			return nil
		}
	}
	return fmt.Errorf("it becomes %s, and was %s", now.State.Status, was.State.Status)
}
