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

// presumed is a request that has one good answer only, which lib/pq is given at once; the real one is read, and held against it, before
// the next request's. It is for requests that change nothing: should the answer be another, the session is over.
type presumed struct {
	request string
	answer  []byte
	held    bool // it goes out with the next request, not before
}

var (
	beginReadOnly = presumed{"BEGIN READ ONLY", answer("BEGIN", 'T'), true}
	rollback      = presumed{"ROLLBACK", answer("ROLLBACK", 'I'), false}
)

// answer is the answer to a request of one statement without rows: its tag, and the state of the transaction after it (protocol 3.0,
// section 55.7, CommandComplete and ReadyForQuery).
func answer(tag string, state byte) []byte {
	const lengthBytes = 4
	b := binary.BigEndian.AppendUint32([]byte{'C'}, uint32(lengthBytes+len(tag)+1))
	b = append(b, tag+"\x00Z"...)
	return append(binary.BigEndian.AppendUint32(b, lengthBytes+1), state)
}

// BeginReadOnly begins a transaction that only reads, which EndReadOnly has to end. Where the session has no TLS, BEGIN goes out with
// the first statement, and costs no way to the server and back; a server that does not begin a transaction then fails that statement.
// Errors: as the package's comment says. After one, [Discard] the connection.
func BeginReadOnly(ctx context.Context, conn *sql.Conn) error { return beginReadOnly.exec(ctx, conn) }

// EndReadOnly rolls back what BeginReadOnly has begun. Where the session has no TLS, it does not wait for the answer. Errors: as the
// package's comment says. After one, [Discard] the connection.
func EndReadOnly(ctx context.Context, conn *sql.Conn) error { return rollback.exec(ctx, conn) }

func (p presumed) exec(ctx context.Context, conn *sql.Conn) error {
	err := conn.Raw(func(driverConn any) error {
		s, ok := driverConn.(*session)
		if !ok {
			return errForeign
		}
		if s.plain {
			s.wire.presumes = &p
		}
		return nil
	})
	if err == nil {
		_, err = conn.ExecContext(ctx, p.request)
	}
	return err
}

var errPresumed = errors.New("connector: the server's answer to BEGIN or ROLLBACK was not the usual one")

// settle reads the answers that were presumed, and may read more, which stays in the buffer. It returns how much that is. The buffer has
// to have room for the answers.
func (w *wire) settle(b []byte) (more int, err error) {
	n, err := io.ReadAtLeast(w.Conn, b, len(w.owed))
	switch {
	case bytes.HasPrefix(b[:n], w.owed):
		more = copy(b, b[len(w.owed):n])
	case n > 0: // shorter than the usual, or with something in between
		rest := bytes.NewReader(bytes.Clone(b[:n]))
		if err = w.settleSlowly(io.MultiReader(rest, w.Conn)); err == nil {
			w.given, err = io.ReadAll(rest)
		}
	}
	w.owed = w.owed[:0]
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
			return fmt.Errorf("%w: %q", errPresumed, message)
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
		return nil, fmt.Errorf("%w: %q", errPresumed, b)
	}
	b = append(b, make([]byte, n)...)
	_, err := io.ReadFull(r, b[header:])
	return b, err
}
