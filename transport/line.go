package transport

import (
	"bufio"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	heldAtMost    = 64 << 10             // bytes of messages that go out together
	heldAtLongest = 2 * time.Millisecond // how long a message that is made waits for the next to be made
	deadlineParts = 10                   // a write may end too early by one such part of its time
)

// line is a socket's connection below gorilla/websocket. It can hold messages back, so that those of one commit go out in one system call,
// which is most of what a message costs. And it leaves a write deadline that is nearly the one wanted.
type line struct {
	net.Conn
	slack time.Duration // by which a write may end too early

	deadlines sync.Mutex // not mu: a deadline is set to end a write
	deadline  time.Time  // for writing

	mu    sync.Mutex // one write at a time
	holds bool
	held  []byte
	err   error // of a write: half a message may have gone out, and nothing goes after it
}

// SetDeadline implements [net.Conn].
func (l *line) SetDeadline(t time.Time) error {
	l.deadlines.Lock()
	defer l.deadlines.Unlock()
	l.deadline = t
	return l.Conn.SetDeadline(t)
}

// SetWriteDeadline implements [net.Conn].
func (l *line) SetWriteDeadline(t time.Time) error {
	l.deadlines.Lock()
	defer l.deadlines.Unlock()
	if later := t.Sub(l.deadline); 0 <= later && later < l.slack {
		return nil
	}
	l.deadline = t
	return l.Conn.SetWriteDeadline(t)
}

// Write implements [net.Conn]. The error of what was held back shows later.
func (l *line) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.holds {
		return l.write(b)
	}
	l.held = append(l.held, b...)
	if len(l.held) > heldAtMost {
		return len(b), l.flush()
	}
	return len(b), nil
}

// hold has messages wait for each other until release, unless they are too many.
func (l *line) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holds = true
}

// release sends what waits.
func (l *line) release() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holds = false
	return l.flush()
}

// flush sends what waits. mu is held.
func (l *line) flush() error {
	if len(l.held) == 0 {
		return l.err
	}
	held := l.held
	l.held = nil
	_, err := l.write(held)
	return err
}

// write is Write at once. mu is held.
func (l *line) write(b []byte) (n int, err error) {
	if l.err != nil {
		return 0, l.err
	}
	n, l.err = l.Conn.Write(b)
	return n, l.err
}

// lineWriter is a response whose connection is taken over as a line.
type lineWriter struct {
	http.ResponseWriter
	slack time.Duration
	line  *line
}

// Hijack implements [http.Hijacker].
func (w *lineWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.line = &line{Conn: conn, slack: w.slack}
	return w.line, buffered, nil
}
