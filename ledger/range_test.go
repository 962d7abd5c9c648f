package ledger_test

import (
	"math"
	"strings"
	"testing"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
)

// full are sums that have room on one side only, or hardly any.
var full = map[string]ledger.Sums{
	"empty": {}, "many debits": {DebitsPosted: math.MaxInt64 - 4, CreditsPosted: 9}, "many credits": {CreditsPosted: math.MaxInt64 - 4},
	"much is set aside": {DebitsPosted: 9, CreditsPosted: 20, DebitsPending: math.MaxInt64 - 13, CreditsPending: math.MaxInt64 - 24},
}

// TestNothingIsWrittenBeforeARefusal moves 5 cents between accounts whose sums are near the end of their range, or which are still to be opened.
// What Commit sees, it says.
func TestNothingIsWrittenBeforeARefusal(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	named := []ledger.AccountID{"acc_full", "acc_rich", own}
	for name, sums := range full {
		for _, from := range named {
			for _, to := range named {
				for _, isOpen := range []bool{true, false} {
					for operation, run := range map[string]func(ledger.Service) error{
						"deposit": func(s ledger.Service) error {
							_, err := s.DepositFunds(t.Context(), auth.Principal{}, ledger.DepositFundsInput{AccountID: to, Amount: cents(5), Reason: "why"})
							return err
						},
						"hold": func(s ledger.Service) error {
							_, err := s.PlaceHold(t.Context(), auth.Principal{}, ledger.PlaceHoldInput{AccountID: from, Amount: cents(5)})
							return err
						},
						"transfer": func(s ledger.Service) error {
							_, err := s.TransferFunds(t.Context(), auth.Principal{}, ledger.TransferFundsInput{FromAccountID: from, ToAccountID: to, Amount: cents(5)})
							return err
						},
					} {
						err := run(ledger.Service{Committer: brimful(sums, isOpen)})
						if refusal, refused := err.(ledger.BalanceOutOfRange); refused {
							seen[operation+" "+strings.Join(refusal.Path(), ".")+" "+refusal.ResourceID]++
						} else if _, refused := err.(answer.Refusal); err != nil && !refused {
							t.Errorf("%s, and the accounts have %s: %v", operation, name, err)
						}
					}
				}
			}
		}
	}
	for _, want := range []string{
		"deposit input.accountId acc_full", "deposit input.amount acc_BANK_CASH", "hold input.accountId acc_full", "hold input.amount acc_SUSPENSE",
		"transfer input.fromAccountId acc_full", "transfer input.fromAccountId acc_MERCHANT_AVAILABLE", "transfer input.toAccountId acc_full",
		"transfer input.toAccountId acc_MERCHANT_AVAILABLE",
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

// brimful has a rich wallet, and accounts with some sums: a wallet and the merchant's, and others of the merchant's own, if they are open.
func brimful(sums ledger.Sums, isOpen bool) *books {
	b := newBooks()
	b.withWallet("acc_rich", 100)
	b.withWallet("acc_full", 0).Sums = sums
	kinds := []ledger.Kind{ledger.MerchantAvailable}
	if isOpen {
		kinds = append(kinds, ledger.BankCash, ledger.Suspense)
	}
	for _, kind := range kinds {
		b.withOwn(kind, sums)
	}
	return b
}
