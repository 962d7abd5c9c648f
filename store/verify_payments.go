package store

import (
	"context"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
)

// payments checks what payments say against what belongs to them: what was captured later is the sum of the captures, what was refunded the sum
// of the refunds, and what is still set aside is the one open hold of the payment. Their amounts are in bounds.
func (v *verification) payments(ctx context.Context) error {
	err := v.query(ctx, v.merchant, `SELECT p.id FROM payment p
		LEFT JOIN (SELECT payment_id, sum(amount) AS amount FROM capture WHERE merchant_id = $1 GROUP BY payment_id) c ON c.payment_id = p.id
		LEFT JOIN (SELECT payment_id, sum(amount) AS amount FROM refund WHERE merchant_id = $1 GROUP BY payment_id) r ON r.payment_id = p.id
		LEFT JOIN hold h ON h.merchant_id = p.merchant_id AND h.id = p.hold_id AND h.payment_id = p.id AND h.ended_at IS NULL
		WHERE p.merchant_id = $1 AND NOT (
			p.captured = CASE p.capture_method WHEN 'MANUAL' THEN COALESCE(c.amount, 0) ELSE p.captured END
			AND COALESCE(p.refunded, 0) = COALESCE(r.amount, 0) AND COALESCE(p.refunded, 0) <= p.captured
			AND p.captured <= COALESCE(p.authorized, p.amount)
			AND (p.hold_id IS NOT NULL) = (p.status IN ('AUTHORIZED', 'PARTIALLY_CAPTURED'))
			AND (p.hold_id IS NULL OR h.amount IS NOT DISTINCT FROM p.authorized - p.captured))
		ORDER BY p.id LIMIT 1`, v.wrongOf("payment", answer.PaymentPrefix, "its amounts, its captures, its refunds and its hold do not fit"))
	if err != nil {
		return err
	}
	return v.query(ctx, v.merchant, `SELECT h.id FROM hold h WHERE h.merchant_id = $1 AND h.payment_id IS NOT NULL AND h.ended_at IS NULL
		AND NOT EXISTS (SELECT FROM payment p WHERE p.merchant_id = $1 AND p.id = h.payment_id AND p.hold_id = h.id)
		ORDER BY h.id LIMIT 1`, v.wrongOf("hold", answer.HoldPrefix, "it is open, and its payment does not know it"))
}

// timers checks that a payment that waits for a client has one timer, of its time, and that there are no others.
func (v *verification) timers(ctx context.Context) error {
	return v.query(ctx, v.merchant, `SELECT COALESCE(p.id, t.object_id)
		FROM (SELECT id, expires_at FROM payment WHERE merchant_id = $1 AND expires_at IS NOT NULL) p
		FULL JOIN (SELECT object_id, kind, due_at FROM timer WHERE merchant_id = $1) t
			ON t.object_id = p.id AND t.due_at = p.expires_at AND t.kind = $2
		WHERE p.id IS NULL OR t.object_id IS NULL ORDER BY 1 LIMIT 1`, v.wrongOf("timer", answer.PaymentPrefix, "it is not there, or should not be"), string(command.PaymentExpires))
}

// reversals checks that the table says what the entries say.
func (v *verification) reversals(ctx context.Context) error {
	return v.query(ctx, v.merchant, `SELECT COALESCE(r.transaction_id, e.reverses)
		FROM (SELECT transaction_id, reversed_by FROM reversal WHERE merchant_id = $1) r
		FULL JOIN (SELECT transaction_id, reverses FROM entry WHERE merchant_id = $1 AND reverses IS NOT NULL) e
			ON e.reverses = r.transaction_id AND e.transaction_id = r.reversed_by
		WHERE r.transaction_id IS NULL OR e.reverses IS NULL ORDER BY 1 LIMIT 1`, v.wrongOf("reversal", answer.TransactionPrefix, "it is not as the entries say"))
}

// wrongOf is what is said of a row whose identifier a query finds: none is, where all is well.
func (v *verification) wrongOf(table string, prefix answer.Prefix, what string) func(scanner) error {
	return func(scan scanner) error {
		var id answer.UUID
		if err := scan(&id); err != nil {
			return err
		}
		return v.wrong(table, answer.Encode(prefix, id), "%s", what)
	}
}
