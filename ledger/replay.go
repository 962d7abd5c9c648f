package ledger

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/money"
)

// posted is what Transaction.State writes, as far as entries need it.
type posted struct {
	ID       TransactionID  `json:"id"`
	Currency money.Currency `json:"currency"`
	Entries  []struct {
		Account   AccountID `json:"account"`
		Sequence  string    `json:"sequence"`
		Direction Direction `json:"direction"`
		Amount    string    `json:"amount"`
		After     string    `json:"after"`
		Pending   string    `json:"pending"`   // left out: 0
		Available string    `json:"available"` // left out: as after
		Hold      *HoldID   `json:"hold"`
	} `json:"entries"`
}

// EntriesOf are the entries that an event's command posted, as the event's payload holds them: those of the transactions that came with its
// object, or of the transaction that is its object.
func EntriesOf(e *event.Event) ([]*Entry, error) {
	var p struct {
		State        posted   `json:"state"`
		Transactions []posted `json:"transactions"`
	}
	of := any(&struct {
		Transactions *[]posted `json:"transactions"`
	}{&p.Transactions})
	if e.Type.Object() == answer.TransactionPrefix {
		of = &p
	}
	if err := json.Unmarshal(e.Payload, of); err != nil {
		return nil, fmt.Errorf("the payload of event %d: %w", e.Sequence, err)
	}
	var entries []*Entry
	for _, t := range append(p.Transactions, p.State) {
		more, err := t.entries(e)
		if err != nil {
			return nil, fmt.Errorf("the payload of event %d: %w", e.Sequence, err)
		}
		entries = append(entries, more...)
	}
	return entries, nil
}

func (t posted) entries(e *event.Event) ([]*Entry, error) {
	entries := make([]*Entry, len(t.Entries))
	for i, of := range t.Entries {
		var numbers [5]int64
		for n, text := range []string{of.Sequence, of.Amount, of.After, cmp.Or(of.Pending, "0"), cmp.Or(of.Available, of.After)} {
			var err error
			if numbers[n], err = strconv.ParseInt(text, 10, 64); err != nil {
				return nil, err
			}
		}
		entries[i] = &Entry{
			TransactionID: t.ID, Leg: int16(FirstLeg + i), AccountID: of.Account, AccountSequence: numbers[0], Direction: of.Direction,
			Amount: money.Amount{MinorUnits: numbers[1], Currency: t.Currency}, PostedAfter: numbers[2], PendingMinorUnits: numbers[3],
			AvailableAfter: numbers[4], HoldID: of.Hold, CreatedAt: e.OccurredAt,
		}
	}
	return entries, nil
}
