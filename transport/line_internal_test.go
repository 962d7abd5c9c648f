package transport

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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
	s := &socket{handler: &Handler{times: defaultTimes}, line: &line{Conn: conn}, operations: map[string]*running{}, end: func() {}}
	return &running{socket: s, id: "1", next: []byte(`{"payload":`)}
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
	l.closed.Store(true)
	if err := l.text([]byte("text")); !errors.Is(err, errClosed) || len(conn.writes) > 0 {
		t.Errorf("%v, %q", err, conn.writes)
	}
	if _, err := l.Write([]byte("a close frame")); err != nil || len(conn.writes) != 1 {
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

// stuckConn takes nothing in until its deadline is set.
type stuckConn struct {
	net.Conn
	deadline chan struct{}
}

func (c stuckConn) Write([]byte) (int, error)              { <-c.deadline; return 0, errors.New("time-out") }
func (c stuckConn) SetWriteDeadline(time.Time) (err error) { close(c.deadline); return nil }

func TestADeadlineEndsAWriteThatIsStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &line{Conn: stuckConn{deadline: make(chan struct{})}}
		go func() { _ = l.text([]byte("first")) }()
		synctest.Wait()
		_ = l.SetWriteDeadline(time.Now())
		if _, err := l.Write([]byte("second")); err == nil {
			t.Error("it was written behind half a message")
		}
	})
}

func TestADeadlineThatIsNearlyRightStays(t *testing.T) {
	t.Parallel()
	conn := &recordedConn{}
	const slack = time.Second
	l := &line{Conn: conn, slack: slack}
	now := time.Now()
	for _, c := range []struct {
		at   time.Time
		sets bool
	}{
		{now, true},
		{now.Add(slack - 1), false},
		{now.Add(slack), true},
		{now, true}, // an earlier one counts
		{now, false},
	} {
		before := conn.deadlines
		_ = l.SetWriteDeadline(c.at)
		if set := conn.deadlines > before; set != c.sets {
			t.Errorf("%v: set %v", c.at.Sub(now), set)
		}
	}
	_ = l.SetDeadline(time.Time{})
	before := conn.deadlines
	if _ = l.SetWriteDeadline(now); conn.deadlines == before {
		t.Error("a deadline that was taken away stays away")
	}
}
