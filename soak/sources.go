package soak

// source is where effects of commands are found in the database: a query for rows of key, object, minor units that were deposited, and the
// identifier that is read on from, of a merchant ($1) and beyond an identifier ($2).
// Identifiers of a merchant are in the order of the commits, so that a source need not be read again.
type source struct {
	name  string
	query string
}

// ofTimers is in the place of a key what nobody has asked for: payments expire. What frees money before it may be is a cancellation, and was asked for.
const ofTimers = "a timer"

// timeIsUp says that a payment's money has been set aside for as long as it may be: seven days.
const timeIsUp = `e.created_at >= (SELECT h.created_at FROM entry h WHERE h.merchant_id = e.merchant_id AND h.payment_id = e.payment_id
				AND h.kind = 'HOLD' AND h.leg = 1) + interval '168 hours'`

// keyOf is the key of what has a reference, and an amount, whatever that is.
func keyOf(reference, amount string) string {
	return `regexp_replace(` + reference + `, '` + of + `[0-9]+', '` + of + `' || ` + amount + `)`
}

// refundKey is the key of a refund r: what its reason begins with, and its amount, whatever that is.
const refundKey = `coalesce(substring(r.reason FROM '.*-'), 'a refund that has no row, of ')`

var (
	payments = &source{"payments", `SELECT ` + keyOf("reference", "amount") + ` ||
			CASE WHEN reference LIKE '%` + sold + `%' <> (destination_account_id IS NULL) THEN ', for somebody else' ELSE '' END, id, 0::bigint, id
		FROM payment WHERE merchant_id = $1 AND id > $2 AND reference IS NOT NULL`}
	// paid are the transactions of payments: what confirms one, sets aside for one, captures, frees, and refunds, each with what it belongs to.
	paid = &source{"payments' transactions", `SELECT CASE
			WHEN e.kind = 'REFUND' THEN ` + refundKey + ` || e.amount
			WHEN e.kind = 'RELEASE' AND ` + timeIsUp + ` THEN '` + ofTimers + `'
			WHEN e.kind = 'RELEASE' THEN p.reference || '` + canceling + `'
			WHEN e.kind = 'PAYMENT' AND p.capture_method = 'MANUAL' THEN p.reference || '` + capturing + `' || e.amount
			WHEN p.reference LIKE '%` + toConfirm + `' THEN ` + keyOf("p.reference", "e.amount") + ` || '` + confirming + `'
			ELSE ` + keyOf("p.reference", "e.amount") + ` END,
		coalesce(c.id, r.id, p.id), 0::bigint, e.transaction_id
		FROM entry e JOIN payment p ON p.merchant_id = e.merchant_id AND p.id = e.payment_id
		LEFT JOIN capture c ON c.merchant_id = p.merchant_id AND c.payment_id = p.id AND c.transaction_id = e.transaction_id
		LEFT JOIN refund r ON r.merchant_id = p.merchant_id AND r.payment_id = p.id AND r.transaction_id = e.transaction_id
		WHERE e.merchant_id = $1 AND e.transaction_id > $2 AND e.leg = 1`}
	captures = &source{"captures", `SELECT p.reference || '` + capturing + `' || c.amount, c.id, 0::bigint, c.id
		FROM capture c JOIN payment p ON p.merchant_id = c.merchant_id AND p.id = c.payment_id WHERE c.merchant_id = $1 AND c.id > $2`}
	refunds = &source{"refunds", `SELECT ` + refundKey + ` || r.amount, r.id, 0::bigint, r.id FROM refund r WHERE r.merchant_id = $1 AND r.id > $2`}
	// moved are the other transactions.
	moved = &source{"transactions", `SELECT ` + keyOf("reference", "amount") + `, transaction_id, CASE WHEN kind = 'DEPOSIT' THEN amount ELSE 0 END, transaction_id
		FROM entry WHERE merchant_id = $1 AND transaction_id > $2 AND leg = 1 AND payment_id IS NULL`}
	// holds have the UUIDs of their transactions. Those of payments are looked at with them.
	holds = &source{"holds", `SELECT ` + keyOf("reference", "amount") + `, id, 0::bigint, id FROM hold WHERE merchant_id = $1 AND id > $2 AND payment_id IS NULL`}
)

var sources = [...]*source{payments, paid, captures, refunds, moved, holds}

// unsound finds the payments of which anything has moved beyond a transaction ($2) and whose amounts do not fit: what was captured later is the sum of its
// captures and at most what was authorised, what was refunded that of its refunds and at most what was captured, the fee is a share of what was captured
// ($3, in basis points) and a fixed part ($4), and as long as it is authorised, and no longer, the rest is set aside by one open hold.
const unsound = `WITH set_aside AS MATERIALIZED (SELECT payment_id, count(*) AS holds, sum(amount) AS amount FROM hold
		WHERE merchant_id = $1 AND ended_at IS NULL AND payment_id IS NOT NULL GROUP BY payment_id)
	SELECT p.id, p.status FROM payment p LEFT JOIN set_aside s ON s.payment_id = p.id
	CROSS JOIN LATERAL (SELECT coalesce(sum(amount), 0) AS amount FROM capture WHERE merchant_id = p.merchant_id AND payment_id = p.id) c
	CROSS JOIN LATERAL (SELECT coalesce(sum(amount), 0) AS amount FROM refund WHERE merchant_id = p.merchant_id AND payment_id = p.id) r
	WHERE p.merchant_id = $1
	AND p.id IN (SELECT payment_id FROM entry WHERE merchant_id = $1 AND transaction_id > $2 AND leg = 1 AND payment_id IS NOT NULL)
	AND NOT (p.captured <= coalesce(p.authorized, p.amount) AND (p.capture_method IS NULL OR p.captured = c.amount)
		AND coalesce(p.refunded, 0) <= p.captured AND coalesce(p.refunded, 0) = r.amount
		AND coalesce(p.fee, 0) = least(p.captured, (p.captured * $3 + 5000) / 10000 + $4)
		AND CASE WHEN p.status IN ('AUTHORIZED', 'PARTIALLY_CAPTURED')
			THEN coalesce(s.holds, 0) = 1 AND s.amount = p.authorized - p.captured ELSE s.holds IS NULL END)`
