package store_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/connector/faultproxy"
	"github.com/paygraph/paygraph/store/storetest"
)

// payer is a merchant with two wallets.
type payer struct {
	*testing.T
	p        auth.Principal
	from, to ledger.AccountID
}

func newPayer(t *testing.T, h *storetest.House) payer {
	t.Helper()
	p := h.Merchant(t)
	return payer{t, p, wallet(t, h, p, "10.00"), wallet(t, h, p, "")}
}

// pay pays at a node, and says how long that took.
func (p payer) pay(h *storetest.House, amount string) time.Duration {
	p.Helper()
	begin := time.Now()
	if _, err := pay(p.Context(), h, p.p, key(), p.from, p.to, amount); err != nil {
		p.Errorf("%v after %v", err, time.Since(begin))
	}
	return time.Since(begin)
}

// TestAFrozenNode has another node that is frozen with merchants' locks: it got them, and neither goes on nor hangs up, in whatever step. Where they are as
// many as a node has writers, all of the other node's wait for them, and yet no merchant waits for more than 10 s.
func TestAFrozenNode(t *testing.T) {
	t.Parallel()
	at := func(kind faultproxy.Kind, step string) faultproxy.Fault {
		return faultproxy.Fault{Kind: kind, Statement: steps[step]}
	}
	for name, c := range map[string]struct {
		fault faultproxy.Fault
		held  int // merchants
		quick int // payments of another merchant in the two seconds for which the first waits: with that one it were none
	}{
		"that has the lock":          {at(faultproxy.SwallowAnswer, "lock"), 1, 5},
		"that is about to load":      {at(faultproxy.SwallowRequest, "load"), 1, 5},
		"that has loaded":            {at(faultproxy.SwallowAnswer, "load"), 1, 5},
		"that is about to write":     {at(faultproxy.SwallowRequest, "write"), 1, 5},
		"and as many as can hold it": {at(faultproxy.SwallowAnswer, "lock"), store.DefaultWriters, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := storetest.DSN(t)
			p := newProxy(t, dsn)
			frozen, h := storetest.At(t, p.dsn), storetest.At(t, dsn)
			other, held := newPayer(t, h), make([]payer, c.held)
			for i := range held {
				held[i] = newPayer(t, h)
			}
			swallow := slices.Repeat([]faultproxy.Fault{c.fault}, c.held)
			struck := p.Arm(swallow[0], swallow[1:]...)
			var all sync.WaitGroup
			for _, m := range held {
				all.Go(func() { m.pay(frozen, "1.00") })
			}
			select {
			case <-struck:
			case <-time.After(30 * time.Second):
				t.Fatal("the node did not come to this step")
			}
			begin := time.Now()
			for _, m := range held {
				all.Go(func() {
					if took := m.pay(h, "1.00"); took < time.Second || took > 10*time.Second {
						t.Errorf("it took %v: the lock was not held, or held for too long", took)
					}
				})
			}
			quick := 0
			for time.Since(begin) < 2*time.Second {
				switch took := other.pay(h, "0.01"); {
				case took > 10*time.Second:
					t.Errorf("another merchant's payment took %v", took)
				case took < time.Second:
					quick++
				}
				time.Sleep(20 * time.Millisecond)
			}
			if quick < c.quick {
				t.Errorf("another merchant has made %d payments within two seconds", quick)
			}
			all.Wait()
			for _, m := range held {
				expectBalances(t, h, m.p, map[ledger.AccountID]string{m.from: "8.00", m.to: "2.00"})
			}
		})
	}
}
