package soak

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/store"
)

// checker holds the database against a register. It reads on from where it was.
type checker struct {
	*world
	register  *register
	merchant  string   // in PostgreSQL's form
	reached   []string // of each source
	deposited int64    // minor units, in all transactions so far
}

func newChecker(w *world, r *register) (*checker, error) {
	id, err := answer.Decode(answer.MerchantPrefix, string(w.merchant))
	c := &checker{world: w, register: r, merchant: id.String()}
	for range sources {
		c.reached = append(c.reached, answer.UUID{}.String())
	}
	return c, err
}

// check holds everything that was acknowledged since the last time, and all new effects, against each other, in one snapshot of the database: each
// acknowledged command has just its effects and its record, nothing has two, payments' amounts fit, and wallets, merchant and fees have each its part of
// what was deposited.
func (c *checker) check(ctx context.Context) error {
	tx, err := c.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	return c.checkIn(ctx, tx)
}

// checkIn is check in a transaction whose snapshot is still to be taken: what is acknowledged by then is in it.
func (c *checker) checkIn(ctx context.Context, tx *sql.Tx) error {
	keys := c.register.takeFresh()
	if err := c.readUnsound(ctx, tx); err != nil {
		return fmt.Errorf("reading payments' amounts: %w", err)
	}
	for n := range sources {
		if err := c.readSource(ctx, tx, n); err != nil {
			return fmt.Errorf("reading %s: %w", sources[n].name, err)
		}
	}
	for _, key := range keys {
		c.register.judge(key)
	}
	if err := c.readRecords(ctx, tx, keys); err != nil {
		return fmt.Errorf("reading records: %w", err)
	}
	return c.sum(ctx, tx)
}

// readSource takes the effects that are new.
func (c *checker) readSource(ctx context.Context, tx *sql.Tx, n int) error {
	rows, err := tx.QueryContext(ctx, sources[n].query, c.merchant, c.reached[n])
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var key string
		var object, at answer.UUID
		var deposited int64
		if err := rows.Scan(&key, &object, &deposited, &at); err != nil {
			return err
		}
		c.deposited += deposited
		c.reached[n] = max(c.reached[n], at.String())
		if strings.HasPrefix(key, preparing) || key == ofTimers {
			continue
		}
		c.register.found(n, key, object)
	}
	return rows.Err()
}

// readUnsound looks at the payments whose transactions will be read next.
func (c *checker) readUnsound(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, unsound, c.merchant, c.reached[slices.Index(sources[:], paid)], charged.BasisPoints, charged.FixedMinorUnits)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id answer.UUID
		var status string
		if err := rows.Scan(&id, &status); err != nil {
			return err
		}
		c.register.note("the payment %s is %s, and its amounts, captures, refunds, fee and hold do not fit", id, status)
	}
	return rows.Err()
}

// recordsAtOnce bounds an array of keys.
const recordsAtOnce = 1000

// readRecords compares the gateway's records of keys with what was answered.
func (c *checker) readRecords(ctx context.Context, tx *sql.Tx, keys []string) error {
	for len(keys) > 0 {
		n := min(len(keys), recordsAtOnce)
		found, err := c.readSomeRecords(ctx, tx, keys[:n])
		if err != nil {
			return err
		}
		if found != n {
			c.register.note("of %d acknowledged keys from %s on %d have a record", n, keys[0], found)
		}
		keys = keys[n:]
	}
	return nil
}

func (c *checker) readSomeRecords(ctx context.Context, tx *sql.Tx, keys []string) (found int, err error) {
	array := "{" + strings.Join(keys, ",") + "}" // keys are letters, digits and hyphens
	// LATERAL with OFFSET looks each key up, however large the planner takes the table for.
	rows, err := tx.QueryContext(ctx, `SELECT i.key, coalesce(i.object_id, ''), i.refusal IS NOT NULL, coalesce(i.outcome_version, 0)
		FROM unnest($2::text[]) asked CROSS JOIN LATERAL (SELECT key, object_id, refusal, outcome_version FROM idempotency
			WHERE merchant_id = $1 AND owner = '' AND key = asked AND idempotency_place(owner, key) = idempotency_place('', asked) OFFSET 0) i`, c.merchant, array)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	for ; rows.Next(); found++ {
		var key, object string
		var refused bool
		var version int
		if err := rows.Scan(&key, &object, &refused, &version); err != nil {
			return 0, err
		}
		if refused != (version == 0) {
			c.register.note("the record of %s says version %d of %q, refused %v", key, version, object, refused)
		}
		id, err := decode(object)
		if err != nil {
			return 0, err
		}
		c.register.record(key, id, refused)
	}
	return found, rows.Err()
}

// sum compares what all wallets, the merchant and the fees are with what was deposited, what payments have brought the merchant, and what they cost.
func (c *checker) sum(ctx context.Context, tx *sql.Tx) error {
	var wallets, available, fees, earned, cost int64
	err := tx.QueryRowContext(ctx, `SELECT wallets, coalesce(available, 0), coalesce(fees, 0), earned, coalesce(cost, 0) FROM (
			SELECT sum(posted) FILTER (WHERE customer_id IS NOT NULL) AS wallets, sum(posted) FILTER (WHERE kind = 'MERCHANT_AVAILABLE') AS available,
				sum(posted) FILTER (WHERE kind = 'FEES') AS fees
			FROM account a JOIN (SELECT merchant_id, account_id AS id, credits_posted - debits_posted AS posted FROM balance) b USING (merchant_id, id)
			WHERE merchant_id = $1
		) a, (
			SELECT sum(captured - coalesce(refunded, 0)) FILTER (WHERE destination_account_id IS NULL) AS earned, sum(fee) AS cost
			FROM payment WHERE merchant_id = $1
		) p`, c.merchant).Scan(&wallets, &available, &fees, &earned, &cost)
	if err != nil {
		return err
	}
	for _, s := range []struct {
		what      string
		has, want int64
	}{{"the wallets hold", wallets, c.deposited - earned}, {"the merchant has", available, earned - cost}, {"the fees are", fees, cost}} {
		if s.has != s.want {
			c.register.note("%s %d minor units, and should %d", s.what, s.has, s.want)
		}
	}
	return nil
}

// verify is what the command of that name does.
func (w *world) verify(ctx context.Context) error {
	admin, err := store.OpenAdmin(w.cluster.DSN())
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close() }()
	return admin.Verify(ctx, nil, func(store.Verified) {})
}
