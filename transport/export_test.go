package transport

import "time"

// SetPatience is how long a WebSocket waits to begin.
func (h *Handler) SetPatience(d time.Duration) { h.times.begin = d }

// SetTimes says how long a client may take nothing, and how long a stream of events says nothing, where a test cannot wait for the defaults.
// It is called before the handler serves.
func (h *Handler) SetTimes(write, keepAlive time.Duration) {
	h.times.write, h.times.keepAlive = write, keepAlive
}

// MaxOperations is how many operations one socket has at once.
const MaxOperations = maxOperations

// HoldTurns takes all turns of subscribers, so that none can read, until it is told to let them go.
func (h *Handler) HoldTurns() (letGo func()) {
	t := h.engine.turns
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken += t.most
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.taken -= t.most
		t.begin()
	}
}

// PartySize is how many subscribers share a turn.
const PartySize = partySize

// Turns is how many parties of subscribers read at once.
func (h *Handler) Turns() int { return h.engine.turns.most }
