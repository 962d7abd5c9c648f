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

// story is a payment whose money is set aside, and what becomes of it then. Amounts are in USD.
type story struct {
	amount   string
	captures []string // after the last of them nothing more is captured
	refund   string
	cancel   bool
}

// stories are one of each way that a payment can go, for whoever looks at the newest ones.
var stories = []story{
	{amount: "129.90"},
	{amount: "86.40", captures: []string{"51.80", "34.60"}},
	{amount: "74.00", captures: []string{"74.00"}, refund: "18.50"},
	{amount: "240.00", cancel: true},
}

func (s *seed) stories(ctx context.Context, group *errgroup.Group) {
	for n, told := range stories {
		group.Go(func() error { return s.story(ctx, n, told) })
	}
}

// story sends one story's commands, one after the other: each needs the one before.
func (s *seed) story(ctx context.Context, n int, told story) error {
	reference := "order-" + strconv.Itoa(20_002+payments+n)
	created, err := s.Payments.Create(ctx, s.principal, payment.CreateInput{
		IdempotencyKey: key("story", n), Amount: dollars(told.amount), Source: &payment.Source{AccountID: &s.account[n]}, Confirm: true,
		CaptureMethod: payment.Manual, Reference: &reference, Metadata: answer.Metadata{"channel": channels[n%len(channels)]},
	})
	if err != nil {
		return err
	}
	id := created.Payment.ID
	for i, part := range told.captures {
		amount := dollars(part)
		_, err := s.Payments.Capture(ctx, s.principal, payment.CaptureInput{
			IdempotencyKey: key(fmt.Sprintf("story-capture-%d", i), n), PaymentID: id, Amount: &amount, Final: i == len(told.captures)-1,
		})
		if err != nil {
			return err
		}
	}
	switch {
	case told.refund != "":
		amount, reason := dollars(told.refund), "One piece came back"
		_, err = s.Payments.Refund(ctx, s.principal, payment.RefundInput{
			IdempotencyKey: key("story-refund", n), PaymentID: id, Amount: &amount, Reason: &reason,
		})
	case told.cancel:
		_, err = s.Payments.Cancel(ctx, s.principal, payment.CancelInput{IdempotencyKey: key("story-cancel", n), PaymentID: id})
	}
	return err
}

func dollars(amount string) money.Input { return money.Input{Amount: amount, Currency: "USD"} }
