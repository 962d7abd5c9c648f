package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/clock"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
)

// simSubscriber hears a stream, at one node after the other.
type simSubscriber struct {
	topic event.Topic
	last  int64 // the number that it has
}

// subscribe has somebody listen, from the beginning or from where things stand.
func (w *world) subscribe() {
	s := &simSubscriber{topic: event.Topic{Kind: event.OfMerchant}}
	if w.Rand.IntN(2) == 0 {
		s.topic = event.Topic{Kind: event.OfAccount, Object: string(w.wallets[w.Rand.IntN(len(w.wallets))])}
	}
	if w.Rand.IntN(2) == 0 {
		s.last = w.reaches(s.topic)
	}
	w.subscribers = append(w.subscribers, s)
	w.outside.Go(func() {
		for w.wrong == nil {
			w.listen(s)
			w.seen.Resumed++
			w.pause(time.Second)
		}
	})
}

// reaches is the last number of a stream.
func (w *world) reaches(t event.Topic) int64 {
	s := w.db.shelves[simMerchant]
	if t.Kind == event.OfMerchant {
		return int64(len(s.events))
	}
	return int64(len(s.entries[ledger.AccountID(t.Object)]))
}

// listen follows a stream at any node until it ends. A client who hears nothing for a while leaves.
func (w *world) listen(s *simSubscriber) {
	node := w.nodes[w.Rand.IntN(len(w.nodes))]
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan struct{})
	node.host.Go(func() {
		defer close(ended)
		sub, err := node.store.Hub.Subscribe(ctx, simMerchant, w.stream(node, s))
		if err != nil {
			return
		}
		defer sub.Close()
		sub.Start(s.last, true)
		w.follow(ctx, node, s, sub)
	})
	w.outside.Wait(5*time.Second+time.Duration(w.Rand.Int64N(int64(20*time.Second))), ended)
}

// stream is how the subscriber reads what it has missed.
func (w *world) stream(node *simNode, s *simSubscriber) event.Stream {
	reads := &simReads{w.db, node.host}
	return event.Stream{Topic: s.topic, Read: func(_ context.Context, after int64, limit int) ([]*event.Item, error) {
		shelf, err := reads.shelf(simMerchant)
		if err != nil {
			return nil, err
		}
		var items []*event.Item
		for n := after + 1; n <= w.reaches(s.topic) && len(items) < limit; n++ {
			item := &event.Item{Number: n}
			if s.topic.Kind == event.OfMerchant {
				item.Event = &shelf.events[n-1]
			}
			items = append(items, item)
		}
		reads.travel(node.host)
		return items, nil
	}}
}

// follow does what a transport does.
func (w *world) follow(ctx context.Context, node *simNode, s *simSubscriber, sub *event.Subscription) {
	woken := make(chan struct{}, 1)
	wake := func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	}
	for live := false; !live; {
		items, now, err := sub.CatchUp(ctx, wake)
		if err != nil {
			w.leaves(s, err)
			return
		}
		w.hear(ctx, s, items)
		live = now
	}
	for node.host.Wait(clock.Forever, ctx.Done(), woken) != 0 {
		items, err := sub.Take()
		if err != nil {
			w.leaves(s, err)
			return
		}
		w.hear(ctx, s, items)
	}
}

// leaves says why a subscriber has to go: never for being too slow, which also stands for a gap that the hub has noticed itself, and never because
// the log is another one.
func (w *world) leaves(s *simSubscriber, err error) {
	if errors.Is(err, event.ErrTooSlow) || errors.Is(err, event.ErrLogChanged) {
		w.fail("a subscriber of %+v, who has heard %d of %d, is sent away: %v", s.topic, s.last, w.reaches(s.topic), err)
	}
}

// hear takes items, each of which must continue the one before. Who has left hears nothing.
func (w *world) hear(ctx context.Context, s *simSubscriber, items []*event.Item) {
	for _, i := range items {
		if ctx.Err() != nil {
			return
		}
		if i.Number != s.last+1 {
			w.fail("a subscriber of %+v hears %d after %d", s.topic, i.Number, s.last)
		}
		if i.Event != nil && i.Event.Hash != w.db.shelves[simMerchant].events[i.Number-1].Hash {
			w.fail("a subscriber of %+v hears another event %d than there is", s.topic, i.Number)
		}
		s.last = i.Number
		w.seen.Heard++
	}
}

// check looks at everything when all is quiet.
func (w *world) check() error {
	s := w.db.shelves[simMerchant]
	w.seen.Events = len(s.events)
	for _, sub := range w.subscribers {
		if sub.last != w.reaches(sub.topic) {
			return fmt.Errorf("a subscriber of %+v has heard %d of %d", sub.topic, sub.last, w.reaches(sub.topic))
		}
	}
	for _, check := range []func() error{s.checkBalances, s.checkLog, w.checkTransfers, s.checkPayments, w.checkLives} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkBalances explains balances by entries: nothing is made, nothing is lost, nobody is below zero.
func (s *shelf) checkBalances() error {
	var all ledger.Sums
	for id, a := range s.accounts {
		var sums ledger.Sums
		for _, e := range s.entries[id] {
			if err := errors.Join(sums.Add(e.Direction, e.Amount.MinorUnits, e.PendingMinorUnits),
				all.Add(e.Direction, e.Amount.MinorUnits, e.PendingMinorUnits)); err != nil {
				return err
			}
			now := ledger.Account{Kind: a.Kind, Sums: sums}
			if e.PostedAfter != now.Posted() || e.AvailableAfter != now.Available() {
				return fmt.Errorf("entry %d on %s says %d after it, want %d", e.AccountSequence, id, e.PostedAfter, now.Posted())
			}
		}
		if sums != a.Sums || a.Sequence != int64(len(s.entries[id])) {
			return fmt.Errorf("the balance of %s is %+v after %d entries, want %+v after %d", id, a.Sums, a.Sequence, sums, len(s.entries[id]))
		}
		if a.CustomerID != nil && (a.Posted() < 0 || a.Available() < 0) {
			return fmt.Errorf("wallet %s is below zero: %+v", id, a.Sums)
		}
	}
	if all.DebitsPosted != all.CreditsPosted || all.DebitsPending != all.CreditsPending {
		return fmt.Errorf("the sum of all is %+v", all)
	}
	return nil
}

// checkLog holds the log against the rows: every entry is in it, and every key has had one effect.
func (s *shelf) checkLog() error {
	entries, effects := 0, map[string]int{}
	for i := range s.events {
		e := &s.events[i]
		posted, err := ledger.EntriesOf(e)
		if err != nil {
			return err
		}
		for _, p := range posted {
			if had := s.entries[p.AccountID][p.AccountSequence-1]; had.PostedAfter != p.PostedAfter || had.TransactionID != p.TransactionID {
				return fmt.Errorf("event %d says %+v, and the row is %+v", e.Sequence, p, had)
			}
		}
		entries += len(posted)
		var payload struct{ Cause struct{ Request string } }
		if err := json.Unmarshal(e.Payload, &payload); err != nil {
			return err
		}
		effect := string(e.Type) + payload.Cause.Request
		if a := s.accounts[ledger.AccountID(e.ObjectID)]; a.CustomerID == nil {
			effect += string(a.Kind) // a request may open several of the merchant's
		}
		if effects[effect]++; effects[effect] > 1 {
			return fmt.Errorf("event %d is the second %s of its request", e.Sequence, e.Type)
		}
	}
	for _, all := range s.entries {
		entries -= len(all)
	}
	if entries != 0 {
		return fmt.Errorf("the log has %d entries more than there are rows", entries)
	}
	references := map[string]int{}
	for _, t := range s.posted {
		if t.Kind == ledger.Transfer || t.Kind == ledger.Reversal {
			references[answer.Or(t.Reference)]++
		}
	}
	for _, p := range s.payments {
		references[answer.Or(p.Reference)]++
	}
	for reference, times := range references {
		if times > 1 {
			return fmt.Errorf("%s was done %d times", reference, times)
		}
	}
	return nil
}

// checkTransfers holds reversals against transfers: each undoes one, all of it, and nobody undoes it again.
func (w *world) checkTransfers() error {
	s := w.db.shelves[simMerchant]
	for id, t := range s.posted {
		switch t.Kind {
		case ledger.Transfer:
			w.seen.Transferred++
			continue
		case ledger.Reversal:
			w.seen.Reversed++
		default:
			continue
		}
		of := s.posted[*t.Reverses]
		if of == nil || of.Kind != ledger.Transfer || s.reversals[of.ID] != id {
			return fmt.Errorf("%s reverses %s, which is %+v and reversed by %s", id, *t.Reverses, of, s.reversals[*t.Reverses])
		}
		left := map[ledger.AccountID]int64{}
		for _, e := range slices.Concat(of.Entries, t.Entries) {
			if left[e.AccountID] += e.Amount.MinorUnits; e.Direction == ledger.Debit {
				left[e.AccountID] -= 2 * e.Amount.MinorUnits
			}
		}
		for account, n := range left {
			if n != 0 {
				return fmt.Errorf("%s has undone %s, and %d are left on %s", id, of.ID, n, account)
			}
		}
	}
	if len(s.reversals) != w.seen.Reversed {
		return fmt.Errorf("there are %d reversals, and %d transfers are reversed", w.seen.Reversed, len(s.reversals))
	}
	return nil
}

func innerOf(a *ledger.Account) command.Inner {
	return command.Inner{Kind: string(a.Kind), Currency: string(a.Currency)}
}
