package store

import (
	"encoding/binary"
	"time"

	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
)

// What posted keeps of a transaction: its fields one after the other, numbers as varints, texts with their lengths before them.
// Identifiers are as clients see them, since reading is what has to be fast. A block is its values with their lengths before them, 0 for one
// that is not known.

// blockSize is how many entries of an account make a block.
const blockSize = 8

// block has the values of the transactions of neighbouring entries.
type block [blockSize][]byte

func blockOf(number int64) int64 { return (number - 1) / blockSize }
func placeOf(number int64) int64 { return (number - 1) % blockSize }

// join adds what was kept of the block before.
func (b *block) join(wire []byte) {
	for place := 0; len(wire) > 0; place++ {
		length, n := binary.Varint(wire)
		if b[place] == nil {
			b[place] = wire[n : n+int(length)]
		}
		wire = wire[n+int(length):]
	}
}

func (b *block) wire() (wire []byte) {
	for _, value := range b {
		wire = append(binary.AppendVarint(wire, int64(len(value))), value...)
	}
	return wire
}

const secondsOfDay = 24 * 60 * 60

func appendTransaction(to []byte, t *ledger.Transaction) []byte {
	to = appendText(to, string(t.ID))
	to = appendText(to, string(t.Kind))
	to = appendText(to, string(t.Amount.Currency))
	to = binary.AppendVarint(to, t.Amount.MinorUnits)
	to = appendMaybe(to, t.PaymentID)
	to = appendMaybe(to, t.Reference)
	to = appendMaybe(to, (*string)(t.Reverses))
	to = binary.AppendVarint(to, t.ValueDate.Unix()/secondsOfDay)
	to = binary.AppendVarint(to, t.CreatedAt.UnixMicro())
	to = appendText(to, string(t.Salt))
	to = binary.AppendVarint(to, int64(len(t.Entries)))
	for i := range t.Entries {
		e := &t.Entries[i]
		to = binary.AppendVarint(to, int64(e.Leg))
		to = appendText(to, string(e.AccountID))
		to = binary.AppendVarint(to, e.AccountSequence)
		to = appendText(to, string(e.Direction))
		to = appendText(to, string(e.Amount.Currency))
		to = binary.AppendVarint(to, e.Amount.MinorUnits)
		to = binary.AppendVarint(to, e.PostedAfter)
		to = binary.AppendVarint(to, e.CreatedAt.Sub(t.CreatedAt).Microseconds())
		if e.IsUsual() {
			to = binary.AppendVarint(to, 0)
			continue
		}
		to = binary.AppendVarint(binary.AppendVarint(to, 1), e.PendingMinorUnits)
		to = binary.AppendVarint(to, e.AvailableAfter)
		to = appendMaybe(to, (*string)(e.HoldID))
	}
	return to
}

func appendText(to []byte, s string) []byte {
	return append(binary.AppendVarint(to, int64(len(s))), s...)
}

// appendMaybe has -1 as the length of nil.
func appendMaybe(to []byte, s *string) []byte {
	if s == nil {
		return binary.AppendVarint(to, -1)
	}
	return appendText(to, *s)
}

// usualValue and usualLegs are what most transactions have.
const (
	usualValue = 256 // bytes
	usualLegs  = 2
)

// readBlocks makes the transactions of a span from blocks, the newest first, that stand one behind the other, each with its end. What they
// consist of is made for all together: all texts are parts of one, and all entries of one slice, as far as most transactions go.
func readBlocks(values []byte, ends []int, newest int64, of ledger.Span, into []*ledger.Transaction) {
	v := &keptValue{bytes: values, text: string(values)}
	transactions := make([]ledger.Transaction, len(into))
	entries := make([]ledger.Entry, usualLegs*len(into))
	for i, end := range ends {
		for number := (newest-int64(i))*blockSize + 1; v.at < end; number++ {
			length := int(v.int())
			if length == 0 || number <= of.After || number >= of.Before {
				v.at += length
				continue
			}
			at := int(of.Before - 1 - number)
			into[at] = &transactions[at]
			v.transaction(into[at], entries[usualLegs*at:usualLegs*at:usualLegs*(at+1)])
		}
	}
}

// transaction reads one. Its entries go to where there is room for some.
func (v *keptValue) transaction(t *ledger.Transaction, entries []ledger.Entry) {
	*t = ledger.Transaction{
		ID: ledger.TransactionID(v.string()), Kind: ledger.TransactionKind(v.string()), Amount: v.amount(),
		PaymentID: v.maybe(), Reference: v.maybe(), Reverses: (*ledger.TransactionID)(v.maybe()),
		ValueDate: time.Unix(v.int()*secondsOfDay, 0).UTC(), CreatedAt: time.UnixMicro(v.int()).UTC(),
	}
	if salt := v.string(); salt != "" {
		t.Salt = []byte(salt)
	}
	for range v.int() {
		e := ledger.Entry{
			TransactionID: t.ID, Leg: int16(v.int()), AccountID: ledger.AccountID(v.string()), AccountSequence: v.int(),
			Direction: ledger.Direction(v.string()), Amount: v.amount(), PostedAfter: v.int(),
			CreatedAt: t.CreatedAt.Add(time.Duration(v.int()) * time.Microsecond),
		}
		e.AvailableAfter = e.PostedAfter
		if v.int() != 0 {
			e.PendingMinorUnits, e.AvailableAfter, e.HoldID = v.int(), v.int(), (*ledger.HoldID)(v.maybe())
		}
		entries = append(entries, e)
	}
	t.Entries = entries
}

// keptValue is values and how far they have been read.
type keptValue struct {
	bytes []byte
	text  string // the same
	at    int
}

func (v *keptValue) int() int64 {
	n, length := binary.Varint(v.bytes[v.at:])
	v.at += length
	return n
}

func (v *keptValue) string() string { return v.take(v.int()) }

func (v *keptValue) maybe() *string {
	n := v.int()
	if n < 0 {
		return nil
	}
	s := v.take(n)
	return &s
}

func (v *keptValue) take(n int64) string {
	begin := v.at
	v.at += int(n)
	return v.text[begin:v.at]
}

func (v *keptValue) amount() money.Amount {
	currency := money.Currency(v.string())
	return money.Amount{MinorUnits: v.int(), Currency: currency}
}
