//go:build ci

package transport

// OpenSockets is how many WebSockets have not been released.
func (h *Handler) OpenSockets() int {
	h.open.mu.Lock()
	defer h.open.mu.Unlock()
	return len(h.open.sockets)
}
