package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/clock/clocktest"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
)

// simReads is what a node reads outside of batches.
type simReads struct {
	*simDatabase
	by *clocktest.Host
}

var errUnread = errors.New("the read has failed")

func (r *simReads) shelf(m answer.MerchantID) (*shelf, error) {
	r.travel(r.by)
	if r.befalls(r.trouble.unread) {
		return nil, errUnread
	}
	return r.shelves[m], nil
}

func found[K comparable, V any](from map[K]V, id K) (*V, error) {
	if v, ok := from[id]; ok {
		return &v, nil
	}
	return nil, fmt.Errorf("there is no %v", id)
}

func (r *simReads) Account(_ context.Context, p auth.Principal, id ledger.AccountID) (*ledger.Account, error) {
	s, err := r.shelf(p.Merchant)
	if err != nil {
		return nil, err
	}
	return found(s.accounts, id)
}

func (r *simReads) Payment(_ context.Context, p auth.Principal, id payment.ID) (*payment.Payment, error) {
	s, err := r.shelf(p.Merchant)
	if err != nil {
		return nil, err
	}
	return found(s.payments, id)
}

func (r *simReads) Capture(_ context.Context, p auth.Principal, id payment.CaptureID) (*payment.Capture, error) {
	s, err := r.shelf(p.Merchant)
	if err != nil {
		return nil, err
	}
	return found(s.captures, id)
}

func (r *simReads) Refund(_ context.Context, p auth.Principal, id payment.RefundID) (*payment.Refund, error) {
	s, err := r.shelf(p.Merchant)
	if err != nil {
		return nil, err
	}
	return found(s.refunds, id)
}

func (r *simReads) Customer(_ context.Context, p auth.Principal, id merchant.CustomerID) (*merchant.Customer, error) {
	s, err := r.shelf(p.Merchant)
	if err != nil {
		return nil, err
	}
	return found(s.customers, id)
}

func (r *simReads) Transaction(_ context.Context, p auth.Principal, id ledger.TransactionID) (*ledger.Transaction, error) {
	s, err := r.shelf(p.Merchant)
	if err != nil {
		return nil, err
	}
	if t := s.posted[id]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("there is no %v", id)
}

func (r *simReads) Due(_ context.Context, _ []command.TimerKind, limit int) ([]command.Due, error) {
	s, err := r.shelf(simMerchant)
	if err != nil {
		return nil, err
	}
	var due []command.Due
	for _, t := range s.waiting() {
		if t.DueAt.After(r.host.Now()) || len(due) == limit {
			break
		}
		due = append(due, command.Due{Merchant: simMerchant, Timer: t})
	}
	r.travel(r.by)
	return due, nil
}

func (r *simReads) Heads(_ context.Context, merchants []answer.MerchantID) (map[answer.MerchantID]event.Head, error) {
	heads := map[answer.MerchantID]event.Head{}
	for _, m := range merchants {
		s, err := r.shelf(m)
		if err != nil {
			return nil, err
		}
		heads[m] = event.Head{Sequence: s.head.sequence, Hash: s.head.hash}
	}
	r.travel(r.by)
	return heads, nil
}

func (r *simReads) Since(_ context.Context, m answer.MerchantID, after int64, limit int) (event.Commit, error) {
	c := event.Commit{Merchant: m}
	s, err := r.shelf(m)
	if err != nil {
		return c, err
	}
	for _, e := range s.events[min(after, int64(len(s.events))):min(after+int64(limit), int64(len(s.events)))] {
		c.Events = append(c.Events, e)
		posted, err := ledger.EntriesOf(&e)
		if err != nil {
			return c, err
		}
		for _, entry := range posted {
			c.Entries = append(c.Entries, event.Entry{Account: string(entry.AccountID), Number: entry.AccountSequence, Object: entry})
		}
	}
	r.travel(r.by)
	return c, nil
}
