package store_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/store/storetest"
)

// TestAMerchantThatFloods has a merchant that nobody can write for a while, and that asks for more than may wait: 5,000 commands and a
// batch of 256.
func TestAMerchantThatFloods(t *testing.T) {
	t.Parallel()
	const asked, most = 5_400, 5_000 + 256
	h := storetest.New(t)
	flood, other := h.Merchant(t), h.Merchant(t)
	from, to := wallet(t, h, flood, "100.00"), wallet(t, h, flood, "")
	otherFrom, otherTo := wallet(t, h, other, "1.00"), wallet(t, h, other, "")
	release := hold(t, owner(t, h.DSN), flood)
	defer release()
	var refused atomic.Int64
	var all sync.WaitGroup
	for range asked {
		all.Go(func() {
			_, err := pay(t.Context(), h, flood, key(), from, to, "0.01")
			if errors.Is(err, command.ErrRateLimited) {
				refused.Add(1)
			} else if err != nil && !errors.Is(err, command.ErrOutcomeUnknown) { // a slow machine
				t.Error(err)
			}
		})
	}
	for begin := time.Now(); refused.Load() < asked-most; time.Sleep(time.Millisecond) {
		if time.Since(begin) > 8*time.Second {
			t.Fatalf("%d of %d were refused, want %d", refused.Load(), asked, asked-most)
		}
	}
	if _, err := pay(t.Context(), h, other, key(), otherFrom, otherTo, "1.00"); err != nil {
		t.Errorf("another merchant: %v", err)
	}
	release()
	all.Wait()
	if n := refused.Load(); n > asked-5_000 {
		t.Errorf("%d were refused, though there was room for 5,000 of %d", n, asked)
	}
	if _, err := pay(t.Context(), h, flood, key(), from, to, "0.01"); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}
