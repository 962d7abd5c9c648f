package store

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/paygraph/paygraph/clock"
	"github.com/paygraph/paygraph/clock/clocktest"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
)

// simDatabase is PostgreSQL as a writer meets it: heads with locks, rows under primary keys, commits whole or not at all; and a network that
// loses what was asked and what was answered.
type simDatabase struct {
	sim     *clocktest.Simulation
	host    *clocktest.Host
	shelves map[merchant.ID]*shelf
	trouble mishaps
	setBack time.Duration // by how much its clock was, in all
	broken  error         // the first thing that a database would not have allowed, or that no writer may do
}

// mishaps are what goes wrong.
type mishaps struct {
	refused mishap // a connection
	before  mishap // a request is lost before the server has it
	after   mishap // its answer is lost
	late    mishap // its answer is lost, and it is executed later
	full    mishap // the server answers that the disk is full
	unread  mishap // a read fails
	slow    mishap // a message takes up to three seconds
}

// mishap is how often something goes wrong, and where it is counted.
type mishap struct {
	often float64
	met   *int
}

func (m mishaps) String() string {
	return fmt.Sprintf("refused %.2f, before %.2f, after %.2f, late %.2f, full %.2f, unread %.2f, slow %.2f",
		m.refused.often, m.before.often, m.after.often, m.late.often, m.full.often, m.unread.often, m.slow.often)
}

// shelf is what the database has of one merchant.
type shelf struct {
	head      head
	customers map[merchant.CustomerID]merchant.Customer
	accounts  map[ledger.AccountID]ledger.Account
	payments  map[payment.ID]payment.Payment
	holds     map[ledger.HoldID]ledger.Hold
	entries   map[ledger.AccountID][]ledger.Entry
	posted    map[ledger.TransactionID]*ledger.Transaction
	captures  map[payment.CaptureID]payment.Capture
	refunds   map[payment.RefundID]payment.Refund
	reversals map[ledger.TransactionID]ledger.TransactionID
	timers    map[timerKey]command.Timer
	events    []event.Event
	records   map[key]record

	holder   *transaction  // who has the head's lock
	released chan struct{} // is closed when it has not
}

// timerKey is a timer's primary key.
type timerKey struct {
	kind, object string
	dueAt        int64 // in microseconds
}

func keyOfTimer(t command.Timer) timerKey {
	return timerKey{string(t.Kind), t.ObjectID, t.DueAt.UnixMicro()}
}

// transaction is one that has the head's lock.
type transaction struct {
	shelf     *shelf
	idleUntil time.Time // when the server ends it; zero: it is at work
	ended     bool
}

func newShelf(m merchant.ID) *shelf {
	return &shelf{
		head:      head{hash: event.Genesis(m), stamp: 1},
		customers: map[merchant.CustomerID]merchant.Customer{}, accounts: map[ledger.AccountID]ledger.Account{},
		payments: map[payment.ID]payment.Payment{}, holds: map[ledger.HoldID]ledger.Hold{},
		entries: map[ledger.AccountID][]ledger.Entry{}, posted: map[ledger.TransactionID]*ledger.Transaction{}, records: map[key]record{},
		captures: map[payment.CaptureID]payment.Capture{}, refunds: map[payment.RefundID]payment.Refund{},
		reversals: map[ledger.TransactionID]ledger.TransactionID{}, timers: map[timerKey]command.Timer{},
		released: make(chan struct{}),
	}
}

var errCut = errors.New("the connection is gone")

// befalls is true as often as the mishap says.
func (d *simDatabase) befalls(m mishap) bool {
	if m.often == 0 || d.sim.Rand.Float64() >= m.often {
		return false
	}
	*m.met++
	return true
}

// upTo is any time up to one.
func (d *simDatabase) upTo(most time.Duration) time.Duration {
	return time.Duration(d.sim.Rand.Int64N(int64(most)))
}

// travel is the way of a message to the server or back.
func (d *simDatabase) travel(by clock.Clock) {
	most := time.Millisecond
	if d.befalls(d.trouble.slow) {
		most = 3 * time.Second
	}
	by.Wait(d.upTo(most))
}

// end ends a transaction without its effect, or after it.
func (t *transaction) end() {
	if t.ended {
		return
	}
	t.ended = true
	t.shelf.holder = nil
	close(t.shelf.released)
	t.shelf.released = make(chan struct{})
}

// lockHead waits for the head's lock, as long as lock_timeout says. A holder that does nothing is ended after a while.
func (d *simDatabase) lockHead(by clock.Clock, s *shelf) (*transaction, error) {
	for deadline := d.host.Now().Add(2 * time.Second); s.holder != nil; {
		now, most := d.host.Now(), time.Duration(math.MaxInt64)
		if until := s.holder.idleUntil; !until.IsZero() {
			if most = until.Sub(now); most <= 0 {
				s.holder.end()
				break
			}
		}
		if !now.Before(deadline) {
			return nil, &pq.Error{Code: "55P03", Message: "lock_timeout"}
		}
		by.Wait(min(most, deadline.Sub(now)), s.released)
	}
	s.holder = &transaction{shelf: s}
	return s.holder, nil
}

// written is what a statement carries: values, as they were when it was sent.
type written struct {
	assumed   bool
	expects   int64 // the head's stamp
	head      head
	customers []merchant.Customer
	opened    []ledger.Account
	changed   []ledger.Account
	balances  []ledger.Account
	payments  []payment.Payment
	holds     []ledger.Hold
	posted    []*ledger.Transaction
	captures  []payment.Capture
	refunds   []payment.Refund
	reversals []ledger.Transaction
	timers    []command.Timer
	served    []command.Timer
	events    []event.Event
	records   []record
}

// wire copies what the batch has decided.
func wire(b *batch, stamp int64) *written {
	w := &written{assumed: b.assumed, expects: b.head.stamp, head: head{b.head.sequence, b.head.hash, b.t, stamp, b.head.plans}, events: slices.Clone(b.events)}
	w.customers, w.opened, w.changed = values(b.newCustomers), values(b.newAccounts), values(b.changedAccounts)
	w.balances = append(values(b.balances), values(b.heldBalances)...)
	w.payments = append(values(b.newPayments), values(b.changedPayments)...)
	w.holds = append(values(b.newHolds), values(b.endedHolds)...)
	w.captures, w.refunds, w.reversals = values(b.newCaptures), values(b.newRefunds), values(b.newReversals)
	w.timers, w.served = slices.Clone(b.newTimers), slices.Clone(b.served)
	w.records = values(b.records)
	for _, e := range b.newEntries {
		if e.Leg == ledger.FirstLeg {
			t := *e.of
			t.Entries = slices.Clone(t.Entries)
			w.posted = append(w.posted, &t)
		}
	}
	return w
}

func values[T any](of []*T) []T {
	var all []T
	for _, one := range of {
		all = append(all, *one)
	}
	return all
}

// poisonKey begins the keys of commands that the database refuses.
const poisonKey = "poison-"

// commit writes everything, or says what the server would.
func (d *simDatabase) commit(s *shelf, w *written) error {
	if err := s.refuses(w); err != nil {
		return err
	}
	d.check(s, w)
	s.keep(w)
	for id := range w.touched() {
		if err := s.fits(id); err != nil {
			d.wrong("%w, after event %d", err, len(s.events))
		}
	}
	return nil
}

// refuses is what the server says to rows that it does not take.
func (s *shelf) refuses(w *written) error {
	if s.head.stamp != w.expects {
		return &pq.Error{Code: "22P02", Message: movedOn}
	}
	for _, r := range w.records {
		if _, known := s.records[key{r.owner, r.key}]; known {
			return &pq.Error{Code: "23505", Message: "the key " + r.key + " is known"}
		}
		if strings.HasPrefix(r.key, poisonKey) {
			return &pq.Error{Code: "22021", Message: "no character of ours"}
		}
	}
	for _, t := range w.reversals {
		if by, known := s.reversals[*t.Reverses]; known {
			return &pq.Error{Code: "23505", Message: fmt.Sprintf("%s is reversed by %s", *t.Reverses, by)}
		}
	}
	for _, t := range w.timers {
		if _, known := s.timers[keyOfTimer(t)]; known {
			return &pq.Error{Code: "23505", Message: t.Key() + " is there"}
		}
	}
	return nil
}

// keep writes all rows. What is deleted is what was there before.
func (s *shelf) keep(w *written) {
	s.head = w.head
	s.events = append(s.events, w.events...)
	for _, r := range w.records {
		r.object, r.refusal = nil, nil // they are not written
		s.records[key{r.owner, r.key}] = r
	}
	for _, c := range w.customers {
		s.customers[c.ID] = c
	}
	for _, a := range w.opened {
		s.accounts[a.ID] = a
	}
	for _, a := range w.changed {
		was := s.accounts[a.ID]
		a.Sums, a.Sequence = was.Sums, was.Sequence
		s.accounts[a.ID] = a
	}
	for _, a := range w.balances {
		was := s.accounts[a.ID]
		was.Sums, was.Sequence = a.Sums, a.Sequence
		s.accounts[a.ID] = was
	}
	for _, p := range w.payments {
		s.payments[p.ID] = p
	}
	for _, h := range w.holds {
		s.holds[h.ID] = h
	}
	for _, c := range w.captures {
		s.captures[c.ID] = c
	}
	for _, r := range w.refunds {
		s.refunds[r.ID] = r
	}
	for _, t := range w.reversals {
		s.reversals[*t.Reverses] = t.ID
	}
	for _, t := range w.served {
		delete(s.timers, keyOfTimer(t))
	}
	for _, t := range w.timers {
		s.timers[keyOfTimer(t)] = t
	}
	for _, t := range w.posted {
		s.posted[t.ID] = t
		for _, e := range t.Entries {
			s.entries[e.AccountID] = append(s.entries[e.AccountID], e)
		}
	}
}

// waiting are the timers in the order in which they are due.
func (s *shelf) waiting() []command.Timer {
	return slices.SortedFunc(maps.Values(s.timers), func(a, b command.Timer) int {
		return cmp.Or(a.DueAt.Compare(b.DueAt), strings.Compare(a.ObjectID, b.ObjectID))
	})
}

// check says what no commit may do: leave a gap, or number something twice.
func (d *simDatabase) check(s *shelf, w *written) {
	next := int64(len(s.events))
	prev := s.head.hash
	for _, e := range w.events {
		if next++; e.Sequence != next {
			d.wrong("event %d comes where %d should", e.Sequence, next)
		}
		if e.Hash != event.Next(prev, simMerchant, e.Sequence, e.Schema, e.Payload) {
			d.wrong("event %d does not continue the one before", e.Sequence)
		}
		prev = e.Hash
	}
	if len(w.events) > 0 && (w.head.sequence != next || w.head.hash != prev) {
		d.wrong("the head is not the last event")
	}
	if !w.head.at.After(s.head.at) {
		d.wrong("t goes back, from %v to %v", s.head.at, w.head.at)
	}
	rows := map[string]bool{} // a statement may change each once
	for _, id := range append(idsOf(w.payments), idsOf(w.holds)...) {
		if rows[id] {
			d.wrong("%s is written twice at once", id)
		}
		rows[id] = true
	}
	more := map[ledger.AccountID]int64{}
	for _, t := range w.posted {
		for _, e := range t.Entries {
			if more[e.AccountID]++; e.AccountSequence != int64(len(s.entries[e.AccountID]))+more[e.AccountID] {
				d.wrong("entry %d comes on %s, which has %d", e.AccountSequence, e.AccountID, len(s.entries[e.AccountID]))
			}
		}
	}
}

func idsOf[T any, P interface {
	*T
	NodeID() string
}](of []T) []string {
	ids := make([]string, len(of))
	for i := range of {
		ids[i] = P(&of[i]).NodeID()
	}
	return ids
}

func (d *simDatabase) wrong(format string, what ...any) {
	if d.broken == nil {
		d.broken = fmt.Errorf(format, what...)
	}
}
