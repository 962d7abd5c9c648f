package transport_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// rawFrame is a frame as a client sends it: its first byte, and a payload under a mask of zeros.
func rawFrame(first byte, payload string) string {
	return string([]byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0}) + payload
}

// rest is everything that comes until the connection ends.
func (c *client) rest() []byte {
	c.t.Helper()
	conn := c.ws.NetConn()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	all, err := io.ReadAll(conn)
	if err != nil {
		c.t.Fatalf("after %q: %v", all, err)
	}
	return all
}

// TestFramesOfControl sends what RFC 6455, section 5, says about frames that are no message, and reads all that comes back.
func TestFramesOfControl(t *testing.T) {
	t.Parallel()
	const goodbye, protocolError = "\x03\xe8", "\x03\xea" // codes 1000 and 1002, after which a reason follows
	g := start(t)
	for name, c := range map[string]struct{ send, want string }{
		"a close frame is answered with its code": {rawFrame(0x88, goodbye+"bye"), "\x88\x02" + goodbye},
		"an empty close frame":                    {rawFrame(0x88, ""), "\x88\x00"},
		"a ping":                                  {rawFrame(0x89, "hello") + rawFrame(0x88, goodbye), "\x8a\x05hello\x88\x02" + goodbye},
		"a pong that nobody asked for":            {rawFrame(0x8a, "hello") + rawFrame(0x88, goodbye), "\x88\x02" + goodbye},
		"a ping between the fragments of a message": {
			rawFrame(0x01, `{"type":`) + rawFrame(0x89, "1") + rawFrame(0x80, `"ping"}`) + rawFrame(0x88, goodbye),
			"\x8a\x011\x81\x0f{\"type\":\"pong\"}\x88\x02" + goodbye,
		},
		"no mask":                 {"\x81\x02{}", protocolError},
		"a reserved bit":          {rawFrame(0xc1, "{}"), protocolError},
		"an unknown opcode":       {rawFrame(0x83, "{}"), protocolError},
		"a ping in fragments":     {rawFrame(0x09, "hello"), protocolError},
		"a close code that is no": {rawFrame(0x88, "\x00\x01"), protocolError},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := g.connect(t, "")
			if _, err := io.WriteString(client.ws.NetConn(), c.send); err != nil {
				t.Fatal(err)
			}
			got := string(client.rest())
			if c.want == protocolError && len(got) > 4 && got[0] == 0x88 {
				got = got[2:4]
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestNothingFollowsTheCloseFrame has a subscription under way when a message is too large: the frame that says so is the last.
func TestNothingFollowsTheCloseFrame(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.connect(t, "")
	c.send(subscribe("1", ticks))
	g.events.Publish(1)
	c.want(tick("1", 1))
	closed, done := make(chan struct{}), make(chan struct{})
	defer func() { close(closed); <-done }()
	go func() {
		defer close(done)
		for n := 2; ; n++ {
			select {
			case <-closed:
				return
			case <-time.After(time.Millisecond):
				g.events.Publish(n)
			}
		}
	}()
	go func() { _ = c.ws.WriteMessage(websocket.TextMessage, bytes.Repeat([]byte(" "), 1<<20+1)) }()
	for {
		if _, err := c.read(patience); err != nil {
			if !websocket.IsCloseError(err, websocket.CloseMessageTooBig) {
				t.Fatal(err)
			}
			break
		}
	}
	if more := c.rest(); len(more) > 0 {
		t.Errorf("after the close frame came %q", more[:min(len(more), 100)])
	}
}

// TestPingsThatComeTooFastWait as messages do.
func TestPingsThatComeTooFastWait(t *testing.T) {
	t.Parallel()
	const burst, perSecond, more = 512, 500, 300
	g := start(t)
	c := g.connect(t, "")
	begun := time.Now()
	if _, err := io.WriteString(c.ws.NetConn(), strings.Repeat(rawFrame(0x89, "")+rawFrame(0x8a, ""), (burst+more)/2)); err != nil {
		t.Fatal(err)
	}
	c.settled()
	if took, least := time.Since(begun), (more-50)*time.Second/perSecond; took < least {
		t.Errorf("it took %v, want %v at least", took, least)
	}
}
