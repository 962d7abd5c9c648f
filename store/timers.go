package store

import (
	"context"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
)

// Due finds timers that are due, of all merchants, those first that have been due for longest. It asks the primary, by the database's clock.
func (s *Store) Due(ctx context.Context, limit int) ([]command.Due, error) {
	rows, err := s.writers.QueryContext(ctx, `SELECT merchant_id, object_id, kind, due_at FROM timer
		WHERE due_at <= (SELECT clock_timestamp()) ORDER BY due_at LIMIT $1`, limit)
	var all []command.Due
	err = visitRows(rows, err, func(scan scanner) error {
		var id, object answer.UUID
		var d command.Due
		if err := scan(&id, &object, &d.Kind, &d.DueAt); err != nil {
			return err
		}
		d.ObjectID = answer.Encode(d.Kind.Object(), object)
		d.Merchant, d.DueAt = answer.MerchantID(answer.Encode(answer.MerchantPrefix, id)), d.DueAt.UTC()
		all = append(all, d)
		return nil
	})
	return all, trouble(err)
}
