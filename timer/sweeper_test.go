package timer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/clock"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/storetest"
	"github.com/paygraph/paygraph/timer"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// house is two nodes on one database whose clock can be set.
type house struct {
	*testing.T
	nodes   []*storetest.House
	forward func(time.Duration)
	p       auth.Principal
	from    ledger.AccountID
	keys    int
}

func newHouse(t *testing.T) *house {
	t.Helper()
	dsn := storetest.DSN(t)
	h := &house{T: t, forward: storetest.Clock(t, dsn), nodes: []*storetest.House{storetest.At(t, dsn), storetest.At(t, dsn)}}
	h.p = h.nodes[0].Merchant(t)
	customer, err := h.nodes[0].Merchants.CreateCustomer(t.Context(), h.p, merchant.CreateCustomerInput{IdempotencyKey: h.key(), Name: "Ada"})
	h.must(err)
	account, err := h.nodes[0].Ledger.OpenAccount(t.Context(), h.p, ledger.OpenAccountInput{
		IdempotencyKey: h.key(), CustomerID: customer.Customer.ID, Currency: "USD",
	})
	h.must(err)
	h.from = account.Account.ID
	_, err = h.nodes[0].Ledger.DepositFunds(t.Context(), h.p, ledger.DepositFundsInput{
		IdempotencyKey: h.key(), AccountID: h.from, Amount: usd("1000.00"), Reason: "cash",
	})
	h.must(err)
	return h
}

var kinds = []command.TimerKind{command.PaymentExpires}

func usd(amount string) money.Input { return money.Input{Amount: amount, Currency: "USD"} }

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) key() string {
	h.keys++
	return fmt.Sprintf("timer-test-%08d", h.keys)
}

func (h *house) create(confirm bool) *payment.Payment {
	h.Helper()
	made, err := h.nodes[0].Payments.Create(h.Context(), h.p, payment.CreateInput{
		IdempotencyKey: h.key(), Amount: usd("1.00"), Source: &payment.Source{AccountID: &h.from}, Confirm: confirm, CaptureMethod: payment.Manual,
	})
	h.must(err)
	return made.Payment
}

// sweep has both nodes serve what is due, at the same time, until nothing is.
func (h *house) sweep() {
	h.Helper()
	var all sync.WaitGroup
	for _, node := range h.nodes {
		s := timer.Sweeper{
			Source: node.Store, Serve: map[command.TimerKind]timer.Serve{command.PaymentExpires: node.Payments.Expire},
			Clock: clock.Real, Log: slog.Default(),
		}
		all.Go(func() {
			for {
				served, err := s.Sweep(h.Context())
				if err != nil {
					h.Error(err)
				}
				if served == 0 || err != nil {
					return
				}
			}
		})
	}
	all.Wait()
}

func (h *house) want(p *payment.Payment, status payment.Status, version int32) {
	h.Helper()
	now, err := h.nodes[1].Store.Payment(h.Context(), h.p, p.ID)
	h.must(err)
	if now.Status != status || now.Version != version {
		h.Errorf("the payment is %s, version %d, want %s, version %d", now.Status, now.Version, status, version)
	}
}

// TestPaymentsExpire has days go by, and two nodes that serve the same timers at the same time.
func TestPaymentsExpire(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	unconfirmed, confirmed, part, done := h.create(false), h.create(false), h.create(true), h.create(true)
	_, err := h.nodes[0].Payments.Confirm(t.Context(), h.p, payment.ConfirmInput{IdempotencyKey: h.key(), PaymentID: confirmed.ID})
	h.must(err)
	for _, p := range []*payment.Payment{part, done} {
		_, err := h.nodes[0].Payments.Capture(t.Context(), h.p, payment.CaptureInput{
			IdempotencyKey: h.key(), PaymentID: p.ID, Amount: &money.Input{Amount: "0.25", Currency: "USD"}, Final: p == done,
		})
		h.must(err)
	}
	h.sweep()
	h.want(unconfirmed, payment.RequiresConfirmation, 1)
	h.forward(payment.UnconfirmedLifetime)
	_, err = h.nodes[1].Payments.Confirm(t.Context(), h.p, payment.ConfirmInput{IdempotencyKey: h.key(), PaymentID: unconfirmed.ID})
	refusal, ok := err.(payment.InvalidState)
	if !ok || !strings.Contains(refusal.Reason, "time was up") {
		t.Errorf("after its time it is confirmed: %v", err)
	}
	if slices.ContainsFunc(refusal.AvailableActions, func(a payment.AvailableAction) bool { return a.Allowed }) {
		t.Errorf("whose time is up may still be changed: %+v", refusal.AvailableActions)
	}
	h.sweep()
	h.want(unconfirmed, payment.Expired, 2)
	h.want(confirmed, payment.Authorized, 2)
	h.want(part, payment.PartiallyCaptured, 2)
	h.forward(payment.AuthorizationLifetime)
	h.sweep()
	h.want(confirmed, payment.Expired, 3)
	h.want(part, payment.Succeeded, 3)
	h.want(done, payment.Succeeded, 2)
	a, err := h.nodes[1].Store.Account(t.Context(), h.p, h.from)
	h.must(err)
	if b := a.Balance(); b.Posted.Decimal() != "999.50" || b.Available != b.Posted {
		t.Errorf("the wallet has %+v", b)
	}
	events, err := h.nodes[1].Store.ListEvents(t.Context(), h.p.Merchant, []event.Type{event.PaymentExpired}, 0, 10)
	h.must(err)
	if len(events) != 2 || !strings.Contains(string(events[0].Payload), `"kind":"GATEWAY"`) {
		t.Errorf("%d payments expired, by %s", len(events), events[0].Payload)
	}
	if due := h.due(); len(due) > 0 {
		t.Errorf("timers are left: %v", due)
	}
	h.must(h.nodes[0].Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}

// TestAClockThatIsSetBack: a timer that was due is served all the same, since its row is gone then.
func TestAClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	unconfirmed, confirmed := h.create(false), h.create(true)
	h.forward(payment.AuthorizationLifetime)
	due := h.due()
	if len(due) != 2 {
		t.Fatalf("%v are due", due)
	}
	h.forward(-payment.AuthorizationLifetime) // as where another machine has become the primary
	for _, d := range due {
		h.must(h.nodes[1].Payments.Expire(t.Context(), d))
	}
	h.want(unconfirmed, payment.Expired, 2)
	h.want(confirmed, payment.Expired, 2)
	h.must(h.nodes[0].Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}

// TestManyAreDueAtOnce serves some hundreds, of which each ends its payment once.
func TestManyAreDueAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const many = 300
	var made sync.WaitGroup
	for n := range many {
		made.Go(func() {
			_, err := h.nodes[0].Payments.Create(t.Context(), h.p, payment.CreateInput{
				IdempotencyKey: fmt.Sprintf("many-are-due-%06d", n), Amount: usd("0.01"), CaptureMethod: payment.Automatic,
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	made.Wait()
	h.forward(payment.UnconfirmedLifetime)
	h.sweep()
	expired, err := h.nodes[0].Store.ListPayments(t.Context(), h.p.Merchant, payment.Filter{Status: []payment.Status{payment.Expired}}, answer.Slice{Limit: many + 1})
	h.must(err)
	if len(expired) != many {
		t.Errorf("%d payments expired, want %d", len(expired), many)
	}
	h.must(h.nodes[0].Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}

type always []command.Due

func (a always) Due(_ context.Context, _ []command.TimerKind, limit int) ([]command.Due, error) {
	return a[:min(limit, len(a))], nil
}

// TestAMerchantWithManyTimers: no more than a quarter of a batch of one merchant's are in the queue, whose clients wait no longer for them than
// that, and another merchant's timers that were found with them are not kept waiting.
func TestAMerchantWithManyTimers(t *testing.T) {
	t.Parallel()
	var due always
	for n := range 100 {
		due = append(due, command.Due{Merchant: "mer_many", Timer: command.Timer{Kind: command.PaymentExpires, ObjectID: fmt.Sprint(n)}})
	}
	due = append(due, command.Due{Merchant: "mer_few", Timer: command.Timer{Kind: command.PaymentExpires, ObjectID: "few"}})
	synctest.Test(t, func(t *testing.T) {
		served := map[answer.MerchantID]int{}
		var mu sync.Mutex
		goOn := make(chan struct{})
		s := timer.Sweeper{Source: due, Clock: clock.Real, Log: slog.Default(), Serve: map[command.TimerKind]timer.Serve{
			command.PaymentExpires: func(_ context.Context, d command.Due) error {
				mu.Lock()
				served[d.Merchant]++
				mu.Unlock()
				<-goOn
				return nil
			},
		}}
		go func() { _, _ = s.Sweep(t.Context()) }()
		synctest.Wait()
		if served["mer_many"] != 64 || served["mer_few"] != 1 {
			t.Errorf("in the queue are %v", served)
		}
		close(goOn)
		synctest.Wait()
	})
}

func (h *house) due() []command.Due {
	h.Helper()
	due, err := h.nodes[0].Store.Due(h.Context(), kinds, 10)
	h.must(err)
	return due
}

// TestATimerThatCannotBeServed is set aside, and does not keep others from being served.
func TestATimerThatCannotBeServed(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	var bad, good atomic.Int64
	source := always{
		{Merchant: "mer_1", Timer: command.Timer{Kind: command.PaymentExpires, ObjectID: "pay_bad"}},
		{Merchant: "mer_1", Timer: command.Timer{Kind: command.PaymentExpires, ObjectID: "pay_good"}},
	}
	s := timer.Sweeper{Source: source, Clock: clock.Real, Log: slog.New(slog.NewTextHandler(&log, nil)), Serve: map[command.TimerKind]timer.Serve{
		command.PaymentExpires: func(_ context.Context, d command.Due) error {
			if d.ObjectID == "pay_bad" {
				bad.Add(1)
				return errors.New("a defect")
			}
			good.Add(1)
			return nil
		},
	}}
	for range 20 {
		if _, err := s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if bad.Load() != 5 || good.Load() != 20 || strings.Count(log.String(), "ERROR") != 1 {
		t.Errorf("the bad one was tried %d times, the good one %d times, and the log says %s", bad.Load(), good.Load(), log.String())
	}
	if got, want := s.Stats(), (timer.Stats{Due: 2, Served: 20, Failed: 5, SetAside: 1}); got != want {
		t.Errorf("it counts %+v, want %+v", got, want)
	}
}

// TestNothingCanBeCommitted: however long that lasts, the timer is served when it is over, and nobody hurries meanwhile.
func TestNothingCanBeCommitted(t *testing.T) {
	t.Parallel()
	trouble := []error{command.ErrUnavailable, command.ErrRateLimited, command.ErrOutcomeUnknown}
	tries := 0
	s := timer.Sweeper{
		Source: always{{Merchant: "mer_1", Timer: command.Timer{Kind: command.PaymentExpires, ObjectID: "pay_1"}}}, Clock: clock.Real, Log: slog.Default(),
		Serve: map[command.TimerKind]timer.Serve{command.PaymentExpires: func(context.Context, command.Due) error {
			tries++
			if tries > 20 {
				return nil
			}
			return fmt.Errorf("%w: a reason", trouble[tries%len(trouble)])
		}},
	}
	for n := 1; n <= 21; n++ {
		served, err := s.Sweep(t.Context())
		if err != nil || tries != n || (served == 1) != (n == 21) {
			t.Fatalf("after %d sweeps it was tried %d times, and served are %d, %v", n, tries, served, err)
		}
	}
}

// TestItSweepsByItself starts a sweeper, and stops it.
func TestItSweepsByItself(t *testing.T) {
	t.Parallel()
	served := make(chan command.Due, 10_000)
	s := timer.Sweeper{Source: always{{Merchant: "mer_1", Timer: command.Timer{Kind: command.PaymentExpires}}}, Clock: clock.Real, Log: slog.Default(),
		Serve: map[command.TimerKind]timer.Serve{command.PaymentExpires: func(_ context.Context, d command.Due) error {
			select {
			case served <- d:
			default:
			}
			return nil
		}}}
	stop := s.Start()
	for range 3 {
		select {
		case <-served:
		case <-time.After(10 * time.Second):
			t.Fatal("nothing is served")
		}
	}
	stop()
}

// TestASweeperRestsAsLongAsItHasWorked counts how often one sweeps that takes a while for each: clients have the other half of the time.
func TestASweeperRestsAsLongAsItHasWorked(t *testing.T) {
	t.Parallel()
	const work, length = 20 * time.Millisecond, 400 * time.Millisecond
	var sweeps atomic.Int64
	s := timer.Sweeper{Source: always{{Merchant: "mer_1", Timer: command.Timer{Kind: command.PaymentExpires}}}, Clock: clock.Real, Log: slog.Default(),
		Serve: map[command.TimerKind]timer.Serve{command.PaymentExpires: func(context.Context, command.Due) error {
			sweeps.Add(1)
			time.Sleep(work)
			return nil
		}}}
	stop := s.Start()
	time.Sleep(length)
	stop()
	if n, most := sweeps.Load(), int64(length/(2*work))+2; n < 2 || n > most {
		t.Errorf("it swept %d times, want at most %d", n, most)
	}
}
