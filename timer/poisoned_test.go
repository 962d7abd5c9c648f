package timer_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/clock"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/connector"
	"github.com/paygraph/paygraph/timer"
)

// TestATimerThatOnlyTheDatabaseRefuses takes nothing with it, although it is in one batch with others, does not come back for ever, and is served
// after a start once what was in its way is gone.
func TestATimerThatOnlyTheDatabaseRefuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	node := h.nodes[0]
	poisoned := h.create(true)
	var others []*payment.Payment
	for range 20 {
		others = append(others, h.create(true))
	}
	id, err := answer.Decode(answer.PaymentPrefix, string(poisoned.ID))
	h.must(err)
	db, err := connector.Open(node.DSN, connector.Options{})
	h.must(err)
	t.Cleanup(func() { _ = db.Close() })
	_, err = db.Exec(`ALTER TABLE payment ADD CONSTRAINT poison CHECK (id <> '` + id.String() + `' OR status <> 'EXPIRED')`)
	h.must(err)
	h.forward(payment.AuthorizationLifetime)

	var log strings.Builder
	var tries atomic.Int64
	started := func() *timer.Sweeper {
		return &timer.Sweeper{
			Source: node.Store, Clock: clock.Real, Log: slog.New(slog.NewTextHandler(&log, nil)), Serve: map[command.TimerKind]timer.Serve{
				command.PaymentExpires: func(ctx context.Context, d command.Due) error {
					if d.ObjectID == string(poisoned.ID) {
						tries.Add(1)
					}
					return node.Payments.Expire(ctx, d)
				},
			},
		}
	}
	s := started()
	for range 20 {
		_, err := s.Sweep(t.Context())
		h.must(err)
	}
	h.want(poisoned, payment.Authorized, 1)
	for _, p := range others {
		h.want(p, payment.Expired, 2)
	}
	if n := tries.Load(); n != 5 || strings.Count(log.String(), "ERROR") != 1 {
		t.Errorf("the bad one was tried %d times, and the log says %s", n, log.String())
	}
	_, err = db.Exec(`ALTER TABLE payment DROP CONSTRAINT poison`)
	h.must(err)
	if served, err := started().Sweep(t.Context()); err != nil || served != 1 {
		t.Errorf("after a start %d were served, %v", served, err)
	}
	h.want(poisoned, payment.Expired, 2)
	h.must(node.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}
