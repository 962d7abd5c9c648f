package connector

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// BEGIN and ROLLBACK around statements that only read, as messages, and what the server says when all is well (protocol 3.0, section
// 55.7, Query, CommandComplete and ReadyForQuery).
var (
	beginMessage   = []byte("Q\x00\x00\x00\x14BEGIN READ ONLY\x00")
	beginAnswer    = []byte("C\x00\x00\x00\x0aBEGIN\x00Z\x00\x00\x00\x05T")
	rollbackAnswer = []byte("C\x00\x00\x00\x0dROLLBACK\x00Z\x00\x00\x00\x05I")
)

// BeginReadOnly begins a transaction that only reads, which EndReadOnly has to end. Where the session has no TLS, BEGIN goes out with
// the first statement, and costs no way to the server and back. A server that refuses BEGIN then carries that statement out by itself,
// and its answer is thrown away: the error is ErrOutcomeUnknown. Let it be one that does not write, or sessions be read-only by default.
// Errors: as the package's comment says. After one, [Discard] the connection.
func BeginReadOnly(ctx context.Context, conn *sql.Conn) error {
	return onSession(conn, func(s *session) error {
		if s.plain {
			s.wire.goAhead(beginMessage, beginAnswer)
			return nil
		}
		_, err := s.ExecContext(ctx, "BEGIN READ ONLY", nil)
		return err
	})
}

// EndReadOnly rolls back what BeginReadOnly has begun. Where the session has no TLS, it does not wait for the answer: the next request
// does, and the session is over if it is not the usual one. Errors: as the package's comment says. After one, [Discard] the connection.
func EndReadOnly(ctx context.Context, conn *sql.Conn) error {
	return onSession(conn, func(s *session) error {
		if s.wire.ahead != nil { // BEGIN has not gone out, nor what Set has put before it
			s.wire.ahead, s.wire.usual = nil, nil
			clear(s.settings)
			return nil
		}
		s.wire.presumes = s.plain
		_, err := s.ExecContext(ctx, "ROLLBACK", nil)
		s.wire.presumes = false
		return err
	})
}

var errUnusual = errors.New("connector: the server's answer to SET, BEGIN or ROLLBACK was not the usual one")

// settle reads the answers that are owed into a buffer that has room for them. What it has read of the next answer stays in the
// buffer, and more says how much that is.
func (w *wire) settle(b []byte) (more int, err error) {
	n, err := io.ReadAtLeast(w.Conn, b, len(w.owed))
	switch {
	case bytes.HasPrefix(b[:n], w.owed):
		more = copy(b, b[len(w.owed):n])
	case n > 0: // shorter than usual, or with something in between
		rest := bytes.NewReader(bytes.Clone(b[:n]))
		if err = w.settleSlowly(io.MultiReader(rest, w.Conn)); err == nil {
			w.given, err = io.ReadAll(rest)
		}
	}
	if err == nil {
		w.owed = w.owed[:0]
	}
	return more, err
}

// settleSlowly is settle message by message. A server may put notices and changed parameters into any answer.
func (w *wire) settleSlowly(r io.Reader) error {
	for want := w.owed; len(want) > 0; {
		message, err := readMessage(r)
		switch {
		case err != nil:
			return err
		case bytes.HasPrefix(want, message):
			want = want[len(message):]
		case message[0] != 'N' && message[0] != 'S':
			return fmt.Errorf("%w: %q", errUnusual, message)
		}
	}
	return nil
}

// readMessage reads one message of the server's: its kind, its length without the kind, its content.
func readMessage(r io.Reader) ([]byte, error) {
	const header, longest = 5, 1 << 16
	b := make([]byte, header)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(b[1:])) + 1 - header
	if n < 0 || n > longest {
		return nil, fmt.Errorf("%w: %q", errUnusual, b)
	}
	b = append(b, make([]byte, n)...)
	_, err := io.ReadFull(r, b[header:])
	return b, err
}
