package store

import (
	"strconv"
	"strings"

	"github.com/paygraph/paygraph/answer"
)

// change is one INSERT or UPDATE of the batch statement: many rows of one table.
type change struct {
	table   string
	update  bool     // else insert
	key     string   // the column that finds the row of an update, beside merchant_id; it comes first
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

// changes lists all that a batch may write, in the order in which foreign keys would like it.
var changes = []change{
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
	{table: "account", stamped: []string{"created_at", "updated_at"},
		columns: []column{uuids("id"), texts("kind"), texts("currency"), texts("status"), texts("name"), uuids("customer_id"),
			byteas("salt"), int4s("version")},
		count: func(b *batch) int { return len(b.newAccounts) },
		write: func(b *batch, n int, r *row) {
			a := b.newAccounts[n]
			r.id(answer.AccountPrefix, string(a.ID))
			r.text(string(a.Kind))
			r.text(string(a.Currency))
			r.text(string(a.Status))
			r.text(a.Name)
			r.maybeID(answer.CustomerPrefix, (*string)(a.CustomerID))
			r.bytea(a.Salt)
			r.int4(a.Version)
		}},
	{table: "account", update: true, key: "id", stamped: []string{"updated_at"},
		columns: []column{uuids("id"), texts("status"), int4s("version")},
		count:   func(b *batch) int { return len(b.changedAccounts) },
		write: func(b *batch, n int, r *row) {
			a := b.changedAccounts[n]
			r.id(answer.AccountPrefix, string(a.ID))
			r.text(string(a.Status))
			r.int4(a.Version)
		}},
	{table: "balance", columns: balanceColumns,
		count: func(b *batch) int { return len(b.newAccounts) },
		write: func(b *batch, n int, r *row) { r.balance(b.newAccounts[n]) }},
	{table: "balance", update: true, key: "account_id", columns: balanceColumns,
		count: func(b *batch) int { return len(b.changedBalances) },
		write: func(b *batch, n int, r *row) { r.balance(b.changedBalances[n]) }},
	{table: "payment", stamped: []string{"created_at", "updated_at"},
		columns: []column{uuids("id"), texts("status"), int8s("amount"), texts("currency"), uuids("source_account_id"),
			uuids("destination_account_id"), int8s("captured"), texts("reference"), jsonbs("metadata"), byteas("salt"),
			int4s("version")},
		count: func(b *batch) int { return len(b.newPayments) },
		write: func(b *batch, n int, r *row) {
			p := b.newPayments[n]
			r.id(answer.PaymentPrefix, string(p.ID))
			r.text(string(p.Status))
			r.int8(p.Amount.MinorUnits)
			r.text(string(p.Amount.Currency))
			r.maybeID(answer.AccountPrefix, (*string)(p.SourceAccountID))
			r.maybeID(answer.AccountPrefix, (*string)(p.DestinationAccountID))
			r.int8(p.CapturedMinorUnits)
			r.maybeText(p.Reference)
			r.metadata(p.Metadata)
			r.bytea(p.Salt)
			r.int4(p.Version)
		}},
	{table: "payment", update: true, key: "id", stamped: []string{"updated_at"},
		columns: []column{uuids("id"), texts("status"), uuids("source_account_id"), int8s("captured"), int4s("version")},
		count:   func(b *batch) int { return len(b.changedPayments) },
		write: func(b *batch, n int, r *row) {
			p := b.changedPayments[n]
			r.id(answer.PaymentPrefix, string(p.ID))
			r.text(string(p.Status))
			r.maybeID(answer.AccountPrefix, (*string)(p.SourceAccountID))
			r.int8(p.CapturedMinorUnits)
			r.int4(p.Version)
		}},
	{table: "transaction", stamped: []string{"created_at"},
		columns: []column{uuids("id"), texts("kind"), int8s("amount"), texts("currency"), uuids("payment_id"),
			texts("reference"), byteas("salt"), dates("value_date")},
		count: func(b *batch) int { return len(b.newTransactions) },
		write: func(b *batch, n int, r *row) {
			t := b.newTransactions[n]
			r.id(answer.TransactionPrefix, string(t.ID))
			r.text(string(t.Kind))
			r.int8(t.Amount.MinorUnits)
			r.text(string(t.Amount.Currency))
			r.maybeID(answer.PaymentPrefix, t.PaymentID)
			r.maybeText(t.Reference)
			r.bytea(t.Salt)
			r.date(t.ValueDate)
		}},
	{table: "entry",
		columns: []column{uuids("transaction_id"), int2s("leg"), uuids("account_id"), int8s("sequence"), texts("direction"),
			int8s("posted"), int8s("posted_after")},
		count: func(b *batch) int { return len(b.newEntries) },
		write: func(b *batch, n int, r *row) {
			e := b.newEntries[n]
			r.id(answer.TransactionPrefix, string(e.TransactionID))
			r.int2(e.Leg)
			r.id(answer.AccountPrefix, string(e.AccountID))
			r.int8(e.AccountSequence)
			r.text(string(e.Direction))
			r.int8(e.Amount.MinorUnits)
			r.int8(e.PostedAfter)
		}},
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
			texts("refusal"), byteas("refusal_values"), int2s("result_version")},
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
		}},
}

var balanceColumns = []column{uuids("account_id"), int8s("debits_posted"), int8s("credits_posted"), int8s("sequence")}

// statement is the text that writes a whole batch: all its changes, and the head. mask has a bit for each change that is in it.
// $1 is the merchant, $2 is t, $3 to $5 are the head's sequence, hash and stamp, and the columns' arrays follow.
func statement(mask uint32) string {
	var s strings.Builder
	parameter := 5
	separator := "WITH "
	for i, c := range changes {
		if mask&(1<<i) == 0 {
			continue
		}
		s.WriteString(separator + "c" + strconv.Itoa(i) + " AS (")
		c.sql(&s, &parameter)
		s.WriteString(")")
		separator = ",\n"
	}
	s.WriteString("\nUPDATE head SET at = $2, sequence = $3, hash = $4, stamp = $5 WHERE merchant_id = $1")
	return s.String()
}

func (c change) sql(s *strings.Builder, parameter *int) {
	names := make([]string, len(c.columns))
	arrays := make([]string, len(c.columns))
	for i, col := range c.columns {
		*parameter++
		names[i] = col.name
		arrays[i] = "$" + strconv.Itoa(*parameter) + "::" + col.kind + "[]"
	}
	rows := "unnest(" + strings.Join(arrays, ", ") + ") AS u (" + strings.Join(names, ", ") + ")"
	if !c.update {
		times := strings.Repeat(", $2::timestamptz", len(c.stamped))
		s.WriteString("INSERT INTO " + c.table + " (merchant_id, " + strings.Join(append(c.stamped, names...), ", ") +
			") SELECT $1::uuid" + times + ", " + strings.Join(names, ", ") + " FROM " + rows)
		return
	}
	s.WriteString("UPDATE " + c.table + " SET ")
	for _, name := range c.stamped {
		s.WriteString(name + " = $2, ")
	}
	for i, name := range names[1:] {
		if i > 0 {
			s.WriteString(", ")
		}
		s.WriteString(name + " = u." + name)
	}
	s.WriteString(" FROM " + rows + " WHERE " + c.table + ".merchant_id = $1 AND " + c.table + "." + c.key + " = u." + c.key)
}
