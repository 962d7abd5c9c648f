package store

import (
	"context"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
)

// A record stays for ever, and its key is refused when its object has been final for [command.KeyLifetime]. Nobody sweeps or marks it: who looks
// the key up finds out (docs/decisions/023). The keys of the gateway's own commands do not expire.

// isOld says whether a record may have expired, so that its object has to be looked at.
func (r *record) isOld(t time.Time) bool {
	return r.owner != gatewayKeys && !t.Before(r.createdAt.Add(command.KeyLifetime))
}

// unsettled is the object of a record that may still have been under way when the command was done: a payment, or the hold of a transaction that has
// made one. Everything else is final at once.
func (r *record) unsettled() command.Needs {
	id := answer.Or(r.objectID)
	switch answer.PrefixOf(id) {
	case answer.PaymentPrefix:
		return command.Needs{Payments: []string{id}}
	case answer.TransactionPrefix:
		return command.Needs{Holds: []string{string(ledger.TransactionID(id).Hold())}}
	}
	return command.Needs{}
}

// hasExpired is the rule, for a record and its payment or hold, as far as there is one.
func (r *record) hasExpired(t time.Time, p *payment.Payment, h *ledger.Hold) bool {
	finalAt := &r.createdAt
	switch {
	case p != nil:
		finalAt = p.FinalAt()
	case h != nil:
		finalAt = h.EndedAt
	}
	return finalAt != nil && !t.Before(finalAt.Add(command.KeyLifetime))
}

// expired says whether a command's key has expired, as things stand where the command comes in the batch.
func (b *batch) expired(r *record) bool {
	if !r.isOld(b.t) {
		return false
	}
	var p *payment.Payment
	var h *ledger.Hold
	needs := r.unsettled()
	for _, id := range needs.Payments {
		p = b.payments[payment.ID(id)]
	}
	for _, id := range needs.Holds {
		h = b.holds[ledger.HoldID(id)]
	}
	return r.hasExpired(b.t, p, h)
}

// expired is the same outside of a batch.
func (r Reads) expired(ctx context.Context, m merchant.ID, rec *record, t time.Time) (bool, error) {
	if !rec.isOld(t) {
		return false, nil
	}
	needs := rec.unsettled()
	p, err := first(r.Payments(ctx, m, needs.Payments))
	if err != nil {
		return false, err
	}
	h, err := first(r.Holds(ctx, m, needs.Holds))
	return rec.hasExpired(t, p, h), err
}
