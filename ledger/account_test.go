package ledger_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
)

// TestWhatKindsMayBeNamedFor tries every kind of account in every place where a request of the ledger names one.
func TestWhatKindsMayBeNamedFor(t *testing.T) {
	t.Parallel()
	places := map[string]func(s ledger.Service, id ledger.AccountID) error{
		"deposit": func(s ledger.Service, id ledger.AccountID) error {
			_, err := s.DepositFunds(t.Context(), auth.Principal{}, ledger.DepositFundsInput{AccountID: id, Amount: cents(1), Reason: "why"})
			return err
		},
		"hold": func(s ledger.Service, id ledger.AccountID) error {
			_, err := s.PlaceHold(t.Context(), auth.Principal{}, ledger.PlaceHoldInput{AccountID: id, Amount: cents(1)})
			return err
		},
		"status": func(s ledger.Service, id ledger.AccountID) error {
			_, err := s.SetAccountStatus(t.Context(), auth.Principal{}, ledger.SetAccountStatusInput{AccountID: id, Status: ledger.Frozen, Reason: "why"})
			return err
		},
		"transfer from": func(s ledger.Service, id ledger.AccountID) error {
			_, err := s.TransferFunds(t.Context(), auth.Principal{}, ledger.TransferFundsInput{FromAccountID: id, ToAccountID: "acc_other", Amount: cents(1)})
			return err
		},
		"transfer to": func(s ledger.Service, id ledger.AccountID) error {
			_, err := s.TransferFunds(t.Context(), auth.Principal{}, ledger.TransferFundsInput{FromAccountID: "acc_other", ToAccountID: id, Amount: cents(1)})
			return err
		},
	}
	for kind, uses := range map[ledger.Kind][]string{
		ledger.CustomerWallet:    {"deposit", "hold", "status", "transfer from", "transfer to"},
		ledger.MerchantAvailable: {"transfer from", "transfer to"},
		ledger.BankCash:          nil, ledger.Suspense: nil, ledger.Fees: nil, "A_KIND_THAT_IS_NONE": nil,
	} {
		for place, name := range places {
			b := newBooks()
			b.withWallet("acc_other", 100)
			b.withOwn(kind, ledger.Sums{DebitsPosted: 100, CreditsPosted: 200})
			err := name(ledger.Service{Committer: b}, ledger.AccountID("acc_"+kind))
			if _, refused := errors.AsType[answer.NotFound](err); refused == slices.Contains(uses, place) || err != nil && !refused {
				t.Errorf("%s of %s: %v", place, kind, err)
			}
		}
	}
}

// TestAMerchantGivesNoMoreThanItHas: what fees have taken below zero gives nothing until it is filled again.
func TestAMerchantGivesNoMoreThanItHas(t *testing.T) {
	t.Parallel()
	b := newBooks()
	b.withWallet("acc_a", 500)
	b.withOwn(ledger.MerchantAvailable, ledger.Sums{DebitsPosted: 320})
	move := func(from, to ledger.AccountID, n int64) error {
		s := ledger.Service{Committer: b}
		_, err := s.TransferFunds(t.Context(), auth.Principal{}, ledger.TransferFundsInput{FromAccountID: from, ToAccountID: to, Amount: cents(n)})
		return err
	}
	refused, ok := move(own, "acc_a", 1).(ledger.InsufficientFunds)
	if !ok || refused.Available.MinorUnits != -320 || refused.Required.MinorUnits != 1 || refused.ResourceID != string(own) {
		t.Errorf("below zero: %+v", refused)
	}
	if err := errors.Join(move("acc_a", own, 420), move(own, "acc_a", 100)); err != nil {
		t.Error(err)
	}
	if _, ok := move(own, "acc_a", 1).(ledger.InsufficientFunds); !ok || b.accounts[own].Posted() != 0 || b.accounts["acc_a"].Posted() != 180 {
		t.Errorf("the merchant has %d, and the wallet %d", b.accounts[own].Posted(), b.accounts["acc_a"].Posted())
	}
}
