package resolvers_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/paygraph/paygraph/clock"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store/storetest"
	"github.com/paygraph/paygraph/timer"
)

// story is a payment that is captured by hand, and moved by one step after the other.
type story struct {
	*client
	forward  func(time.Duration)
	from, to string
	id       string
}

func newStory(t *testing.T) *story {
	t.Helper()
	dsn := storetest.DSN(t)
	s := &story{forward: storetest.Clock(t, dsn)}
	s.client = startAt(t, storetest.At(t, dsn)).merchant(t)
	s.from, s.to = s.wallet(t, "20.00"), s.wallet(t, "")
	return s
}

// step moves the payment, and is told as these statuses.
type step struct {
	move func(*story, *testing.T)
	told []payment.Status
}

var (
	created    = step{func(s *story, t *testing.T) { s.create(t, nil) }, []payment.Status{payment.RequiresPaymentMethod}}
	sourced    = step{func(s *story, t *testing.T) { s.create(t, vars{"accountId": s.from}) }, []payment.Status{payment.RequiresConfirmation}}
	confirmed  = step{(*story).confirm, []payment.Status{payment.Authorized}}
	capturedA  = step{func(s *story, t *testing.T) { s.take(t, "1.00", false) }, []payment.Status{payment.PartiallyCaptured}}
	atOnce     = step{(*story).takeAtOnce, []payment.Status{payment.PartiallyCaptured, payment.PartiallyCaptured, payment.PartiallyCaptured}}
	refunded   = step{(*story).giveBack, []payment.Status{payment.PartiallyCaptured}}
	capturedZ  = step{func(s *story, t *testing.T) { s.take(t, "2.00", true) }, []payment.Status{payment.Succeeded}}
	toCanceled = step{(*story).cancel, []payment.Status{payment.Canceled}}
	toExpired  = step{(*story).expire, []payment.Status{payment.Expired}}
)

// TestAPaymentIsToldToItsEndFromEachCursor leads payments through every status. Who was there all the time, and who resumes from any place, hear
// the same, and then that it was the end; and still do when money has been given back since.
func TestAPaymentIsToldToItsEndFromEachCursor(t *testing.T) {
	t.Parallel()
	led := map[payment.Status]bool{}
	var mu sync.Mutex
	t.Run("payments", func(t *testing.T) {
		for name, steps := range map[string][]step{
			"captured in parts":               {created, confirmed, capturedA, atOnce, refunded, capturedZ},
			"captured at once":                {sourced, confirmed, capturedZ},
			"canceled before it is confirmed": {created, toCanceled},
			"canceled":                        {sourced, confirmed, toCanceled},
			"canceled after a part":           {created, confirmed, capturedA, {(*story).cancel, []payment.Status{payment.Succeeded}}},
			"expired before it is confirmed":  {sourced, toExpired},
			"expired":                         {created, confirmed, toExpired},
			"expired after a part":            {sourced, confirmed, capturedA, {(*story).expire, []payment.Status{payment.Succeeded}}},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := newStory(t)
				told := s.tell(t, steps)
				s.wantFromEach(t, told)
				if last := told[len(told)-1]; text(last.field, "status") == "SUCCEEDED" {
					s.wantTheEndAfterRefunds(t, told)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, i := range told {
					led[payment.Status(text(i.field, "status"))] = true
				}
			})
		}
	})
	for _, status := range payment.Statuses {
		if !led[status] {
			t.Errorf("no payment was led through %s", status)
		}
	}
}

// tell has a subscriber hear of all steps since the payment was created, and others begin after each. What the first hears is returned, by version.
func (s *story) tell(t *testing.T, steps []step) (told []item) {
	t.Helper()
	var live *listening
	var is payment.Status
	for _, step := range steps {
		step.move(s, t)
		if live == nil {
			live = s.hear(t, statusOf, vars{"id": s.id}, "")
			told = append(told, live.next())
		} else {
			told = append(told, live.run(len(told)+1, len(told)+len(step.told))...)
		}
		for n, status := range step.told {
			i := told[len(told)-len(step.told)+n]
			if text(i.field, "status") != string(status) || text(i.field, "previousStatus") != string(is) {
				t.Errorf("want %s after %q: %v", status, is, i)
			}
			is = status
		}
		begins := s.hear(t, statusOf, vars{"id": s.id}, "")
		if i := begins.next(); at(i.field, "snapshot") != true || said(i) != said(told[len(told)-1]) {
			t.Errorf("who begins then is told %v", i)
		}
		if payment.Terminal(is) {
			begins.complete()
			live.complete()
		}
	}
	return told
}

// said is what an item says, however it came.
func said(i item) string {
	return fmt.Sprint(at(i.field, "sequence"), at(i.field, "status"), at(i.field, "previousStatus"), at(i.field, "occurredAt"))
}

// wantFromEach wants what follows each item of those that were told, and the end.
func (s *story) wantFromEach(t *testing.T, told []item) {
	t.Helper()
	for n := range told {
		for how, again := range map[string]*listening{
			"by after":         s.hear(t, statusOf, vars{"id": s.id, "after": text(told[n].field, "cursor")}, ""),
			"by Last-Event-ID": s.hear(t, statusOf, vars{"id": s.id}, told[n].id),
		} {
			heard := again.run(n+2, len(told))
			again.complete()
			for m, i := range heard {
				version, _ := strconv.Atoi(fmt.Sprint(at(i.field, "payment", "version")))
				if said(i) != said(told[n+1+m]) || version < n+2+m {
					t.Errorf("%s, after version %d, was told %v; live %v", how, n+1, i, told[n+1+m])
				}
			}
		}
	}
}

// wantTheEndAfterRefunds gives money back twice. Whoever begins then is told how the payment stands, and that it is the end.
func (s *story) wantTheEndAfterRefunds(t *testing.T, told []item) {
	t.Helper()
	var later []item
	for n := range 2 {
		s.giveBack(t)
		begins := s.hear(t, statusOf, vars{"id": s.id}, "")
		i := begins.next()
		begins.complete()
		if i.number() != fmt.Sprint(len(told)+n+1) || text(i.field, "status") != "SUCCEEDED" || text(i.field, "previousStatus") != "SUCCEEDED" {
			t.Errorf("who begins after refund %d is told %v", n+1, i)
		}
		later = append(later, i)
	}
	s.wantFromEach(t, told)
	for _, i := range later {
		s.hear(t, statusOf, vars{"id": s.id}, i.id).complete()
	}
}

func (s *story) create(t *testing.T, source vars) {
	t.Helper()
	s.id = s.make(t, "createPayment", vars{
		"amount": usd("10.00"), "source": source, "destinationAccountId": s.to, "captureMethod": "MANUAL",
	})
}

func (s *story) confirm(t *testing.T) {
	t.Helper()
	s.make(t, "confirmPayment", vars{"paymentId": s.id, "source": vars{"accountId": s.from}})
}

func (s *story) take(t *testing.T, amount string, final bool) {
	t.Helper()
	s.make(t, "capturePayment", vars{"paymentId": s.id, "amount": usd(amount), "final": final})
}

func (s *story) giveBack(t *testing.T) {
	t.Helper()
	s.make(t, "refundPayment", vars{"paymentId": s.id, "amount": usd("0.25")})
}

func (s *story) cancel(t *testing.T) {
	t.Helper()
	s.make(t, "cancelPayment", vars{"paymentId": s.id})
}

// takeAtOnce has three captures come while somebody else has the merchant's lock: the first waits for it, and the others, who are one commit then,
// for the first.
func (s *story) takeAtOnce(t *testing.T) {
	t.Helper()
	tx, err := openDatabase(t, s.house.DSN).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(t.Context(), "SELECT FROM head FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, pause := range []time.Duration{300 * time.Millisecond, 0, 900 * time.Millisecond} { // less than a writer waits for the lock
		all.Go(func() { s.take(t, "0.50", false) })
		time.Sleep(pause)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	var times []string
	for _, e := range list(s.must(t, `query ($id: ID!) { payment(id: $id) { events(first: 100) { nodes { type occurredAt } } } }`,
		vars{"id": s.id}), "payment", "events", "nodes") {
		if text(e, "type") == "PAYMENT_PARTIALLY_CAPTURED" {
			times = append(times, text(e, "occurredAt"))
		}
	}
	if unlike := len(slices.Compact(slices.Clone(times))); unlike == len(times) {
		t.Errorf("no two captures are one commit: %v", times)
	}
}

// expire lets the payment's time go by.
func (s *story) expire(t *testing.T) {
	t.Helper()
	s.forward(payment.AuthorizationLifetime) // the longer one
	sweeper := timer.Sweeper{
		Source: s.house.Store, Serve: map[command.TimerKind]timer.Serve{command.PaymentExpires: s.house.Payments.Expire},
		Clock: clock.Real, Log: slog.Default(),
	}
	if served, err := sweeper.Sweep(t.Context()); served != 1 || err != nil {
		t.Fatalf("%d timers are served, %v", served, err)
	}
}
