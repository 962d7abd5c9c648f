package store_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var keys atomic.Int64

// key is an idempotency key that no other call of the test run gets.
func key() string { return fmt.Sprintf("test-key-%016d", keys.Add(1)) }

func usd(amount string) money.Input { return money.Input{Amount: amount, Currency: "USD"} }

// wallet opens a wallet with some money in it.
func wallet(t *testing.T, h *storetest.House, p auth.Principal, amount string) ledger.AccountID {
	t.Helper()
	customer, err := h.Merchants.CreateCustomer(t.Context(), p, merchant.CreateCustomerInput{IdempotencyKey: key(), Name: "Ada"})
	if err != nil {
		t.Fatal(err)
	}
	account, err := h.Ledger.OpenAccount(t.Context(), p, ledger.OpenAccountInput{
		IdempotencyKey: key(), CustomerID: customer.Customer.ID, Currency: "USD",
	})
	if err != nil {
		t.Fatal(err)
	}
	if amount != "" {
		deposit(t, h, p, account.Account.ID, amount)
	}
	return account.Account.ID
}

// deposit gives an account money, and with it one entry more.
func deposit(t *testing.T, h *storetest.House, p auth.Principal, account ledger.AccountID, amount string) {
	t.Helper()
	_, err := h.Ledger.DepositFunds(t.Context(), p, ledger.DepositFundsInput{
		IdempotencyKey: key(), AccountID: account, Amount: usd(amount), Reason: "a test",
	})
	if err != nil {
		t.Error(err)
	}
}

func balance(t *testing.T, h *storetest.House, p auth.Principal, id ledger.AccountID) string {
	t.Helper()
	account, err := h.Store.Account(t.Context(), p, id)
	if err != nil || account == nil {
		t.Fatalf("account %s: %v", id, err)
	}
	return account.Balance().Posted.Decimal()
}

func pay(ctx context.Context, h *storetest.House, p auth.Principal, key string, from, to ledger.AccountID, amount string) (payment.CreateSuccess, error) {
	return h.Payments.Create(ctx, p, payment.CreateInput{
		IdempotencyKey: key, Amount: usd(amount), Source: &payment.Source{AccountID: &from}, DestinationAccountID: &to, Confirm: true,
	})
}

func TestTwoHundredIdenticalRequestsAreOnePayment(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	from, to := wallet(t, h, p, "100.00"), wallet(t, h, p, "")
	same := key()
	var fresh, replayed atomic.Int64
	ids := sync.Map{}
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			success, err := pay(t.Context(), h, p, same, from, to, "1.00")
			if err != nil {
				t.Error(err)
				return
			}
			ids.Store(success.Payment.ID, true)
			if success.Replayed {
				replayed.Add(1)
			} else {
				fresh.Add(1)
			}
		})
	}
	all.Wait()
	distinct := 0
	ids.Range(func(any, any) bool { distinct++; return true })
	if fresh.Load() != 1 || replayed.Load() != 199 || distinct != 1 {
		t.Errorf("%d fresh, %d replayed, %d payments; want 1, 199, 1", fresh.Load(), replayed.Load(), distinct)
	}
	if got := balance(t, h, p, from); got != "99.00" {
		t.Errorf("balance %s, want 99.00", got)
	}
}

func TestAnAccountWithFiftyPaysFiftyTimesOne(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	from, to := wallet(t, h, p, "50.00"), wallet(t, h, p, "")
	var paid, refused atomic.Int64
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			_, err := pay(t.Context(), h, p, key(), from, to, "1.00")
			if _, ok := err.(ledger.InsufficientFunds); ok {
				refused.Add(1)
			} else if err != nil {
				t.Error(err)
			} else {
				paid.Add(1)
			}
		})
	}
	all.Wait()
	if paid.Load() != 50 || refused.Load() != 50 {
		t.Errorf("%d paid and %d refused, want 50 and 50", paid.Load(), refused.Load())
	}
	if a, b := balance(t, h, p, from), balance(t, h, p, to); a != "0.00" || b != "50.00" {
		t.Errorf("balances %s and %s, want 0.00 and 50.00", a, b)
	}
}

func TestAKeyIsGoodForOneInput(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	from, to := wallet(t, h, p, "100.00"), wallet(t, h, p, "")
	same := key()
	if _, err := pay(t.Context(), h, p, same, from, to, "1.00"); err != nil {
		t.Fatal(err)
	}
	_, err := pay(t.Context(), h, p, same, from, to, "2.00")
	reused, ok := err.(answer.IdempotencyKeyReused)
	if !ok || fmt.Sprint(reused.ConflictingPaths) != "[input.amount]" || reused.OriginalOperation != "createPayment" {
		t.Errorf("got %#v, want IdempotencyKeyReused that names input.amount", err)
	}
	other := h.Merchant(t)
	otherFrom, otherTo := wallet(t, h, other, "5.00"), wallet(t, h, other, "")
	if success, err := pay(t.Context(), h, other, same, otherFrom, otherTo, "1.00"); err != nil || success.Replayed {
		t.Errorf("another merchant's payment with the same key: %+v, %v", success, err)
	}
}
