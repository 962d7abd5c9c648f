package store_test

import (
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/storetest"
)

// TestWhatEachPaymentChangesIsInNoIndex: balances and the head are changed in place (HOT, heap-only tuples), so that neither their indexes nor the tables
// grow with payments.
func TestWhatEachPaymentChangesIsInNoIndex(t *testing.T) {
	t.Parallel()
	const payments = 200
	dsn := storetest.DSN(t)
	h := storetest.At(t, dsn)
	p := newPayer(t, h)
	for range payments {
		p.pay(h, "0.01")
	}
	db := owner(t, dsn)
	for table, least := range map[string]int{"balance": 2 * payments, "head": payments} {
		updated, hot := 0, 0.0
		for begin := time.Now(); updated < least; time.Sleep(100 * time.Millisecond) { // a session tells of what it has done somewhat later
			must(t, db.QueryRow(`SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = $1`, table).Scan(&updated, &hot))
			if time.Since(begin) > 30*time.Second {
				t.Fatalf("%d updates of %s after %d payments", updated, table, payments)
			}
		}
		if share := hot / float64(updated); share < 0.95 {
			t.Errorf("of %d updates of %s %.3f were HOT, want 0.95", updated, table, share)
		}
	}
}
