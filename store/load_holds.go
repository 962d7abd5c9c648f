package store

import (
	"context"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/ledger"
)

const holdColumns = `h.id, h.account_id, h.counter_account_id, h.amount, h.currency, h.payment_id, h.reference, h.salt, h.ended_by, h.posted,
	h.created_at, h.ended_at`

var holdsByID = `SELECT ` + holdColumns + each + lateral(holdColumns, `hold`, `h`, `h.id = u.id`, `LIMIT 1`)

func (s *session) loadHolds(ctx context.Context, b *batch, ids map[string]bool) error {
	return s.byID(ctx, b, answer.HoldPrefix, ids, holdsByID, func(scan scanner) error {
		h, err := scanHold(scan)
		if err == nil {
			b.holds[h.ID] = h
		}
		return err
	})
}

func scanHold(scan scanner) (*ledger.Hold, error) {
	var h ledger.Hold
	var id, account, counter answer.UUID
	var of, endedBy nullUUID
	err := scan(&id, &account, &counter, &h.Amount.MinorUnits, &h.Amount.Currency, &of, &h.Reference, &h.Salt, &endedBy, &h.PostedMinorUnits,
		&h.CreatedAt, &h.EndedAt)
	h.ID = ledger.HoldID(answer.Encode(answer.HoldPrefix, id))
	h.AccountID = ledger.AccountID(answer.Encode(answer.AccountPrefix, account))
	h.CounterAccountID = ledger.AccountID(answer.Encode(answer.AccountPrefix, counter))
	h.PaymentID = maybe[string](answer.PaymentPrefix, of)
	h.EndedBy = maybe[ledger.TransactionID](answer.TransactionPrefix, endedBy)
	h.CreatedAt = h.CreatedAt.UTC()
	if h.EndedAt != nil {
		*h.EndedAt = h.EndedAt.In(time.UTC)
	}
	return &h, err
}

// addHold adds the accounts that a hold names.
func (n missing) addHold(b *batch, h *ledger.Hold) {
	n.add(b, command.Needs{Accounts: []string{string(h.AccountID), string(h.CounterAccountID)}})
}
