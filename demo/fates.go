package demo

import (
	"context"
	"fmt"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
)

// fate is a payment whose money is set aside, and what becomes of it then. Amounts are in USD.
type fate struct {
	amount   string
	captures []string // after the last of them nothing more is captured
	refund   string
	cancel   bool
}

// fates are one of each way that a payment can go, for whoever looks at the newest ones.
var fates = []fate{
	{amount: "129.90"},
	{amount: "86.40", captures: []string{"51.80", "34.60"}},
	{amount: "74.00", captures: []string{"74.00"}, refund: "18.50"},
	{amount: "240.00", cancel: true},
}

func (s *seed) fates(ctx context.Context, group *errgroup.Group) {
	for n, f := range fates {
		group.Go(func() error { return s.fate(ctx, n, f) })
	}
}

// fate sends one payment's commands, one after the other: each needs the one before.
func (s *seed) fate(ctx context.Context, n int, f fate) error {
	reference := "order-" + strconv.Itoa(20_002+payments+n)
	created, err := s.Payments.Create(ctx, s.principal, payment.CreateInput{
		IdempotencyKey: key("fate", n), Amount: dollars(f.amount), Source: &payment.Source{AccountID: &s.account[n]}, Confirm: true,
		CaptureMethod: payment.Manual, Reference: &reference, Metadata: answer.Metadata{"channel": channels[n%len(channels)]},
	})
	if err != nil {
		return err
	}
	id := created.Payment.ID
	for i, part := range f.captures {
		amount := dollars(part)
		_, err := s.Payments.Capture(ctx, s.principal, payment.CaptureInput{
			IdempotencyKey: key(fmt.Sprintf("fate-capture-%d", i), n), PaymentID: id, Amount: &amount, Final: i == len(f.captures)-1,
		})
		if err != nil {
			return err
		}
	}
	switch {
	case f.refund != "":
		amount, reason := dollars(f.refund), "One piece came back"
		_, err = s.Payments.Refund(ctx, s.principal, payment.RefundInput{
			IdempotencyKey: key("fate-refund", n), PaymentID: id, Amount: &amount, Reason: &reason,
		})
	case f.cancel:
		_, err = s.Payments.Cancel(ctx, s.principal, payment.CancelInput{IdempotencyKey: key("fate-cancel", n), PaymentID: id})
	}
	return err
}

func dollars(amount string) money.Input { return money.Input{Amount: amount, Currency: "USD"} }
