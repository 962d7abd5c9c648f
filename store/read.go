package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/lib/pq"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/store/connector"
)

// Reads answers questions about one merchant's objects at a time. An identifier that is none, that never was, or that is another
// merchant's finds nothing: a nil object, not an error.
type Reads struct {
	source source
	codec  codec
	posted *posted
}

// source runs a query of one column, bytea, that sees the rows of one merchant, by its UUID, or of none, and visits its values. They are good until
// the visit ends.
type source interface {
	values(ctx context.Context, merchant, text string, visit func([]byte) error, arguments ...any) error
}

// values runs a query about a merchant, who is $1, and visits its values.
func (r Reads) values(ctx context.Context, m merchant.ID, text string, visit func([]byte) error, arguments ...any) error {
	id := uuidOf(m)
	return r.source.values(ctx, id, text, visit, append([]any{id}, arguments...)...)
}

// query runs a query about a merchant, who is $1, and visits its rows.
func (r Reads) query(ctx context.Context, m merchant.ID, text string, visit func(scanner) error, arguments ...any) error {
	return r.values(ctx, m, packed(text), func(value []byte) error { return unpack(value, visit) }, arguments...)
}

// queryShared runs a query about what is no merchant's, and visits its rows.
func (r Reads) queryShared(ctx context.Context, text string, visit func(scanner) error, arguments ...any) error {
	return r.source.values(ctx, "", packed(text), func(value []byte) error { return unpack(value, visit) }, arguments...)
}

// see has a session see the rows of one merchant from the next request on: row-level security goes by the setting. With "" a question about any is an error.
func see(ctx context.Context, conn *sql.Conn, merchant string) error {
	return connector.Set(ctx, conn, "paygraph.merchant", merchant)
}

// pooled asks on any connection: each question sees everything that was committed before it.
type pooled struct{ db *sql.DB }

func (p pooled) values(ctx context.Context, merchant, text string, visit func([]byte) error, arguments ...any) error {
	err := p.ask(ctx, merchant, text, visit, arguments...)
	for others := p.db.Stats().OpenConnections; errors.Is(err, driver.ErrBadConn) && others >= 0; others-- { // it ended while it was idle
		err = p.ask(ctx, merchant, text, visit, arguments...)
	}
	return trouble(err)
}

func (p pooled) ask(ctx context.Context, merchant, text string, visit func([]byte) error, arguments ...any) error {
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, done := toTheEnd(ctx)
	defer done()
	if err := see(ctx, conn, merchant); err != nil {
		return err
	}
	rows, err := conn.QueryContext(ctx, text, arguments...)
	return visitValues(rows, err, visit)
}

// toTheEnd is a context for one question, whose deadline counts, and which does not end when the caller goes: to break a question off costs a
// session, and the next one's start, which is many times what the answer costs. Clients could do that to us all the time.
func toTheEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	whole := context.WithoutCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(whole, deadline)
	}
	return whole, func() {}
}

// trouble tells the database's troubles from defects: the same question may be answered a moment later.
func trouble(err error) error {
	var answered *pq.Error
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &answered) && !slices.Contains(troubleClasses, string(answered.Code.Class())):
		return err
	case answered != nil || isNetwork(err):
	case !errors.Is(err, connector.ErrConnect) && !errors.Is(err, connector.ErrOutcomeUnknown) && !errors.Is(err, driver.ErrBadConn):
		return err
	}
	return fmt.Errorf("%w: %w", command.ErrUnavailable, err)
}

// troubleClasses are the SQL classes that say nothing about the question: connection, transaction, resources, operator, system.
var troubleClasses = []string{"08", "25", "40", "53", "55", "57", "58"}

func isNetwork(err error) bool {
	_, ok := errors.AsType[net.Error](err)
	return ok
}

func visitValues(rows *sql.Rows, err error, visit func([]byte) error) error {
	var value sql.RawBytes
	return visitRows(rows, err, func(scan scanner) error {
		if err := scan(&value); err != nil {
			return err
		}
		return visit(value)
	})
}

func visitRows(rows *sql.Rows, err error, visit func(scanner) error) error {
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := visit(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Snapshot is Reads whose questions are all answered as of one moment, the first question's. It has to be closed.
type Snapshot struct {
	Reads
	view *view
}

// view is a read-only transaction that begins with the first question, and sees that one's merchant. The pool's sessions begin transactions as
// REPEATABLE READ.
type view struct {
	db       *sql.DB
	mu       sync.Mutex
	conn     *sql.Conn // in the transaction
	merchant string    // whose rows it sees
	failed   error     // a question that failed has ended the view: all later ones fail likewise
	closed   bool
}

// Snapshot opens a view of the database for one query operation.
func (s *Store) Snapshot() *Snapshot {
	v := &view{db: s.readers.DB}
	return &Snapshot{Reads{v, s.codec, s.posted}, v}
}

// Close ends the view.
func (s *Snapshot) Close() {
	v := s.view
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	if v.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), rollbackDeadline)
	defer cancel()
	if err := connector.EndReadOnly(ctx, v.conn); err != nil { // nothing was written
		connector.Discard(v.conn)
	}
	_ = v.conn.Close()
}

const rollbackDeadline = 2 * time.Second

func (v *view) values(ctx context.Context, merchant, text string, visit func([]byte) error, arguments ...any) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.closed:
		return sql.ErrTxDone
	case v.failed == nil:
		v.failed = trouble(v.ask(ctx, merchant, text, visit, arguments...))
	}
	return v.failed
}

func (v *view) ask(ctx context.Context, merchant, text string, visit func([]byte) error, arguments ...any) (err error) {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if v.conn == nil {
		if v.conn, err = v.db.Conn(ctx); err != nil {
			return err
		}
		v.merchant = merchant
		if err := see(ctx, v.conn, merchant); err != nil {
			return err
		}
		if err := connector.BeginReadOnly(ctx, v.conn); err != nil {
			return err
		}
	}
	if merchant != v.merchant {
		return errOtherMerchant
	}
	ctx, done := toTheEnd(ctx)
	defer done()
	rows, err := v.conn.QueryContext(ctx, text, arguments...)
	return visitValues(rows, err, visit)
}

var errOtherMerchant = errors.New("a snapshot is asked about two merchants")

// some finds objects by their identifiers, in any order.
func some[T any](ctx context.Context, r Reads, m merchant.ID, prefix answer.Prefix, ids []string, text string, scan func(scanner) (*T, error)) ([]*T, error) {
	wanted := identifiers(prefix, ids)
	if wanted.count == 0 {
		return nil, nil
	}
	var found []*T
	err := r.query(ctx, m, text, collect(&found, scan), wanted.wire())
	return found, err
}

// identifiers are those that are some with a prefix: the others find nothing.
func identifiers(prefix answer.Prefix, ids []string) array {
	wanted := array{oid: oidUUID}
	wanted.reset()
	for _, id := range ids {
		if u, err := answer.Decode(prefix, id); err == nil {
			wanted.uuid(u)
		}
	}
	return wanted
}

// collect visits rows and appends what scan makes of each: nothing where it returns nil, for a row that is part of the object before.
func collect[T any](found *[]*T, scan func(scanner) (*T, error)) func(scanner) error {
	return func(s scanner) error {
		object, err := scan(s)
		if err == nil && object != nil {
			*found = append(*found, object)
		}
		return err
	}
}
