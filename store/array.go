package store

import (
	"encoding/binary"
	"time"

	"github.com/paygraph/paygraph/answer"
)

// Object identifiers of PostgreSQL's types (catalogue pg_type).
const (
	oidBool        = 16
	oidBytea       = 17
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidDate        = 1082
	oidTimestamptz = 1184
	oidUUID        = 2950
	oidJSONB       = 3802
)

// array is one parameter of a batch statement: a one-dimensional array in PostgreSQL's binary format (array_recv). A batch has
// thousands of values, and reading them as text would cost the server more than writing them.
type array struct {
	oid   uint32
	count uint32
	nulls uint32
	bytes []byte

	lastAt int // where the value that was added last begins with its size
}

const (
	arrayHeader = 5 * 4
	nullSize    = 0xffffffff // the size of null
)

func (a *array) reset() {
	a.count, a.nulls = 0, 0
	a.bytes = append(a.bytes[:0], make([]byte, arrayHeader)...)
}

// wire is the array as it is sent.
func (a *array) wire() []byte {
	dimensions := uint32(1)
	if a.count == 0 {
		dimensions = 0
		a.bytes = a.bytes[:3*4]
	}
	binary.BigEndian.PutUint32(a.bytes[0:], dimensions)
	binary.BigEndian.PutUint32(a.bytes[4:], a.nulls)
	binary.BigEndian.PutUint32(a.bytes[8:], a.oid)
	if a.count > 0 {
		binary.BigEndian.PutUint32(a.bytes[12:], a.count)
		binary.BigEndian.PutUint32(a.bytes[16:], 1) // the lower bound
	}
	return a.bytes
}

// last is the value that was added last, in its binary form, or nil for null. It is good until the array is reset.
func (a *array) last() []byte {
	value := a.bytes[a.lastAt+4:]
	if len(value) == 0 && binary.BigEndian.Uint32(a.bytes[a.lastAt:]) == nullSize {
		return nil
	}
	return value[:len(value):len(value)]
}

func (a *array) size(n int) {
	a.count++
	a.lastAt = len(a.bytes)
	a.bytes = binary.BigEndian.AppendUint32(a.bytes, uint32(n))
}

func (a *array) null() {
	a.count++
	a.nulls = 1
	a.lastAt = len(a.bytes)
	a.bytes = binary.BigEndian.AppendUint32(a.bytes, nullSize)
}

func (a *array) uuid(u answer.UUID) {
	a.size(len(u))
	a.bytes = append(a.bytes, u[:]...)
}

func (a *array) int8(n int64) {
	a.size(8)
	a.bytes = binary.BigEndian.AppendUint64(a.bytes, uint64(n))
}

func (a *array) int4(n int32) {
	a.size(4)
	a.bytes = binary.BigEndian.AppendUint32(a.bytes, uint32(n))
}

func (a *array) int2(n int16) {
	a.size(2)
	a.bytes = binary.BigEndian.AppendUint16(a.bytes, uint16(n))
}

func (a *array) text(s string) {
	a.size(len(s))
	a.bytes = append(a.bytes, s...)
}

func (a *array) bytea(b []byte) {
	if b == nil {
		a.null()
		return
	}
	a.size(len(b))
	a.bytes = append(a.bytes, b...)
}

// jsonb has a version number, 1, before its text.
func (a *array) jsonb(text []byte) {
	if text == nil {
		a.null()
		return
	}
	a.size(1 + len(text))
	a.bytes = append(append(a.bytes, 1), text...)
}

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (a *array) date(t time.Time) { a.int4(int32(t.Sub(epoch) / (24 * time.Hour))) }

// time is microseconds since the epoch.
func (a *array) time(t time.Time) { a.int8(t.Sub(epoch).Microseconds()) }

func (a *array) bool(is bool) {
	a.size(1)
	if is {
		a.bytes = append(a.bytes, 1)
	} else {
		a.bytes = append(a.bytes, 0)
	}
}
