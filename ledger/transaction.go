package ledger

import (
	"fmt"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/money"
)

// TransactionID names a transaction: "txn_" and a UUIDv7 whose last byte is zero.
type TransactionID string

// EntryID names an entry: "ent_" and its transaction's UUID with the number of its leg, from 1, as last byte.
type EntryID string

// TransactionKind says why money moved.
type TransactionKind string

// The kinds of transaction.
const (
	Deposit  TransactionKind = "DEPOSIT"
	Transfer TransactionKind = "TRANSFER"
	Payment  TransactionKind = "PAYMENT"
	Held     TransactionKind = "HOLD"
	Released TransactionKind = "RELEASE"
	Refund   TransactionKind = "REFUND"
	Reversal TransactionKind = "REVERSAL"
)

// TransactionStatus says whether a transaction still stands.
type TransactionStatus string

// The statuses of a transaction.
const (
	Posted   TransactionStatus = "POSTED"   // it stands
	Reversed TransactionStatus = "REVERSED" // a later one has undone it
)

// Transaction is one balanced posting: its debits equal its credits.
type Transaction struct {
	ID        TransactionID
	Kind      TransactionKind
	Amount    money.Amount   // what moved; what was set aside where it is HOLD, what is free again where it is RELEASE
	PaymentID *string        // the payment that it belongs to
	Reference *string        // the client's word
	Reverses  *TransactionID // the transaction that it undoes
	Entries   []Entry        // in the order of their legs
	ValueDate time.Time      // the day from which it counts, at midnight UTC
	CreatedAt time.Time      // when it was booked: the batch's t
	Salt      []byte         // hides the reference in the log; nil without one

	ReversedBy *TransactionID // what has undone it, where that was read: later than everything else, which never changes
}

// Status follows from later transactions.
func (t *Transaction) Status() TransactionStatus {
	if t.ReversedBy != nil {
		return Reversed
	}
	return Posted
}

// NodeID is the transaction's identifier.
func (t *Transaction) NodeID() string { return string(t.ID) }

// Entry is one leg of a transaction on one account.
type Entry struct {
	TransactionID     TransactionID
	Leg               int16 // FirstLeg and on, in the transaction
	AccountID         AccountID
	AccountSequence   int64 // 1, 2, 3 … in the account, without a gap
	Direction         Direction
	Amount            money.Amount // what it posts: zero where it only makes or ends a hold
	PendingMinorUnits int64        // what it sets aside on its side; below zero what is free again
	HoldID            *HoldID      // the hold that it makes or ends
	PostedAfter       int64        // the account's balance after it, minor units
	AvailableAfter    int64        // what requests could take after it, minor units
	CreatedAt         time.Time
}

// Pending is what the entry sets aside on its side; below zero what is free again.
func (e *Entry) Pending() money.Amount {
	return money.Amount{MinorUnits: e.PendingMinorUnits, Currency: e.Amount.Currency}
}

// IsUsual says whether the entry has nothing to do with holds, and stands on an account from which none will take.
func (e *Entry) IsUsual() bool {
	return e.PendingMinorUnits == 0 && e.HoldID == nil && e.AvailableAfter == e.PostedAfter
}

// Span names entries of an account by their numbers: those after one number and before another.
type Span struct {
	Account       AccountID
	After, Before int64
}

// Has says whether the entry is one of them.
func (s Span) Has(e *Entry) bool {
	return e.AccountID == s.Account && s.After < e.AccountSequence && e.AccountSequence < s.Before
}

// NodeID is the entry's identifier.
func (e *Entry) NodeID() string { return string(e.ID()) }

// ID is made from the transaction's identifier and the leg.
func (e *Entry) ID() EntryID {
	return EntryID(answer.Derive(answer.EntryPrefix, string(e.TransactionID), byte(e.Leg)))
}

// Locate splits an entry's identifier into its transaction and its leg. ok is false for text that names no entry.
func (id EntryID) Locate() (transaction TransactionID, leg int16, ok bool) {
	u, err := answer.Decode(answer.EntryPrefix, string(id))
	leg = int16(u[15])
	if err != nil || leg == 0 {
		return "", 0, false
	}
	u[15] = 0
	return TransactionID(answer.Encode(answer.TransactionPrefix, u)), leg, true
}

// RunningBalance is the account's posted balance after the entry.
func (e *Entry) RunningBalance() money.Amount {
	return money.Amount{MinorUnits: e.PostedAfter, Currency: e.Amount.Currency}
}

// State is what an event keeps of the transaction and its entries: enough to build all balances again from the log.
func (t *Transaction) State() event.State {
	entries := make([]event.State, len(t.Entries))
	for i := range t.Entries {
		entries[i] = t.Entries[i].State()
	}
	return make(event.State, 0, 640).
		Text("id", string(t.ID)).
		Text("kind", string(t.Kind)).
		Int("amount", t.Amount.MinorUnits).
		Text("currency", string(t.Amount.Currency)).
		Text("payment", answer.Or(t.PaymentID)).
		Salted("reference", t.Salt, answer.Or(t.Reference)).
		Text("reverses", string(answer.Or(t.Reverses))).
		Text("valueDate", t.ValueDate.Format(time.DateOnly)).
		Time("createdAt", t.CreatedAt).
		List("entries", entries)
}

// State is what an event keeps of the entry, in its transaction. A usual entry's has the same bytes as before there were holds.
func (e *Entry) State() event.State {
	s := make(event.State, 0, 160).
		Text("account", string(e.AccountID)).
		Int("sequence", e.AccountSequence).
		Text("direction", string(e.Direction)).
		Int("amount", e.Amount.MinorUnits).
		Int("after", e.PostedAfter)
	if e.PendingMinorUnits != 0 {
		s = s.Int("pending", e.PendingMinorUnits)
	}
	if e.AvailableAfter != e.PostedAfter {
		s = s.Int("available", e.AvailableAfter)
	}
	return s.Text("hold", string(answer.Or(e.HoldID)))
}

func (l Leg) String() string {
	return fmt.Sprintf("%s %d and %d pending on %s", l.Direction, l.Posted, l.Pending, l.Account.ID)
}

// SequenceOn is the number of the transaction's first entry on an account, or 0. Those of further ones follow.
func (t *Transaction) SequenceOn(id AccountID) int64 {
	for i := range t.Entries {
		if t.Entries[i].AccountID == id {
			return t.Entries[i].AccountSequence
		}
	}
	return 0
}
