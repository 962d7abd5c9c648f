package connector

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync/atomic"
	"time"
)

// pqConn is what lib/pq's connection can do. session offers the same, so that database/sql takes the same short ways.
type pqConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

var _ pqConn = (*session)(nil)

var errCopy = errors.New("connector: COPY FROM STDIN is not supported: use INSERT … SELECT FROM unnest(…)")

// session is one connection. database/sql uses it from one goroutine at a time; contexts that end are the exception.
type session struct {
	pq    pqConn
	wire  *wire
	spent atomic.Bool // had trouble: no further request is sent
	kept  *kept       // nil where no statements are kept prepared

	noCancel bool // lib/pq does not see contexts end
	plain    bool // without TLS
	commits  bool // COMMIT goes with the statement in hand
	tracer   Tracer

	settings map[string]string // which Set has given values

	arguments []driver.NamedValue // of the last ExecAndCommit or ExecAlone
}

// seen is what lib/pq gets to see of the context of a statement.
func (s *session) seen(ctx context.Context) context.Context {
	if s.noCancel {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// request is one exchange with the server: begin, then lib/pq's call, then one of the ends.
type request struct {
	s    *session
	stop func() bool // nil where the context cannot end
}

// begin refuses with ErrBadConn where nothing may be sent any more.
func (s *session) begin(ctx context.Context) (request, error) {
	if s.spent.Load() {
		return request{}, driver.ErrBadConn
	}
	s.wire.sent.Store(false)
	r := request{s: s}
	if ctx.Done() != nil {
		r.stop = context.AfterFunc(ctx, s.wire.expire)
	}
	return r, nil
}

// end turns lib/pq's error into what the package promises.
func (r request) end(err error) error {
	r.unwatch()
	return r.s.judge(err, r.s.wire.sent.Load())
}

// endHarmless is end for a request that changes nothing: where its answer was lost, database/sql may send it again.
func (r request) endHarmless(err error) error {
	if err = r.end(err); errors.Is(err, ErrOutcomeUnknown) {
		return driver.ErrBadConn
	}
	return err
}

// unwatch lets go of the context. If that has ended, a deadline lies on the socket and a cancel request may still be on its way,
// and so the session is over.
func (r request) unwatch() {
	if r.stop != nil && !r.stop() {
		r.s.spent.Store(true)
	}
}

// ExecContext implements [driver.ExecerContext].
func (s *session) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (_ driver.Result, err error) {
	if s.tracer != nil {
		end := s.tracer.Statement(ctx, query)
		defer func() { end(err) }()
	}
	if s.kept != nil && len(args) > 0 {
		stmt, err := s.kept.statement(ctx, s, query)
		if err != nil {
			return nil, err
		}
		return stmt.ExecContext(ctx, args)
	}
	return s.exec(ctx, func(ctx context.Context) (driver.Result, error) { return s.pq.ExecContext(ctx, query, args) })
}

// exec runs a statement that returns no rows.
func (s *session) exec(ctx context.Context, run func(context.Context) (driver.Result, error)) (driver.Result, error) {
	if s.commits {
		return s.execAndCommit(run)
	}
	req, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	res, err := run(s.seen(ctx))
	return res, req.end(err)
}

// QueryContext implements [driver.QueryerContext].
func (s *session) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (_ driver.Rows, err error) {
	if s.tracer != nil {
		end := s.tracer.Statement(ctx, query)
		defer func() { end(err) }()
	}
	if s.kept != nil && len(args) > 0 {
		stmt, err := s.kept.statement(ctx, s, query)
		if err != nil {
			return nil, err
		}
		return stmt.QueryContext(ctx, args)
	}
	req, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	return req.rows(s.pq.QueryContext(s.seen(ctx), query, args))
}

// simple sends one statement without parameters or context, and returns the tag of the answer.
func (s *session) simple(query string) (tag string, err error) {
	rows, err := s.pq.QueryContext(context.Background(), query, nil)
	if err != nil {
		return "", err
	}
	if err := rows.Close(); err != nil {
		return "", err
	}
	return rows.(pqRows).Tag(), nil
}

// PrepareContext implements [driver.ConnPrepareContext].
func (s *session) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	req, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	inner, err := s.pq.PrepareContext(s.seen(ctx), query)
	if err := req.endHarmless(err); err != nil {
		return nil, err
	}
	stmt, ok := inner.(pqStmt)
	if !ok {
		s.spent.Store(true) // it is copying already, and reads its socket behind our back
		return nil, errCopy
	}
	return &statement{pq: stmt, s: s}, nil
}

// BeginTx implements [driver.ConnBeginTx]. lib/pq does not see the context end: it would send a cancel request, during COMMIT too.
// database/sql sees it, and rolls back.
func (s *session) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	req, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := s.pq.BeginTx(context.WithoutCancel(ctx), opts)
	if err := req.end(err); err != nil {
		return nil, err
	}
	return &transaction{pq: tx, s: s}, nil
}

// Ping implements [driver.Pinger].
func (s *session) Ping(ctx context.Context) error {
	req, err := s.begin(ctx)
	if err != nil {
		return err
	}
	return req.endHarmless(s.pq.Ping(s.seen(ctx)))
}

// CheckNamedValue implements [driver.NamedValueChecker].
func (s *session) CheckNamedValue(v *driver.NamedValue) error { return s.pq.CheckNamedValue(v) }

// ResetSession implements [driver.SessionResetter].
func (s *session) ResetSession(ctx context.Context) error {
	if !s.IsValid() {
		return driver.ErrBadConn
	}
	return s.pq.ResetSession(ctx)
}

// IsValid implements [driver.Validator]. A session whose transaction nobody has ended is not.
func (s *session) IsValid() bool {
	return !s.spent.Load() && s.wire.fault.Load() == nil && s.wire.ahead == nil && s.pq.IsValid()
}

// Close implements [driver.Conn]. It does not wait for a server that takes nothing in.
func (s *session) Close() error {
	s.spent.Store(true)
	_ = s.wire.SetDeadline(time.Now().Add(closeTimeout))
	return s.pq.Close()
}

// Prepare implements [driver.Conn].
func (s *session) Prepare(query string) (driver.Stmt, error) {
	return s.PrepareContext(context.Background(), query)
}

// Begin implements [driver.Conn].
func (s *session) Begin() (driver.Tx, error) {
	return s.BeginTx(context.Background(), driver.TxOptions{})
}
