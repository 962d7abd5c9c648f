package store

import (
	"strconv"
	"strings"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/ledger"
)

// change is one INSERT of the batch statement: many rows of one table. Rows that may be there already are found by the primary key,
// and get new values in the columns that are mutable: ON CONFLICT is an UPDATE without a join, which cannot be planned badly. Or it is one
// DELETE, of the rows that have the values.
type change struct {
	table   string
	key     string   // the column that finds the row, beside merchant_id; empty where all rows are new
	mutable []string // columns that change where the row is there
	deletes bool     // the columns are all of the primary key's
	stamped []string // columns that get t
	columns []column
	count   func(*batch) int
	write   func(b *batch, n int, r *row)
}

type column struct {
	name string
	kind string
	oid  uint32
}

func uuids(name string) column  { return column{name, "uuid", oidUUID} }
func int8s(name string) column  { return column{name, "bigint", oidInt8} }
func int4s(name string) column  { return column{name, "integer", oidInt4} }
func int2s(name string) column  { return column{name, "smallint", oidInt2} }
func texts(name string) column  { return column{name, "text", oidText} }
func byteas(name string) column { return column{name, "bytea", oidBytea} }
func jsonbs(name string) column { return column{name, "jsonb", oidJSONB} }
func dates(name string) column  { return column{name, "date", oidDate} }
func bools(name string) column  { return column{name, "boolean", oidBool} }
func times(name string) column  { return column{name, "timestamptz", oidTimestamptz} }

// changes lists all that a batch may write, in the order in which foreign keys would like it.
var changes = [...]change{
	{table: "customer", stamped: []string{"created_at", "updated_at"},
		columns: []column{uuids("id"), texts("name"), texts("reference"), jsonbs("metadata"), byteas("salt"), int4s("version")},
		count:   func(b *batch) int { return len(b.newCustomers) },
		write: func(b *batch, n int, r *row) {
			c := b.newCustomers[n]
			r.id(answer.CustomerPrefix, string(c.ID))
			r.text(c.Name)
			r.maybeText(c.Reference)
			r.metadata(c.Metadata)
			r.bytea(c.Salt)
			r.int4(c.Version)
		}},
	{table: "account", stamped: []string{"created_at", "updated_at"}, columns: accountWritten,
		count: func(b *batch) int { return len(b.newAccounts) },
		write: func(b *batch, n int, r *row) { r.account(b.newAccounts[n]) }},
	{table: "account", key: "id", mutable: []string{"updated_at", "status", "status_reason", "salt", "version"},
		stamped: []string{"created_at", "updated_at"}, columns: accountWritten,
		count: func(b *batch) int { return len(b.changedAccounts) },
		write: func(b *batch, n int, r *row) { r.account(b.changedAccounts[n]) }},
	{table: "balance", key: "account_id", mutable: balanceWritten[1:],
		columns: []column{uuids(balanceWritten[0]), int8s(balanceWritten[1]), int8s(balanceWritten[2]), int8s(balanceWritten[3])},
		count:   func(b *batch) int { return len(b.balances) },
		write:   func(b *batch, n int, r *row) { r.balance(b.balances[n]) }},
	{table: "balance", key: "account_id", mutable: append(balanceWritten[1:4:4], "debits_pending", "credits_pending"),
		columns: []column{uuids(balanceWritten[0]), int8s(balanceWritten[1]), int8s(balanceWritten[2]), int8s(balanceWritten[3]),
			int8s("debits_pending"), int8s("credits_pending")},
		count: func(b *batch) int { return len(b.heldBalances) },
		write: func(b *batch, n int, r *row) {
			a := b.heldBalances[n]
			r.balance(a)
			r.maybeInt8(a.DebitsPending, 0)
			r.maybeInt8(a.CreditsPending, 0)
		}},
	{table: "payment", stamped: []string{"created_at", "updated_at"}, columns: paymentWritten,
		count: func(b *batch) int { return len(b.usualPayments) },
		write: func(b *batch, n int, r *row) { r.payment(b.usualPayments[n]) }},
	{table: "payment", stamped: []string{"created_at", "updated_at"}, columns: waitingWritten,
		count: func(b *batch) int { return len(b.waitingPayments) },
		write: func(b *batch, n int, r *row) { r.waiting(b.waitingPayments[n]) }},
	{table: "payment", key: "id", mutable: []string{"updated_at", "status", "source_account_id", "captured", "version",
		"authorized", "refunded", "fee", "hold_id", "expires_at"},
		stamped: []string{"created_at", "updated_at"}, columns: waitingWritten,
		count: func(b *batch) int { return len(b.changedPayments) },
		write: func(b *batch, n int, r *row) { r.waiting(b.changedPayments[n]) }},
	{table: "capture", stamped: []string{"created_at"},
		columns: []column{uuids("id"), uuids("payment_id"), uuids("transaction_id"), int8s("amount"), texts("currency"), bools("final")},
		count:   func(b *batch) int { return len(b.newCaptures) },
		write: func(b *batch, n int, r *row) {
			c := b.newCaptures[n]
			r.id(answer.CapturePrefix, string(c.ID))
			r.id(answer.PaymentPrefix, string(c.PaymentID))
			r.id(answer.TransactionPrefix, string(c.TransactionID))
			r.int8(c.Amount.MinorUnits)
			r.text(string(c.Amount.Currency))
			r.bool(c.Final)
		}},
	{table: "refund", stamped: []string{"created_at"},
		columns: []column{uuids("id"), uuids("payment_id"), uuids("transaction_id"), int8s("amount"), texts("currency"), texts("reason"), byteas("salt")},
		count:   func(b *batch) int { return len(b.newRefunds) },
		write: func(b *batch, n int, r *row) {
			f := b.newRefunds[n]
			r.id(answer.RefundPrefix, string(f.ID))
			r.id(answer.PaymentPrefix, string(f.PaymentID))
			r.id(answer.TransactionPrefix, string(f.TransactionID))
			r.int8(f.Amount.MinorUnits)
			r.text(string(f.Amount.Currency))
			r.maybeText(f.Reason)
			r.bytea(f.Salt)
		}},
	{table: "entry", stamped: []string{"created_at"}, columns: entryWritten,
		count: func(b *batch) int { return len(b.usualEntries) },
		write: func(b *batch, n int, r *row) { r.entry(b.usualEntries[n]) }},
	{table: "entry", stamped: []string{"created_at"},
		columns: append(entryWritten[:len(entryWritten):len(entryWritten)], int8s("pending"), int8s("available_after"), uuids("hold_id"),
			uuids("reverses")),
		count: func(b *batch) int { return len(b.heldEntries) },
		write: func(b *batch, n int, r *row) {
			e := b.heldEntries[n]
			r.entry(e)
			r.maybeInt8(e.PendingMinorUnits, 0)
			r.maybeInt8(e.AvailableAfter, e.PostedAfter)
			r.maybeID(answer.HoldPrefix, (*string)(e.HoldID))
			if e.Leg == ledger.FirstLeg {
				r.maybeID(answer.TransactionPrefix, (*string)(e.of.Reverses))
			} else {
				r.nulls(1)
			}
		}},
	{table: "reversal", columns: []column{uuids("transaction_id"), uuids("reversed_by")},
		count: func(b *batch) int { return len(b.newReversals) },
		write: func(b *batch, n int, r *row) {
			t := b.newReversals[n]
			r.id(answer.TransactionPrefix, string(*t.Reverses))
			r.id(answer.TransactionPrefix, string(t.ID))
		}},
	{table: "hold", stamped: []string{"created_at"}, columns: holdWritten,
		count: func(b *batch) int { return len(b.newHolds) },
		write: func(b *batch, n int, r *row) { r.hold(b.newHolds[n]) }},
	{table: "hold", key: "id", mutable: []string{"ended_at", "ended_by", "posted"}, stamped: []string{"created_at", "ended_at"},
		columns: append(holdWritten[:len(holdWritten):len(holdWritten)], uuids("ended_by")),
		count:   func(b *batch) int { return len(b.endedHolds) },
		write: func(b *batch, n int, r *row) {
			h := b.endedHolds[n]
			r.hold(h)
			r.id(answer.TransactionPrefix, string(*h.EndedBy))
		}},
	{table: "timer", columns: timerWritten,
		count: func(b *batch) int { return len(b.newTimers) },
		write: func(b *batch, n int, r *row) { r.timer(b.newTimers[n]) }},
	{table: "timer", deletes: true, columns: timerWritten,
		count: func(b *batch) int { return len(b.served) },
		write: func(b *batch, n int, r *row) { r.timer(b.served[n]) }},
	{table: "event", stamped: []string{"occurred_at"},
		columns: []column{int8s("sequence"), uuids("id"), texts("type"), uuids("object_id"), int4s("object_version"),
			int2s("schema"), byteas("payload"), byteas("hash")},
		count: func(b *batch) int { return len(b.events) },
		write: func(b *batch, n int, r *row) {
			e := b.events[n]
			r.int8(e.Sequence)
			r.id(answer.EventPrefix, string(e.ID))
			r.text(string(e.Type))
			r.id(e.Type.Object(), e.ObjectID)
			r.int4(e.ObjectVersion)
			r.int2(e.Schema)
			r.bytea(e.Payload)
			r.bytea(e.Hash[:])
		}},
	{table: "idempotency", stamped: []string{"created_at"},
		columns: []column{texts("owner"), texts("key"), texts("operation"), byteas("fingerprint"), texts("object_id"),
			texts("refusal"), byteas("refusal_values"), int2s("result_version"), int4s("outcome_version")},
		count: func(b *batch) int { return len(b.records) },
		write: func(b *batch, n int, r *row) {
			k := b.records[n]
			r.text(k.owner)
			r.text(k.key)
			r.text(k.operation)
			r.bytea(k.fingerprint)
			r.maybeText(k.objectID)
			r.maybeText((*string)(k.refusalCode))
			r.bytea(k.refusalValues)
			r.int2(resultVersion)
			r.maybeInt4(k.outcomeVersion, 0)
		}},
}

var balanceWritten = []string{"account_id", "debits_posted", "credits_posted", "sequence"}

func (r *row) balance(a *ledger.Account) {
	r.id(answer.AccountPrefix, string(a.ID))
	r.int8(a.DebitsPosted)
	r.int8(a.CreditsPosted)
	r.int8(a.Sequence)
}

// entryWritten are the columns of a usual entry, so that payments write no more for there being holds.
var entryWritten = []column{uuids("transaction_id"), int2s("leg"), uuids("account_id"), int8s("sequence"), texts("direction"),
	texts("currency"), int8s("posted"), int8s("posted_after"),
	texts("kind"), int8s("amount"), uuids("payment_id"), texts("reference"), byteas("salt"), dates("value_date")}

func (r *row) entry(e newEntry) {
	r.id(answer.TransactionPrefix, string(e.TransactionID))
	r.int2(e.Leg)
	r.id(answer.AccountPrefix, string(e.AccountID))
	r.int8(e.AccountSequence)
	r.text(string(e.Direction))
	r.text(string(e.Amount.Currency))
	r.int8(e.Amount.MinorUnits)
	r.int8(e.PostedAfter)
	if e.Leg != ledger.FirstLeg {
		r.nulls(6)
		return
	}
	r.text(string(e.of.Kind))
	r.int8(e.of.Amount.MinorUnits)
	r.maybeID(answer.PaymentPrefix, e.of.PaymentID)
	r.maybeText(e.of.Reference)
	r.bytea(e.of.Salt)
	r.date(e.of.ValueDate)
}

var holdWritten = []column{uuids("id"), uuids("account_id"), uuids("counter_account_id"), int8s("amount"), int8s("posted"), texts("currency"),
	uuids("payment_id"), texts("reference"), byteas("salt")}

func (r *row) hold(h *ledger.Hold) {
	r.id(answer.HoldPrefix, string(h.ID))
	r.id(answer.AccountPrefix, string(h.AccountID))
	r.id(answer.AccountPrefix, string(h.CounterAccountID))
	r.int8(h.Amount.MinorUnits)
	r.int8(h.PostedMinorUnits)
	r.text(string(h.Amount.Currency))
	r.maybeID(answer.PaymentPrefix, h.PaymentID)
	r.maybeText(h.Reference)
	r.bytea(h.Salt)
}

var accountWritten = []column{uuids("id"), texts("kind"), texts("currency"), texts("status"), texts("status_reason"),
	texts("name"), uuids("customer_id"), byteas("salt"), int4s("version")}

func (r *row) account(a *ledger.Account) {
	r.id(answer.AccountPrefix, string(a.ID))
	r.text(string(a.Kind))
	r.text(string(a.Currency))
	r.text(string(a.Status))
	r.maybeText(a.StatusReason)
	r.text(a.Name)
	r.maybeID(answer.CustomerPrefix, (*string)(a.CustomerID))
	r.bytea(a.Salt)
	r.int4(a.Version)
}

// shape is what the text of a batch's statement depends on: of each change how many rows it has where it is small, or else [manyRows].
type shape [len(changes)]uint8

const (
	fewRows  = 4   // of a table in a small batch
	manyRows = 255 // any number
)

// shape tells how a batch is written. A small one is that of one command, as most are where many merchants pay and none pays much: its
// values are parameters, and its rows VALUES. Arrays spare the server work from some rows on only, since each is taken apart by a function
// whose result is stored and scanned (docs/decisions/017). Each shape is a statement that is planned once a session, and so there must
// not be many: what one command writes is of few shapes.
func (b *batch) shape() (s shape) {
	small := len(b.records) == 1
	for i := range changes {
		rows := changes[i].count(b)
		small = small && rows <= fewRows
		s[i] = uint8(min(rows, fewRows))
	}
	for i := range s {
		if !small && s[i] > 0 {
			s[i] = manyRows
		}
	}
	return s
}

// statement is the text that writes a whole batch: the head, and all its changes.
// $1 is the merchant, $2 is t, $3 to $5 are the head's sequence, hash and stamp, $6 is the stamp that it has, and what send makes of the
// columns follows.
//
// What is selected is the first thing that is executed, and so the head is locked before anything is written, whether the lock is held already
// or not. Where it has another stamp now, the statement fails by a text that is no truth value, and where there is none by a division.
func statement(of shape) string {
	var s strings.Builder
	s.WriteString("WITH h AS (UPDATE head SET at = $2, sequence = $3, hash = $4, stamp = $5 WHERE merchant_id = $1 AND CASE stamp WHEN $6 THEN true" +
		" ELSE ('" + movedOn + " ' || stamp::text)::boolean END RETURNING merchant_id)")
	parameter := 6
	for i, c := range changes {
		if of[i] == 0 {
			continue
		}
		s.WriteString(",\nc" + strconv.Itoa(i) + " AS (")
		c.sql(&s, &parameter, of[i])
		s.WriteString(")")
	}
	s.WriteString("\nSELECT 1 / count(*) FROM h")
	return s.String()
}

// movedOn is what the database's log says of a batch that assumed wrongly.
const movedOn = "another node has committed meanwhile, stamp"

func (c change) sql(s *strings.Builder, parameter *int, rows uint8) {
	names := make([]string, len(c.columns))
	for i, col := range c.columns {
		names[i] = col.name
	}
	columns := strings.Join(names, ", ")
	if c.deletes {
		c.sqlDelete(s, parameter, rows, columns)
		return
	}
	same := "$1::uuid" + strings.Repeat(", $2::timestamptz", len(c.stamped)) + ", "
	s.WriteString("INSERT INTO " + c.table + " (merchant_id, " + strings.Join(append(c.stamped, columns), ", ") + ") ")
	if rows == manyRows {
		s.WriteString("SELECT " + same + columns + " FROM unnest(" + c.parameters(parameter, "[]") + ") AS u (" + columns + ")")
	} else {
		s.WriteString("VALUES " + c.rows(parameter, rows, same))
	}
	if c.key != "" {
		changed := make([]string, len(c.mutable))
		for i, name := range c.mutable {
			changed[i] = name + " = EXCLUDED." + name
		}
		s.WriteString(" ON CONFLICT (merchant_id, " + c.key + ") DO UPDATE SET " + strings.Join(changed, ", "))
	}
}

// sqlDelete finds each row by the primary key, by a nested loop: the session's settings allow no other join.
func (c change) sqlDelete(s *strings.Builder, parameter *int, rows uint8, columns string) {
	s.WriteString("DELETE FROM " + c.table + " WHERE (merchant_id, " + columns + ") IN (")
	if rows == manyRows {
		s.WriteString("SELECT $1::uuid, " + columns + " FROM unnest(" + c.parameters(parameter, "[]") + ") AS u (" + columns + "))")
	} else {
		s.WriteString(c.rows(parameter, rows, "$1::uuid, ") + ")")
	}
}

// rows are the next parameters, a row after the other, each after what is the same in all.
func (c change) rows(parameter *int, rows uint8, same string) string {
	all := make([]string, rows)
	for i := range all {
		all[i] = "(" + same + c.parameters(parameter, "") + ")"
	}
	return strings.Join(all, ", ")
}

// parameters are the next ones, one for each column: of its type, or with [] arrays of it.
func (c change) parameters(parameter *int, array string) string {
	all := make([]string, len(c.columns))
	for i, col := range c.columns {
		*parameter++
		all[i] = "$" + strconv.Itoa(*parameter) + "::" + col.kind + array
	}
	return strings.Join(all, ", ")
}
