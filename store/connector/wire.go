package connector

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// syncMessage ends a request of several messages (protocol 3.0, section 55.7, Sync).
const syncMessage = "S\x00\x00\x00\x04"

var errNoSync = errors.New("connector: what COMMIT is to go with is not a statement with parameters")

var errHungUp = errors.New("connector: the server has hung up")

// wire is the socket of one session. It knows what lib/pq forgets: whether any byte of the request in hand has gone out, and whether
// the socket ever failed. It lies below TLS: what it adds and takes away by itself is for sessions without.
type wire struct {
	net.Conn
	idle  func() bool           // nothing has come in unasked; not to be called while another goroutine reads
	sent  atomic.Bool           // a byte was written since the request in hand began
	fault atomic.Pointer[error] // the first failure; no byte is written after it

	behind []byte // goes out with the next write, in place of the Sync at its end; nil when it has
	merges bool   // the next read is of the answer to such a request
	tag    string // the tag of the last command in that answer

	ahead    []byte // what goes out with the next write, before it; nil when it has
	usual    []byte // the usual answer to that
	presumes bool   // the next write is ROLLBACK, whose usual answer is presumed
	given    []byte // what the next read gets, before anything from the socket
	owed     []byte // answers that lib/pq is not to see, or has seen already, and that are to come in next
}

func newWire(conn net.Conn) *wire {
	w := &wire{Conn: conn, idle: func() bool { return true }}
	if sys, ok := conn.(syscall.Conn); ok {
		if raw, err := sys.SyscallConn(); err == nil {
			w.idle = idleProbe(raw)
		}
	}
	return w
}

// idleProbe returns a function that tells whether a socket that should be idle is so. PostgreSQL since 14 sends nothing unasked but
// its farewell (a changed parameter is reported with the next answer), and so a byte to read means the same as end of file: another
// request would be answered by nobody. It costs one system call that does not wait: 1 µs of the 30 that the smallest query takes
// where client and server share a machine.
func idleProbe(raw syscall.RawConn) func() bool {
	var (
		b    [1]byte
		n    int
		err  error
		read = func(fd uintptr) bool { n, err = syscall.Read(int(fd), b[:]); return true }
	)
	return func() bool {
		failed := raw.Read(read)
		return failed == nil && n <= 0 && errors.Is(err, syscall.EAGAIN)
	}
}

// Read implements [net.Conn]. It leaves out what is owed.
func (w *wire) Read(b []byte) (int, error) {
	if len(w.given) == 0 && len(w.owed) > 0 {
		buffer := b
		if len(b) < len(w.owed) {
			buffer = make([]byte, len(w.owed))
		}
		if n, err := w.settle(buffer); err != nil || n > 0 {
			return n, w.note(err)
		}
	}
	if w.merges {
		w.merges = false
		var err error
		if w.given, err = w.merged(); len(w.given) == 0 {
			return 0, w.note(err)
		}
		_ = w.note(err) // lib/pq meets it when it has read what has come
	}
	if len(w.given) > 0 {
		n := copy(b, w.given)
		w.given = w.given[n:]
		return n, nil
	}
	n, err := w.Conn.Read(b)
	return n, w.note(err)
}

// Write implements [net.Conn]. It refuses to write to a socket that has failed, and to begin a request where the server has hung up.
func (w *wire) Write(b []byte) (int, error) {
	if fault := w.fault.Load(); fault != nil {
		return 0, *fault
	}
	if w.behind != nil && !bytes.HasSuffix(b, []byte(syncMessage)) {
		return 0, w.note(errNoSync)
	}
	if !w.sent.Load() {
		if err := w.ready(); err != nil {
			return 0, w.note(err)
		}
	}
	n, err := w.send(b)
	if w.presumes {
		w.presumes = false
		w.owed, w.given = append(w.owed, rollbackAnswer...), rollbackAnswer
	}
	return n, w.note(err)
}

// ready tells whether a request may begin: every answer has come in, and the server has not hung up.
func (w *wire) ready() error {
	if len(w.owed) > 0 {
		if _, err := w.settle(make([]byte, len(w.owed))); err != nil { // no room for more: that would be the server's farewell
			return err
		}
	}
	if !w.idle() {
		return errHungUp
	}
	return nil
}

// send writes b, and what goes out before and behind it, in one system call where the connection is the kernel's.
func (w *wire) send(b []byte) (n int, err error) {
	var sent bool
	if w.ahead == nil && w.behind == nil {
		n, err = w.Conn.Write(b)
		sent = n > 0
	} else {
		var all int64
		body := b
		if w.behind != nil {
			body = b[:len(b)-len(syncMessage)]
			w.merges = true
		}
		all, err = (&net.Buffers{w.ahead, body, w.behind}).WriteTo(w.Conn)
		n = max(0, min(int(all)-len(w.ahead), len(b)))
		w.owed = append(w.owed, w.usual...)
		w.ahead, w.usual, w.behind = nil, nil, nil
		sent = all > 0
	}
	if sent {
		w.sent.Store(true)
	}
	return n, err
}

// merged reads the answer to a statement and to what was put behind it, up to ReadyForQuery, and leaves out what lib/pq would not
// understand: ParseComplete and BindComplete after the statement's CommandComplete. With an error it returns what has come before that.
func (w *wire) merged() (answer []byte, err error) {
	commands := 0
	for at := 0; ; {
		for n, ok := messageLength(answer[at:]); ok; n, ok = messageLength(answer[at:]) {
			message := answer[at : at+n]
			switch message[0] {
			case 'Z':
				return answer, nil
			case 'C':
				commands++
				w.tag = string(bytes.TrimSuffix(message[messageHeader:], []byte{0}))
			case '1', '2':
				if commands > 0 {
					answer = slices.Delete(answer, at, at+n)
					continue
				}
			}
			at += n
		}
		answer = slices.Grow(answer, bytes.MinRead)
		n, err := w.Conn.Read(answer[len(answer):cap(answer)])
		answer = answer[:len(answer)+n]
		if err != nil {
			return answer, err
		}
	}
}

// messageHeader is a message's kind, and its length without the kind.
const messageHeader = 5

// messageLength is how long the message is that b begins with, if all of it is there.
func messageLength(b []byte) (n int, ok bool) {
	if len(b) < messageHeader {
		return 0, false
	}
	n = 1 + int(binary.BigEndian.Uint32(b[1:]))
	return n, messageHeader <= n && n <= len(b)
}

func (w *wire) note(err error) error {
	if err != nil {
		w.fault.CompareAndSwap(nil, &err)
	}
	return err
}

// expire leaves the server [cancelGrace] to answer.
func (w *wire) expire() { _ = w.SetDeadline(time.Now().Add(cancelGrace)) }

// abort closes the socket at once: what the kernel still had to send is thrown away, and the server learns of it by a reset.
func (w *wire) abort() {
	_ = w.note(net.ErrClosed)
	if tcp, ok := w.Conn.(interface{ SetLinger(seconds int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	_ = w.Conn.Close() //nolint:staticcheck // not the wrapper's own Close
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// tap is the dialler that lib/pq is given for one session. It remembers the last socket, which is the session's own when Connect has
// returned (hosts that did not answer came before it, cancel requests come after).
type tap struct {
	dial dialFunc
	last atomic.Pointer[wire]
}

// DialContext implements [pq.DialerContext].
func (t *tap) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := t.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w := newWire(conn)
	t.last.Store(w)
	return w, nil
}

// Dial implements [pq.Dialer]; lib/pq calls DialContext instead.
func (t *tap) Dial(network, address string) (net.Conn, error) {
	return t.DialContext(context.Background(), network, address)
}

// DialTimeout implements [pq.Dialer]; lib/pq calls DialContext instead.
func (t *tap) DialTimeout(network, address string, d time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return t.DialContext(ctx, network, address)
}

// dialer returns the default dialler. A peer that is gone is noticed after about userTimeout, whether data waits to be acknowledged
// (by TCP_USER_TIMEOUT) or an answer is waited for (by keep-alive, which Go by default begins after 15 s only).
func dialer(connectTimeout, userTimeout time.Duration) dialFunc {
	if userTimeout <= 0 {
		userTimeout = DefaultTCPUserTimeout
	}
	d := &net.Dialer{
		Timeout:         connectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: userTimeout / 2, Interval: userTimeout / 4, Count: 2},
		Control: func(network, _ string, raw syscall.RawConn) error {
			if runtime.GOOS != "linux" || !strings.HasPrefix(network, "tcp") {
				return nil
			}
			var err error
			failed := raw.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(userTimeout.Milliseconds()))
			})
			return errors.Join(failed, err)
		},
	}
	return d.DialContext
}

// tcpUserTimeout is Linux's TCP_USER_TIMEOUT (tcp(7)), in milliseconds; package syscall lacks it.
const tcpUserTimeout = 18
