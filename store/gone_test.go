package store_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/storetest"
)

// A client that goes in the midst of a question costs no session: a new one is dear, and a client can go all the time.
func TestWhoGoesCostsNoSession(t *testing.T) {
	t.Parallel()
	h := storetest.New(t)
	db := owner(t, h.DSN)
	p := h.Merchant(t)
	account := wallet(t, h, p, "1.00")
	sessions := func() (pids []int64) {
		rows, err := db.Query(`SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'paygraph reader'`)
		must(t, err)
		defer rows.Close()
		for rows.Next() {
			var pid int64
			must(t, rows.Scan(&pid))
			pids = append(pids, pid)
		}
		must(t, rows.Err())
		slices.Sort(pids)
		return pids
	}
	ask := func(ctx context.Context) error {
		snapshot := h.Store.Snapshot()
		defer snapshot.Close()
		_, err := snapshot.Accounts(ctx, p.Merchant, []string{string(account)})
		_, alone := h.Store.Accounts(ctx, p.Merchant, []string{string(account)})
		return errors.Join(err, alone)
	}
	must(t, ask(t.Context()))
	before := sessions()
	gone := 0
	for i := range 400 {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Duration(i)*5*time.Microsecond, cancel)
		err := ask(ctx)
		cancel()
		if errors.Is(err, context.Canceled) {
			gone++
		} else if err != nil {
			t.Error(err)
		}
	}
	if after := sessions(); len(before) == 0 || !slices.Equal(before, after) {
		t.Errorf("sessions %v, before %v", after, before)
	}
	if gone == 0 {
		t.Error("nobody went before the answer")
	}
}
