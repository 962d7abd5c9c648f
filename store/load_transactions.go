package store

import (
	"context"
	"maps"
	"slices"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/ledger"
)

var (
	legsByID      = `SELECT ` + legColumns + each + lateral(legColumns, `entry`, `e`, `e.transaction_id = u.id`, `OFFSET 0`) + ` ORDER BY e.transaction_id, e.leg`
	reversalsByID = `SELECT r.transaction_id, r.reversed_by` + each +
		lateral(`r.transaction_id, r.reversed_by`, `reversal`, `r`, `r.transaction_id = u.id`, `LIMIT 1`)
)

// loadTransactions reads transactions, and which of them have been reversed.
func (s *session) loadTransactions(ctx context.Context, b *batch, ids map[string]bool) error {
	legs := fold()
	err := s.byID(ctx, b, answer.TransactionPrefix, ids, legsByID, func(scan scanner) error {
		t, err := legs(scan)
		if t != nil {
			b.transactions[t.ID] = t
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.byID(ctx, b, answer.TransactionPrefix, ids, reversalsByID, func(scan scanner) error {
		r, err := scanReversal(scan)
		if t := b.transactions[r.of]; t != nil && err == nil {
			t.ReversedBy = &r.by
		}
		return err
	})
}

// reversal says which transaction has undone another.
type reversal struct{ of, by ledger.TransactionID }

func scanReversal(scan scanner) (*reversal, error) {
	var of, by answer.UUID
	err := scan(&of, &by)
	return &reversal{
		ledger.TransactionID(answer.Encode(answer.TransactionPrefix, of)), ledger.TransactionID(answer.Encode(answer.TransactionPrefix, by)),
	}, err
}

// withReversals says of transfers whether they have been reversed, which is all that can change of a transaction. Where there are none, and where
// reading has failed, it asks nothing.
func (r Reads) withReversals(ctx context.Context, m answer.MerchantID, read error, lists ...[]*ledger.Transaction) error {
	if read != nil {
		return read
	}
	transfers := map[string][]*ledger.Transaction{}
	for _, list := range lists {
		for _, t := range list {
			if t.Kind == ledger.Transfer {
				transfers[t.NodeID()] = append(transfers[t.NodeID()], t)
			}
		}
	}
	if len(transfers) == 0 {
		return nil
	}
	found, err := some(ctx, r, m, answer.TransactionPrefix, slices.Collect(maps.Keys(transfers)), reversalsByID, scanReversal)
	for _, f := range found {
		for _, t := range transfers[string(f.of)] {
			t.ReversedBy = &f.by
		}
	}
	return err
}

// addTransaction adds the accounts of a transaction.
func (n missing) addTransaction(b *batch, t *ledger.Transaction) {
	var needs command.Needs
	for i := range t.Entries {
		needs.Accounts = append(needs.Accounts, string(t.Entries[i].AccountID))
	}
	n.add(b, needs)
}
