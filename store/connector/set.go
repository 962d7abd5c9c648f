package connector

import (
	"context"
	"database/sql"
	"encoding/binary"

	"github.com/lib/pq"
)

// setAnswer is what the server says to SET when all is well.
var setAnswer = []byte("C\x00\x00\x00\x08SET\x00Z\x00\x00\x00\x05I")

// Set gives a run-time parameter a value on a connection that is in no transaction, for all that follows. Nothing is sent where it has that value from an
// earlier Set. Where the session has no TLS, SET goes out with the next statement, and costs no way to the server and back; should the server refuse it,
// that statement is carried out all the same, and its answer is thrown away: the error is ErrOutcomeUnknown. Errors: as the package's comment says. After
// one, [Discard] the connection.
func Set(ctx context.Context, conn *sql.Conn, name, value string) error {
	return onSession(conn, func(s *session) error {
		if known, ok := s.settings[name]; ok && known == value {
			return nil
		}
		text := "SET " + name + " TO " + pq.QuoteLiteral(value)
		if s.plain {
			s.wire.goAhead(queryMessage(text), setAnswer)
		} else if _, err := s.ExecContext(ctx, text, nil); err != nil {
			return err
		}
		s.settings[name] = value
		return nil
	})
}

// goAhead puts a message before the next write, behind what goes before it already.
func (w *wire) goAhead(message, usual []byte) {
	w.ahead = append(w.ahead, message...)
	w.usual = append(w.usual, usual...)
}

// queryMessage is a statement without parameters (protocol 3.0, section 55.7, Query).
func queryMessage(text string) []byte {
	message := binary.BigEndian.AppendUint32([]byte("Q"), uint32(4+len(text)+1))
	return append(append(message, text...), 0)
}
