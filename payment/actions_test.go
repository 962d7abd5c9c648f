package payment_test

import (
	"fmt"
	"testing"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
)

// TestAvailableActionsSayHowMuch looks at a payment of 7.00 in each status, of which some was captured and a part of that given back.
func TestAvailableActionsSayHowMuch(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status   payment.Status
		refunded int64
		want     string // of confirm, capture, cancel and refund
	}{
		"waits for a source":       {payment.RequiresPaymentMethod, 0, "yes, REQUIRES_PAYMENT_METHOD, yes, REQUIRES_PAYMENT_METHOD"},
		"waits for confirmation":   {payment.RequiresConfirmation, 0, "yes, REQUIRES_CONFIRMATION, yes, REQUIRES_CONFIRMATION"},
		"nothing is captured":      {payment.Authorized, 0, "AUTHORIZED, 7.00 USD, yes, AUTHORIZED"},
		"a part is captured":       {payment.PartiallyCaptured, 0, "PARTIALLY_CAPTURED, 5.00 USD, yes, 2.00 USD"},
		"some of it is given back": {payment.PartiallyCaptured, 50, "PARTIALLY_CAPTURED, 5.00 USD, yes, 1.50 USD"},
		"all of it is given back":  {payment.PartiallyCaptured, 200, "PARTIALLY_CAPTURED, 5.00 USD, yes, Nothing is left to be refunded."},
		"all is captured":          {payment.Succeeded, 0, "SUCCEEDED, SUCCEEDED, SUCCEEDED, 7.00 USD"},
		"all is given back":        {payment.Succeeded, 700, "SUCCEEDED, SUCCEEDED, SUCCEEDED, Nothing is left to be refunded."},
		"canceled":                 {payment.Canceled, 0, "CANCELED, CANCELED, CANCELED, CANCELED"},
		"expired":                  {payment.Expired, 0, "EXPIRED, EXPIRED, EXPIRED, EXPIRED"},
	} {
		p := newBooks(c.status, payment.Always).payment
		p.RefundedMinorUnits = c.refunded
		got := ""
		for i, a := range p.AvailableActions() {
			if want := []payment.Action{payment.ToConfirm, payment.ToCapture, payment.ToCancel, payment.ToRefund}[i]; a.Action != want || a.Allowed != (a.Reason == nil) {
				t.Errorf("%s: %+v comes where %s should", name, a, want)
			}
			got += ", " + said(c.status, a)
		}
		if got != ", "+c.want {
			t.Errorf("%s: got %s, want %s", name, got[2:], c.want)
		}
	}
}

// said is how much can be done, or why nothing can: only the status where that is why.
func said(status payment.Status, a payment.AvailableAction) string {
	done := map[payment.Action]string{payment.ToConfirm: "confirmed", payment.ToCapture: "captured", payment.ToCancel: "canceled", payment.ToRefund: "refunded"}
	switch {
	case a.Allowed && a.Max != nil:
		return a.Max.String()
	case a.Allowed:
		return "yes"
	case *a.Reason == fmt.Sprintf("A payment that is %s cannot be %s.", status, done[a.Action]):
		return string(status)
	}
	return *a.Reason
}

// TestAccountsThatAreNotActive: what was set aside before is captured, and ends; nothing new is taken from a frozen account, and a closed one takes
// nothing back.
func TestAccountsThatAreNotActive(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to ledger.Status
		status   payment.Status
		action   payment.Action
		when     payment.Condition
		refused  ledger.AccountID
	}{
		{ledger.Frozen, ledger.Frozen, payment.Authorized, payment.ToCapture, payment.SomeIsLeft, ""},
		{ledger.Frozen, ledger.Frozen, payment.PartiallyCaptured, payment.ToCapture, payment.NothingsLeft, ""},
		{ledger.Frozen, ledger.Frozen, payment.PartiallyCaptured, payment.ToCancel, payment.Always, ""},
		{ledger.Frozen, ledger.Frozen, payment.Authorized, payment.ToExpire, payment.Always, ""},
		{ledger.Active, ledger.Frozen, payment.RequiresConfirmation, payment.ToConfirm, payment.TakenLater, ""},
		{ledger.Active, ledger.Frozen, payment.RequiresConfirmation, payment.ToConfirm, payment.TakenAtOnce, ""},
		{ledger.Frozen, ledger.Active, payment.RequiresConfirmation, payment.ToConfirm, payment.TakenLater, "acc_from"},
		{ledger.Frozen, ledger.Active, payment.RequiresConfirmation, payment.ToConfirm, payment.TakenAtOnce, "acc_from"},
		{ledger.Active, ledger.Closed, payment.RequiresConfirmation, payment.ToConfirm, payment.TakenAtOnce, "acc_to"},
		{ledger.Closed, ledger.Closed, payment.RequiresConfirmation, payment.ToExpire, payment.Always, ""},
		{ledger.Closed, ledger.Closed, payment.RequiresConfirmation, payment.ToCancel, payment.Always, ""},
		{ledger.Frozen, ledger.Active, payment.Succeeded, payment.ToRefund, payment.Always, ""},
		{ledger.Active, ledger.Frozen, payment.PartiallyCaptured, payment.ToRefund, payment.Always, "acc_to"},
		{ledger.Closed, ledger.Active, payment.Succeeded, payment.ToRefund, payment.Always, "acc_from"},
	} {
		b := newBooks(c.status, c.when)
		b.from.Status, b.to.Status = c.from, c.to
		err := b.act(t, c.action, c.when)
		refusal, refused := err.(ledger.AccountNotActive)
		if refusal.ResourceID != string(c.refused) || refused != (c.refused != "") || !refused && err != nil || refused != (len(b.events) == 0) {
			t.Errorf("%+v: %v, and %d events", c, err, len(b.events))
		}
	}
}

// TestAFeeIsNotGivenBack captures a payment to the merchant in parts, and refunds it: what the fee took is not there.
func TestAFeeIsNotGivenBack(t *testing.T) {
	t.Parallel()
	b := newBooks(payment.RequiresConfirmation, payment.TakenLater)
	b.payment.DestinationAccountID = nil
	b.plan = payment.FeePlan{BasisPoints: 250, FixedMinorUnits: 30} // of 3.01 and of all 7.00: 38 (37.525) and 48 (47.5) cents
	s := payment.Service{Committer: b}
	if err := b.act(t, payment.ToConfirm, payment.TakenLater); err != nil {
		t.Fatal(err)
	}
	for _, amount := range []*money.Input{{Amount: "3.01", Currency: "USD"}, nil} {
		if _, err := s.Capture(t.Context(), auth.Principal{}, payment.CaptureInput{PaymentID: "pay_1", Amount: amount}); err != nil {
			t.Fatal(err)
		}
	}
	available := b.inner[ledger.MerchantAvailable]
	if available.Posted() != 652 || b.inner[ledger.Fees].Posted() != 48 || b.payment.Fee() != usd(48) || b.payment.Net() != usd(652) {
		t.Errorf("the merchant has %d, and paid %d, for %+v", available.Posted(), b.inner[ledger.Fees].Posted(), b.payment)
	}
	_, err := s.Refund(t.Context(), auth.Principal{}, payment.RefundInput{PaymentID: "pay_1"})
	if refusal, ok := err.(ledger.InsufficientFunds); !ok || refusal.Available != usd(652) || refusal.Required != usd(700) {
		t.Errorf("all of it is given back: %v", err)
	}
	if _, err := s.Refund(t.Context(), auth.Principal{}, payment.RefundInput{PaymentID: "pay_1", Amount: &money.Input{Amount: "6.52", Currency: "USD"}}); err != nil {
		t.Error(err)
	}
	if available.Posted() != 0 || b.payment.Net() != usd(0) || b.payment.Refundable() != usd(48) || b.payment.Fee() != usd(48) {
		t.Errorf("the merchant has %d, of %+v", available.Posted(), b.payment)
	}
}
