package timer_test

import (
	"log/slog"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/paygraph/paygraph/clock"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store/connector/faultproxy"
	"github.com/paygraph/paygraph/store/storetest"
	"github.com/paygraph/paygraph/timer"
)

// TestTheOldestAndTheNewest: of more than are looked at together those are found that have been due for longest, and those that have become so
// last, which may be another merchant's; of a kind that is not asked for, none.
func TestTheOldestAndTheNewest(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var all []string
	for range 5 {
		all = append(all, string(h.create(false).ID))
	}
	h.forward(payment.UnconfirmedLifetime)
	for limit, want := range map[int][]int{1: {0, 4}, 2: {0, 1, 3, 4}, 3: {0, 1, 2, 3, 4}, 100: {0, 1, 2, 3, 4}} {
		due, err := h.nodes[0].Store.Due(t.Context(), kinds, limit)
		h.must(err)
		var got []int
		for _, d := range due {
			got = append(got, slices.Index(all, d.ObjectID))
		}
		if !slices.Equal(got, want) {
			t.Errorf("with a limit of %d: %v, want %v", limit, got, want)
		}
	}
	if due, err := h.nodes[0].Store.Due(t.Context(), []command.TimerKind{"OF_A_LATER_VERSION"}, 10); err != nil || len(due) > 0 {
		t.Errorf("of another kind: %v, %v", due, err)
	}
}

// TestALookThatGetsNoAnswer: the network swallows what the database says of the timers. The next look serves them.
func TestALookThatGetsNoAnswer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	way, err := url.Parse(h.nodes[0].DSN)
	h.must(err)
	between, err := faultproxy.Listen(t.Context(), way.Host)
	h.must(err)
	t.Cleanup(between.Close)
	way.Host = between.Address
	node := storetest.At(t, way.String())
	waiting := h.create(false)
	h.forward(payment.UnconfirmedLifetime)
	struck := between.Arm(faultproxy.Fault{Kind: faultproxy.SwallowAnswer, Statement: "FROM timer"})
	s := timer.Sweeper{Source: node.Store, Clock: clock.Real, Log: slog.Default(), Serve: map[command.TimerKind]timer.Serve{
		command.PaymentExpires: node.Payments.Expire,
	}}
	defer s.Start()()
	<-struck
	for begin := time.Now(); len(h.due()) > 0; time.Sleep(100 * time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			t.Fatal("the timer is not served")
		}
	}
	h.want(waiting, payment.Expired, 2)
	if _, err := node.Store.Synchronous(t.Context()); err != nil {
		t.Error(err)
	}
}
