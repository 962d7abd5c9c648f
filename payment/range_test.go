package payment_test

import (
	"math"
	"strings"
	"testing"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
)

// near are what the sums of the merchant's own accounts may be: they are not open, have room, or room on one side only.
var near = []*ledger.Sums{
	nil, {CreditsPosted: 1000}, {DebitsPosted: math.MaxInt64 - 1, CreditsPosted: math.MaxInt64 - 1000}, {CreditsPosted: math.MaxInt64 - 1},
}

// TestNothingIsWrittenBeforeARefusal tries every command where the sums of the merchant's own accounts, which requests do not name, are near
// the end of their range, or are still to be opened. What Commit sees, it says.
func TestNothingIsWrittenBeforeARefusal(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	try := func(operation string, status payment.Status, when payment.Condition, run func(*books) error) {
		for _, merchants := range near {
			for _, fees := range near {
				for _, toMerchant := range []bool{true, false} {
					b := newBooks(status, when)
					b.plan = payment.FeePlan{BasisPoints: 100}
					if toMerchant && b.payment.HoldID == nil {
						b.payment.DestinationAccountID = nil
					}
					if merchants == nil && b.payment.CapturedMinorUnits > 0 { // it has what it was paid
						continue
					}
					b.has(ledger.MerchantAvailable, merchants)
					b.has(ledger.Fees, fees)
					err := run(b)
					if refusal, refused := err.(ledger.BalanceOutOfRange); refused {
						seen[operation+" "+strings.Join(refusal.Path(), ".")+" "+refusal.ResourceID]++
					} else if _, refused := err.(answer.Refusal); err != nil && !refused {
						t.Errorf("%s of a payment that is %s: %v", operation, status, err)
					}
				}
			}
		}
	}
	for _, action := range payment.Actions {
		for _, when := range payment.Conditions[action] {
			for _, status := range payment.Statuses {
				try(string(action), status, when, func(b *books) error { return b.act(t, action, when) })
			}
		}
	}
	for _, method := range []payment.CaptureMethod{payment.Automatic, payment.Manual} {
		try("CREATE", payment.RequiresConfirmation, payment.TakenAtOnce, func(b *books) error { return b.create(t, method) })
	}
	for _, want := range []string{
		"CREATE input.amount acc_MERCHANT_AVAILABLE", "CREATE input.amount acc_FEES", "CONFIRM input.paymentId acc_MERCHANT_AVAILABLE",
		"CONFIRM input.paymentId acc_FEES", "CAPTURE input.paymentId acc_MERCHANT_AVAILABLE", "CAPTURE input.paymentId acc_FEES",
	} {
		if seen[want] == 0 {
			t.Errorf("no %s was refused", want)
		}
		delete(seen, want)
	}
	if len(seen) > 0 {
		t.Errorf("refused were also %v", seen)
	}
}

// has gives the merchant an account of its own with some sums.
func (b *books) has(kind ledger.Kind, sums *ledger.Sums) {
	if sums != nil {
		b.inner[kind] = &ledger.Account{ID: ledger.AccountID("acc_" + kind), Kind: kind, Currency: "USD", Status: ledger.Active, Sums: *sums}
	}
}

// create makes a payment as the one in the books, and confirms it at once.
func (b *books) create(t *testing.T, method payment.CaptureMethod) error {
	t.Helper()
	s := payment.Service{Committer: b}
	_, err := s.Create(t.Context(), auth.Principal{}, payment.CreateInput{
		Amount: money.Input{Amount: "7.00", Currency: "USD"}, Source: &payment.Source{AccountID: from}, Confirm: true, CaptureMethod: method,
		DestinationAccountID: b.payment.DestinationAccountID,
	})
	return err
}
