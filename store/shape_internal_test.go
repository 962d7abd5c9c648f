package store

import (
	"bytes"
	"strings"
	"testing"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/payment"
)

// changeOf is the first change of a table.
func changeOf(table string) int {
	for i, c := range changes {
		if c.table == table {
			return i
		}
	}
	panic(table)
}

// A command alone is written by values; more than one, and one that writes many rows, by arrays, whatever their numbers.
func TestShape(t *testing.T) {
	t.Parallel()
	lone := &batch{records: make([]*record, 1), usualPayments: make([]*payment.Payment, 1), usualEntries: make([]newEntry, 2)}
	two := &batch{records: make([]*record, 2), usualPayments: make([]*payment.Payment, 1), usualEntries: make([]newEntry, 2)}
	wide := &batch{records: make([]*record, 1), usualEntries: make([]newEntry, fewRows+1)}
	long := &batch{records: make([]*record, 256), balances: make([]*ledger.Account, 512)}
	for _, c := range []struct {
		of     *batch
		table  string
		want   uint8
		absent string
	}{
		{lone, "payment", 1, "balance"}, {lone, "entry", 2, "balance"}, {lone, "idempotency", 1, "event"},
		{two, "payment", manyRows, "balance"}, {two, "idempotency", manyRows, "balance"},
		{wide, "entry", manyRows, "payment"}, {wide, "idempotency", manyRows, "payment"},
		{long, "balance", manyRows, "payment"}, {long, "idempotency", manyRows, "payment"},
	} {
		s := c.of.shape()
		if s[changeOf(c.table)] != c.want || s[changeOf(c.absent)] != 0 {
			t.Errorf("%d records: shape %v, want %d of %s and none of %s", len(c.of.records), s, c.want, c.table, c.absent)
		}
		text := statement(s)
		if arrays := strings.Contains(text, "unnest"); arrays != (c.want == manyRows) || strings.Contains(text, "VALUES") == arrays {
			t.Errorf("%v is written by\n%s", s, text)
		}
	}
}

// Payments write no more for there being holds: only a batch that has some of them names their columns.
func TestUsualBatchesWriteNothingOfHolds(t *testing.T) {
	t.Parallel()
	a := &ledger.Account{ID: ledger.AccountID(anID(answer.AccountPrefix, 1)), Kind: ledger.CustomerWallet, Currency: "USD", Sequence: 1}
	for _, held := range []int64{0, 5} {
		b := newBatch(ourMerchant)
		b.accounts = map[ledger.AccountID]*account{a.ID: {Account: a}}
		b.Changed(a)
		a.DebitsPending = held
		of := aTransaction(a.ID, 1)
		of.Entries[0].AccountID = a.ID
		for i := range of.Entries {
			of.Entries[i].AvailableAfter = of.Entries[i].PostedAfter - held
		}
		b.AddTransaction(of)
		b.records = make([]*record, 1)
		b.close()
		text := statement(b.shape())
		if holds := strings.Contains(text, "pending") || strings.Contains(text, "hold"); holds != (held > 0) {
			t.Errorf("with %d set aside it is written by\n%s", held, text)
		}
	}
}

// The parameters of a row are the values that were written last, null among them.
func TestTakeRow(t *testing.T) {
	t.Parallel()
	columns := make([]array, 4)
	for i := range columns {
		columns[i].reset()
	}
	var taken []any
	for range 2 {
		r := row{columns: columns}
		r.text("first")
		r.text("")
		r.nulls(1)
		r.int2(-1)
		taken = takeRow(taken, columns)
	}
	for i, want := range [][]byte{[]byte("first"), {}, nil, {0xff, 0xff}} {
		for _, got := range []any{taken[i], taken[len(columns)+i]} {
			if b := got.([]byte); !bytes.Equal(b, want) || (b == nil) != (want == nil) {
				t.Errorf("column %d: %#v, want %#v", i, b, want)
			}
		}
	}
}
