package store

import (
	"context"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
)

// What a capture and a refund have in common.
const (
	captureColumns = `c.id, c.payment_id, c.transaction_id, c.amount, c.currency, c.created_at, c.final`
	refundColumns  = `r.id, r.payment_id, r.transaction_id, r.amount, r.currency, r.created_at, r.reason, r.salt`
)

// moved is what a row says of an amount that was moved for a payment.
type moved struct{ id, payment, transaction answer.UUID }

func (m moved) paymentID() payment.ID {
	return payment.ID(answer.Encode(answer.PaymentPrefix, m.payment))
}

func (m moved) transactionID() ledger.TransactionID {
	return ledger.TransactionID(answer.Encode(answer.TransactionPrefix, m.transaction))
}

func (m *moved) columns(amount *money.Amount) []any {
	return []any{&m.id, &m.payment, &m.transaction, &amount.MinorUnits, &amount.Currency}
}

func scanCapture(scan scanner) (*payment.Capture, error) {
	var c payment.Capture
	var of moved
	err := scan(append(of.columns(&c.Amount), &c.CreatedAt, &c.Final)...)
	c.ID = payment.CaptureID(answer.Encode(answer.CapturePrefix, of.id))
	c.PaymentID, c.TransactionID, c.CreatedAt = of.paymentID(), of.transactionID(), c.CreatedAt.UTC()
	return &c, err
}

func scanRefund(scan scanner) (*payment.Refund, error) {
	var r payment.Refund
	var of moved
	err := scan(append(of.columns(&r.Amount), &r.CreatedAt, &r.Reason, &r.Salt)...)
	r.ID = payment.RefundID(answer.Encode(answer.RefundPrefix, of.id))
	r.PaymentID, r.TransactionID, r.CreatedAt = of.paymentID(), of.transactionID(), r.CreatedAt.UTC()
	return &r, err
}

// Captures finds captures by their identifiers.
func (r Reads) Captures(ctx context.Context, m merchant.ID, ids []string) ([]*payment.Capture, error) {
	return some(ctx, r, m, answer.CapturePrefix, ids, `SELECT `+captureColumns+each+
		lateral(captureColumns, `capture`, `c`, `c.id = u.id`, `LIMIT 1`), scanCapture)
}

// Refunds finds refunds by their identifiers.
func (r Reads) Refunds(ctx context.Context, m merchant.ID, ids []string) ([]*payment.Refund, error) {
	return some(ctx, r, m, answer.RefundPrefix, ids, `SELECT `+refundColumns+each+
		lateral(refundColumns, `refund`, `r`, `r.id = u.id`, `LIMIT 1`), scanRefund)
}

// PaymentCaptures finds the captures of each of some payments after one, the oldest first.
func (r Reads) PaymentCaptures(ctx context.Context, m merchant.ID, payments []string, after answer.UUID, limit int) ([][]*payment.Capture, error) {
	return children(ctx, r, m, answer.PaymentPrefix, payments, `SELECT `+captureColumns+` FROM `+
		part(captureColumns, `capture`, `c`, `c.payment_id = u.id AND c.id > $3`, `ORDER BY c.id LIMIT $4`)+
		` ORDER BY c.id`, scanCapture, after.String(), limit)
}

// PaymentRefunds finds the refunds of each of some payments after one, the oldest first.
func (r Reads) PaymentRefunds(ctx context.Context, m merchant.ID, payments []string, after answer.UUID, limit int) ([][]*payment.Refund, error) {
	return children(ctx, r, m, answer.PaymentPrefix, payments, `SELECT `+refundColumns+` FROM `+
		part(refundColumns, `refund`, `r`, `r.payment_id = u.id AND r.id > $3`, `ORDER BY r.id LIMIT $4`)+
		` ORDER BY r.id`, scanRefund, after.String(), limit)
}

// Capture finds one capture, or nil.
func (s *Store) Capture(ctx context.Context, p auth.Principal, id payment.CaptureID) (*payment.Capture, error) {
	return first(s.Captures(ctx, p.Merchant, []string{string(id)}))
}

// Refund finds one refund, or nil.
func (s *Store) Refund(ctx context.Context, p auth.Principal, id payment.RefundID) (*payment.Refund, error) {
	return first(s.Refunds(ctx, p.Merchant, []string{string(id)}))
}
