package transport

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

const (
	heldAtMost    = 64 << 10             // bytes of messages that go out together
	heldAtLongest = 2 * time.Millisecond // how long a message that is made waits for the next to be made
	deadlineParts = 10                   // a write of text may end too early by one such part of its time
	controlTime   = time.Second          // for a control frame
)

// line is a socket's connection below gorilla/websocket, which reads from it, and writes control frames. Text goes past gorilla: the frames of one
// commit's messages go out in one system call, which is most of what a message costs.
type line struct {
	net.Conn
	raw      syscall.RawConn // below Conn; nil: text cannot be offered
	patience time.Duration   // for a write of text
	slack    time.Duration   // by which that may end too early

	mu   sync.Mutex // one write at a time
	err  error      // of a write: half a frame may have gone out, and nothing goes after it
	left []byte     // of text that the connection has not taken yet: it goes before everything else

	state    sync.Mutex // not mu: a close frame ends a write that is stuck
	closed   bool       // no text follows: a close frame is on its way, or the line is given up
	deadline time.Time  // for text, if that is the one that is set
}

// isClosed says whether no text goes out any more.
func (l *line) isClosed() bool {
	l.state.Lock()
	defer l.state.Unlock()
	return l.closed
}

// close lets no more text out, and is false where it was closed already. Text that is being written gets the time of a control frame from now on.
func (l *line) close() bool {
	l.state.Lock()
	defer l.state.Unlock()
	if l.closed {
		return false
	}
	l.closed = true
	_ = l.Conn.SetWriteDeadline(time.Now().Add(controlTime))
	return true
}

// SetWriteDeadline implements [net.Conn]. Each write sets its own: gorilla would set that of a pong while text is being written.
func (l *line) SetWriteDeadline(time.Time) error { return nil }

// Write implements [net.Conn]: it is how gorilla answers the handshake and writes control frames.
func (l *line) Write(b []byte) (int, error) {
	if len(b) > 0 && b[0] == finalClose {
		l.close()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.finish()
	l.state.Lock()
	l.deadline = time.Time{}
	_ = l.Conn.SetWriteDeadline(time.Now().Add(controlTime))
	l.state.Unlock()
	return l.write(b)
}

// text writes frames of text, unless the line is closed.
func (l *line) text(frames []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.finish()
	if !l.expect() {
		return errClosed
	}
	_, err := l.write(frames)
	return err
}

// errUnfinished says that not all of a text could be written at once.
var errUnfinished = errors.New("transport: the connection takes no more for now")

// offer writes frames of text if nobody has to wait for that, or else is false and has done nothing. With errUnfinished only a part has gone out:
// the rest goes before whatever is written next, and who has offered has to see to it that something is.
func (l *line) offer(frames []byte) (offered bool, err error) {
	if l.raw == nil || !l.mu.TryLock() {
		return false, nil
	}
	defer l.mu.Unlock()
	if l.err != nil || len(l.left) > 0 || l.isClosed() {
		return false, nil
	}
	n, err := writeNow(l.raw, frames)
	l.err = err
	if l.err == nil && n < len(frames) {
		l.left = bytes.Clone(frames[n:])
		return true, errUnfinished
	}
	return true, l.err
}

// writeNow writes as much as the kernel takes without waiting.
func writeNow(raw syscall.RawConn, b []byte) (n int, err error) {
	wrong := raw.Control(func(fd uintptr) { // not its Write, which would have to have a deadline that is good
		for {
			n, err = syscall.Write(int(fd), b)
			if err != syscall.EINTR {
				return
			}
		}
	})
	if errors.Is(err, syscall.EAGAIN) {
		err = nil
	}
	return max(n, 0), cmp.Or(wrong, err)
}

// finish writes what an offer has left, in the time of a text, or of a control frame where the line is closed. mu is held.
func (l *line) finish() {
	if len(l.left) > 0 {
		l.expect()
		_, _ = l.write(l.left) // an error is kept for whatever follows
		l.left = nil
	}
}

// expect sets the deadline of text, unless the one that is set is nearly right. It is false where the line is closed.
func (l *line) expect() bool {
	l.state.Lock()
	defer l.state.Unlock()
	if l.closed {
		return false
	}
	if wanted := time.Now().Add(l.patience); wanted.Sub(l.deadline) >= l.slack {
		l.deadline = wanted
		_ = l.Conn.SetWriteDeadline(wanted)
	}
	return true
}

// write sends. mu is held.
func (l *line) write(b []byte) (n int, err error) {
	if l.err != nil {
		return 0, l.err
	}
	if len(b) > 0 {
		n, l.err = l.Conn.Write(b)
	}
	return n, l.err
}

// Of a frame's head (RFC 6455, section 5.2).
const (
	finalText   = 0x81 // the only frame of a text message
	finalClose  = 0x88
	longestByte = 125 // bytes of a message whose length is told in one
	twoFollow   = 126 // instead of the length
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
	patience time.Duration
	line     *line
}

// Hijack implements [http.Hijacker].
func (w *lineWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.line = &line{Conn: conn, patience: w.patience, slack: w.patience / deadlineParts}
	if tcp, ok := conn.(*net.TCPConn); ok {
		if w.line.raw, err = tcp.SyscallConn(); err != nil {
			return nil, nil, err
		}
	}
	return w.line, buffered, nil
}
