package store

import (
	"context"
	"reflect"
	"strconv"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/ledger"
)

// holds checks that holds follow from the entries: each is as the transaction that has made it says, and as the one that has ended it, and each
// entry that sets something aside, or free again, belongs to such a hold. Since balances follow from the same entries, what is pending on an
// account is the sum of its open holds.
func (v *verification) holds(ctx context.Context) error {
	var after answer.UUID
	for {
		found, err := v.holdsAfter(ctx, after)
		if err != nil {
			return err
		}
		if err := v.explained(ctx, found); err != nil {
			return err
		}
		if len(found) < page {
			return v.missingHolds(ctx)
		}
		after, _ = answer.Decode(answer.HoldPrefix, found[page-1].NodeID())
	}
}

func (v *verification) holdsAfter(ctx context.Context, after answer.UUID) ([]*ledger.Hold, error) {
	l := newList(v.merchant, `SELECT `+holdColumns+` FROM hold h WHERE h.merchant_id = $1`)
	l.where("h.id > ?", after.String())
	l.text.WriteString(" ORDER BY h.id LIMIT " + strconv.Itoa(page))
	return gather(ctx, v.Reads, l, scanHold)
}

// explained compares holds with what the transactions say that they name.
func (v *verification) explained(ctx context.Context, holds []*ledger.Hold) error {
	var ids []string
	for _, h := range holds {
		ids = append(ids, string(h.ID.MadeBy()))
		if h.EndedBy != nil {
			ids = append(ids, string(*h.EndedBy))
		}
	}
	found, err := v.Transactions(ctx, v.merchant, ids)
	if err != nil {
		return err
	}
	transactions := map[ledger.TransactionID]*ledger.Transaction{}
	for _, t := range found {
		transactions[t.ID] = t
	}
	for _, h := range holds {
		var want *ledger.Hold
		if t := transactions[h.ID.MadeBy()]; t != nil && h.ID.MadeBy() == t.ID {
			want = t.Made()
		}
		if want == nil || want.ID != h.ID {
			return v.wrong("hold", h.ID, "no transaction has made it")
		}
		if h.EndedBy != nil {
			t := transactions[*h.EndedBy]
			if t == nil || t.Ended(want) == nil {
				return v.wrong("hold", h.ID, "%s has not ended it", *h.EndedBy)
			}
			want = t.Ended(want)
		}
		if !reflect.DeepEqual(h, want) {
			return v.wrong("hold", h.ID, "it is %+v, and its transactions say %+v", *h, *want)
		}
	}
	return nil
}

// missingHolds finds an entry that makes a hold, or ends one, of which no hold knows.
func (v *verification) missingHolds(ctx context.Context) error {
	return v.query(ctx, v.merchant, `SELECT e.hold_id, e.transaction_id FROM entry e WHERE e.merchant_id = $1 AND e.hold_id IS NOT NULL
		AND NOT EXISTS (SELECT FROM hold h WHERE h.merchant_id = $1 AND h.id = e.hold_id
			AND CASE WHEN e.pending > 0 THEN h.id ELSE h.ended_by END = e.transaction_id)
		ORDER BY e.transaction_id LIMIT 1`, func(scan scanner) error {
		var hold, transaction answer.UUID
		if err := scan(&hold, &transaction); err != nil {
			return err
		}
		return v.wrong("hold", answer.Encode(answer.HoldPrefix, hold), "%s has made or ended it, and it does not say so",
			answer.Encode(answer.TransactionPrefix, transaction))
	})
}
