package transport

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// connections are those that stay open: WebSockets, and streams of events.
type connections struct {
	stopping context.Context // ends with Stop
	stop     context.CancelFunc
	mu       sync.Mutex
	sockets  map[*socket]struct{}
	running  sync.WaitGroup
	streams  atomic.Int64 // of events
}

func newConnections() *connections {
	c := &connections{sockets: map[*socket]struct{}{}}
	c.stopping, c.stop = context.WithCancel(context.Background())
	return c
}

// enter notes a stream of events. ctx ends with Stop too.
func (c *connections) enter(ctx context.Context) (_ context.Context, leave func()) {
	ctx, cancel := context.WithCancel(ctx)
	unlink := context.AfterFunc(c.stopping, cancel)
	return ctx, func() { unlink(); cancel() }
}

// add notes a socket. It is false where no more are taken.
func (c *connections) add(s *socket) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping.Err() != nil {
		return false
	}
	c.sockets[s] = struct{}{}
	c.running.Add(1)
	return true
}

func (c *connections) remove(s *socket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sockets, s)
	c.running.Done()
}

// Stop ends streams of events and subscriptions, so that their clients come back elsewhere, and closes WebSockets with 1012 (service restart): each
// when the queries and mutations on it have answered, and all when the context ends. It returns when none is left, or a moment after that.
// Other requests that run are not touched.
func (h *Handler) Stop(ctx context.Context) {
	h.open.mu.Lock()
	h.open.stop()
	sockets := slices.Collect(maps.Keys(h.open.sockets))
	h.open.mu.Unlock()
	for _, s := range sockets {
		go s.retire(&restarting)
	}
	gone := make(chan struct{})
	go func() { h.open.running.Wait(); close(gone) }()
	select {
	case <-gone:
		return
	case <-ctx.Done():
	}
	for _, s := range sockets {
		go s.close(closeRestart, stopping)
	}
	select {
	case <-gone:
	case <-time.After(closeWait):
	}
}
