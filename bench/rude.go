package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

const (
	merchantLog = `subscription ($after: Cursor) { events(after: $after) { id cursor sequence type objectVersion hash occurredAt } }`

	slowBuffer   = 64 << 10               // bytes that the kernel keeps for a client who is slow: with more it is long before the gateway feels it
	slowPause    = time.Millisecond       // between two events that such a client reads: less than a thousand a second
	slowTime     = 15 * time.Second       // until all buffers between it and the gateway are full, and the gateway has waited for 10 s
	deadInterval = 500 * time.Millisecond // at which a client who reads nothing finds out whether it still has a connection

	tryAgain = 1013 // the code of a close that says "too slow: resume" (RFC 6455's registry at IANA)

	halfOpenTime = 10 * time.Second // over which they begin; then as many of them time out at any moment as at any other
	halfUpgrade  = 2                // the part of an HTTP request that some of them send

	floodOperations = 256 // at once on one socket, which is the most that the gateway takes
)

// slow is n clients of a merchant's log. Every other one reads nothing at all, and the rest read far slower than events come. Whom the gateway
// closes comes back, after the last event that it has seen. As all that follows, they have to be ended, also where there is an error.
func slow(ctx context.Context, address string, t *tenant, n int) (*clients, error) {
	readers := make([]resumer, n)
	c := newClients(ctx, n, 0, func(c *clients, i int, l *line) error {
		s, err := l.open(address, t.token)
		if err != nil {
			return err
		}
		defer s.close()
		if tcp, ok := s.conn.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(slowBuffer)
		}
		if err := readers[i].subscribe(s, merchantLog, nil); err != nil {
			return err
		}
		c.begun.Add(1)
		if i%2 == 0 {
			readNothing(s)
		} else if err := readers[i].readSlowly(c, s); err != nil {
			return err
		}
		c.done.Add(1)
		return nil
	})
	return c, c.gathered(ctx, n)
}

// readNothing says that it lives, for as long as it has a connection.
func readNothing(s *socket) {
	for s.send(pongMessage) == nil {
		time.Sleep(deadInterval)
	}
}

// resumer is a subscriber who goes on after what it has seen.
type resumer struct {
	numbers order
	cursor  string // empty: it has seen nothing
}

// subscribe begins, or goes on.
func (r *resumer) subscribe(s *socket, query string, variables map[string]string) error {
	all := map[string]string{}
	for name, value := range variables {
		all[name] = value
	}
	if r.cursor != "" {
		all["after"] = r.cursor
	}
	begin, err := operation(streamOperation, query, all)
	if err != nil {
		return err
	}
	return s.send(begin)
}

// take reads the number and the place of an item.
func (r *resumer) take(message []byte) error {
	if cursor := textOf(message, "cursor"); cursor != "" {
		r.cursor = cursor
	}
	return r.numbers.take(message)
}

// readSlowly reads until the gateway closes the socket, as it may where a subscriber is too slow.
func (r *resumer) readSlowly(c *clients, s *socket) error {
	for {
		message, err := s.receive()
		var closed *closedError
		switch {
		case errors.As(err, &closed) && closed.code == tryAgain, err != nil && ended(err):
			return nil
		case err != nil:
			return err
		}
		if err := r.take(message); err != nil {
			c.complain("a slow client: %v", err)
		}
		c.delivered.Add(1)
		time.Sleep(slowPause)
	}
}

// halfOpen is connections on which nothing is sent after a beginning, which they take in turn: nothing, a part of a request, or all that opens a
// WebSocket. Whom the gateway closes opens another. It returns when all are open.
func halfOpen(ctx context.Context, address string, n int, over time.Duration, beginnings ...string) (*clients, error) {
	c := newClients(ctx, n, over, func(c *clients, i int, l *line) error {
		conn, err := net.DialTimeout("tcp", address, answerWithin)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		if err := l.hold(conn); err != nil {
			return err
		}
		c.begun.Add(1)
		if _, err := io.WriteString(conn, beginnings[i%len(beginnings)]); err != nil {
			return err
		}
		for said := make([]byte, excerptLength); err == nil; {
			_, err = conn.Read(said)
		}
		c.done.Add(1)
		return nil
	})
	return c, c.gathered(ctx, n)
}

// flood is one WebSocket on which operations are begun and ended as fast as the gateway takes them. Always as many are open as it allows.
func flood(ctx context.Context, address string, t *tenant) (*clients, error) {
	c := newClients(ctx, 1, 0, func(c *clients, _ int, l *line) error {
		s, err := l.open(address, t.token)
		if err != nil {
			return err
		}
		defer s.close()
		payment, err := newPayers(t, 1).prepare(s, newRandom())
		if err != nil {
			return err
		}
		first, again, err := floodOf(t, payment)
		if err != nil {
			return err
		}
		if err := s.conn.(*net.TCPConn).SetWriteBuffer(floodBuffer); err != nil {
			return err
		}
		pinged := make(chan struct{}, 1)
		c.running.Go(func() { c.pour(s, first, again, pinged) })
		return c.drain(s, pinged)
	})
	return c, c.gathered(ctx, 1)
}

// floodOf makes the frames that begin all operations, and those that end each and begin it again. They were made before, since the client
// shares the machine with what it disturbs.
func floodOf(t *tenant, payment string) (first, again []byte, err error) {
	for i := range floodOperations {
		id, query, object := strconv.Itoa(i), accountActivity, t.accounts[i%len(t.accounts)]
		if i%2 == 0 {
			query, object = paymentStatus, payment
		}
		begin, err := operation(id, query, map[string]string{"id": object})
		if err != nil {
			return nil, nil, err
		}
		if again, err = appendFrame(again, fmt.Appendf(nil, `{"id":"%s","type":"complete"}`, id)); err != nil {
			return nil, nil, err
		}
		if again, err = appendFrame(again, begin); err != nil {
			return nil, nil, err
		}
		if first, err = appendFrame(first, begin); err != nil {
			return nil, nil, err
		}
	}
	return first, again, nil
}

// floodBuffer is what may wait at the client's side, in bytes. The gateway takes so many messages a second; with what the kernel would hold a pong were
// behind half a minute of them, and the gateway would close the socket.
const floodBuffer = 32 << 10

// pour writes until the socket ends.
func (c *clients) pour(s *socket, first, again []byte, pinged <-chan struct{}) {
	_, err := s.conn.Write(first)
	for c.begun.Add(1); err == nil; {
		select {
		case <-pinged:
			err = s.send(pongMessage)
		default:
		}
		if err == nil {
			_, err = s.conn.Write(again)
		}
	}
}

// drain reads what comes, and passes on that a ping has. No operation may be refused.
func (c *clients) drain(s *socket, pinged chan<- struct{}) error {
	for {
		opcode, message, err := s.frame()
		switch {
		case err != nil:
			return fmt.Errorf("the socket with a flood was lost: %w", err)
		case opcode != opcodeText:
			return fmt.Errorf("the socket with a flood was closed: %q", message)
		case bytes.Equal(message, pingMessage):
			select {
			case pinged <- struct{}{}:
			default:
			}
		case bytes.Contains(message[:min(len(message), socketErrorHead)], []byte(`"type":"error"`)):
			c.complain("an operation of a flood was refused: %s", excerpt(message))
		default:
			c.delivered.Add(1)
			c.done.Add(1)
		}
	}
}

// socketErrorHead is how many bytes of a message tell that an operation was refused.
const socketErrorHead = 32
