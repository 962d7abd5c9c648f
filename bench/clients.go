package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// clients each have one connection at a time, and make another when they have lost it. What reaches them is counted as an audience's is.
type clients struct {
	audience
	lines []line
	done  atomic.Int64 // how often they have done what they are there for
}

// newClients has n clients live, who begin one after the other over a while. live makes a connection and is done when that is lost. An error of
// its is what must not happen; it is called again in any case, until the end.
func newClients(ctx context.Context, n int, over time.Duration, live func(c *clients, i int, l *line) error) *clients {
	c := &clients{lines: make([]line, n)}
	c.arrivals = newTally()
	for start, i := time.Now(), 0; i < n && ctx.Err() == nil; i++ {
		sleepUntil(ctx, start.Add(over*time.Duration(i)/time.Duration(n)))
		c.running.Go(func() {
			for !c.closing.Load() {
				if err := live(c, i, &c.lines[i]); err != nil && !c.closing.Load() {
					c.complain("%v", err)
					time.Sleep(redialAfter)
				}
			}
		})
	}
	return c
}

// end cuts all connections, and waits until nobody lives.
func (c *clients) end() {
	c.closing.Store(true)
	for i := range c.lines {
		c.lines[i].end()
	}
	c.running.Wait()
}

// did is how often they have done what they are there for.
func (c *clients) did() int64 { return c.done.Load() }

// tell adds what became of them to a figure.
func (c *clients) tell(f *disturbanceFigure) {
	f.Clients = float64(len(c.lines))
	for _, n := range c.faults() {
		f.Faults += float64(n)
	}
}

// line is the connection that a client has.
type line struct {
	mu   sync.Mutex
	conn net.Conn
	lost bool // by us
	over bool // there is to be no other
}

var errOver = errors.New("this client has ended")

// hold takes a new connection. It is to end without a word: a port that waits for one is missed when thousands come back.
func (l *line) hold(conn net.Conn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	l.conn, l.lost = conn, false
	if l.over {
		_ = conn.Close()
		return errOver
	}
	return nil
}

// lose cuts the connection.
func (l *line) lose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = true
	if l.conn != nil {
		_ = l.conn.Close()
	}
}

// wasLost says whether it was we who cut the connection.
func (l *line) wasLost() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// end cuts the connection, and any that is made later.
func (l *line) end() {
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	l.lose()
}

// open makes a WebSocket, and is acknowledged.
func (l *line) open(address, token string) (*socket, error) {
	s, err := dialSocket(address, token)
	if err != nil {
		return nil, err
	}
	return s, l.hold(s.conn)
}

// ended says whether an error is the end of a connection, and nothing that was wrong on it.
func ended(err error) bool {
	var network *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network)
}
