package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lib/pq"

	"github.com/paygraph/paygraph/clock"
	"github.com/paygraph/paygraph/clock/clocktest"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store/connector"
)

// simSession is a writer's way to the simulated database.
type simSession struct {
	*simDatabase
	by   *clocktest.Host // the writer's machine
	lost func()          // is told that the answer to a commit is lost
	open bool
	in   *transaction
}

var _ database = (*simSession)(nil)

func (s *simSession) connect(context.Context, merchant.ID) error {
	if s.open {
		return nil
	}
	s.travel(s.by)
	if s.befalls(s.trouble.refused) {
		return errors.New("connection refused")
	}
	s.open = true
	return nil
}

// cut ends the connection; the server finds out now, or up to five seconds later.
func (s *simSession) cut() {
	s.open = false
	if s.in != nil && !s.in.ended {
		if s.sim.Rand.IntN(2) == 0 {
			s.in.end()
		} else {
			s.in.idleUntil = s.host.Now().Add(s.upTo(5 * time.Second))
		}
	}
	s.in = nil
}

func (s *simSession) lock(_ context.Context, m merchant.ID, items []*item) (*batch, map[key]*record, error) {
	s.travel(s.by)
	if s.befalls(s.trouble.before) {
		s.cut()
		return nil, nil, errCut
	}
	shelf := s.shelves[m]
	in, err := s.lockHead(s.by, shelf)
	if err != nil {
		return nil, nil, err
	}
	s.in = in
	b := newBatch(m)
	b.head, b.shown = shelf.head, s.host.Now()
	b.setTime(b.shown)
	known := map[key]*record{}
	for _, i := range items {
		if r, ok := shelf.records[i.Command.key()]; ok {
			known[i.Command.key()] = &r
		}
	}
	in.idleUntil = s.host.Now().Add(5 * time.Second)
	if s.befalls(s.trouble.after) {
		s.cut()
		return nil, nil, fmt.Errorf("%w: %w", connector.ErrOutcomeUnknown, errCut)
	}
	s.travel(s.by)
	return b, known, nil
}

func (s *simSession) load(_ context.Context, b *batch, items []*item, known map[key]*record) error {
	needs := b.missing(items, known)
	if needs.nothing() {
		return nil
	}
	s.travel(s.by)
	if !s.alive() || s.befalls(s.trouble.before) {
		s.cut()
		return errCut
	}
	shelf := s.in.shelf
	for id := range needs.customers {
		if c, ok := shelf.customers[merchant.CustomerID(id)]; ok {
			b.customers[c.ID] = &c
		}
	}
	for id := range needs.payments {
		if p, ok := shelf.payments[payment.ID(id)]; ok {
			b.payments[p.ID] = &p
			needs.addPayment(b, &p)
		}
	}
	for id := range needs.transactions {
		of := ledger.TransactionID(id)
		if t := shelf.posted[of]; t != nil {
			loaded := *t
			if by, ok := shelf.reversals[of]; ok {
				loaded.ReversedBy = &by
			}
			b.transactions[of] = &loaded
			needs.addTransaction(b, &loaded)
		}
	}
	for id := range needs.holds {
		if h, ok := shelf.holds[ledger.HoldID(id)]; ok {
			b.holds[h.ID] = &h
			needs.addHold(b, &h)
		}
	}
	for _, a := range shelf.accounts {
		if needs.accounts[string(a.ID)] || a.CustomerID == nil && needs.inner[innerOf(&a)] {
			loaded := &account{Account: &a}
			loaded.save()
			b.accounts[a.ID] = loaded
			if a.CustomerID == nil {
				b.inner[innerOf(&a)] = loaded
			}
		}
	}
	return nil
}

// alive says whether the server has not ended the session meanwhile.
func (s *simSession) alive() bool {
	if s.in != nil && !s.in.ended && !s.in.idleUntil.IsZero() && !s.host.Now().Before(s.in.idleUntil) {
		s.in.end()
	}
	return s.open && s.in != nil && !s.in.ended
}

func (s *simSession) send(b *batch, stamp int64) error {
	w, shelf := wire(b, stamp), s.shelves[b.merchant]
	unknown := fmt.Errorf("%w: %w", connector.ErrOutcomeUnknown, errCut)
	if s.befalls(s.trouble.late) {
		s.sendLate(shelf, w)
		return unknown
	}
	s.travel(s.by)
	if s.befalls(s.trouble.before) {
		s.cut()
		return unknown
	}
	if w.assumed {
		in, err := s.lockHead(s.by, shelf)
		if err != nil {
			return err
		}
		s.in = in
	} else if !s.alive() {
		s.cut()
		return errCut
	}
	err := s.execute(shelf, w)
	if s.befalls(s.trouble.after) {
		s.cut()
		s.lost()
		return unknown
	}
	s.travel(s.by)
	return err
}

// execute has the server execute the statement and end the transaction, whatever becomes of who has sent it.
func (s *simSession) execute(shelf *shelf, w *written) (err error) {
	in, done := s.in, make(chan struct{})
	s.in, in.idleUntil = nil, time.Time{}
	s.host.Go(func() {
		s.host.Wait(s.upTo(time.Millisecond)) // the disk
		if s.befalls(s.trouble.full) {
			err = &pq.Error{Code: "53100", Message: "the disk is full"}
		} else {
			err = s.commit(shelf, w)
		}
		in.end()
		close(done)
	})
	s.by.Wait(clock.Forever, done)
	return err
}

// sendLate sends a statement whose answer nobody gets, and which is executed in a while: meanwhile the lock is held, if the transaction has it.
func (s *simSession) sendLate(shelf *shelf, w *written) {
	in := s.in
	s.in, s.open = nil, false
	if in != nil {
		if in.ended {
			return
		}
		in.idleUntil = time.Time{}
	}
	s.host.Go(func() {
		s.host.Wait(s.upTo(4 * time.Second))
		if in == nil {
			var err error
			if in, err = s.lockHead(s.host, shelf); err != nil {
				return
			}
		}
		_ = s.commit(shelf, w) // nobody hears of an error
		in.end()
	})
}

func (s *simSession) rollback() {
	if !s.open {
		return
	}
	s.travel(s.by)
	if s.in != nil {
		s.in.end()
		s.in = nil
	}
}

func (s *simSession) discard() { s.cut() }
