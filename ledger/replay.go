package ledger

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/money"
)

// posted is what Transaction.State writes, as far as entries need it.
type posted struct {
	Transactions []struct {
		ID       TransactionID  `json:"id"`
		Currency money.Currency `json:"currency"`
		Entries  []struct {
			Account   AccountID `json:"account"`
			Sequence  string    `json:"sequence"`
			Direction Direction `json:"direction"`
			Amount    string    `json:"amount"`
			After     string    `json:"after"`
		} `json:"entries"`
	} `json:"transactions"`
}

// EntriesOf are the entries that an event's command posted, as the event's payload holds them.
func EntriesOf(e *event.Event) ([]*Entry, error) {
	var p posted
	if err := json.Unmarshal(e.Payload, &p); err != nil {
		return nil, fmt.Errorf("the payload of event %d: %w", e.Sequence, err)
	}
	var entries []*Entry
	for _, t := range p.Transactions {
		for i, of := range t.Entries {
			var numbers [3]int64
			for n, text := range []string{of.Sequence, of.Amount, of.After} {
				var err error
				if numbers[n], err = strconv.ParseInt(text, 10, 64); err != nil {
					return nil, fmt.Errorf("the payload of event %d: %w", e.Sequence, err)
				}
			}
			entries = append(entries, &Entry{
				TransactionID: t.ID, Leg: int16(FirstLeg + i), AccountID: of.Account, AccountSequence: numbers[0], Direction: of.Direction,
				Amount: money.Amount{MinorUnits: numbers[1], Currency: t.Currency}, PostedAfter: numbers[2], CreatedAt: e.OccurredAt,
			})
		}
	}
	return entries, nil
}
