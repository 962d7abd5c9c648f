package resolvers

import (
	"context"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
)

type captureRefundReads interface {
	Captures(ctx context.Context, m merchant.ID, ids []string) ([]*payment.Capture, error)
	Refunds(ctx context.Context, m merchant.ID, ids []string) ([]*payment.Refund, error)
	PaymentCaptures(ctx context.Context, m merchant.ID, payments []string, after answer.UUID, limit int) ([][]*payment.Capture, error)
	PaymentRefunds(ctx context.Context, m merchant.ID, payments []string, after answer.UUID, limit int) ([][]*payment.Refund, error)
}

func (r mutationResolver) CapturePayment(ctx context.Context, in payment.CaptureInput) (answer.Outcome, error) {
	success, err := r.Payments.Capture(ctx, auth.FromContext(ctx), in)
	success.Capture = visible(ctx, success.Capture)
	return outcome(ctx, success, err)
}

func (r mutationResolver) CancelPayment(ctx context.Context, in payment.CancelInput) (answer.Outcome, error) {
	success, err := r.Payments.Cancel(ctx, auth.FromContext(ctx), in)
	success.Payment = visible(ctx, success.Payment)
	return outcome(ctx, success, err)
}

func (r mutationResolver) RefundPayment(ctx context.Context, in payment.RefundInput) (answer.Outcome, error) {
	success, err := r.Payments.Refund(ctx, auth.FromContext(ctx), in)
	success.Refund = visible(ctx, success.Refund)
	return outcome(ctx, success, err)
}

// Payment is nil where the principal may not see payments, nor captures.
func (r capturePaymentSuccessResolver) Payment(ctx context.Context, s *payment.CaptureSuccess) (*payment.Payment, error) {
	if s.Capture == nil {
		return nil, nil
	}
	return from(ctx).payments.Load(ctx, string(s.Capture.PaymentID))
}

// Payment is nil where the principal may not see payments, nor refunds.
func (r refundPaymentSuccessResolver) Payment(ctx context.Context, s *payment.RefundSuccess) (*payment.Payment, error) {
	if s.Refund == nil {
		return nil, nil
	}
	return from(ctx).payments.Load(ctx, string(s.Refund.PaymentID))
}

func (r captureResolver) Payment(ctx context.Context, c *payment.Capture) (*payment.Payment, error) {
	return from(ctx).payments.Load(ctx, string(c.PaymentID))
}

func (r captureResolver) Transaction(ctx context.Context, c *payment.Capture) (*ledger.Transaction, error) {
	return transactionOf(ctx, c.TransactionID)
}

func (r refundResolver) Payment(ctx context.Context, f *payment.Refund) (*payment.Payment, error) {
	return from(ctx).payments.Load(ctx, string(f.PaymentID))
}

func (r refundResolver) Transaction(ctx context.Context, f *payment.Refund) (*ledger.Transaction, error) {
	return transactionOf(ctx, f.TransactionID)
}

func transactionOf(ctx context.Context, id ledger.TransactionID) (*ledger.Transaction, error) {
	if !may(ctx, auth.AccountsRead) {
		return nil, nil
	}
	return from(ctx).transactions.Load(ctx, string(id))
}

func (r paymentResolver) Captures(ctx context.Context, p *payment.Payment, first int32, after *string) (*payment.CapturePage, error) {
	wanted, c, err := r.partOf(ctx, p, "captures of ", first, after)
	if err != nil {
		return nil, err
	}
	found, err := from(ctx).paymentCaptures.Load(ctx, wanted)
	return answer.Cut(found, int(first), after != nil, func(f *payment.Capture) string { return c.ofID(answer.CapturePrefix, f.NodeID()) }), err
}

func (r paymentResolver) Refunds(ctx context.Context, p *payment.Payment, first int32, after *string) (*payment.RefundPage, error) {
	wanted, c, err := r.partOf(ctx, p, "refunds of ", first, after)
	if err != nil {
		return nil, err
	}
	found, err := from(ctx).paymentRefunds.Load(ctx, wanted)
	return answer.Cut(found, int(first), after != nil, func(f *payment.Refund) string { return c.ofID(answer.RefundPrefix, f.NodeID()) }), err
}

// partOf is a part of a list that belongs to a payment, the oldest first.
func (r paymentResolver) partOf(ctx context.Context, p *payment.Payment, list string, first int32, after *string) (part[answer.UUID], cursors, error) {
	if err := checkFirst(first); err != nil {
		return part[answer.UUID]{}, cursors{}, err
	}
	c := r.cursors(auth.FromContext(ctx), list+p.NodeID())
	start, err := c.id(after)
	return part[answer.UUID]{p.NodeID(), slice[answer.UUID]{answer.Or(start), int(first) + 1}}, c, err
}

func (r paymentResolver) Fee(ctx context.Context, p *payment.Payment) (*money.Amount, error) {
	return forMerchant(ctx, p.Fee()), nil
}

func (r paymentResolver) Net(ctx context.Context, p *payment.Payment) (*money.Amount, error) {
	return forMerchant(ctx, p.Net()), nil
}

// forMerchant is an amount that is between the merchant and the gateway: nil for a customer.
func forMerchant(ctx context.Context, amount money.Amount) *money.Amount {
	if auth.FromContext(ctx).Kind == auth.Customer {
		return nil
	}
	return &amount
}
