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

// The methods of capture.
const (
	Automatic CaptureMethod = "AUTOMATIC" // with the confirmation
	Manual    CaptureMethod = "MANUAL"    // by captures, while it is set aside
)

// How long a payment waits for a client.
const (
	UnconfirmedLifetime   = 24 * time.Hour     // for its confirmation
	AuthorizationLifetime = 7 * 24 * time.Hour // for its captures
)

// Payment is the intent to move money from a source to a destination.
type Payment struct {
	ID                   ID
	Status               Status
	Amount               money.Amount
	SourceAccountID      *ledger.AccountID // nil until a source is known
	DestinationAccountID *ledger.AccountID // nil: the merchant
	CaptureMethod        CaptureMethod
	AuthorizedMinorUnits int64          // what was set aside, where it was to be captured later
	CapturedMinorUnits   int64          // what was taken
	RefundedMinorUnits   int64          // of that, what was given back
	FeeMinorUnits        int64          // what the merchant was charged for it
	HoldID               *ledger.HoldID // of what is set aside, as long as something is
	ExpiresAt            *time.Time     // when its time is up, as long as it waits for a client
	Reference            *string
	Metadata             answer.Metadata
	Version              int32
	CreatedAt            time.Time
	UpdatedAt            time.Time
	Salt                 []byte // hides reference and metadata in the log; nil without them
}

// NodeID is the payment's identifier.
func (p *Payment) NodeID() string { return string(p.ID) }

// FinalAt is when the payment last changed, where its status will not change any more; nil where it may.
func (p *Payment) FinalAt() *time.Time {
	if !Terminal(p.Status) {
		return nil
	}
	return &p.UpdatedAt
}

// Authorized is what the source has agreed to: what was set aside or, without that, what was taken at once.
func (p *Payment) Authorized() money.Amount {
	return p.of(max(p.AuthorizedMinorUnits, p.CapturedMinorUnits))
}

// Capturable is what can still be captured.
func (p *Payment) Capturable() money.Amount {
	if p.HoldID == nil {
		return p.of(0)
	}
	return p.of(p.AuthorizedMinorUnits - p.CapturedMinorUnits)
}

// Captured is what has been taken from the source.
func (p *Payment) Captured() money.Amount { return p.of(p.CapturedMinorUnits) }

// Refunded is what has been given back of that.
func (p *Payment) Refunded() money.Amount { return p.of(p.RefundedMinorUnits) }

// Refundable is what can still be given back.
func (p *Payment) Refundable() money.Amount { return p.of(p.CapturedMinorUnits - p.RefundedMinorUnits) }

// Fee is what the merchant was charged for the payment.
func (p *Payment) Fee() money.Amount { return p.of(p.FeeMinorUnits) }

// Net is what has been taken and not given back, without the fee. It falls below zero where everything was given back: fees stay.
func (p *Payment) Net() money.Amount {
	return p.of(p.CapturedMinorUnits - p.RefundedMinorUnits - p.FeeMinorUnits)
}

func (p *Payment) of(minorUnits int64) money.Amount {
	return money.Amount{MinorUnits: minorUnits, Currency: p.Amount.Currency}
}

// State is what an event keeps of the payment. What is as for most payments is left out.
func (p *Payment) State() event.State {
	s := make(event.State, 0, 512).
		Text("status", string(p.Status)).
		Int("amount", p.Amount.MinorUnits).
		Text("currency", string(p.Amount.Currency)).
		Text("source", string(answer.Or(p.SourceAccountID))).
		Text("destination", string(answer.Or(p.DestinationAccountID))).
		Int("captured", p.CapturedMinorUnits)
	if p.CaptureMethod != Automatic {
		s = s.Text("captureMethod", string(p.CaptureMethod))
	}
	if p.AuthorizedMinorUnits != 0 {
		s = s.Int("authorized", p.AuthorizedMinorUnits)
	}
	if p.RefundedMinorUnits != 0 {
		s = s.Int("refunded", p.RefundedMinorUnits)
	}
	if p.FeeMinorUnits != 0 {
		s = s.Int("fee", p.FeeMinorUnits)
	}
	s = s.Text("hold", string(answer.Or(p.HoldID)))
	if p.ExpiresAt != nil {
		s = s.Time("expiresAt", *p.ExpiresAt)
	}
	return s.
		Salted("reference", p.Salt, answer.Or(p.Reference)).
		SaltedMap("metadata", p.Salt, p.Metadata).
		Int("version", int64(p.Version)).
		Time("createdAt", p.CreatedAt).
		Time("updatedAt", p.UpdatedAt)
}
