package soak

// source is where effects of commands are found in the database: a query for rows of key, object, minor units that were deposited, and the
// identifier that is read on from, of a merchant ($1) and beyond an identifier ($2).
// Identifiers of a merchant are in the order of the commits, so that a source need not be read again.
type source struct {
	name  string
	query string
}

var (
	payments = &source{"payments", `SELECT reference, id, 0::bigint, id FROM payment
		WHERE merchant_id = $1 AND id > $2 AND reference IS NOT NULL`}
	// paid are the transactions of payments, each with the payment.
	paid = &source{"payments' transactions", `SELECT p.reference || CASE WHEN p.reference LIKE '%` + toConfirm + `' THEN '` + confirming + `' ELSE '' END,
		p.id, 0::bigint, e.transaction_id FROM entry e JOIN payment p ON p.merchant_id = e.merchant_id AND p.id = e.payment_id
		WHERE e.merchant_id = $1 AND e.transaction_id > $2 AND e.leg = 1`}
	// moved are the other transactions.
	moved = &source{"transactions", `SELECT reference, transaction_id, CASE WHEN kind = 'DEPOSIT' THEN amount ELSE 0 END, transaction_id
		FROM entry WHERE merchant_id = $1 AND transaction_id > $2 AND leg = 1 AND payment_id IS NULL`}
	// holds have the UUIDs of their transactions.
	holds = &source{"holds", `SELECT reference, id, 0::bigint, id FROM hold WHERE merchant_id = $1 AND id > $2`}
)

var sources = []*source{payments, paid, moved, holds}
