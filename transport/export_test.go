package transport

import "time"

// SetTimes says how long a client may take nothing, and how long a stream of events says nothing, where a test cannot wait for the defaults.
// It is called before the handler serves.
func (h *Handler) SetTimes(write, keepAlive time.Duration) { h.times = times{write, keepAlive} }

// MaxOperations is how many operations one socket has at once.
const MaxOperations = maxOperations
