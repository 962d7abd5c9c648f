// Package command is the envelope of everything that changes a merchant: who asks, under which idempotency key, what has to be
// loaded, and the function that decides. The store takes commands in batches through one serial section a merchant.
package command

import (
	"context"
	"fmt"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/event"
)

// Command asks for one change of one merchant. B is what the decision may read and write: the Batch of its own package.
type Command[B any] struct {
	Envelope
	Needs  Needs
	Decide Decision[B]
}

// Decision decides on a batch: it returns the object that the command made or changed, or a Refusal, and then has written
// nothing to the batch. It is a pure function of the batch: no clock, no database, no network. Any other error, or a panic, is a
// defect; the command gets INTERNAL and its key stays free.
type Decision[B any] func(B) (Object, error)

// Envelope is what every command carries, whatever its kind and origin.
type Envelope struct {
	Principal auth.Principal
	Operation string // the mutation: "createPayment"
	Key       string // the idempotency key; its scope is the merchant and the owner
	Input     Input  // what the key stands for
	Invalid   error  // a refusal that follows from the input alone: given after the look-up, not recorded
}

// Needs names what has to be loaded before the decision. Identifiers that are none, or are another merchant's, load nothing.
type Needs struct {
	Customers    []string
	Accounts     []string
	Payments     []string // with their accounts and holds
	Holds        []string // with their accounts
	Transactions []string // likewise
	Inner        []Inner
	Fees         string // the currency in which a fee may be charged: its accounts, where the merchant has a plan
}

// Inner names an account of the merchant's own by its kind and currency.
type Inner struct {
	Kind     string
	Currency string
}

// Object is what a successful command made or changed, as a pointer to its domain struct.
type Object interface {
	NodeID() string
}

// Result is what became of a command that succeeded.
type Result struct {
	ObjectID string
	Object   Object // as the command left it; nil for a replay, whose object is read as it is now
	Replayed bool   // the key was known: nothing was done again
}

// Committer takes commands for a merchant's serial section, waits for the commit, and returns the result, the refusal, or an
// error: ErrOutcomeUnknown, ErrUnavailable, ErrRateLimited, ErrInternal.
type Committer[B any] interface {
	Commit(ctx context.Context, c Command[B]) (Result, error)
}

// Batch is the part of a batch that every decision uses.
type Batch interface {
	// Time is the batch's t: later than everything that was committed for this merchant before.
	Time() time.Time
	// NewID makes an identifier from t; identifiers of a merchant are in the order in which they are made. The last byte of a
	// transaction's is zero: it is the place for the numbers of its entries.
	NewID(answer.Prefix) string
	// Merchant is whose batch it is.
	Merchant() answer.MerchantID
	// Append notes an event of the command that is being decided.
	Append(event.Draft)
	// AddTimer notes that something is to happen later.
	AddTimer(Timer)
	// Served notes that a timer has been served, or is not needed any more.
	Served(Timer)
}

// KeyLifetime is how long a key's request is answered again after its object is final. From then on the key is refused.
const KeyLifetime = 30 * 24 * time.Hour

// Record is what is kept of a command under its key: "what became of my request?"
type Record struct {
	Key            string
	Operation      string
	FirstSeenAt    time.Time
	ObjectID       *string        // what a success made or changed
	OutcomeVersion *int32         // the object's version after it; nil also in records of before this was kept
	Refusal        answer.Refusal // or the gateway's no
	ResultVersion  int16          // the format of what is frozen
	Expired        bool           // the request is answered no more
}

// Do commits a command, and finds its object as [Resolve] does; replayed says that the key was known.
func Do[B any, T Object](ctx context.Context, to Committer[B], c Command[B], read func(id string) (T, error)) (object T, replayed bool, err error) {
	result, err := to.Commit(ctx, c)
	object, err = Resolve(result, err, read)
	return object, result.Replayed, err
}

// Resolve is the object of a result: as the command left it or, for a replay, as read by its identifier now. A read that fails is
// ErrOutcomeUnknown, whatever the database says: the command has been done, and the same key finds its object.
func Resolve[T Object](r Result, err error, read func(id string) (T, error)) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	if r.Object != nil {
		return r.Object.(T), nil
	}
	object, err := read(r.ObjectID)
	if err != nil { // its own error would say that nothing was done
		err = fmt.Errorf("%w: reading %s: %s", ErrOutcomeUnknown, r.ObjectID, err.Error())
	}
	return object, err
}
