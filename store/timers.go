package store

import (
	"context"
	"time"

	"github.com/lib/pq"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
)

// dueTime bounds a look at the timers, of which an answer may never come.
const dueTime = 5 * time.Second

// Due finds timers of some kinds that are due: some that have been for longest, and as many that have become so last, since a merchant with
// very many of them is not to keep waiting what other merchants have now. What they had in the midst of them waits. It asks the primary, by the database's clock.
func (s *Store) Due(ctx context.Context, kinds []command.TimerKind, limit int) ([]command.Due, error) {
	ctx, cancel := context.WithTimeout(ctx, dueTime)
	defer cancel()
	rows, err := s.writers.QueryContext(ctx, `(SELECT merchant_id, object_id, kind, due_at FROM timer
			WHERE due_at <= (SELECT clock_timestamp()) AND kind = ANY($1) ORDER BY due_at LIMIT $2)
		UNION (SELECT merchant_id, object_id, kind, due_at FROM timer
			WHERE due_at <= (SELECT clock_timestamp()) AND kind = ANY($1) ORDER BY due_at DESC LIMIT $2)
		ORDER BY due_at`, pq.Array(kinds), limit)
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
