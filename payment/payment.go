// Package payment knows what a payment is and how it moves: its states, the table of its transitions, and the commands.
package payment

import (
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
)

// ID names a payment: "pay_" and a UUIDv7.
type ID string

// CaptureMethod says when an authorised amount is taken.
type CaptureMethod string

// Automatic takes the amount with the confirmation.
const Automatic CaptureMethod = "AUTOMATIC"

// Payment is the intent to move money from a source to a destination.
type Payment struct {
	ID                   ID
	Status               Status
	Amount               money.Amount
	SourceAccountID      *ledger.AccountID // nil until a source is known
	DestinationAccountID *ledger.AccountID // nil: the merchant
	CapturedMinorUnits   int64
	Reference            *string
	Metadata             answer.Metadata
	Version              int32
	CreatedAt            time.Time
	UpdatedAt            time.Time
	Salt                 []byte // hides reference and metadata in the log; nil without them
}

// NodeID is the payment's identifier.
func (p *Payment) NodeID() string { return string(p.ID) }

// Captured is what has been taken from the source.
func (p *Payment) Captured() money.Amount {
	return money.Amount{MinorUnits: p.CapturedMinorUnits, Currency: p.Amount.Currency}
}

// CaptureMethod is AUTOMATIC: no other exists yet.
func (p *Payment) CaptureMethod() CaptureMethod { return Automatic }

// State is what an event keeps of the payment.
func (p *Payment) State() event.State {
	return make(event.State, 0, 512).
		Text("status", string(p.Status)).
		Int("amount", p.Amount.MinorUnits).
		Text("currency", string(p.Amount.Currency)).
		Text("source", string(answer.Or(p.SourceAccountID))).
		Text("destination", string(answer.Or(p.DestinationAccountID))).
		Int("captured", p.CapturedMinorUnits).
		Salted("reference", p.Salt, answer.Or(p.Reference)).
		SaltedMap("metadata", p.Salt, p.Metadata).
		Int("version", int64(p.Version)).
		Time("createdAt", p.CreatedAt).
		Time("updatedAt", p.UpdatedAt)
}
