package soak

import (
	"context"
	"fmt"
	"time"

	"github.com/paygraph/paygraph/store/connector/faultproxy"
)

// cut is what the network does to a message.
type cut struct {
	name     string
	kind     faultproxy.Kind
	reset    bool
	swallows bool // it says nothing, and goes on saying nothing
}

var cuts = []cut{
	{name: "cut before the server has it", kind: faultproxy.LoseRequest},
	{name: "cut when the server has a part of it", kind: faultproxy.CutRequest, reset: true},
	{name: "cut after it ran, before the answer", kind: faultproxy.CutAnswer, reset: true},
	{name: "cut in mid-answer", kind: faultproxy.HalveAnswer},
	{name: "swallowed before the server has it", kind: faultproxy.SwallowRequest, swallows: true},
	{name: "swallowed after it ran", kind: faultproxy.SwallowAnswer, swallows: true},
}

// cutAt has the network of a node do something to a step's next message.
func cutAt(node int, s *step, c cut) *fault {
	return &fault{s.name + ": " + c.name, func(ctx context.Context, w *world, cycle *cycle) error {
		f := s.with(c.kind)
		f.Reset = c.reset
		return w.cut(ctx, cycle, node, s, c, f)
	}}
}

// cutInRecovery has the network lose a batch's last message or its answer, and then do something to a message of the second attempt, which first
// has to find out what became of the first. One merchant's batches follow each other: the next one through this proxy is the second attempt.
func cutInRecovery(node int, first faultproxy.Kind, s *step, c cut) *fault {
	return &fault{"after an unknown outcome, " + s.name + ": " + c.name, func(ctx context.Context, w *world, cycle *cycle) error {
		f := s.with(c.kind)
		f.Reset = c.reset
		return w.cut(ctx, cycle, node, writing, c, writing.with(first), f)
	}}
}

// swallowedFor is how long one side or the other waits at most for what the network has swallowed.
const swallowedFor = 15 * time.Second

// cut lies in wait, and returns when the network is well again: where it swallows, when one side has had enough.
func (w *world) cut(ctx context.Context, cycle *cycle, node int, s *step, c cut, f faultproxy.Fault, then ...faultproxy.Fault) error {
	gone := w.proxies[node].Gone
	for len(gone) > 0 {
		<-gone
	}
	if err := w.arm(ctx, node, s, f, then...); err != nil || !c.swallows {
		return err
	}
	begin := time.Now()
	stopped, err := w.served(ctx, begin, other(node))
	if err != nil {
		return err
	}
	cycle.stopped = stopped
	select {
	case <-gone:
	case <-time.After(w.limit(swallowedFor) - time.Since(begin)):
		return fmt.Errorf("nobody has given up for %v", w.limit(swallowedFor))
	}
	return nil
}

func other(node int) int { return (node + 1) % nodeCount }
