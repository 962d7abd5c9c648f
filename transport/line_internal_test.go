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

func TestMessagesDoNotWaitLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := &recordedConn{}
		l := &line{Conn: conn}
		l.hold()
		_, _ = l.Write([]byte("first,"))
		time.Sleep(heldAtLongest)
		_, _ = l.Write([]byte("second,"))
		if len(conn.writes) != 0 {
			t.Errorf("too early: %q", conn.writes)
		}
		time.Sleep(1)
		_, _ = l.Write([]byte("third"))
		_, _ = l.Write(bytes.Repeat([]byte("x"), heldAtMost))
		_, _ = l.Write([]byte("y"))
		if len(conn.writes) != 2 || conn.writes[0] != "first,second,third" || len(conn.writes[1]) != heldAtMost+1 {
			t.Errorf("%d writes, the first %.30q", len(conn.writes), conn.writes[0])
		}
	})
}

func TestAnErrorOfWhatWaitedIsTold(t *testing.T) {
	t.Parallel()
	broken := errors.New("the client is gone")
	l := &line{Conn: &recordedConn{err: broken}}
	l.hold()
	if _, err := l.Write([]byte("first")); err != nil {
		t.Error(err)
	}
	if err := l.release(); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	l.hold()
	if _, err := l.Write(make([]byte, heldAtMost+1)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
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
