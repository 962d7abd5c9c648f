package soak

import (
	"context"
	"errors"
	"time"

	"github.com/paygraph/paygraph/store/connector/faultproxy"
)

// frozenAfter is how long a node stays frozen when the other one serves.
const frozenAfter = 500 * time.Millisecond

// freezeAt stops a node within a step: when its message has gone out and the server has not got it yet, or when it has been answered and the node has not
// read that. The other node must serve the merchant in time.
func freezeAt(node int, s *step, answered bool) *fault {
	kind, when := faultproxy.HoldRequest, ": frozen before the server has it"
	if answered {
		kind, when = faultproxy.HoldAnswer, ": frozen before the answer"
	}
	return &fault{s.name + when, func(ctx context.Context, w *world, c *cycle) (err error) {
		f := s.with(kind)
		f.Held = make(chan struct{})
		if err := w.arm(ctx, node, s, f); err != nil {
			return err
		}
		if err := w.nodes[node].freeze(); err != nil {
			return err
		}
		defer func() {
			close(f.Held)
			err = errors.Join(err, w.nodes[node].thaw())
		}()
		begin := time.Now()
		if c.stopped, err = w.served(ctx, begin, other(node)); err != nil {
			return err
		}
		time.Sleep(frozenAfter)
		return nil
	}}
}
