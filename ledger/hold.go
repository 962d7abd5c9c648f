package ledger

import (
	"fmt"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/money"
)

// HoldID names a hold: "hol_" and the UUID of the transaction that made it.
type HoldID string

// HoldStatus says what became of a hold.
type HoldStatus string

// The statuses of a hold.
const (
	HoldOpen   HoldStatus = "OPEN"
	HoldPosted HoldStatus = "POSTED" // wholly or in part; the rest is free again
	HoldVoided HoldStatus = "VOIDED"
)

// Hold is an amount of an account that is set aside for another, and has not moved. It never changes, but for its end: what is held on after
// a part was posted is a new hold. Its entries explain it, as they explain balances, and so it has no events of its own.
type Hold struct {
	ID               HoldID
	AccountID        AccountID // is debited where it is posted
	CounterAccountID AccountID // is credited
	Amount           money.Amount
	PaymentID        *string        // the payment that it belongs to
	Reference        *string        // the client's word, as its transaction has it
	Salt             []byte         // likewise
	EndedBy          *TransactionID // nil while it is open
	PostedMinorUnits int64          // of the amount, once it has ended
	CreatedAt        time.Time
	EndedAt          *time.Time
}

// NodeID is the hold's identifier.
func (h *Hold) NodeID() string { return string(h.ID) }

// Status follows from how it ended.
func (h *Hold) Status() HoldStatus {
	switch {
	case h.EndedBy == nil:
		return HoldOpen
	case h.PostedMinorUnits > 0:
		return HoldPosted
	}
	return HoldVoided
}

// Posted is how much of it has moved.
func (h *Hold) Posted() money.Amount {
	return money.Amount{MinorUnits: h.PostedMinorUnits, Currency: h.Amount.Currency}
}

// MadeBy is the transaction that made the hold. The identifier has to be one.
func (id HoldID) MadeBy() TransactionID {
	return TransactionID(answer.Derive(answer.TransactionPrefix, string(id), 0))
}

// Hold is the identifier of the hold that the transaction makes, if it makes one. The identifier has to be one.
func (id TransactionID) Hold() HoldID {
	return HoldID(answer.Derive(answer.HoldPrefix, string(id), 0))
}

// SetAside are the legs that make a hold.
func SetAside(amount money.Amount, from, to *Account) []Leg {
	return []Leg{
		{Account: from, Direction: Debit, Pending: amount.MinorUnits}, {Account: to, Direction: Credit, Pending: amount.MinorUnits},
	}
}

// End are the legs that end a hold: so many minor units of it move, and the rest is free again. from and to are its accounts.
func (h *Hold) End(posted int64, from, to *Account) []Leg {
	return []Leg{
		{Account: from, Direction: Debit, Posted: posted, Pending: -h.Amount.MinorUnits, Ends: h},
		{Account: to, Direction: Credit, Posted: posted, Pending: -h.Amount.MinorUnits, Ends: h},
	}
}

// Made is the hold that the transaction made, as it was then; nil where it made none.
func (t *Transaction) Made() *Hold {
	h := &Hold{
		ID: t.ID.Hold(), PaymentID: t.PaymentID, Reference: t.Reference, Salt: t.Salt, CreatedAt: t.CreatedAt,
	}
	for _, e := range t.Entries {
		switch {
		case e.PendingMinorUnits <= 0:
		case e.Direction == Debit:
			h.AccountID, h.Amount = e.AccountID, e.Pending()
		default:
			h.CounterAccountID = e.AccountID
		}
	}
	if h.AccountID == "" || h.CounterAccountID == "" {
		return nil
	}
	return h
}

// Ended is a hold of the amount that the transaction set free, as it is then; nil where the transaction did not end it.
func (t *Transaction) Ended(h *Hold) *Hold {
	for _, e := range t.Entries {
		if e.HoldID != nil && *e.HoldID == h.ID && e.Direction == Debit && e.PendingMinorUnits == -h.Amount.MinorUnits {
			ended := *h
			ended.EndedBy, ended.EndedAt, ended.PostedMinorUnits = &t.ID, &t.CreatedAt, e.Amount.MinorUnits
			return &ended
		}
	}
	return nil
}

// hold is the hold that a leg of a transaction belongs to, or nil.
func (l Leg) hold(t TransactionID) *HoldID {
	switch {
	case l.Pending == 0:
		return nil
	case l.Ends != nil:
		return &l.Ends.ID
	}
	id := t.Hold()
	return &id
}

// checkHolds says whether a posting makes one hold at most, ends others whole, and each of them on its two accounts alone.
func (d Draft) checkHolds() error {
	var made [2]*Leg // by side
	for i := range d.Legs {
		leg := &d.Legs[i]
		side := 0
		if leg.Direction == Credit {
			side = 1
		}
		switch {
		case leg.Pending > 0 && made[side] != nil:
			return fmt.Errorf("%w: %s and %s would make two holds", ErrUnbalanced, made[side], leg)
		case leg.Pending > 0:
			made[side] = leg
		case leg.Pending < 0 && !d.ends(leg.Ends):
			return fmt.Errorf("%w: %s does not end hold %s, which is %s", ErrUnbalanced, leg, leg.Ends.ID, leg.Ends.Status())
		}
	}
	return nil
}

// ends says whether a posting has the two legs that [Hold.End] gives for an open hold, and no other of it.
func (d Draft) ends(h *Hold) bool {
	var of []Leg
	for _, leg := range d.Legs {
		if leg.Ends == h {
			of = append(of, leg)
		}
	}
	return h.EndedBy == nil && len(of) == 2 && of[0].Direction != of[1].Direction && of[0].Posted == of[1].Posted &&
		of[0].Posted <= h.Amount.MinorUnits && of[0].endsOn(h) && of[1].endsOn(h)
}

func (l Leg) endsOn(h *Hold) bool {
	account := h.AccountID
	if l.Direction == Credit {
		account = h.CounterAccountID
	}
	return l.Account.ID == account && l.Pending == -h.Amount.MinorUnits
}

// holds adds the hold that a transaction made to the books, and the ends of others.
func (d Draft) holds(b Books, t *Transaction) {
	makes := false
	for _, leg := range d.Legs {
		makes = makes || leg.Pending > 0
		if leg.Ends != nil && leg.Direction == Debit {
			b.EndedHold(t.Ended(leg.Ends))
		}
	}
	if makes {
		b.AddHold(t.Made())
	}
}
