package resolvers

import (
	"context"
	"errors"
	"slices"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
)

// ErrForbidden is what a customer is answered who asks for what the merchant has as a whole.
var ErrForbidden = errors.New("this is open to the merchant alone")

// readsOf is the answers that a principal may have, of all that there are. Whatever a resolver reads, it reads through this.
func readsOf(p auth.Principal, all Reads) Reads {
	if p.Kind == auth.Customer {
		return customerReads{all, merchant.CustomerID(p.Customer), payment.ID(p.Payment)}
	}
	return all
}

// customerReads is what a customer sees: itself, its accounts, payments from or to them, and transactions with an entry on them, of which it
// sees these entries alone. All else is as if it was not there. What belongs to an object, such as an account's entries, is asked for by
// those who have found the object, and is not looked at again. It embeds nothing, so that a new question does not compile before it is
// said what a customer is answered.
//
// With a session for one payment it sees of payments this one alone, whatever accounts it is between: that is the merchant's word.
type customerReads struct {
	all      Reads
	customer merchant.CustomerID
	only     payment.ID // where the session is for one payment
}

func (r customerReads) Merchant(ctx context.Context, m merchant.ID) (*merchant.Merchant, error) {
	return r.all.Merchant(ctx, m)
}

func (r customerReads) Customers(ctx context.Context, m merchant.ID, ids []string) ([]*merchant.Customer, error) {
	if !slices.Contains(ids, string(r.customer)) {
		return nil, nil
	}
	return r.all.Customers(ctx, m, []string{string(r.customer)})
}

func (r customerReads) ListCustomers(context.Context, merchant.ID, merchant.CustomerFilter, answer.Slice) ([]*merchant.Customer, error) {
	return nil, ErrForbidden
}

func (r customerReads) CustomerAccounts(ctx context.Context, m merchant.ID, customers []string, before answer.UUID, limit int) ([][]*ledger.Account, error) {
	return r.all.CustomerAccounts(ctx, m, customers, before, limit)
}

func (r customerReads) Accounts(ctx context.Context, m merchant.ID, ids []string) ([]*ledger.Account, error) {
	found, err := r.all.Accounts(ctx, m, ids)
	return slices.DeleteFunc(found, func(a *ledger.Account) bool { return a.CustomerID == nil || *a.CustomerID != r.customer }), err
}

func (r customerReads) ListAccounts(ctx context.Context, m merchant.ID, f ledger.AccountFilter, s answer.Slice) ([]*ledger.Account, error) {
	if f.CustomerID != nil && *f.CustomerID != r.customer {
		return nil, nil
	}
	f.CustomerID = &r.customer
	return r.all.ListAccounts(ctx, m, f, s)
}

func (r customerReads) AccountEntries(ctx context.Context, m merchant.ID, of []ledger.Span) ([][]*ledger.Entry, error) {
	return r.all.AccountEntries(ctx, m, of)
}

func (r customerReads) AccountStatement(ctx context.Context, m merchant.ID, of []ledger.Span, limit int) ([][]*ledger.Entry, error) {
	return r.all.AccountStatement(ctx, m, of, limit)
}

func (r customerReads) AccountHolds(ctx context.Context, m merchant.ID, accounts []string, before answer.UUID, limit int) ([][]*ledger.Hold, error) {
	return r.all.AccountHolds(ctx, m, accounts, before, limit)
}

// Holds are those that set money of the customer's aside. That of others which is set aside for it is theirs until it moves.
func (r customerReads) Holds(ctx context.Context, m merchant.ID, ids []string) ([]*ledger.Hold, error) {
	found, err := r.all.Holds(ctx, m, ids)
	if err != nil {
		return nil, err
	}
	var on []ledger.AccountID
	for _, h := range found {
		on = append(on, h.AccountID)
	}
	own, err := r.own(ctx, m, on)
	return slices.DeleteFunc(found, func(h *ledger.Hold) bool { return !own[h.AccountID] }), err
}

func (r customerReads) AccountTransactions(ctx context.Context, m merchant.ID, of []ledger.Span) ([][]*ledger.Transaction, error) {
	found, err := r.all.AccountTransactions(ctx, m, of)
	if err != nil {
		return nil, err
	}
	return r.ownEntries(ctx, m, found)
}

// KnownTransactions knows none: whose their entries are is a question.
func (r customerReads) KnownTransactions(merchant.ID, ledger.Span) (found []*ledger.Transaction, known bool) {
	return nil, false
}

func (r customerReads) Transactions(ctx context.Context, m merchant.ID, ids []string) ([]*ledger.Transaction, error) {
	found, err := r.all.Transactions(ctx, m, ids)
	if err != nil {
		return nil, err
	}
	own, err := r.ownEntries(ctx, m, [][]*ledger.Transaction{found})
	return slices.Concat(own...), err
}

func (r customerReads) ListTransactions(context.Context, merchant.ID, ledger.TransactionFilter, answer.Slice) ([]*ledger.Transaction, error) {
	return nil, ErrForbidden
}

func (r customerReads) Entries(ctx context.Context, m merchant.ID, ids []ledger.EntryID) ([]*ledger.Entry, error) {
	found, err := r.all.Entries(ctx, m, ids)
	if err != nil {
		return nil, err
	}
	var on []ledger.AccountID
	for _, e := range found {
		if e != nil {
			on = append(on, e.AccountID)
		}
	}
	own, err := r.own(ctx, m, on)
	for i, e := range found {
		if e != nil && !own[e.AccountID] {
			found[i] = nil
		}
	}
	return found, err
}

func (r customerReads) Payments(ctx context.Context, m merchant.ID, ids []string) ([]*payment.Payment, error) {
	if r.only != "" {
		if !slices.Contains(ids, string(r.only)) {
			return nil, nil
		}
		return r.all.Payments(ctx, m, []string{string(r.only)})
	}
	found, err := r.all.Payments(ctx, m, ids)
	if err != nil {
		return nil, err
	}
	var between []ledger.AccountID
	for _, p := range found {
		between = append(between, answer.Or(p.SourceAccountID), answer.Or(p.DestinationAccountID))
	}
	own, err := r.own(ctx, m, between)
	return slices.DeleteFunc(found, func(p *payment.Payment) bool {
		return !own[answer.Or(p.SourceAccountID)] && !own[answer.Or(p.DestinationAccountID)]
	}), err
}

func (r customerReads) CurrentPayments(ctx context.Context, m merchant.ID, ids []string) ([]payment.Current, error) {
	found, _, err := r.currentPayments(ctx, m, ids)
	return found, err
}

// currentPayments says, too, which of the payments' accounts are the customer's.
func (r customerReads) currentPayments(ctx context.Context, m merchant.ID, ids []string) (found []payment.Current, own map[ledger.AccountID]bool, err error) {
	if r.only != "" {
		if !slices.Contains(ids, string(r.only)) {
			return nil, nil, nil
		}
		found, err = r.all.CurrentPayments(ctx, m, []string{string(r.only)})
		return found, nil, err
	}
	if found, err = r.all.CurrentPayments(ctx, m, ids); err != nil {
		return nil, nil, err
	}
	var between []ledger.AccountID
	for _, c := range found {
		between = append(between, answer.Or(c.Payment.SourceAccountID), answer.Or(c.Payment.DestinationAccountID))
	}
	own, err = r.own(ctx, m, between)
	return slices.DeleteFunc(found, func(c payment.Current) bool {
		return !own[answer.Or(c.Payment.SourceAccountID)] && !own[answer.Or(c.Payment.DestinationAccountID)]
	}), own, err
}

// ListPayments does not filter by others either, which would tell who the other side of a payment is.
func (r customerReads) ListPayments(ctx context.Context, m merchant.ID, f payment.Filter, s answer.Slice) ([]*payment.Payment, error) {
	if r.only != "" {
		return nil, ErrForbidden // viewer { payment } is it
	}
	if f.CustomerID != nil && *f.CustomerID != r.customer {
		return nil, nil
	}
	if f.AccountID != nil {
		if own, err := r.own(ctx, m, []ledger.AccountID{*f.AccountID}); err != nil || !own[*f.AccountID] {
			return nil, err
		}
	}
	f.CustomerID = &r.customer
	return r.all.ListPayments(ctx, m, f, s)
}

// PaymentTransactions are all of those that are asked for: each has an entry on the payment's source, or on its destination.
func (r customerReads) PaymentTransactions(ctx context.Context, m merchant.ID, payments []string, after answer.UUID, limit int) ([][]*ledger.Transaction, error) {
	found, err := r.all.PaymentTransactions(ctx, m, payments, after, limit)
	if err != nil {
		return nil, err
	}
	return r.ownEntries(ctx, m, found)
}

func (r customerReads) Captures(ctx context.Context, m merchant.ID, ids []string) ([]*payment.Capture, error) {
	found, err := r.all.Captures(ctx, m, ids)
	if err != nil {
		return nil, err
	}
	return ofOwnPayments(ctx, r, m, found, func(c *payment.Capture) payment.ID { return c.PaymentID })
}

func (r customerReads) Refunds(ctx context.Context, m merchant.ID, ids []string) ([]*payment.Refund, error) {
	found, err := r.all.Refunds(ctx, m, ids)
	if err != nil {
		return nil, err
	}
	return ofOwnPayments(ctx, r, m, found, func(f *payment.Refund) payment.ID { return f.PaymentID })
}

func (r customerReads) PaymentCaptures(ctx context.Context, m merchant.ID, payments []string, after answer.UUID, limit int) ([][]*payment.Capture, error) {
	return r.all.PaymentCaptures(ctx, m, payments, after, limit)
}

func (r customerReads) PaymentRefunds(ctx context.Context, m merchant.ID, payments []string, after answer.UUID, limit int) ([][]*payment.Refund, error) {
	return r.all.PaymentRefunds(ctx, m, payments, after, limit)
}

// ofOwnPayments are the objects whose payments the customer sees.
func ofOwnPayments[T any](ctx context.Context, r customerReads, m merchant.ID, found []T, of func(T) payment.ID) ([]T, error) {
	ids := make([]string, len(found))
	for i, object := range found {
		ids[i] = string(of(object))
	}
	payments, err := r.Payments(ctx, m, ids)
	own := map[payment.ID]bool{}
	for _, p := range payments {
		own[p.ID] = true
	}
	return slices.DeleteFunc(found, func(object T) bool { return !own[of(object)] }), err
}

// PaymentEvents are what the stream of a payment is made of, which sees to it that the payment is still the customer's. As events they are not
// seen: no customer may read the log.
func (r customerReads) PaymentEvents(ctx context.Context, m merchant.ID, payments []string, after int64, limit int) ([][]*event.Event, error) {
	return r.all.PaymentEvents(ctx, m, payments, after, limit)
}

func (r customerReads) Record(context.Context, merchant.ID, string) (*command.Record, error) {
	return nil, ErrForbidden // the merchant's keys
}

func (r customerReads) Events(context.Context, merchant.ID, []string) ([]*event.Event, error) {
	return nil, nil
}

func (r customerReads) ListEvents(context.Context, merchant.ID, []event.Type, int64, int) ([]*event.Event, error) {
	return nil, ErrForbidden
}

func (r customerReads) Head(context.Context, merchant.ID) (*event.Head, error) {
	return nil, ErrForbidden
}

// own says which of some accounts are the customer's.
func (r customerReads) own(ctx context.Context, m merchant.ID, accounts []ledger.AccountID) (map[ledger.AccountID]bool, error) {
	slices.Sort(accounts)
	accounts = slices.Compact(accounts)
	ids := make([]string, len(accounts))
	for i, id := range accounts {
		ids[i] = string(id)
	}
	found, err := r.Accounts(ctx, m, ids)
	own := make(map[ledger.AccountID]bool, len(found))
	for _, a := range found {
		own[a.ID] = true
	}
	return own, err
}

// ownEntries is the transactions of some lists with the entries on the customer's accounts alone, and without those that have none. The
// transactions themselves are left as they are: others may share them.
func (r customerReads) ownEntries(ctx context.Context, m merchant.ID, lists [][]*ledger.Transaction) ([][]*ledger.Transaction, error) {
	var on []ledger.AccountID
	for _, t := range slices.Concat(lists...) {
		for i := range t.Entries {
			on = append(on, t.Entries[i].AccountID)
		}
	}
	own, err := r.own(ctx, m, on)
	if err != nil {
		return nil, err
	}
	seen := make([][]*ledger.Transaction, len(lists))
	for i, list := range lists {
		for _, t := range list {
			part := *t
			part.Entries = slices.DeleteFunc(slices.Clone(t.Entries), func(e ledger.Entry) bool { return !own[e.AccountID] })
			if len(part.Entries) > 0 {
				seen[i] = append(seen[i], &part)
			}
		}
	}
	return seen, nil
}
