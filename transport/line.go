package transport

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	heldAtMost    = 64 << 10             // bytes of messages that go out together
	heldAtLongest = 2 * time.Millisecond // how long a message that is made waits for the next to be made
	deadlineParts = 10                   // a write may end too early by one such part of its time
)

// line is a socket's connection below gorilla/websocket, which reads from it, and writes control frames. Text goes past gorilla: the frames of one
// commit's messages go out in one system call, which is most of what a message costs.
type line struct {
	net.Conn
	slack  time.Duration // by which a write may end too early
	closed atomic.Bool   // a close frame is being sent, or the socket is given up: no text follows

	deadlines sync.Mutex // not mu: a deadline is set to end a write
	deadline  time.Time  // for writing

	mu  sync.Mutex // one write at a time
	err error      // of a write: half a frame may have gone out, and nothing goes after it
}

// SetDeadline implements [net.Conn].
func (l *line) SetDeadline(t time.Time) error {
	l.deadlines.Lock()
	defer l.deadlines.Unlock()
	l.deadline = t
	return l.Conn.SetDeadline(t)
}

// SetWriteDeadline implements [net.Conn]. It leaves a deadline that is nearly the one wanted.
func (l *line) SetWriteDeadline(t time.Time) error {
	l.deadlines.Lock()
	defer l.deadlines.Unlock()
	if later := t.Sub(l.deadline); 0 <= later && later < l.slack {
		return nil
	}
	l.deadline = t
	return l.Conn.SetWriteDeadline(t)
}

// Write implements [net.Conn].
func (l *line) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.write(b)
}

// text writes frames of text, unless the line is closed.
func (l *line) text(frames []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() {
		return errClosed
	}
	_, err := l.write(frames)
	return err
}

// write is Write for who has the lock.
func (l *line) write(b []byte) (n int, err error) {
	if l.err != nil {
		return 0, l.err
	}
	n, l.err = l.Conn.Write(b)
	return n, l.err
}

// Of a frame's head (RFC 6455, section 5.2).
const (
	finalText   = 0x81 // the only frame of a text message
	longestByte = 125  // bytes of a message whose length is told in one
	twoFollow   = 126  // instead of the length
	eightFollow = 127
)

// addText adds a message, in parts, as a frame.
func addText(frames *bytes.Buffer, parts ...[]byte) {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	head := append(frames.AvailableBuffer(), finalText)
	switch {
	case size <= longestByte:
		head = append(head, byte(size))
	case size <= math.MaxUint16:
		head = binary.BigEndian.AppendUint16(append(head, twoFollow), uint16(size))
	default:
		head = binary.BigEndian.AppendUint64(append(head, eightFollow), uint64(size))
	}
	frames.Write(head)
	for _, part := range parts {
		frames.Write(part)
	}
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
