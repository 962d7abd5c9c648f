package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/storetest"
)

// poisons are decisions that no domain package makes, and what is wrong with them.
var poisons = map[string]command.Decision[payment.Batch]{
	"a panic in the decision": func(payment.Batch) (command.Object, error) { panic("a defect") },
	"an error that is no refusal": func(payment.Batch) (command.Object, error) {
		return nil, errors.New("a defect")
	},
	"a refusal that is in no list": func(payment.Batch) (command.Object, error) {
		return nil, answer.ValidationFailed{Violations: []answer.Violation{{}}}
	},
	"a refusal after an event": func(b payment.Batch) (command.Object, error) {
		written(b, nil, 1)
		return nil, answer.NotFound{}
	},
	"a success without an object": func(payment.Batch) (command.Object, error) { return nil, nil },
	"a violated constraint":       func(b payment.Batch) (command.Object, error) { return written(b, nil, -1), nil },
	"an account that is not there": func(b payment.Batch) (command.Object, error) {
		nobody := ledger.AccountID(b.NewID(answer.AccountPrefix))
		return written(b, &nobody, 1), nil
	},
	"an identifier that is none": func(b payment.Batch) (command.Object, error) {
		nothing := ledger.AccountID("nothing")
		return written(b, &nothing, 1), nil
	},
	"a text that the database does not take": func(b payment.Batch) (command.Object, error) {
		p := written(b, nil, 1)
		reference := "\x00"
		p.Reference = &reference
		return p, nil
	},
}

func written(b payment.Batch, source *ledger.AccountID, amount int64) *payment.Payment {
	p := &payment.Payment{
		ID: payment.ID(b.NewID(answer.PaymentPrefix)), Status: payment.RequiresConfirmation, SourceAccountID: source, Version: 1,
		Amount: money.Amount{MinorUnits: amount, Currency: "USD"}, CreatedAt: b.Time(), UpdatedAt: b.Time(),
	}
	b.AddPayment(p)
	b.Append(event.Draft{Type: event.PaymentCreated, ObjectID: p.NodeID(), ObjectVersion: 1, State: p.State()})
	return p
}

// TestPoison has one command with a defect among 63 good ones in a batch.
func TestPoison(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	for name, decide := range poisons {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := h.Merchant(t)
			poison(t, h, p, command.Command[payment.Batch]{
				Envelope: command.Envelope{Principal: p, Operation: "createPayment", Key: key()}, Decide: decide,
			})
		})
	}
	t.Run("a key that the database does not take", func(t *testing.T) {
		t.Parallel()
		p := h.Merchant(t)
		poison(t, h, p, command.Command[payment.Batch]{
			Envelope: command.Envelope{Principal: p, Operation: "createPayment", Key: "\x00"},
			Decide:   func(b payment.Batch) (command.Object, error) { return written(b, nil, 1), nil },
		})
	})
}

func poison(t *testing.T, h *storetest.House, p auth.Principal, bad command.Command[payment.Batch]) {
	t.Helper()
	from, to := wallet(t, h, p, "100.00"), wallet(t, h, p, "")
	good := func(ctx context.Context) {
		if _, err := pay(ctx, h, p, key(), from, to, "1.00"); err != nil {
			t.Errorf("a good command: %v", err)
		}
	}
	calls := []func(context.Context){good}
	for range 63 {
		calls = append(calls, good)
	}
	calls[40] = func(ctx context.Context) {
		if _, err := store.Committer[payment.Batch](h.Store).Commit(ctx, bad); !errors.Is(err, command.ErrInternal) {
			t.Errorf("the command with the defect got %v, want ErrInternal", err)
		}
	}
	release := hold(t, owner(t, h.DSN), p)
	defer release()
	begin := time.Now()
	wait := queue(t.Context(), calls...)
	release()
	wait()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v: the defect was taken for the database's trouble", took)
	}
	if got := balance(t, h, p, to); got != "63.00" {
		t.Errorf("63 good payments of 1.00 make %s", got)
	}
	if bad.Key == "\x00" {
		return
	}
	success, err := pay(t.Context(), h, p, bad.Key, from, to, "1.00")
	if err != nil || success.Replayed {
		t.Errorf("the key of the command with the defect is not free: %+v, %v", success, err)
	}
	must(t, h.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}

// TestACallerWhoStopsWaiting has a merchant that nobody can write for a while. The command that was taken goes on.
func TestACallerWhoStopsWaiting(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	from, to := wallet(t, h, p, "10.00"), wallet(t, h, p, "")
	release := hold(t, owner(t, h.DSN), p)
	defer release()
	same := key()
	ask := func(patience time.Duration, err *error) (wait func()) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		t.Cleanup(cancel)
		return queue(ctx, func(ctx context.Context) { _, *err = pay(ctx, h, p, same, from, to, "1.00") })
	}
	var first, second error
	waitFirst := ask(time.Second, &first)
	waitSecond := ask(200*time.Millisecond, &second)
	waitSecond()
	waitFirst()
	if !errors.Is(first, command.ErrOutcomeUnknown) {
		t.Errorf("the first caller got %v, want ErrOutcomeUnknown", first)
	}
	if _, ok := second.(answer.IdempotencyInProgress); !ok {
		t.Errorf("the second caller got %v, want IdempotencyInProgress", second)
	}
	release()
	success, err := pay(t.Context(), h, p, same, from, to, "1.00")
	if err != nil || !success.Replayed {
		t.Errorf("the same key afterwards: replayed %v, %v; want the first caller's payment", success.Replayed, err)
	}
	expectBalances(t, h, p, map[ledger.AccountID]string{from: "9.00", to: "1.00"})
}

// TestACommandIsDropped has a merchant that nobody can write until its callers' time is up and the database has said so. What was not
// done then is not done later.
func TestACommandIsDropped(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	from, to := wallet(t, h, p, "10.00"), wallet(t, h, p, "")
	release := hold(t, owner(t, h.DSN), p)
	defer release()
	same := key()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := pay(ctx, h, p, same, from, to, "1.00"); !errors.Is(err, command.ErrOutcomeUnknown) {
		t.Errorf("got %v, want ErrOutcomeUnknown", err)
	}
	time.Sleep(6 * time.Second) // several times the writers' lock_timeout, for a machine that is busy
	release()
	time.Sleep(100 * time.Millisecond)
	expectBalances(t, h, p, map[ledger.AccountID]string{from: "10.00"})
	success, err := pay(t.Context(), h, p, same, from, to, "1.00")
	if err != nil || success.Replayed {
		t.Errorf("the same key afterwards: replayed %v, %v; want a payment of its own", success.Replayed, err)
	}
	expectBalances(t, h, p, map[ledger.AccountID]string{from: "9.00", to: "1.00"})
}
