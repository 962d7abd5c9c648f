// Package faultproxy is a proxy that stands between a client and PostgreSQL and spoils what they say to each other, for tests and for the
// soak. It understands how messages are framed (protocol 3.0, section 55.7) and which statement a request runs.
package faultproxy

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
)

// Proxy sees requests, each of one or more messages and answered by messages up to ReadyForQuery, and can spoil one of them.
type Proxy struct {
	Address     string // host and port on which it listens, without TLS
	DropCancels atomic.Bool
	Cancels     atomic.Int32
	Logins      atomic.Int32
	Gone        chan struct{} // gets one for each client that hung up on a swallowed request or answer, if somebody has room for it

	listener net.Listener
	mu       sync.Mutex
	backend  string
	faults   []Fault // the next one first
	requests int     // since the next fault is the next, of those that it may strike
	struck   chan struct{}
	seen     []Exchange // since Arm
	texts    []string   // of statements that were prepared, each once
	open     map[net.Conn]bool
}

// maxSeen is how many exchanges are remembered.
const maxSeen = 10_000

// Exchange is what the proxy has seen of one request.
type Exchange struct {
	Request     string // the types of its messages, as "PBDES"
	Answer      []int  // the length of each message of the answer
	Application string // the session's application_name
	Statement   string // what it runs; empty where it runs nothing
	Prepares    string // what it only prepares
	Inside      bool   // a transaction was open before it
}

// Listen starts a proxy on a free port of 127.0.0.1, in front of the server at an address, host and port.
func Listen(ctx context.Context, backend string) (*Proxy, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		Address: listener.Addr().String(), Gone: make(chan struct{}, 100), listener: listener, backend: backend, open: map[net.Conn]bool{},
	}
	p.Arm(Fault{})
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
	return p, nil
}

// Close ends it, and all connections.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.open {
		_ = conn.Close()
	}
}

// Forward has connections from now on go to another server.
func (p *Proxy) Forward(backend string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.backend = backend
}

// Arm sets the fault, and those that come after it, each when the one before has struck; it counts requests from here. The channel is closed
// when the last has struck and the server has done its part.
func (p *Proxy) Arm(f Fault, then ...Fault) (struck <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults, p.requests, p.seen, p.struck = append([]Fault{f}, then...), 0, nil, make(chan struct{})
	return p.struck
}

// Connections is how many are open, those of clients and those to the server.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// Exchanges returns what was seen since Arm, up to a limit.
func (p *Proxy) Exchanges() []Exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

// Prepared are the texts of all statements that were prepared.
func (p *Proxy) Prepared() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.texts)
}

// next is the fault for an exchange. done has to be called when the server has done its part.
func (p *Proxy) next(x Exchange) (f Fault, done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.faults) == 0 || !p.faults[0].strikes(x) {
		return Fault{}, func() {}
	}
	f = p.faults[0]
	p.requests++
	if p.requests != f.At+1 {
		return Fault{}, func() {}
	}
	p.faults, p.requests = p.faults[1:], 0
	if len(p.faults) > 0 {
		return f, func() {}
	}
	struck := p.struck
	return f, func() { close(struck) }
}

func (p *Proxy) record(x Exchange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.seen) < maxSeen {
		p.seen = append(p.seen, x)
	}
}

func (p *Proxy) notePrepared(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.texts, text) {
		p.texts = append(p.texts, text)
	}
}

// track keeps a connection so that it can be closed with the proxy.
func (p *Proxy) track(conn net.Conn) (untrack func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[conn] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, conn)
		_ = conn.Close()
	}
}
