package payment

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
)

// Current is a payment with the event that made it what it is, both as of one moment.
type Current struct {
	Payment *Payment
	By      *event.Event // nil: there is none, which is a defect
}

// StatusEvent is how a payment stands after one of its events.
type StatusEvent struct {
	Event    *event.Event
	Snapshot bool // the event is the last one when a subscription begins
	Status   Status
	Payment  *Payment // after the event or later; nil: it has to be read
}

// Sequence is the payment's version after the event.
func (s *StatusEvent) Sequence() int64 { return int64(s.Event.ObjectVersion) }

// OccurredAt is when the event happened.
func (s *StatusEvent) OccurredAt() time.Time { return s.Event.OccurredAt }

// StatusOf is the status that an event of a payment left it in.
func StatusOf(e *event.Event) (Status, error) {
	state, err := stateOf[struct {
		Status Status `json:"status"`
	}](e)
	return state.Status, err
}

// AccountsOf are the accounts between which a payment moves after one of its events, empty where there is none.
func AccountsOf(e *event.Event) (source, destination ledger.AccountID, err error) {
	state, err := stateOf[struct {
		Source      ledger.AccountID `json:"source"`
		Destination ledger.AccountID `json:"destination"`
	}](e)
	return state.Source, state.Destination, err
}

// stateOf is some of what an event keeps of its object.
func stateOf[T any](e *event.Event) (T, error) {
	var payload struct {
		State T `json:"state"`
	}
	if err := json.Unmarshal(e.Payload, &payload); err != nil {
		return payload.State, fmt.Errorf("the payload of event %d: %w", e.Sequence, err)
	}
	return payload.State, nil
}
