package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/lib/pq"

	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/store/connector"
)

// How values are used once. They have connections of their own, so that whoever signs a lot takes none from anything else.
const (
	onceConnections  = 4
	onceWaiting      = 256 // at most, and who is one more is sent away
	onceWaitingOfOne = 32  // client
	onceTimeout      = 2 * time.Second
)

// How what has ended is forgotten, by each node that uses values up.
const (
	sweepEvery   = 5 * time.Second  // at most
	sweepAnew    = time.Hour        // from the beginning of the index, where others may have left something
	sweepPortion = 1000             // values a statement
	sweepTimeout = 10 * time.Second // for a portion
)

// once is how one node uses values up.
type once struct {
	db  *sql.DB
	log *slog.Logger

	ending context.Context // when the node does
	end    context.CancelFunc
	sweeps sync.WaitGroup // one at most

	mu       sync.Mutex
	waiting  int            // who uses a value up, or waits for that
	clients  map[string]int // how many of them a client has; of those who have none there is nothing
	sweeping bool
	due      time.Time // the next sweep, not before

	from time.Time // when what was forgotten last had ended: before it the index has only what the database has yet to clean up. The sweep's own
	anew time.Time // when it begins from the beginning again. The sweep's own
}

func newOnce(dsn string, tracer connector.Tracer, log *slog.Logger) (*once, error) {
	db, err := pool(dsn, onceConnections, connector.Options{Settings: writerSettings, NoCancel: true, Tracer: tracer})
	if err != nil {
		return nil, err
	}
	o := &once{db: db, log: log, clients: map[string]int{}}
	o.ending, o.end = context.WithCancel(context.Background())
	return o, nil
}

func (o *once) close() error {
	o.mu.Lock()
	o.end()
	o.mu.Unlock()
	o.sweeps.Wait()
	return o.db.Close()
}

// UseOnce notes that a client has used a value that is good until some time, and says whether it is the first time, and the database's clock not there yet.
// What ended a minute ago is forgotten now and then, whoever had it. Errors: command.ErrUnavailable, command.ErrRateLimited, and what comes of a bound; then the
// value may have been used up, or not.
func (s *Store) UseOnce(ctx context.Context, clientID string, value []byte, until time.Time) (first bool, err error) {
	if err := s.once.enter(clientID); err != nil {
		return false, err
	}
	defer s.once.leave(clientID)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), onceTimeout)
	defer cancel()
	result, err := s.once.db.ExecContext(ctx, `INSERT INTO used_once (client_id, value, expires_at)
		SELECT $1, $2, $3::timestamptz WHERE $3::timestamptz > clock_timestamp() ON CONFLICT DO NOTHING`, clientID, value, until)
	if err != nil {
		return false, trouble(err)
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

// enter takes a place for a client. Errors: command.ErrUnavailable, command.ErrRateLimited.
func (o *once) enter(clientID string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.clients[clientID] >= onceWaitingOfOne:
		return fmt.Errorf("%w: %d signatures of this client's are being used up", command.ErrRateLimited, onceWaitingOfOne)
	case o.waiting >= onceWaiting:
		return fmt.Errorf("%w: %d signatures are being used up", command.ErrUnavailable, onceWaiting)
	}
	o.waiting++
	o.clients[clientID]++
	return nil
}

// leave gives a client's place back. If it is time for that, a sweep begins.
func (o *once) leave(clientID string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting--
	if o.clients[clientID]--; o.clients[clientID] == 0 {
		delete(o.clients, clientID)
	}
	if o.sweeping || o.ending.Err() != nil || time.Now().Before(o.due) {
		return
	}
	o.sweeping = true
	o.sweeps.Go(func() {
		err := o.sweep()
		if err != nil && o.ending.Err() == nil {
			o.log.Warn("values that were used once, and have ended, could not be forgotten", "error", err)
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.sweeping, o.due = false, time.Now().Add(sweepEvery)
	})
}

// sweep forgets what has ended, in portions, unless another node does.
func (o *once) sweep() error {
	if now := time.Now(); !now.Before(o.anew) {
		o.from, o.anew = time.Time{}, now.Add(sweepAnew)
	}
	for {
		n, err := o.forget()
		if n < sweepPortion || err != nil {
			return err
		}
	}
}

// forget forgets a portion, and says how much that was: nothing where another node is at it, since two would lock the same rows in different orders. Whoever uses
// a value up does not wait for it.
func (o *once) forget() (n int, err error) {
	ctx, cancel := context.WithTimeout(o.ending, sweepTimeout)
	defer cancel()
	tx, err := o.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	_, err = tx.ExecContext(ctx, `LOCK TABLE used_once IN SHARE UPDATE EXCLUSIVE MODE NOWAIT`)
	if answered := (*pq.Error)(nil); errors.As(err, &answered) && answered.Code.Name() == "lock_not_available" {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var last sql.NullTime
	err = tx.QueryRowContext(ctx, `WITH gone AS (DELETE FROM used_once WHERE (client_id, value) IN (SELECT client_id, value FROM used_once
			WHERE expires_at >= $1 AND expires_at < (SELECT clock_timestamp()) - interval '1 minute' ORDER BY expires_at LIMIT $2) RETURNING expires_at)
		SELECT count(*), max(expires_at) FROM gone`, o.from, sweepPortion).Scan(&n, &last)
	if err != nil {
		return 0, err
	}
	if err := tx.Commit(); err != nil {
		return 0, err
	}
	if last.Valid {
		o.from = last.Time
	}
	return n, nil
}
