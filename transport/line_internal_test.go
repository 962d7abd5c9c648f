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

func TestMessagesGoOutTogether(t *testing.T) {
	t.Parallel()
	conn := &recordedConn{}
	l := &line{Conn: conn}
	say := func(text string) {
		if n, err := l.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatal(n, err)
		}
	}
	say("alone,")
	l.hold()
	say("one,")
	say("two,")
	if err := l.release(); err != nil {
		t.Fatal(err)
	}
	say("alone again")
	l.hold()
	if err := l.release(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(conn.writes, "|"); got != "alone,|one,two,|alone again" {
		t.Error(got)
	}
}

func TestNotTooMuchGoesOutTogether(t *testing.T) {
	t.Parallel()
	conn := &recordedConn{}
	l := &line{Conn: conn}
	l.hold()
	_, _ = l.Write(bytes.Repeat([]byte("x"), heldAtMost))
	if len(conn.writes) != 0 {
		t.Errorf("too early: %d bytes", len(conn.writes[0]))
	}
	_, _ = l.Write([]byte("y"))
	if len(conn.writes) != 1 || len(conn.writes[0]) != heldAtMost+1 {
		t.Errorf("%d writes", len(conn.writes))
	}
}

func TestAnErrorOfWhatWaitedIsTold(t *testing.T) {
	t.Parallel()
	broken := errors.New("the client is gone")
	conn := &recordedConn{err: broken}
	l := &line{Conn: conn}
	l.hold()
	if _, err := l.Write([]byte("first")); err != nil {
		t.Error(err)
	}
	if err := l.release(); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, err := l.Write([]byte("later")); !errors.Is(err, broken) || len(conn.writes) != 1 {
		t.Errorf("after half a message: %v, %q", err, conn.writes)
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
		l.hold()
		_, _ = l.Write([]byte("first"))
		go func() { _ = l.release() }()
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
