package transport

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unique"
)

// recordedConn writes down the system calls that a line would make.
type recordedConn struct {
	net.Conn
	writes    []string
	deadlines int
	err       error
}

func (c *recordedConn) Write(b []byte) (int, error) {
	c.writes = append(c.writes, string(b))
	return len(b), c.err
}

func (c *recordedConn) SetDeadline(time.Time) error      { return nil }
func (c *recordedConn) SetWriteDeadline(time.Time) error { c.deadlines++; return nil }

// recorded is an operation on a socket whose system calls are written down.
func recorded(conn net.Conn) *running {
	s := &socket{handler: &Handler{times: defaultTimes, engine: &engine{}}, line: &line{Conn: conn}, operations: map[string]*running{}, end: func() {}}
	r := &running{socket: s, id: "1", document: unique.Make(""), next: []byte(`{"payload":`)}
	s.operations[r.id] = r
	return r
}

func TestMessagesGoOutTogether(t *testing.T) {
	t.Parallel()
	conn := &recordedConn{}
	r := recorded(conn)
	for _, results := range []string{"1", "2 3"} {
		if err := r.give(bytes.Fields([]byte(results)), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.give([][]byte{[]byte("4")}, []byte("last")); err != nil {
		t.Fatal(err)
	}
	if err := r.give([][]byte{[]byte("5")}, nil); !errors.Is(err, errClosed) {
		t.Errorf("after the last message: %v", err)
	}
	const want = "\x81\x0d{\"payload\":1}|\x81\x0d{\"payload\":2}\x81\x0d{\"payload\":3}|\x81\x0d{\"payload\":4}\x81\x04last"
	if got := strings.Join(conn.writes, "|"); got != want {
		t.Errorf("%q", got)
	}
}

func TestNotTooMuchGoesOutTogether(t *testing.T) {
	t.Parallel()
	conn := &recordedConn{}
	large, small := bytes.Repeat([]byte("x"), heldAtMost), []byte("y")
	if err := recorded(conn).give([][]byte{small, large, small}, nil); err != nil {
		t.Fatal(err)
	}
	if len(conn.writes) != 2 || len(conn.writes[0]) <= heldAtMost || len(conn.writes[1]) != 2+len(`{"payload":y}`) {
		t.Errorf("%d writes", len(conn.writes))
	}
}

func TestHeadsOfFrames(t *testing.T) {
	t.Parallel()
	for size, head := range map[int]string{
		0: "\x81\x00", 125: "\x81\x7d", 126: "\x81\x7e\x00\x7e", 65535: "\x81\x7e\xff\xff",
		65536: "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00",
	} {
		message := strings.Repeat("x", size)
		var frames bytes.Buffer
		frames.WriteString("before")
		addText(&frames, []byte(message[:size/2]), []byte(message[size/2:]))
		if frames.String() != "before"+head+message {
			t.Errorf("%d bytes: %q", size, frames.String()[:min(frames.Len(), 20)])
		}
	}
}

func TestNoTextFollowsACloseFrame(t *testing.T) {
	t.Parallel()
	conn := &recordedConn{}
	l := &line{Conn: conn}
	for _, frame := range []string{"HTTP/1.1 101", "\x8a\x00", "\x88\x00"} { // the handshake's answer, a pong, and a close frame of gorilla's own
		if err := l.text([]byte("text")); err != nil {
			t.Errorf("before %q: %v", frame, err)
		}
		if _, err := l.Write([]byte(frame)); err != nil {
			t.Error(err)
		}
	}
	written := len(conn.writes)
	if err := l.text([]byte("text")); !errors.Is(err, errClosed) || len(conn.writes) > written || !l.isClosed() || l.close() {
		t.Errorf("%v, %q", err, conn.writes)
	}
}

func TestNothingFollowsHalfAFrame(t *testing.T) {
	t.Parallel()
	broken := errors.New("the client is gone")
	conn := &recordedConn{err: broken}
	l := &line{Conn: conn}
	if err := l.text([]byte("first")); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, err := l.Write([]byte("later")); !errors.Is(err, broken) || len(conn.writes) != 1 {
		t.Errorf("after half a frame: %v, %q", err, conn.writes)
	}
}

// stuckConn takes what is written when it is let go, or not at all where its deadline comes first.
type stuckConn struct {
	net.Conn
	begun     chan struct{}
	letGo     chan struct{}
	deadlines chan time.Time
}

func newStuckConn() *stuckConn {
	return &stuckConn{begun: make(chan struct{}, 9), letGo: make(chan struct{}), deadlines: make(chan time.Time, 9)}
}

func (c *stuckConn) Write(b []byte) (int, error) {
	c.begun <- struct{}{}
	deadline := <-c.deadlines
	for {
		select {
		case <-c.letGo:
			return len(b), nil
		case deadline = <-c.deadlines:
		case <-time.After(time.Until(deadline)):
			return 0, os.ErrDeadlineExceeded
		}
	}
}

func (c *stuckConn) SetWriteDeadline(t time.Time) (err error) { c.deadlines <- t; return nil }

// TestTextThatIsStuck has its time, whatever gorilla answers meanwhile, and only that of a close frame once there is one.
func TestTextThatIsStuck(t *testing.T) {
	t.Parallel()
	const patience, before = 3 * controlTime, controlTime / 5
	for name, c := range map[string]struct {
		meanwhile func(*line)
		took      time.Duration
	}{
		"and nothing else":       {func(*line) {}, patience},
		"and a pong waits":       {func(l *line) { _ = l.SetWriteDeadline(time.Now()); _, _ = l.Write([]byte("\x8a\x00")) }, patience},
		"and a close frame":      {func(l *line) { _, _ = l.Write([]byte("\x88\x00")) }, before + controlTime},
		"and the line is closed": {func(l *line) { l.close(); _ = l.text([]byte("more")) }, before + controlTime},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &line{Conn: newStuckConn(), patience: patience, slack: controlTime}
			begin := time.Now()
			time.AfterFunc(before, func() { c.meanwhile(l) })
			err := l.text([]byte("text"))
			if took := time.Since(begin); !errors.Is(err, os.ErrDeadlineExceeded) || took < c.took || took > c.took+controlTime {
				t.Errorf("%v after %v, want %v", err, took, c.took)
			}
			if _, err := l.Write([]byte("behind it")); err == nil {
				t.Error("it was written behind half a message")
			}
		})
	}
}

func TestAPongComesAfterTextThatWasStuck(t *testing.T) {
	t.Parallel()
	conn := newStuckConn()
	l := &line{Conn: conn, patience: patience}
	var wrote sync.WaitGroup
	wrote.Go(func() {
		if err := l.text([]byte("text")); err != nil {
			t.Error(err)
		}
	})
	<-conn.begun
	wrote.Go(func() {
		if _, err := l.Write([]byte("\x8a\x00")); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(controlTime + controlTime/5) // which is all that gorilla gives a pong
	close(conn.letGo)
	wrote.Wait()
}

// patience is how long a client may take.
const patience = 10 * time.Second

func TestADeadlineThatIsNearlyRightStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := &recordedConn{}
		const slack = time.Second
		l := &line{Conn: conn, patience: 10 * slack, slack: slack}
		for _, c := range []struct {
			later time.Duration
			pong  bool
			sets  bool
		}{
			{0, false, true},
			{slack - 1, false, false},
			{1, false, true},
			{0, true, true}, // a pong's deadline is not text's
			{0, false, false},
		} {
			time.Sleep(c.later)
			if c.pong {
				_, _ = l.Write([]byte("\x8a\x00"))
			}
			before := conn.deadlines
			if _ = l.text([]byte("text")); conn.deadlines > before != c.sets {
				t.Errorf("%v later, pong %v: set %v", c.later, c.pong, !c.sets)
			}
		}
	})
}

// TestAnOfferThatIsTakenInPartIsFinishedInOrder: the rest goes before whatever is written next, and nothing is offered meanwhile.
func TestAnOfferThatIsTakenInPartIsFinishedInOrder(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	l := &line{Conn: conn, raw: raw, patience: patience, slack: time.Second}
	var want bytes.Buffer
	for n := byte(0); !errors.Is(err, errUnfinished); n++ {
		frames := bytes.Repeat([]byte{'a' + n%26}, heldAtMost)
		want.Write(frames)
		var offered bool
		if offered, err = l.offer(frames); !offered || err != nil && !errors.Is(err, errUnfinished) {
			t.Fatalf("offered %v: %v", offered, err)
		}
	}
	if offered, err := l.offer([]byte("too early")); offered || err != nil {
		t.Errorf("behind half a text it was offered %v: %v", offered, err)
	}
	want.WriteString("\x8a\x00next")
	var wrote sync.WaitGroup
	wrote.Go(func() {
		if _, err := l.Write([]byte("\x8a\x00")); err != nil {
			t.Error(err)
		}
		if err := l.text([]byte("next")); err != nil {
			t.Error(err)
		}
	})
	got := make([]byte, want.Len())
	_ = client.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("what came is not what was written: %v", err)
	}
	wrote.Wait()
}
