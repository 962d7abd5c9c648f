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

// commitMessage is the message by which lib/pq sends COMMIT (protocol 3.0, section 55.7, Query).
var commitMessage = []byte("Q\x00\x00\x00\x0bCOMMIT\x00")

type commitBehind struct{}

// WithCommit returns a context under which Exec on a connection sends COMMIT in the same packet as the statement, and so saves the way
// to the server and back, which on one machine is a tenth of a lone payment's time. Only [Commit], which reads the answer, or [Discard]
// may follow. A statement that failed has no effect as ever: the server, which gets COMMIT after it, rolls the transaction back. A
// context that ends sends no cancel request, for the reason that Commit gives. Sessions with TLS send the two one after the other.
func WithCommit(ctx context.Context) context.Context {
	return context.WithValue(ctx, commitBehind{}, true)
}

// Commit sends COMMIT on a connection whose transaction was begun by hand, and waits d at most for the answer. It takes no context,
// since nothing may cancel it: a cancel request would end the wait for a synchronous standby, and COMMIT would report success. At
// the deadline the socket is closed, without a word to the server, and the error is ErrOutcomeUnknown.
//
// A transaction that had failed is rolled back by COMMIT; that is pq.ErrInFailedTransaction here (conn.ExecContext(ctx, "COMMIT")
// says nil). driver.ErrBadConn: COMMIT was not sent, and the transaction is rolled back or will be when the server notices that the
// connection has ended. After any error but pq.ErrInFailedTransaction and the server's own answer, the connection is of no more use.
func Commit(conn *sql.Conn, d time.Duration) error {
	return conn.Raw(func(driverConn any) error {
		s, ok := driverConn.(*session)
		if !ok {
			return errForeign
		}
		return s.commit(d)
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

func (s *session) commit(d time.Duration) error {
	ahead := s.ahead
	s.ahead = false
	req, err := s.begin(context.Background())
	if err != nil {
		return err
	}
	s.wire.gone = ahead
	_ = s.wire.SetDeadline(time.Now().Add(d)) // fails on a closed socket only, and then so does what follows
	tag, err := s.simple("COMMIT")
	err = req.end(err)
	if !s.IsValid() {
		s.wire.abort()
		return err
	}
	_ = s.wire.SetDeadline(time.Time{})
	if err == nil && tag != "COMMIT" {
		err = fmt.Errorf("connector: COMMIT was answered by %s: %w", tag, pq.ErrInFailedTransaction)
	}
	return err
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
