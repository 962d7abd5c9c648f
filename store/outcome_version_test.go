package store_test

import (
	"testing"

	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/storetest"
)

// TestARecordKeepsTheVersionOfItsOutcome has requests change the same objects one after the other: each record keeps the version that its own
// request has left, a refusal's none, and one of before the column says so.
func TestARecordKeepsTheVersionOfItsOutcome(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	from, to := wallet(t, h, p, "10.00"), wallet(t, h, p, "")
	keys := map[string]string{}
	named := func(what string) string { keys[what] = key(); return keys[what] }
	made, err := h.Payments.Create(t.Context(), p, payment.CreateInput{
		IdempotencyKey: named("create"), Amount: usd("1.00"), Source: &payment.Source{AccountID: &from}, DestinationAccountID: &to,
		CaptureMethod: payment.Manual,
	})
	must(t, err)
	id := made.Payment.ID
	_, err = h.Payments.Confirm(t.Context(), p, payment.ConfirmInput{IdempotencyKey: named("confirm"), PaymentID: id})
	must(t, err)
	_, err = h.Payments.Capture(t.Context(), p, payment.CaptureInput{IdempotencyKey: named("capture"), PaymentID: id, Amount: some(usd("0.25"))})
	must(t, err)
	_, err = h.Payments.Cancel(t.Context(), p, payment.CancelInput{IdempotencyKey: named("cancel"), PaymentID: id})
	must(t, err)
	_, err = pay(t.Context(), h, p, named("refused"), from, to, "1000.00")
	if err == nil {
		t.Error("a payment of more than there is was not refused")
	}
	for _, what := range []string{"freeze", "thaw"} {
		status := map[string]ledger.Status{"freeze": ledger.Frozen, "thaw": ledger.Active}[what]
		_, err = h.Ledger.SetAccountStatus(t.Context(), p, ledger.SetAccountStatusInput{
			IdempotencyKey: named(what), AccountID: from, Status: status, Reason: "a test",
		})
		must(t, err)
	}
	versionOf := func(what string) int32 {
		t.Helper()
		r, err := h.Store.Record(t.Context(), p.Merchant, keys[what])
		must(t, err)
		if r.OutcomeVersion == nil {
			return 0
		}
		return *r.OutcomeVersion
	}
	for what, want := range map[string]int32{"create": 1, "confirm": 2, "capture": 1, "cancel": 4, "refused": 0, "freeze": 2, "thaw": 3} {
		if got := versionOf(what); got != want {
			t.Errorf("%s left version %d, want %d", what, got, want)
		}
	}
	_, err = owner(t, h.DSN).Exec(`UPDATE idempotency SET outcome_version = NULL WHERE key = $1`, keys["confirm"])
	must(t, err)
	if got := versionOf("confirm"); got != 0 {
		t.Errorf("a record of before has version %d", got)
	}
	must(t, h.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}

// TestATimerThatCameTooLateIsNoDiscrepancy serves one whose payment was canceled after it was found due, which it was by a clock that was then set
// back: it does nothing, and no event tells of it.
func TestATimerThatCameTooLateIsNoDiscrepancy(t *testing.T) {
	t.Parallel()
	e := newEra(t)
	d := e.create("1.00", false, payment.Automatic)
	e.forward(2 * day)
	due := e.due()
	e.forward(-2 * day)
	_, err := e.Payments.Cancel(t.Context(), e.p, payment.CancelInput{IdempotencyKey: key(), PaymentID: payment.ID(d.first)})
	must(t, err)
	must(t, e.Payments.Expire(t.Context(), due))
	must(t, e.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}
