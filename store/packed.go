package store

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"fmt"
	"reflect"
	"time"

	"github.com/paygraph/paygraph/answer"
)

// The rows of a read travel in values that record_send makes, PostgreSQL's binary form of a row: column by column, through lib/pq and
// database/sql, a page of transactions cost the gateway a third of its time (docs/decisions/011).

// packed makes a value of each row of a query.
func packed(query string) string { return `SELECT record_send(r) FROM (` + query + `) r` }

// packedForEach makes a value for each of some parents, in their order, of all rows that a query finds for it, which knows the parent as u:
// parents is [each] or [eachSpan].
func packedForEach(query, parents string) string {
	return `SELECT (SELECT string_agg(record_send(r), '') FROM (` + query + `) r)` + parents + ` ORDER BY u.place`
}

// unpack visits the rows in a packed value.
func unpack(value []byte, visit func(scanner) error) error {
	p := &packedRows{rest: value}
	for len(p.rest) > 0 {
		if err := visit(p.scan); err != nil {
			return err
		}
	}
	return nil
}

// packedRows are rows that are still to be read.
type packedRows struct{ rest []byte }

// scan reads one row as [sql.Rows.Scan] does: the number of its columns, and for each its type, its length, or -1 for null, and its
// bytes.
func (p *packedRows) scan(targets ...any) error {
	if n := p.number(); n != len(targets) {
		return fmt.Errorf("a row of %d columns for %d targets", n, len(targets))
	}
	for i, target := range targets {
		c := cell{oid: uint32(p.number())}
		if length := p.number(); length >= 0 {
			c.bytes = p.take(length)
			c.valid = true
		}
		if err := c.assign(target); err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	return nil
}

func (p *packedRows) number() int { return int(int32(binary.BigEndian.Uint32(p.take(4)))) }

// take is the next bytes. A value that ends early is a defect of ours or the server's, and panics.
func (p *packedRows) take(n int) []byte {
	taken := p.rest[:n:n]
	p.rest = p.rest[n:]
	return taken
}

// cell is the value of one column.
type cell struct {
	oid   uint32
	bytes []byte
	valid bool // it is not null
}

// assign puts the value where a pointer points to. The ways that come first are those of the columns that most rows have.
func (c cell) assign(target any) error {
	switch to := target.(type) {
	case *answer.UUID:
		if c.oid == oidUUID && c.valid {
			copy(to[:], c.bytes)
			return nil
		}
	case *nullUUID:
		if c.oid == oidUUID {
			to.valid = c.valid
			copy(to.UUID[:], c.bytes)
			return nil
		}
	case *string:
		if c.oid == oidText && c.valid {
			*to = string(c.bytes)
			return nil
		}
	case *[]byte:
		*to = bytes.Clone(c.bytes)
		if c.oid == oidJSONB && c.valid {
			*to = (*to)[1:] // the number of the format
		}
		return nil
	case *int64:
		if n, isNumber := c.int(); isNumber {
			*to = n
			return nil
		}
	case *time.Time:
		if t, isTime := c.time(); isTime {
			*to = t
			return nil
		}
	case sql.Scanner:
		return to.Scan(c.value())
	default:
		return c.reflected(reflect.ValueOf(target).Elem())
	}
	return c.unfit(target)
}

func (c cell) reflected(to reflect.Value) error {
	switch value := c.value().(type) {
	case nil:
		if to.Kind() == reflect.Pointer {
			to.SetZero()
			return nil
		}
	case string:
		if to.Kind() == reflect.String {
			to.SetString(value)
			return nil
		}
	case int64:
		if to.CanInt() && !to.OverflowInt(value) {
			to.SetInt(value)
			return nil
		}
	case []byte:
		if to.Kind() == reflect.Slice && to.Type().Elem().Kind() == reflect.Uint8 {
			to.SetBytes(bytes.Clone(value))
			return nil
		}
	case bool:
		if to.Kind() == reflect.Bool {
			to.SetBool(value)
			return nil
		}
	}
	if to.Kind() == reflect.Pointer {
		to.Set(reflect.New(to.Type().Elem()))
		return c.assign(to.Interface())
	}
	return c.unfit(to.Addr().Interface())
}

func (c cell) unfit(target any) error {
	return fmt.Errorf("a value of type %d (null: %t) does not go into %T", c.oid, !c.valid, target)
}

func (c cell) int() (n int64, isNumber bool) {
	switch {
	case !c.valid:
		return 0, false
	case c.oid == oidInt8:
		return int64(binary.BigEndian.Uint64(c.bytes)), true
	case c.oid == oidInt4:
		return int64(int32(binary.BigEndian.Uint32(c.bytes))), true
	case c.oid == oidInt2:
		return int64(int16(binary.BigEndian.Uint16(c.bytes))), true
	}
	return 0, false
}

// time is in UTC: the server counts microseconds, or days, from the year 2000.
func (c cell) time() (t time.Time, isTime bool) {
	switch {
	case !c.valid:
		return t, false
	case c.oid == oidTimestamptz:
		return time.UnixMicro(epoch.UnixMicro() + int64(binary.BigEndian.Uint64(c.bytes))).UTC(), true
	case c.oid == oidDate:
		return epoch.AddDate(0, 0, int(int32(binary.BigEndian.Uint32(c.bytes)))), true
	}
	return t, false
}

// value is the cell as lib/pq would give it.
func (c cell) value() any {
	if !c.valid {
		return nil
	}
	if n, isNumber := c.int(); isNumber {
		return n
	}
	if t, isTime := c.time(); isTime {
		return t
	}
	switch c.oid {
	case oidText:
		return string(c.bytes)
	case oidBool:
		return c.bytes[0] != 0
	}
	return c.bytes
}
