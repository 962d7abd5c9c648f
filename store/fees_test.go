package store_test

import (
	"slices"
	"testing"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/storetest"
)

// TestAMerchantFillsWhatFeesHaveTaken: without it the first payment cannot be refunded in full.
func TestAMerchantFillsWhatFeesHaveTaken(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	must(t, h.Admin.SetFeePlan(t.Context(), p.Merchant, "USD", &payment.FeePlan{BasisPoints: 290, FixedMinorUnits: 30}))
	from, house := wallet(t, h, p, "100.00"), wallet(t, h, p, "5.00")
	paid, err := h.Payments.Create(t.Context(), p, payment.CreateInput{
		IdempotencyKey: key(), Amount: usd("100.00"), Source: &payment.Source{AccountID: &from}, Confirm: true,
	})
	must(t, err)
	refund := func() error {
		_, err := h.Payments.Refund(t.Context(), p, payment.RefundInput{IdempotencyKey: key(), PaymentID: paid.Payment.ID})
		return err
	}
	own := ownOf(t, h, p, ledger.MerchantAvailable)
	if short, ok := refund().(ledger.InsufficientFunds); !ok || short.Available.Decimal() != "96.80" || short.Required.Decimal() != "100.00" ||
		short.ResourceID != own.NodeID() {
		t.Fatalf("the refund is answered %+v", short)
	}
	topUp := transferred(t, h, p, house, own.ID, "3.20")
	must(t, refund())
	if short, ok := reverse(t.Context(), h, p, topUp).(ledger.InsufficientFunds); !ok || short.Available.Decimal() != "0.00" {
		t.Errorf("the reversal is answered %+v", short)
	}
	for id, want := range map[ledger.AccountID]string{from: "100.00", house: "1.80", own.ID: "0.00", ownOf(t, h, p, ledger.Fees).ID: "3.20"} {
		if got := balance(t, h, p, id); got != want {
			t.Errorf("%s has %s, want %s", id, got, want)
		}
	}
	must(t, h.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}

// ownOf is the merchant's own account of a kind in USD.
func ownOf(t *testing.T, h *storetest.House, p auth.Principal, kind ledger.Kind) *ledger.Account {
	t.Helper()
	found, err := h.Store.ListAccounts(t.Context(), p.Merchant, ledger.AccountFilter{Kind: []ledger.Kind{kind}}, answer.Slice{Limit: 9})
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("there are %d accounts %s", len(found), kind)
	}
	return found[0]
}

// TestARefusedPaymentOpensNothing has a merchant whose sums are near the end of their range, to whom a payment would open FEES.
func TestARefusedPaymentOpensNothing(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	from := wallet(t, h, p, "500.00")
	pay := func(h *storetest.House) error {
		_, err := h.Payments.Create(t.Context(), p, payment.CreateInput{
			IdempotencyKey: key(), Amount: usd("100.00"), Source: &payment.Source{AccountID: &from}, Confirm: true,
		})
		return err
	}
	must(t, pay(h))
	must(t, h.Admin.SetFeePlan(t.Context(), p.Merchant, "USD", &payment.FeePlan{BasisPoints: 290}))
	own := ownOf(t, h, p, ledger.MerchantAvailable)
	u, err := answer.Decode(answer.AccountPrefix, own.NodeID())
	must(t, err)
	_, err = owner(t, h.DSN).ExecContext(t.Context(),
		"UPDATE balance SET debits_posted = 9223372036854775000, credits_posted = 9223372036854775000 WHERE account_id = $1", u.String())
	must(t, err)
	before, err := h.Store.ListEvents(t.Context(), p.Merchant, nil, 0, 100)
	must(t, err)
	refused, ok := pay(storetest.At(t, h.DSN)).(ledger.BalanceOutOfRange) // a node that remembers no sums
	if !ok || refused.ResourceID != own.NodeID() || !slices.Equal(refused.Path(), []string{"input", "amount"}) {
		t.Errorf("got %+v", refused)
	}
	after, err := h.Store.ListEvents(t.Context(), p.Merchant, nil, 0, 100)
	must(t, err)
	if len(after) != len(before) {
		t.Errorf("the refused payment has written %s", after[len(after)-1].Payload)
	}
}
