package store

import (
	"encoding/json"
	"time"

	"github.com/paygraph/paygraph/answer"
)

// row writes the values of one row into the arrays of its columns, in the order of the columns.
type row struct {
	columns []array
	at      int
}

func (r *row) next() *array {
	a := &r.columns[r.at]
	r.at++
	return a
}

func (r *row) uuid(u answer.UUID) { r.next().uuid(u) }
func (r *row) int8(n int64)       { r.next().int8(n) }
func (r *row) int4(n int32)       { r.next().int4(n) }
func (r *row) int2(n int16)       { r.next().int2(n) }
func (r *row) text(s string)      { r.next().text(s) }
func (r *row) bytea(b []byte)     { r.next().bytea(b) }
func (r *row) jsonb(text []byte)  { r.next().jsonb(text) }
func (r *row) date(t time.Time)   { r.next().date(t) }
func (r *row) bool(is bool)       { r.next().bool(is) }

// nulls leaves out the next n columns.
func (r *row) nulls(n int) {
	for range n {
		r.next().null()
	}
}

// id writes an identifier that this process made or checked: one that is none is a defect, and panics.
func (r *row) id(prefix answer.Prefix, id string) {
	u, err := answer.Decode(prefix, id)
	if err != nil {
		panic("store: " + id + " is not an identifier of " + string(prefix))
	}
	r.uuid(u)
}

func (r *row) maybeID(prefix answer.Prefix, id *string) {
	if id == nil {
		r.next().null()
		return
	}
	r.id(prefix, *id)
}

// maybeInt8 writes null where the number is the one that null stands for.
func (r *row) maybeInt8(n, null int64) {
	if n == null {
		r.next().null()
		return
	}
	r.int8(n)
}

// maybeInt4 likewise.
func (r *row) maybeInt4(n, null int32) {
	if n == null {
		r.next().null()
		return
	}
	r.int4(n)
}

func (r *row) maybeTime(t *time.Time) {
	if t == nil {
		r.next().null()
		return
	}
	r.next().time(*t)
}

func (r *row) maybeText(s *string) {
	if s == nil {
		r.next().null()
		return
	}
	r.text(*s)
}

func (r *row) metadata(m answer.Metadata) {
	if len(m) == 0 {
		r.next().null()
		return
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // a map of strings always has a JSON
	}
	r.jsonb(text)
}
