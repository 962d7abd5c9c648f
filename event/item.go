package event

import (
	"sync"

	"github.com/paygraph/paygraph/answer"
)

// Kind says what a stream's items are. Each stream has gap-free numbers of its own.
type Kind string

// The kinds of stream.
const (
	OfMerchant Kind = "log"     // a merchant's events, by their sequence
	OfPayment  Kind = "payment" // the events of one payment, by the payment's version
	OfAccount  Kind = "account" // the entries of one account, by their numbers
)

// Topic names a stream within its merchant.
type Topic struct {
	Kind   Kind
	Object string // the payment's or account's identifier; empty for the merchant's log
}

// Item is one numbered thing in a stream. All subscribers of the stream get the same.
type Item struct {
	Number   int64
	Event    *Event // nil for an entry
	Object   any    // what the number is of, as it was then or later; nil: it has to be read
	Snapshot bool   // how things stand with this number, for a subscriber that begins; nothing has happened

	mu     sync.Mutex
	frames map[any]func() []byte
}

// Frame is the item in the form that key stands for. It is made when the first subscriber asks; the others wait, and share it. Where
// encode panics, each of them does.
func (i *Item) Frame(key any, encode func() []byte) []byte {
	i.mu.Lock()
	frame := i.frames[key]
	if frame == nil {
		if i.frames == nil {
			i.frames = map[any]func() []byte{}
		}
		frame = sync.OnceValue(encode)
		i.frames[key] = frame
	}
	i.mu.Unlock()
	return frame()
}

// Commit is what one batch, or several that follow one another, have committed.
type Commit struct {
	Merchant answer.MerchantID
	Events   []Event        // their numbers follow one another
	Entries  []Entry        // of the same commands
	Objects  map[string]any // what the events are about, by identifier, where it is known
}

// Entry is an entry of the ledger, by its account and its number there.
type Entry struct {
	Account string
	Number  int64
	Object  any
}

// last is the number of the last event.
func (c *Commit) last() int64 { return c.Events[len(c.Events)-1].Sequence }
