package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/storetest"
)

// prove makes payments of 0.01, until a node takes the merchant to be its own.
func prove(t *testing.T, h *storetest.House, p auth.Principal, from, to ledger.AccountID) {
	t.Helper()
	for range 8 {
		_, err := pay(t.Context(), h, p, key(), from, to, "0.01")
		must(t, err)
	}
}

// A payment of a merchant that nobody else commits for takes one request: nothing waits for the lock, and t is the database's time all the same.
func TestAMerchantOfOneNodeIsNotAskedFor(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t)
	db := owner(t, dsn)
	proxy := newProxy(t, dsn)
	h := storetest.At(t, proxy.dsn)
	p := h.Merchant(t)
	from, to := wallet(t, h, p, "100.00"), wallet(t, h, p, "")
	clock := func() (now time.Time) {
		must(t, db.QueryRow(`SELECT clock_timestamp()`).Scan(&now))
		return now
	}
	for range 10 { // a machine that stands still for a second makes the writer read the clock again
		prove(t, h, p, from, to)
		struck := proxy.arm("lock", lostRequest)
		before := clock()
		s, err := pay(t.Context(), h, p, key(), from, to, "0.01")
		must(t, err)
		after := clock()
		select {
		case <-struck:
			continue
		default:
		}
		const late = 500 * time.Millisecond // an answer may take so long to come on a busy machine, and shows the clock as it was
		if at := s.Payment.CreatedAt; at.Before(before.Add(-late)) || at.After(after) {
			t.Errorf("t is %v, and the database's clock showed %v before, and %v after", at, before, after)
		}
		must(t, h.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
		return
	}
	t.Error("the lock was asked for each time")
}

// What another node has committed counts, and what it was asked is known, on a node that takes the merchant to be its own.
func TestANodeThatAssumesWronglyLosesNothing(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	other := storetest.At(t, h.DSN)
	p := h.Merchant(t)
	from, to := wallet(t, h, p, "50.08"), wallet(t, h, p, "")

	prove(t, h, p, from, to)
	_, err := pay(t.Context(), other, p, key(), from, to, "40.00")
	must(t, err)
	if _, err := pay(t.Context(), h, p, key(), from, to, "10.01"); !errors.As(err, new(ledger.InsufficientFunds)) {
		t.Errorf("more than the other node has left: %v", err)
	}
	_, err = pay(t.Context(), h, p, key(), from, to, "9.00")
	must(t, err)
	expectBalances(t, h, p, map[ledger.AccountID]string{from: "1.00", to: "49.08"})

	prove(t, h, p, from, to)
	k := key()
	_, err = pay(t.Context(), other, p, k, from, to, "0.50")
	must(t, err)
	if s, err := pay(t.Context(), h, p, k, from, to, "0.50"); err != nil || !s.Replayed {
		t.Errorf("a key of the other node's: replayed %v, %v", s.Replayed, err)
	}
	expectBalances(t, h, p, map[ledger.AccountID]string{from: "0.42", to: "49.66"})
}

// TestABatchThatWaitedSeesWhoCameFirst has another node commit while the batch waits for the head: its statement began before, and must not go
// by what it saw then.
func TestABatchThatWaitedSeesWhoCameFirst(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t)
	db := owner(t, dsn)
	proxy := newProxy(t, dsn)
	h := storetest.At(t, proxy.dsn)
	p := h.Merchant(t)
	from, to := wallet(t, h, p, "10.00"), wallet(t, h, p, "")
	for range 10 { // the clock may have been read too long ago
		prove(t, h, p, from, to)
		other, err := db.BeginTx(context.WithoutCancel(t.Context()), nil)
		must(t, err)
		t.Cleanup(func() { _ = other.Rollback() })
		_, err = other.Exec(`UPDATE head SET stamp = stamp + 1 WHERE merchant_id = $1`, uuid(p))
		must(t, err)
		wait := queue(t.Context(), func(ctx context.Context) {
			if _, err := pay(ctx, h, p, key(), from, to, "0.01"); err != nil {
				t.Error(err)
			}
		})
		var waits string
		until(t, "the batch waits for the head", func() bool {
			err := db.QueryRow(`SELECT query FROM pg_stat_activity WHERE datname = current_database()
				AND application_name = 'paygraph writer' AND wait_event_type = 'Lock'`).Scan(&waits)
			return err == nil
		})
		struck := proxy.arm("lock", lostAnswer)
		must(t, other.Commit())
		wait()
		if !strings.HasPrefix(waits, "WITH h AS (UPDATE head") {
			continue // the lock was asked for
		}
		select {
		case <-struck:
		default:
			t.Error("it was written without being asked again")
		}
		must(t, h.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
		return
	}
	t.Error("the lock was asked for each time")
}

func TestAKeyThatIsKnownToTheDatabaseAlone(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	p := h.Merchant(t)
	from, to := wallet(t, h, p, "10.00"), wallet(t, h, p, "")
	k := key()
	first, err := pay(t.Context(), h, p, k, from, to, "1.00")
	must(t, err)
	for range 2 {
		prove(t, h, p, from, to)
		if s, err := pay(t.Context(), h, p, k, from, to, "1.00"); err != nil || !s.Replayed || s.Payment.ID != first.Payment.ID {
			t.Errorf("again: %+v, %v", s, err)
		}
		prove(t, h, p, from, to)
		if _, err := pay(t.Context(), h, p, k, from, to, "2.00"); !errors.As(err, new(answer.IdempotencyKeyReused)) {
			t.Errorf("for another amount: %v", err)
		}
	}
	expectBalances(t, h, p, map[ledger.AccountID]string{from: "8.68", to: "1.32"})
}

// TestNothingIsWrittenWithoutAHead has a database in which the merchant is no more, as one that was restored to a moment before.
func TestNothingIsWrittenWithoutAHead(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	db := owner(t, h.DSN)
	p := h.Merchant(t)
	from, to := wallet(t, h, p, "10.00"), wallet(t, h, p, "")
	prove(t, h, p, from, to)
	_, err := db.Exec(`DELETE FROM head WHERE merchant_id = $1`, uuid(p))
	must(t, err)
	if _, err := pay(t.Context(), h, p, key(), from, to, "1.00"); !errors.Is(err, command.ErrInternal) {
		t.Errorf("got %v, want ErrInternal", err)
	}
	var payments, balances int
	must(t, db.QueryRow(`SELECT (SELECT count(*) FROM payment WHERE merchant_id = $1 AND captured = 100),
		(SELECT count(*) FROM balance WHERE merchant_id = $1 AND debits_posted = 108)`, uuid(p)).Scan(&payments, &balances))
	if payments != 0 || balances != 0 {
		t.Errorf("%d payments and %d balances were written", payments, balances)
	}
}
