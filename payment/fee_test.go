package payment_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
)

func TestFeesAreRoundedHalfUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		plan          payment.FeePlan
		captured, fee int64
	}{
		{payment.FeePlan{}, 700, 0},
		{payment.FeePlan{BasisPoints: 290, FixedMinorUnits: 30}, 10_000, 320},
		{payment.FeePlan{BasisPoints: 100}, 149, 1},
		{payment.FeePlan{BasisPoints: 100}, 150, 2}, // half a cent
		{payment.FeePlan{BasisPoints: 100}, 49, 0},
		{payment.FeePlan{FixedMinorUnits: 30}, 20, 20}, // no more than was captured
		{payment.FeePlan{BasisPoints: 10_000, FixedMinorUnits: 5}, money.MaxMinorUnits, money.MaxMinorUnits},
		{payment.FeePlan{BasisPoints: 9_999}, money.MaxMinorUnits, money.MaxMinorUnits / 10_000 * 9_999},
	} {
		if fee := c.plan.Of(c.captured); fee != c.fee {
			t.Errorf("%+v of %d is %d, want %d", c.plan, c.captured, fee, c.fee)
		}
	}
	for _, plan := range []payment.FeePlan{{BasisPoints: -1}, {BasisPoints: 10_001}, {FixedMinorUnits: -1}, {FixedMinorUnits: money.MaxMinorUnits + 1}} {
		if plan.Check() == nil {
			t.Errorf("%+v is no plan", plan)
		}
	}
}

// TestPartsCostWhatTheWholeDoes captures a payment in parts, and compares the fees with those of one capture.
func TestPartsCostWhatTheWholeDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		b := newBooks(payment.Authorized, payment.TakenLater)
		b.plan = payment.FeePlan{
			BasisPoints: rapid.Int64Range(0, 10_000).Draw(rt, "basis points"), FixedMinorUnits: rapid.Int64Range(0, 900).Draw(rt, "fixed"),
		}
		s := payment.Service{Committer: b}
		for left := int64(700); left > 0; {
			part := rapid.Int64Range(1, left).Draw(rt, "part")
			amount := money.Input{Amount: usd(part).Decimal(), Currency: "USD"}
			if _, err := s.Capture(t.Context(), auth.Principal{}, payment.CaptureInput{PaymentID: "pay_1", Amount: &amount}); err != nil {
				rt.Fatal(err)
			}
			left -= part
		}
		want, got := b.plan.Of(700), int64(0)
		if fees := b.inner[ledger.Fees]; fees != nil {
			got = fees.Posted()
			if merchant := b.inner[ledger.MerchantAvailable].Posted(); merchant != -got {
				rt.Errorf("the merchant has %d, and paid %d", merchant, got)
			}
		}
		if got != want || b.payment.FeeMinorUnits != want || b.payment.Net() != usd(700-want) || b.to.Posted() != 700 {
			rt.Errorf("fees of %d, and the payment says %+v; want %d", got, b.payment, want)
		}
	})
}
