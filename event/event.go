// Package event is a merchant's numbered log: what happened, in one order without gaps, chained by hashes.
package event

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/paygraph/paygraph/answer"
)

// ID names an event: "evt_" and a UUIDv7.
type ID string

// Type says what happened. It has the words of the schema's EventType.
type Type string

// The types of events.
const (
	CustomerCreated      Type = "CUSTOMER_CREATED"
	AccountOpened        Type = "ACCOUNT_OPENED"
	AccountStatusChanged Type = "ACCOUNT_STATUS_CHANGED"
	FundsDeposited       Type = "FUNDS_DEPOSITED"
	TransferPosted       Type = "TRANSFER_POSTED"
	FundsHeld            Type = "FUNDS_HELD"
	HoldReleased         Type = "HOLD_RELEASED"
	TransferReversed     Type = "TRANSFER_REVERSED"
	PaymentCreated       Type = "PAYMENT_CREATED"
	PaymentAuthorized    Type = "PAYMENT_AUTHORIZED"
	PaymentPartCaptured  Type = "PAYMENT_PARTIALLY_CAPTURED"
	PaymentSucceeded     Type = "PAYMENT_SUCCEEDED"
	PaymentCanceled      Type = "PAYMENT_CANCELED"
	PaymentExpired       Type = "PAYMENT_EXPIRED"
	PaymentRefunded      Type = "PAYMENT_REFUNDED"
	CaptureSucceeded     Type = "CAPTURE_SUCCEEDED"
	RefundSucceeded      Type = "REFUND_SUCCEEDED"
)

// Schema is the number of the payload's format that this version writes. Older events keep the bytes and the number that they
// were written with.
const Schema = 1

// Event is one numbered fact in a merchant's log.
type Event struct {
	ID            ID
	Sequence      int64 // 1, 2, 3 … in its merchant, without a gap
	Type          Type
	ObjectID      string // the object that the command made or changed
	ObjectVersion int32  // the object's version after it
	Schema        int16
	Payload       []byte // JSON: the exact bytes that were hashed
	Hash          Hash
	OccurredAt    time.Time // the batch's t
}

// Draft is an event before it has a number: what a decision says has happened.
type Draft struct {
	Type          Type
	ObjectID      string
	ObjectVersion int32
	State         State   // the object's state after it
	Postings      []State // the ledger transactions that the command posted, with every entry
}

// Hash is SHA-256 over an event and, through the hash before, over all events before it.
type Hash [sha256.Size]byte

// Genesis is the hash before a merchant's first event.
func Genesis(m answer.MerchantID) Hash {
	return sha256.Sum256([]byte("paygraph log of " + string(m)))
}

// Next is the hash of an event: SHA-256 over the hash before, the merchant, the number, the schema and the payload, each after
// its length, so that no two different events are the same bytes.
func Next(prev Hash, m answer.MerchantID, sequence int64, schema int16, payload []byte) Hash {
	buffer := make([]byte, 0, 5*8+len(prev)+len(m)+10+len(payload))
	field := func(bytes []byte) {
		buffer = binary.BigEndian.AppendUint64(buffer, uint64(len(bytes)))
		buffer = append(buffer, bytes...)
	}
	field(prev[:])
	field([]byte(m))
	field(binary.BigEndian.AppendUint64(nil, uint64(sequence)))
	field(binary.BigEndian.AppendUint16(nil, uint16(schema)))
	field(payload)
	return sha256.Sum256(buffer)
}

// Cause says what an event follows from.
type Cause struct {
	Operation     string   // the command: "createPayment"
	PrincipalKind string   // who gave it
	Principal     string   // the principal's subject
	Request       [16]byte // a hash of the command's key and input, which ties the event to the record of its key
}

// Number gives a draft its number, writes its payload and chains it to the event before it.
func (d Draft) Number(m answer.MerchantID, id ID, sequence int64, prev Hash, at time.Time, cause Cause) Event {
	payload := make(State, 0, 1024).
		Text("id", string(id)).
		Text("type", string(d.Type)).
		Time("at", at).
		Text("object", d.ObjectID).
		Int("version", int64(d.ObjectVersion)).
		Object("cause", State(nil).
			Text("operation", cause.Operation).
			Text("kind", cause.PrincipalKind).
			Text("principal", cause.Principal).
			Text("request", hex.EncodeToString(cause.Request[:]))).
		Object("state", d.State)
	if len(d.Postings) > 0 {
		payload = payload.List("transactions", d.Postings)
	}
	bytes := payload.Close()
	return Event{
		ID: id, Sequence: sequence, Type: d.Type, ObjectID: d.ObjectID, ObjectVersion: d.ObjectVersion,
		Schema: Schema, Payload: bytes, Hash: Next(prev, m, sequence, Schema, bytes), OccurredAt: at,
	}
}

// Object is the prefix of the objects that events of this type are about.
func (t Type) Object() answer.Prefix {
	switch t {
	case CustomerCreated:
		return answer.CustomerPrefix
	case AccountOpened, AccountStatusChanged:
		return answer.AccountPrefix
	case FundsDeposited, TransferPosted, TransferReversed, FundsHeld, HoldReleased:
		return answer.TransactionPrefix
	case CaptureSucceeded:
		return answer.CapturePrefix
	case RefundSucceeded:
		return answer.RefundPrefix
	default:
		return answer.PaymentPrefix
	}
}

// NodeID is the event's identifier.
func (e *Event) NodeID() string { return string(e.ID) }

// HashText is the hash in hexadecimal.
func (e *Event) HashText() string { return hex.EncodeToString(e.Hash[:]) }

// Head is the end of a merchant's log: the number and the hash of its last event, 0 and [Genesis] before the first.
type Head struct {
	Sequence int64
	Hash     Hash
}

// HashText is the hash in hexadecimal.
func (h *Head) HashText() string { return hex.EncodeToString(h.Hash[:]) }

// The pages of the log.
type (
	Page = answer.Page[*Event]
	Edge = answer.Edge[*Event]
)
