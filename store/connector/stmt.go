package connector

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"

	"github.com/lib/pq"
)

// pqStmt is what lib/pq's prepared statement can do.
type pqStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// pqRows is what lib/pq's rows can do.
type pqRows interface {
	driver.RowsNextResultSet
	driver.RowsColumnTypeScanType
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypeLength
	driver.RowsColumnTypePrecisionScale
	Tag() string
}

var (
	_ pqStmt = (*statement)(nil)
	_ pqRows = (*rows)(nil)
)

// statement is a prepared statement of one session.
type statement struct {
	pq pqStmt
	s  *session
}

// ExecContext implements [driver.StmtExecContext].
func (st *statement) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return st.s.exec(ctx, func(ctx context.Context) (driver.Result, error) { return st.pq.ExecContext(ctx, args) })
}

// QueryContext implements [driver.StmtQueryContext].
func (st *statement) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	req, err := st.s.begin(ctx)
	if err != nil {
		return nil, err
	}
	return req.rows(st.pq.QueryContext(st.s.seen(ctx), args))
}

// Close implements [driver.Stmt].
func (st *statement) Close() error {
	req, err := st.s.begin(context.Background())
	if err != nil {
		return nil //nolint:nilerr // it ends with the session
	}
	return req.endHarmless(st.pq.Close())
}

// NumInput implements [driver.Stmt].
func (st *statement) NumInput() int { return st.pq.NumInput() }

// Exec implements [driver.Stmt]; database/sql calls ExecContext.
func (st *statement) Exec(args []driver.Value) (driver.Result, error) {
	return st.ExecContext(context.Background(), named(args))
}

// Query implements [driver.Stmt]; database/sql calls QueryContext.
func (st *statement) Query(args []driver.Value) (driver.Rows, error) {
	return st.QueryContext(context.Background(), named(args))
}

func named(args []driver.Value) []driver.NamedValue {
	values := make([]driver.NamedValue, len(args))
	for i, arg := range args {
		values[i] = driver.NamedValue{Ordinal: i + 1, Value: arg}
	}
	return values
}

// transaction is one begun by BeginTx.
type transaction struct {
	pq driver.Tx
	s  *session
}

// Commit implements [driver.Tx].
func (t *transaction) Commit() error { return t.finish(t.pq.Commit) }

// Rollback implements [driver.Tx].
func (t *transaction) Rollback() error { return t.finish(t.pq.Rollback) }

func (t *transaction) finish(send func() error) error {
	req, err := t.s.begin(context.Background())
	if err != nil {
		return err
	}
	return req.end(send())
}

// rows is an answer that is being read. The request ends when it is closed: until then the statement may yet fail.
type rows struct {
	pqRows
	req request
}

// rows ends the request if there is no answer, and leaves it to the rows otherwise.
func (r request) rows(inner driver.Rows, err error) (driver.Rows, error) {
	if err != nil {
		return nil, r.end(err)
	}
	return &rows{pqRows: inner.(pqRows), req: r}, nil
}

// Next implements [driver.Rows].
func (r *rows) Next(dest []driver.Value) error {
	err := r.pqRows.Next(dest)
	if err == nil || err == io.EOF { //nolint:errorlint // database/sql compares it so
		return err
	}
	if r.req.s.IsValid() && !errors.As(err, new(*pq.Error)) {
		return err // a value that cannot be decoded; Close reads the rest
	}
	return r.req.s.judge(err, true)
}

// Close implements [driver.Rows]. It reads what is left of the answer.
func (r *rows) Close() error {
	err := r.pqRows.Close()
	r.req.unwatch()
	return r.req.s.judge(err, true)
}
