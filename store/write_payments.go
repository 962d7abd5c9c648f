package store

import (
	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/payment"
)

var paymentWritten = []column{uuids("id"), texts("status"), int8s("amount"), texts("currency"), uuids("source_account_id"),
	uuids("destination_account_id"), int8s("captured"), texts("reference"), jsonbs("metadata"), byteas("salt"), int4s("version")}

func (r *row) payment(p *payment.Payment) {
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
}

// waitingWritten are the columns of a payment that waits for a client or is captured later, or was changed.
var waitingWritten = append(paymentWritten[:len(paymentWritten):len(paymentWritten)], texts("capture_method"), int8s("authorized"),
	int8s("refunded"), int8s("fee"), uuids("hold_id"), times("expires_at"))

func (r *row) waiting(p *payment.Payment) {
	r.payment(p)
	if p.CaptureMethod == payment.Automatic {
		r.nulls(1)
	} else {
		r.text(string(p.CaptureMethod))
	}
	r.maybeInt8(p.AuthorizedMinorUnits, 0)
	r.maybeInt8(p.RefundedMinorUnits, 0)
	r.maybeInt8(p.FeeMinorUnits, 0)
	r.maybeID(answer.HoldPrefix, (*string)(p.HoldID))
	r.maybeTime(p.ExpiresAt)
}

var timerWritten = []column{uuids("object_id"), texts("kind"), times("due_at")}

func (r *row) timer(t command.Timer) {
	r.id(t.Kind.Object(), t.ObjectID)
	r.text(string(t.Kind))
	r.maybeTime(&t.DueAt)
}
