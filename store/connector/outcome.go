package connector

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

// ErrOutcomeUnknown is wrapped by the error of a request that was sent, or sent in part, and whose complete answer did not come
// back. It is never a driver.ErrBadConn, so that database/sql does not send the request again. Whoever gets it must find out from
// the database, by an idempotency key for instance, whether the request was carried out.
var ErrOutcomeUnknown = errors.New("outcome unknown: the request was sent and its answer was lost")

var errForeign = errors.New("connector: not a connection of connector.Open's")

// cancelGrace is how long a server that was asked to cancel a statement may take to answer before it is given up.
const cancelGrace = 2 * time.Second

// closeTimeout bounds the farewell to the server.
const closeTimeout = time.Second

// ExecAndCommit runs a statement with parameters, and COMMIT after it, on a connection whose transaction was begun by hand, and waits d
// at most for both answers. The two are one request where the session has no TLS, which spares a way to the server and back, else one
// goes after the other. It takes no context, since nothing may cancel it: a cancel request would end the wait for a synchronous standby, and
// COMMIT would report success. At the deadline the socket is closed, without a word to the server, and the error is ErrOutcomeUnknown.
//
// An answer of the server's ([pq.Error]) says that nothing was committed; ROLLBACK then ends the transaction, if it has not ended. Nor
// was anything with pq.ErrInFailedTransaction, of a transaction that had failed before. driver.ErrBadConn: COMMIT was not sent, and the
// transaction is rolled back or will be when the server notices that the connection has ended. After any error but the server's own
// answer and pq.ErrInFailedTransaction the connection is of no more use. The arguments are what lib/pq encodes by itself, since
// database/sql, which would convert others and is passed by, takes its time for each of many: a nil, int64, string, []byte or time.Time.
func ExecAndCommit(conn *sql.Conn, d time.Duration, query string, args ...any) error {
	return onSession(conn, func(s *session) error {
		s.commits = true
		defer func() { s.commits = false }()
		return s.execWithin(d, query, args)
	})
}

// ExecAlone runs a statement with parameters as a transaction of its own, on a connection that is in none, and waits d at most for the answer,
// which comes when it is committed. Everything else is as with ExecAndCommit.
func ExecAlone(conn *sql.Conn, d time.Duration, query string, args ...any) error {
	return onSession(conn, func(s *session) error {
		defer func() {
			if !s.IsValid() {
				s.wire.abort()
			}
		}()
		return s.execWithin(d, query, args)
	})
}

// execWithin runs a statement, at whose deadline the socket is closed.
func (s *session) execWithin(d time.Duration, query string, args []any) error {
	_ = s.wire.SetDeadline(time.Now().Add(d)) // fails on a closed socket only, and then so does what follows
	defer func() { _ = s.wire.SetDeadline(time.Time{}) }()
	_, err := s.ExecContext(context.Background(), query, s.named(args))
	return err
}

// named are arguments as drivers take them, in a slice that is used again and again.
func (s *session) named(args []any) []driver.NamedValue {
	s.arguments = s.arguments[:0]
	for i, arg := range args {
		s.arguments = append(s.arguments, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	return s.arguments
}

// onSession does something with the session of a connection, which nobody else uses meanwhile.
func onSession(conn *sql.Conn, do func(*session) error) error {
	return conn.Raw(func(driverConn any) error {
		if s, ok := driverConn.(*session); ok {
			return do(s)
		}
		return errForeign
	})
}

// Discard ends a connection for good, whatever state it is in, and takes it out of its pool; it does not wait for the server. A
// transaction that is open on it is rolled back by the server. Rows that are being read from it must be closed first. It is how to
// give back a connection after any error in a transaction that was begun by hand: conn.Close would put it back with its transaction
// open. Discard after Close does nothing.
func Discard(conn *sql.Conn) {
	_ = conn.Raw(func(driverConn any) error {
		if s, ok := driverConn.(*session); ok {
			s.spent.Store(true)
		}
		return driver.ErrBadConn // makes database/sql close it
	})
}

// commitMessages prepare and execute COMMIT (protocol 3.0, section 55.7: Parse, Bind, Execute, Sync), without a name.
var commitMessages = []byte("P\x00\x00\x00\x0e\x00COMMIT\x00\x00\x00" + "B\x00\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x00" +
	"E\x00\x00\x00\x09\x00\x00\x00\x00\x00" + syncMessage)

// execAndCommit has run send a statement, and puts COMMIT between it and its Sync, so that both have one answer: the server passes COMMIT
// over after a statement that fails, and lib/pq does not know of it.
func (s *session) execAndCommit(run func(context.Context) (driver.Result, error)) (res driver.Result, err error) {
	settled := false
	defer func() {
		s.wire.behind = nil
		if !settled { // lib/pq has panicked, and nobody knows what is still to be read
			s.spent.Store(true)
		}
		if !s.IsValid() {
			s.wire.abort()
		}
	}()
	req, err := s.begin(context.Background())
	if err != nil {
		settled = true
		return nil, err
	}
	tag := &s.wire.tag
	if s.plain {
		s.wire.behind, *tag = commitMessages, ""
	}
	res, err = run(context.Background())
	err = req.end(err)
	if err == nil && !s.plain {
		*tag, err = s.commit()
	}
	if err == nil && *tag != "COMMIT" {
		err = fmt.Errorf("connector: COMMIT was answered by %s: %w", *tag, pq.ErrInFailedTransaction)
	}
	settled = true
	return res, err
}

// commit sends COMMIT by itself.
func (s *session) commit() (tag string, err error) {
	req, err := s.begin(context.Background())
	if err != nil {
		return "", err
	}
	tag, err = s.simple("COMMIT")
	return tag, req.end(err)
}

// judge says what an error from lib/pq means for the request in hand, of which a part was sent or none, and takes the session out
// of service if there is the least doubt about it.
func (s *session) judge(err error, sent bool) error {
	if err == nil || errors.Is(err, pq.ErrInFailedTransaction) {
		return err
	}
	var answer *pq.Error
	answered := errors.As(err, &answer)
	if answered && !undecided(answer) {
		return err // the socket may have failed after it; IsValid asks
	}
	s.spent.Store(true)
	fault := s.wire.fault.Load()
	switch {
	case !sent:
		return err
	case answered:
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	case fault != nil:
		err = *fault
	}
	return fmt.Errorf("%w: %v", ErrOutcomeUnknown, err) //nolint:errorlint // not %w: it may be driver.ErrBadConn or a context's error
}

// undecided tells whether an answer of the server leaves open what became of the request; see the package's comment.
func undecided(e *pq.Error) bool {
	code := string(e.Code)
	return strings.HasPrefix(code, "08") || strings.HasPrefix(code, "57P") || code == "40003" ||
		e.Severity == pqerror.SeverityFatal || e.Severity == pqerror.SeverityPanic
}
