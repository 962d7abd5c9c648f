package store

// each begins a query about objects that are named by $2, an array of identifiers: place counts them, from 1.
const each = ` FROM unnest($2::uuid[]) WITH ORDINALITY AS u (id, place)`

// eachSpan begins a query about entries of accounts by their numbers.
const eachSpan = ` FROM unnest($2::uuid[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS u (id, after, before, place)`

// part is the rows of a table that belong to the row before, by a condition on the leading columns of an index. The planner knows an
// average merchant, and for a large one would now and then rather read all of the merchant's rows once than look up each; a subquery with
// an end cannot be turned around. end is LIMIT or OFFSET 0.
func part(columns, table, alias, condition, end string) string {
	return `(SELECT ` + columns + ` FROM ` + table + ` ` + alias + ` WHERE ` + alias + `.merchant_id = $1 AND ` + condition + ` ` + end + `) ` + alias
}

// lateral joins a part.
func lateral(columns, table, alias, condition, end string) string {
	return ` CROSS JOIN LATERAL ` + part(columns, table, alias, condition, end)
}

// What belongs to a row of account, or to a row that names a transaction.
var (
	withBalance = lateral(balanceColumns, `balance`, `b`, `b.account_id = a.id`, `LIMIT 1`)
	withEntries = lateral(legColumns, `entry`, `e`, `e.transaction_id = t.transaction_id`, `OFFSET 0`)
)
