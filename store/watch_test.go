package store_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/storetest"
)

// witness is a Watcher that notes what it is told.
type witness struct {
	mu  sync.Mutex
	saw []string
}

func (w *witness) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.saw = append(w.saw, fmt.Sprintf(format, args...))
}

// take is what it was told since it was asked last.
func (w *witness) take() (saw []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	saw, w.saw = w.saw, nil
	return saw
}

func (w *witness) Decided(operation string, err error) {
	if err != nil {
		err = errors.New("refused")
	}
	w.note("%s: %v", operation, err)
}
func (w *witness) Took(commands int, waited time.Duration) {
	w.note("took %d, %t", commands, waited >= 0)
}
func (w *witness) Locked(after time.Duration) { w.note("locked %t", after > 0) }
func (w *witness) Committed(after time.Duration, assumed bool) {
	w.note("committed %t, assumed %t", after > 0, assumed)
}
func (w *witness) Refuted() { w.note("refuted") }
func (w *witness) Retried() { w.note("retried") }

func watchedBy(w *witness) func(*store.Config) { return func(c *store.Config) { c.Watcher = w } }

// TestAWatcherIsToldOfEachBatch makes payments the short way, one that finds another node's commit, one that is refused, and one whose session has ended.
func TestAWatcherIsToldOfEachBatch(t *testing.T) {
	t.Parallel()
	w := &witness{}
	dsn := storetest.DSN(t)
	h, other := storetest.At(t, dsn, watchedBy(w)), storetest.At(t, dsn)
	p := h.Merchant(t)
	from, to := wallet(t, h, p, "100.00"), wallet(t, h, p, "")
	short := []string{"took 1, true", "committed true, assumed true", "createPayment: <nil>"}
	refuted := []string{"took 1, true", "refuted", "locked true", "committed true, assumed false", "createPayment: <nil>"}
	again := func(want []string, before func()) {
		t.Helper()
		var saw []string
		for range 20 { // a machine that stands still for a second makes the writer ask
			prove(t, h, p, from, to)
			before()
			w.take()
			_, err := pay(t.Context(), h, p, key(), from, to, "0.01")
			must(t, err)
			if saw = w.take(); slices.Equal(saw, want) {
				return
			}
		}
		t.Errorf("it was told %q, want %q", saw, want)
	}
	again(short, func() {})
	again(refuted, func() {
		_, err := pay(t.Context(), other, p, key(), from, to, "0.01")
		must(t, err)
	})
	w.take()
	if _, err := pay(t.Context(), h, p, key(), from, to, "1000.00"); !errors.As(err, new(ledger.InsufficientFunds)) {
		t.Fatal(err)
	}
	if saw := w.take(); saw[len(saw)-1] != "createPayment: refused" {
		t.Errorf("of a refusal it was told %q", saw)
	}
	_, err := owner(t, dsn).Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'paygraph writer'`)
	must(t, err)
	_, err = pay(t.Context(), h, p, key(), from, to, "0.01")
	must(t, err)
	if saw := w.take(); !slices.Contains(saw, "retried") {
		t.Errorf("of a session that has ended it was told %q", saw)
	}
}

// TestStats asks a store that does nothing but keep its sessions, beside another one that commits.
func TestStats(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t)
	h, other := storetest.At(t, dsn), storetest.At(t, dsn)
	p := h.Merchant(t)
	from := wallet(t, h, p, "1.00")
	stats := h.Store.Stats()
	if stats.Waiting != 0 || stats.Pools["writers"].MaxOpenConnections != store.DefaultWriters+1 || stats.Pools["writers"].OpenConnections == 0 ||
		stats.Pools["readers"].MaxOpenConnections != store.DefaultReaders || stats.Pools["hints"].MaxOpenConnections != 1 || len(stats.Pools) != 4 {
		t.Errorf("it stands so: %+v", stats)
	}
	for end := time.Now().Add(20 * time.Second); h.Store.Stats().Hints.Heard == 0; time.Sleep(5 * time.Millisecond) {
		if deposit(t, other, p, from, "0.01"); time.Now().After(end) {
			t.Fatalf("no hint is heard: %+v", h.Store.Stats())
		}
	}
	_, err := owner(t, dsn).Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'paygraph listener'`)
	must(t, err)
	for end := time.Now().Add(20 * time.Second); h.Store.Stats().Hints.Missed == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("nothing is missed after the listener's session has ended: %+v", h.Store.Stats())
		}
	}
}
