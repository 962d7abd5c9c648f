package demo_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/demo"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const (
	quickly = 2 * time.Second // what a seed may take; it is far less on an idle machine
	tries   = 3               // of which one has to be quick: tests of other packages run beside it
)

func TestSeedMakesWhatTheDesignPromises(t *testing.T) {
	t.Parallel()
	h, m := house(t)
	took := timed(func() { seed(t, h, m) })
	for try := 1; took > quickly && try < tries; try++ {
		h, m = house(t)
		took = timed(func() { seed(t, h, m) })
	}
	if took > quickly {
		t.Errorf("it took %s", took)
	}
	accounts := accountsOf(t, h, m)
	if len(accounts) > 100 {
		t.Errorf("%d accounts, want at most 100", len(accounts))
	}
	rich, frozen, currencies := 0, 0, map[string]int{}
	for _, a := range accounts {
		if a.Kind != ledger.CustomerWallet {
			continue
		}
		currencies[string(a.Currency)]++
		if a.Status == ledger.Active && a.Currency == "USD" && a.Available() > 1_000_00 {
			rich++
		}
		if a.Status == ledger.Frozen {
			frozen++
		}
	}
	if rich < 10 || frozen != 1 || len(currencies) != 4 || currencies["KWD"] < 2 || currencies["JPY"] < 2 || currencies["EUR"] < 2 {
		t.Errorf("%d wallets with more than 1,000.00 USD, %d frozen, by currency %v", rich, frozen, currencies)
	}
	statuses := map[payment.Status]int{}
	for _, p := range paymentsOf(t, h, m) {
		statuses[p.Status]++
	}
	for _, status := range payment.Statuses[:len(payment.Statuses)-1] { // none has expired yet
		if statuses[status] < 3 {
			t.Errorf("%d payments are %s, want at least 3", statuses[status], status)
		}
	}
	if given, err := h.Store.Record(t.Context(), m.ID, "demo-seed/make-up/000"); err != nil || given == nil || given.ObjectID == nil {
		t.Errorf("what the merchant gave is recorded as %+v, %v", given, err)
	}
	refused, err := h.Store.Record(t.Context(), m.ID, "demo-seed/refused/000")
	if err != nil || refused == nil || refused.Refusal == nil {
		t.Errorf("the refused payment is recorded as %+v, %v", refused, err)
	}
}

func timed(do func()) time.Duration {
	begin := time.Now()
	do()
	return time.Since(begin)
}

// A list of payments begins with the newest: a visitor finds one of each way that a payment can go there.
func TestTheNewestPaymentsTellWhatBecomesOfMoneySetAside(t *testing.T) {
	t.Parallel()
	h, m := house(t)
	seed(t, h, m)
	want := map[string]string{
		"order-20098": "AUTHORIZED: 0 of 12990 captured by 0, 0 refunded by 0",
		"order-20099": "SUCCEEDED: 8640 of 8640 captured by 2, 0 refunded by 0",
		"order-20100": "SUCCEEDED: 7400 of 7400 captured by 1, 1850 refunded by 1",
		"order-20101": "CANCELED: 0 of 24000 captured by 0, 0 refunded by 0",
	}
	newest, err := h.Store.ListPayments(t.Context(), m.ID, payment.Filter{}, answer.Slice{Limit: len(want) + 1, Direction: answer.Descending})
	if err != nil {
		t.Fatal(err)
	}
	newest = newest[1:] // the newest is the last command of the seed
	var ids []string
	for _, p := range newest {
		ids = append(ids, string(p.ID))
	}
	captures, err := h.Store.PaymentCaptures(t.Context(), m.ID, ids, answer.UUID{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	refunds, err := h.Store.PaymentRefunds(t.Context(), m.ID, ids, answer.UUID{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for i, p := range newest {
		got[*p.Reference] = fmt.Sprintf("%s: %d of %d captured by %d, %d refunded by %d",
			p.Status, p.CapturedMinorUnits, p.AuthorizedMinorUnits, len(captures[i]), p.RefundedMinorUnits, len(refunds[i]))
	}
	if !maps.Equal(got, want) {
		t.Errorf("they are\n%v, want\n%v", got, want)
	}
}

func TestASecondSeedDoesNothing(t *testing.T) {
	t.Parallel()
	h, m := house(t)
	seed(t, h, m)
	before := headOf(t, h, m)
	err := demo.Seed(t.Context(), services(h), m.ID, func(line string) { t.Errorf("it says that it does something: %s", line) })
	if err != nil {
		t.Fatal(err)
	}
	if after := headOf(t, h, m); after != before {
		t.Errorf("the log went on from event %d to %d", before, after)
	}
}

// A gateway that is killed has had some of the commands committed, with or without hearing of it.
func TestAnInterruptedSeedIsContinued(t *testing.T) {
	t.Parallel()
	whole, wholeMerchant := house(t)
	seed(t, whole, wholeMerchant)
	want := sums(accountsOf(t, whole, wholeMerchant))

	h, m := house(t)
	for _, commands := range []int64{0, 1, 30, 70, 90, 150, 200} {
		var left atomic.Int64
		left.Store(commands)
		s := services(h)
		s.Merchants = &merchant.Service{Committer: dying[merchant.Batch]{s.Merchants.Committer, &left}, Reader: h.Store}
		s.Ledger = &ledger.Service{Committer: dying[ledger.Batch]{s.Ledger.Committer, &left}, Reader: h.Store}
		s.Payments = &payment.Service{Committer: dying[payment.Batch]{s.Payments.Committer, &left}, Reader: h.Store}
		if err := demo.Seed(t.Context(), s, m.ID, func(string) {}); !errors.Is(err, errDied) {
			t.Fatalf("after %d commands: %v", commands, err)
		}
	}
	seed(t, h, m)
	if got := sums(accountsOf(t, h, m)); !slices.Equal(got, want) {
		t.Errorf("balances are\n%v, want\n%v", got, want)
	}
	if got, want := headOf(t, h, m), headOf(t, whole, wholeMerchant); got != want {
		t.Errorf("%d events, want %d", got, want)
	}
}

var errDied = errors.New("died")

// dying commits some commands and tells of them, then commits some of which nobody hears, and then none.
type dying[B any] struct {
	command.Committer[B]
	left *atomic.Int64
}

func (d dying[B]) Commit(ctx context.Context, c command.Command[B]) (command.Result, error) {
	left := d.left.Add(-1)
	if left < -10 {
		return command.Result{}, errDied
	}
	result, err := d.Committer.Commit(context.WithoutCancel(ctx), c)
	if left < 0 {
		return command.Result{}, errDied
	}
	return result, err
}

func TestTheMerchantIsFoundAgain(t *testing.T) {
	t.Parallel()
	h, m := house(t)
	again, err := demo.Merchant(t.Context(), h.Admin)
	if err != nil || again.ID != m.ID {
		t.Errorf("found %+v, %v, want %s", again, err, m.ID)
	}
	if all, err := h.Admin.Merchants(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%d merchants, %v, want one", len(all), err)
	}
}

func TestARevokedCredentialStaysRevoked(t *testing.T) {
	t.Parallel()
	h, m := house(t)
	for range 2 {
		if good, err := demo.Credential(t.Context(), h.Admin, h.Store, m); err != nil || !good {
			t.Fatalf("the credential is in force: %v, %v", good, err)
		}
	}
	c, err := h.Store.Credential(t.Context(), demo.ClientID)
	if err != nil || c.Merchant != m.ID || len(c.Scopes) != len(auth.AllScopes) {
		t.Errorf("the credential is %+v, %v", c, err)
	}
	if err := h.Admin.RevokeCredential(t.Context(), demo.ClientID); err != nil {
		t.Fatal(err)
	}
	if good, err := demo.Credential(t.Context(), h.Admin, h.Store, m); err != nil || good {
		t.Errorf("the revoked credential is in force: %v, %v", good, err)
	}
}

func house(t *testing.T) (*storetest.House, *merchant.Merchant) {
	t.Helper()
	h := storetest.New(t)
	m, err := demo.Merchant(t.Context(), h.Admin)
	if err != nil {
		t.Fatal(err)
	}
	return h, m
}

func services(h *storetest.House) demo.Services {
	return demo.Services{Merchants: h.Merchants, Ledger: h.Ledger, Payments: h.Payments, Records: h.Store}
}

func seed(t *testing.T, h *storetest.House, m *merchant.Merchant) {
	t.Helper()
	if err := demo.Seed(t.Context(), services(h), m.ID, func(string) {}); err != nil {
		t.Fatal(err)
	}
}

func accountsOf(t *testing.T, h *storetest.House, m *merchant.Merchant) []*ledger.Account {
	t.Helper()
	all, err := h.Store.ListAccounts(t.Context(), m.ID, ledger.AccountFilter{}, answer.Slice{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func paymentsOf(t *testing.T, h *storetest.House, m *merchant.Merchant) []*payment.Payment {
	t.Helper()
	all, err := h.Store.ListPayments(t.Context(), m.ID, payment.Filter{}, answer.Slice{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// sums are the balances, in order of size: identifiers differ from merchant to merchant.
func sums(accounts []*ledger.Account) []int64 {
	all := make([]int64, len(accounts))
	for i, a := range accounts {
		all[i] = a.Posted()
	}
	slices.Sort(all)
	return all
}

func headOf(t *testing.T, h *storetest.House, m *merchant.Merchant) int64 {
	t.Helper()
	all, err := h.Store.ListEvents(t.Context(), m.ID, nil, 0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	return all[len(all)-1].Sequence
}
