package store

import (
	"context"
	"database/sql"

	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/store/connector"
)

// session is a writer's connection to PostgreSQL. It is made anew where it was discarded.
type session struct {
	pool      *sql.DB
	conn      *sql.Conn
	texts     map[shape]string // of batch statements
	columns   map[int][]array  // of the changes, used again and again
	arguments []any
}

func newSession(pool *sql.DB) *session {
	return &session{pool: pool, texts: map[shape]string{}, columns: map[int][]array{}}
}

// connect takes a connection, if there is none, and prepares what each batch needs. It sees the rows of a merchant.
func (s *session) connect(ctx context.Context, m merchant.ID) error {
	id := uuidOf(m)
	if s.conn != nil {
		return see(ctx, s.conn, id)
	}
	ctx, cancel := context.WithTimeout(ctx, commitDeadline)
	defer cancel()
	conn, err := s.pool.Conn(ctx)
	if err != nil {
		return err
	}
	s.conn = conn
	if _, err = conn.ExecContext(ctx, prepareLock); err != nil {
		return err
	}
	return see(ctx, s.conn, id)
}

func (s *session) rollback() {
	if s.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitDeadline)
	defer cancel()
	if _, err := s.conn.ExecContext(ctx, "ROLLBACK"); err != nil {
		s.discard()
	}
}

func (s *session) discard() {
	if s.conn != nil {
		connector.Discard(s.conn)
	}
	s.conn = nil
}
