package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/merchant"
)

// Discrepancy is the first place that does not fit: rows that were changed, lost, added or moved behind the gateway's back.
type Discrepancy struct {
	Merchant merchant.ID
	Table    string
	Row      string // what finds the row
	What     string
}

func (d Discrepancy) Error() string {
	return fmt.Sprintf("merchant %s, table %s, row %s: %s", d.Merchant, d.Table, d.Row, d.What)
}

// Verified is a merchant's log that was found whole.
type Verified struct {
	Merchant merchant.ID
	Sequence int64  // of the last event
	Hash     string // of the last event, in hexadecimal
}

// Expectation is what somebody has noted of a log before: the hash that one of its events had. Without a merchant some log must have
// such an event: the hash covers the merchant, so that no other log can.
type Expectation struct {
	Merchant merchant.ID
	Sequence int64
	Hash     string
}

// Verify checks everything that the database says against the log, merchant by merchant, in one snapshot: that event numbers have
// no gaps and hashes chain; that each transaction is in the log and sums to zero; that running balances, balances and entry numbers
// follow from the entries, and so do holds and reversals; that payments fit their captures, refunds, holds and timers; that customers, accounts,
// payments, captures and refunds are as their last events say; and that the record of each
// key is there. It returns a Discrepancy for the first place that does not fit. visit is called for each merchant that was found whole.
func (a *Admin) Verify(ctx context.Context, expect *Expectation, visit func(Verified)) error {
	tx, err := a.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	reads := Reads{source: inTransaction{tx}}
	merchants, err := reads.heads(ctx)
	if err != nil {
		return err
	}
	met := expect == nil
	for _, m := range merchants {
		v := &verification{Reads: reads, merchant: m.id, head: m.head, expect: expect}
		if err := v.run(ctx); err != nil {
			return err
		}
		met = met || v.met
		visit(Verified{m.id, m.head.sequence, hex.EncodeToString(m.head.hash[:])})
	}
	if !met {
		return Discrepancy{expect.Merchant, "event", fmt.Sprint(expect.Sequence), "an event with the hash " + expect.Hash + " was expected, and is not there"}
	}
	return nil
}

// inTransaction asks within one transaction, as the owner, who sees all rows.
type inTransaction struct{ tx *sql.Tx }

func (t inTransaction) values(ctx context.Context, _, text string, visit func([]byte) error, arguments ...any) error {
	rows, err := t.tx.QueryContext(ctx, text, arguments...)
	return visitValues(rows, err, visit)
}

type merchantHead struct {
	id   merchant.ID
	head head
}

// heads are all merchants with their heads. A merchant without a head, or a head without a merchant, is a discrepancy: a merchant that
// has events is missed, and a head that has none should not be there.
func (r Reads) heads(ctx context.Context) ([]merchantHead, error) {
	var all []merchantHead
	err := r.queryShared(ctx, `SELECT m.id, h.merchant_id, h.sequence, h.hash, h.at,
			EXISTS (SELECT FROM event e WHERE e.merchant_id = h.merchant_id)
		FROM merchant m FULL JOIN head h ON h.merchant_id = m.id ORDER BY m.id IS NOT NULL, COALESCE(m.id, h.merchant_id)`, func(scan scanner) error {
		var id, headID nullUUID
		var sequence sql.NullInt64
		var hash []byte
		var at sql.NullTime
		var hasEvents bool
		if err := scan(&id, &headID, &sequence, &hash, &at, &hasEvents); err != nil {
			return err
		}
		m := merchantHead{id: merchant.ID(answer.Encode(answer.MerchantPrefix, id.UUID)), head: head{sequence: sequence.Int64, at: at.Time.UTC()}}
		copy(m.head.hash[:], hash)
		switch {
		case !id.valid:
			m.id = merchant.ID(answer.Encode(answer.MerchantPrefix, headID.UUID))
			if !hasEvents {
				return Discrepancy{m.id, "head", string(m.id), "there is no such merchant, and it has no events"}
			}
			return Discrepancy{m.id, "merchant", string(m.id), "it has a head and events, and is not there"}
		case !headID.valid:
			return Discrepancy{m.id, "head", string(m.id), "it is not there"}
		}
		all = append(all, m)
		return nil
	})
	return all, err
}

// verification checks one merchant.
type verification struct {
	Reads
	merchant merchant.ID
	head     head
	expect   *Expectation
	met      bool // the expectation, by an event of this log
	begins   bits // the events with which a command's events begin
	recorded bits // the events whose command has a record
}

func (v *verification) run(ctx context.Context) error {
	for _, check := range []func(context.Context) error{v.log, v.objects, v.missingObjects, v.accountSums, v.holds, v.payments,
		v.timers, v.reversals, v.records} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (v *verification) wrong(table string, row any, format string, args ...any) error {
	return Discrepancy{v.merchant, table, fmt.Sprint(row), fmt.Sprintf(format, args...)}
}

// bits is a set of small numbers.
type bits []uint64

func (b *bits) set(n int64) {
	for int64(len(*b)) <= n/64 {
		*b = append(*b, 0)
	}
	(*b)[n/64] |= 1 << (n % 64)
}

func (b bits) has(n int64) bool { return n/64 < int64(len(b)) && b[n/64]&(1<<(n%64)) != 0 }
