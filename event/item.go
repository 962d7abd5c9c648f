package event

import (
	"sync"
	"sync/atomic"

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
	common *frame         // what the first subscriber asked for, and mostly all others
	more   map[any]*frame // what the others did
}

// frame is an item in the form that a key stands for.
type frame struct {
	key  any
	make func() []byte
	made atomic.Pointer[[]byte] // nil until it is
}

func newFrame(key any, encode func() []byte) *frame {
	f := &frame{key: key}
	f.make = sync.OnceValue(func() []byte {
		made := encode()
		f.made.Store(&made)
		return made
	})
	return f
}

// Frame is the item in the form that key stands for. It is made when the first subscriber asks; the others wait, and share it. Where
// encode panics, each of them does.
func (i *Item) Frame(key any, encode func() []byte) []byte {
	i.mu.Lock()
	f := i.find(key)
	if f == nil {
		f = newFrame(key, encode)
		i.keep(f)
	}
	i.mu.Unlock()
	return f.make()
}

// Made is the item in the form that key stands for, if that is made already, or else nil.
func (i *Item) Made(key any) []byte {
	i.mu.Lock()
	f := i.find(key)
	i.mu.Unlock()
	if f == nil {
		return nil
	}
	if made := f.made.Load(); made != nil {
		return *made
	}
	return nil
}

// find is the frame of a key, nil where nobody has asked for it. mu is held, as for keep.
func (i *Item) find(key any) *frame {
	if i.common != nil && i.common.key == key {
		return i.common
	}
	return i.more[key]
}

func (i *Item) keep(f *frame) {
	switch {
	case i.common == nil:
		i.common = f
	case i.more == nil:
		i.more = map[any]*frame{f.key: f}
	default:
		i.more[f.key] = f
	}
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

// continues says whether the commit follows on an event, or has it: by its hash, since after a restore or a failover another event may
// have its number. What lies before the event altogether is not doubted.
func (c *Commit) continues(head *Head) bool {
	first := &c.Events[0]
	switch at := head.Sequence - first.Sequence; {
	case at < -1:
		return false
	case at == -1:
		return first.Hash == Next(head.Hash, c.Merchant, first.Sequence, first.Schema, first.Payload)
	case at < int64(len(c.Events)):
		return c.Events[at].Hash == head.Hash
	default:
		return true
	}
}

// end is where the log ends with the commit.
func (c *Commit) end() Head {
	last := &c.Events[len(c.Events)-1]
	return Head{Sequence: last.Sequence, Hash: last.Hash}
}
