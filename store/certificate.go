package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// SharedValue is what the nodes keep under a name; nil: nothing.
func (s *Store) SharedValue(ctx context.Context, name string) (value []byte, err error) {
	err = s.readers.QueryRowContext(ctx, `SELECT value FROM certificate WHERE name = $1`, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return value, trouble(err)
}

// ShareValue keeps a value for all nodes in the place of what was there, and ends a reservation.
func (s *Store) ShareValue(ctx context.Context, name string, value []byte) error {
	_, err := s.writers.ExecContext(ctx, `INSERT INTO certificate (name, value) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET value = $2, reserved_by = NULL, reserved_until = NULL`, name, value)
	return trouble(err)
}

// ForgetValue forgets what the nodes keep under a name, if there is anything.
func (s *Store) ForgetValue(ctx context.Context, name string) error {
	_, err := s.writers.ExecContext(ctx, `DELETE FROM certificate WHERE name = $1`, name)
	return trouble(err)
}

// ReserveValue says whether a node may make the next value of a name, and nobody else for so long, by the database's clock. The same node may again.
func (s *Store) ReserveValue(ctx context.Context, name, node string, howLong time.Duration) (bool, error) {
	result, err := s.writers.ExecContext(ctx, `INSERT INTO certificate AS c (name, reserved_by, reserved_until)
		VALUES ($1, $2, clock_timestamp() + $3 * interval '1 millisecond')
		ON CONFLICT (name) DO UPDATE SET reserved_by = $2, reserved_until = excluded.reserved_until
		WHERE c.reserved_by IS NULL OR c.reserved_by = $2 OR c.reserved_until < clock_timestamp()`, name, node, howLong.Milliseconds())
	if err != nil {
		return false, trouble(err)
	}
	n, err := result.RowsAffected()
	return n == 1, err
}
