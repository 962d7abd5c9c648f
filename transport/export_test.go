package transport

import "time"

// SetTimes says how long a client may take nothing, and how long a stream of events says nothing, where a test cannot wait for the defaults.
// It is called before the handler serves.
func (h *Handler) SetTimes(write, keepAlive time.Duration) { h.times = times{write, keepAlive} }

// MaxOperations is how many operations one socket has at once.
const MaxOperations = maxOperations

// HoldTurns takes all turns of subscribers, so that none can read, until it is told to let them go.
func (h *Handler) HoldTurns() (letGo func()) {
	taken := h.engine.turns.taken
	for range cap(taken) {
		taken <- struct{}{}
	}
	return func() {
		for range cap(taken) {
			<-taken
		}
	}
}

// Turns is how many subscribers read at once.
func (h *Handler) Turns() int { return cap(h.engine.turns.taken) }
