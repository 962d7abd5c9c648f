//go:build ci

package transport_test

import (
	"net"
	"sync"
	"sync/atomic"
)

// network is the way between clients and a server, on which things go wrong.
type network struct {
	net.Listener
	mu    sync.Mutex
	links []*link
	full  sync.RWMutex // locked: nothing that the server writes gets through, and it has to wait
}

// link is a connection, as the server has it.
type link struct {
	net.Conn
	network *network
	dead    atomic.Bool // nothing gets through any more, in either direction, and neither end is told
}

// Accept implements [net.Listener].
func (n *network) Accept() (net.Conn, error) {
	conn, err := n.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l := &link{Conn: conn, network: n}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links = append(n.links, l)
	return l, nil
}

// take returns the connections so far, and forgets them.
func (n *network) take() []*link {
	n.mu.Lock()
	defer n.mu.Unlock()
	links := n.links
	n.links = nil
	return links
}

// cut resets the connections.
func (n *network) cut() {
	for _, l := range n.take() {
		_ = l.Conn.(*net.TCPConn).SetLinger(0)
		_ = l.Close()
	}
}

// die lets nothing through on the connections that there are.
func (n *network) die() {
	for _, l := range n.take() {
		l.dead.Store(true)
	}
}

// Read implements [net.Conn].
func (l *link) Read(b []byte) (int, error) {
	for {
		if n, err := l.Conn.Read(b); err != nil || !l.dead.Load() {
			return n, err
		}
	}
}

// Write implements [net.Conn].
func (l *link) Write(b []byte) (int, error) {
	l.network.full.RLock()
	defer l.network.full.RUnlock()
	if l.dead.Load() {
		return len(b), nil
	}
	return l.Conn.Write(b)
}
