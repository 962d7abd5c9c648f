package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/storetest"
)

// TestFiftyAtOnceOnOnePayment runs fifty captures, refunds, and cancels or timers of one payment at the same time, at two nodes: whatever their
// order, the payment has moved by the table, and its amounts are in bounds after each step.
func TestFiftyAtOnceOnOnePayment(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	nodes := []*storetest.House{h, storetest.At(t, h.DSN)}
	from, to := wallet(t, h, p, "1000.00"), wallet(t, h, p, "")
	took := map[string]int{}
	for round := range 12 {
		made := authorize(t, h, p, from, to, "20.00")
		var all sync.WaitGroup
		for n := range 50 {
			ends := n%10 == 0 && round%3 > 0
			all.Go(func() {
				if err := oneOfFifty(t, nodes[n/10%2].Payments, p, made, ends, round%3 == 1); err != nil {
					if _, refused := errors.AsType[answer.Refusal](err); !refused {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		wantByTheTable(t, h, p.Merchant, made.ID, took)
		now, err := h.Store.Payment(t.Context(), p, made.ID)
		must(t, err)
		if payment.Terminal(now.Status) != (now.HoldID == nil) {
			t.Errorf("round %d: %+v", round, now)
		}
	}
	t.Log(took)
	for _, operation := range []string{"capturePayment", "refundPayment", "cancelPayment", "expirePayment"} {
		if took[operation] == 0 {
			t.Errorf("%s has never succeeded: nothing was tried", operation)
		}
	}
	must(t, h.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}

// oneOfFifty captures or refunds some of a payment, or ends it.
func oneOfFifty(t *testing.T, s *payment.Service, p auth.Principal, of *payment.Payment, ends, cancels bool) (err error) {
	amount := some(usd(fmt.Sprintf("%d.%02d", rand.IntN(3), 1+rand.IntN(99))))
	switch {
	case ends && cancels:
		_, err = s.Cancel(t.Context(), p, payment.CancelInput{IdempotencyKey: key(), PaymentID: of.ID})
	case ends:
		err = s.Expire(t.Context(), dueOf(p, of))
	case rand.IntN(5) < 3:
		_, err = s.Capture(t.Context(), p, payment.CaptureInput{IdempotencyKey: key(), PaymentID: of.ID, Amount: amount, Final: rand.IntN(60) == 0})
	default:
		_, err = s.Refund(t.Context(), p, payment.RefundInput{IdempotencyKey: key(), PaymentID: of.ID, Amount: amount})
	}
	return err
}

// wantByTheTable follows a payment through its events: each of them is a row of the table, and leaves the amounts in bounds. It counts them by what
// has caused them.
func wantByTheTable(t *testing.T, h *storetest.House, m answer.MerchantID, id payment.ID, took map[string]int) {
	t.Helper()
	found, err := h.Store.PaymentEvents(t.Context(), m, []string{string(id)}, 0, 1000)
	must(t, err)
	status := payment.Authorized
	for i, e := range found[0] {
		var payload struct {
			Cause struct{ Operation string }
			State struct {
				Status                         payment.Status
				Authorized, Captured, Refunded json.Number
			}
		}
		must(t, json.Unmarshal(e.Payload, &payload))
		is := payload.State
		if e.ObjectVersion != int32(i+1) {
			t.Errorf("version %d comes where %d should", e.ObjectVersion, i+1)
		}
		if i > 0 && !leads(status, payload.Cause.Operation, is.Status) {
			t.Errorf("%s led from %s to %s", payload.Cause.Operation, status, is.Status)
		}
		if number(is.Captured) > number(is.Authorized) || number(is.Refunded) > number(is.Captured) {
			t.Errorf("after %s, version %d, the amounts are %+v", payload.Cause.Operation, e.ObjectVersion, is)
		}
		status = is.Status
		took[payload.Cause.Operation]++
	}
}

// number is 0 where there is none.
func number(n json.Number) int64 {
	i, _ := n.Int64()
	return i
}

func leads(from payment.Status, operation string, to payment.Status) bool {
	action := map[string]payment.Action{
		"capturePayment": payment.ToCapture, "refundPayment": payment.ToRefund, "cancelPayment": payment.ToCancel, "expirePayment": payment.ToExpire,
	}[operation]
	for _, row := range payment.Table {
		if row.From == from && row.Action == action && row.To == to {
			return true
		}
	}
	return false
}

// TestATransferIsReversedOnce tries it at the same time, in one batch and at two nodes.
func TestATransferIsReversedOnce(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	nodes := []*storetest.House{h, storetest.At(t, h.DSN)}
	from, to := wallet(t, h, p, "10.00"), wallet(t, h, p, "5.00")
	transfer := transferred(t, h, p, from, to, "2.00")
	calls := make([]func(context.Context), 20)
	took := make([]bool, len(calls))
	for i := range calls {
		calls[i] = func(ctx context.Context) {
			err := reverse(ctx, nodes[i%2], p, transfer)
			if _, refused := errors.AsType[answer.Refusal](err); err != nil && !refused {
				t.Error(err)
			}
			took[i] = err == nil
		}
	}
	queue(t.Context(), calls...)()
	reversed := 0
	for _, is := range took {
		if is {
			reversed++
		}
	}
	if a, b := sumsOf(t, h, p, from), sumsOf(t, h, p, to); reversed != 1 || a != "10.00 10.00 0.00 0.00 3" || b != "5.00 5.00 0.00 0.00 3" {
		t.Errorf("%d times; the accounts have %s and %s", reversed, a, b)
	}
	done, err := nodes[1].Store.Transaction(t.Context(), p, transfer)
	must(t, err)
	if done.Status() != ledger.Reversed {
		t.Errorf("the transfer is %s", done.Status())
	}
	if err := reverse(t.Context(), h, p, *done.ReversedBy); err == nil {
		t.Error("a reversal was reversed")
	}
	must(t, h.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}

func transferred(t *testing.T, h *storetest.House, p auth.Principal, from, to ledger.AccountID, amount string) ledger.TransactionID {
	t.Helper()
	made, err := h.Ledger.TransferFunds(t.Context(), p, ledger.TransferFundsInput{
		IdempotencyKey: key(), FromAccountID: from, ToAccountID: to, Amount: usd(amount),
	})
	must(t, err)
	return made.Transaction.ID
}

func reverse(ctx context.Context, h *storetest.House, p auth.Principal, id ledger.TransactionID) error {
	_, err := h.Ledger.ReverseTransfer(ctx, p, ledger.ReverseTransferInput{IdempotencyKey: key(), TransactionID: id, Reason: "a mistake"})
	return err
}

// TestAFeePlanCountsFromTheNextCommitOn changes it at one node, while another pays from memory.
func TestAFeePlanCountsFromTheNextCommitOn(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	from := wallet(t, h, p, "1000.00")
	paid := func(want string) {
		t.Helper()
		made, err := h.Payments.Create(t.Context(), p, payment.CreateInput{
			IdempotencyKey: key(), Amount: usd("100.00"), Source: &payment.Source{AccountID: &from}, Confirm: true,
		})
		must(t, err)
		if got := made.Payment.Fee().Decimal(); got != want {
			t.Errorf("the fee is %s, want %s", got, want)
		}
	}
	for range 6 {
		paid("0.00")
	}
	must(t, h.Admin.SetFeePlan(t.Context(), p.Merchant, "USD", &payment.FeePlan{BasisPoints: 290, FixedMinorUnits: 30}))
	must(t, h.Admin.SetFeePlan(t.Context(), p.Merchant, "EUR", &payment.FeePlan{BasisPoints: 100}))
	paid("3.20")
	paid("3.20")
	must(t, h.Admin.SetFeePlan(t.Context(), p.Merchant, "USD", nil))
	paid("0.00")
	for kind, want := range map[ledger.Kind]string{ledger.MerchantAvailable: "893.60", ledger.Fees: "6.40"} {
		found, err := h.Store.ListAccounts(t.Context(), p.Merchant, ledger.AccountFilter{Kind: []ledger.Kind{kind}}, answer.Slice{Limit: 9})
		must(t, err)
		if len(found) != 1 || found[0].Balance().Posted.Decimal() != want {
			t.Errorf("%s: %v, want %s", kind, found[0].Balance().Posted, want)
		}
	}
	if err := h.Admin.SetFeePlan(t.Context(), "mer_x", "USD", nil); !errors.Is(err, store.ErrNoMerchant) {
		t.Errorf("of a merchant that is none: %v", err)
	}
	must(t, h.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}
