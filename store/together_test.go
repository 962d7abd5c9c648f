package store_test

import (
	"context"
	"database/sql"
	"sync"
	"testing"

	"github.com/lib/pq"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/store/connector"
)

// hold locks the heads of merchants by a session of its own until release is called.
func hold(t *testing.T, db *sql.DB, principals ...auth.Principal) (release func()) {
	t.Helper()
	tx, err := db.BeginTx(context.WithoutCancel(t.Context()), nil)
	must(t, err)
	for _, p := range principals {
		_, err = tx.Exec(`SELECT 1 FROM head WHERE merchant_id = $1 FOR UPDATE`, uuid(p))
		must(t, err)
	}
	return sync.OnceFunc(func() { _ = tx.Rollback() })
}

// uuid is a principal's merchant as the database knows it.
func uuid(p auth.Principal) string {
	u, _ := answer.Decode(answer.MerchantPrefix, string(p.Merchant))
	return u.String()
}

// owner connects as the database's owner.
func owner(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := connector.Open(dsn, connector.Options{})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// endWriters ends all sessions that write to a database, but for some, and says how many they were.
func endWriters(t *testing.T, db *sql.DB, but ...int64) (n int64) {
	t.Helper()
	must(t, db.QueryRow(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'paygraph writer' AND NOT pid = ANY(coalesce($1::int[], '{}'))`, pq.Array(but)).Scan(&n))
	return n
}

// writersOf are the processes of the sessions that write to a database.
func writersOf(t *testing.T, db *sql.DB) (pids []int64) {
	t.Helper()
	must(t, db.QueryRow(`SELECT array_agg(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'paygraph writer'`).Scan(pq.Array(&pids)))
	return pids
}

// queue runs calls at the same time, and makes sure that their commands wait in the queue in the order of the calls. While the head of
// their merchant is held, all but the first share a commit. wait returns when all have been answered.
func queue(ctx context.Context, calls ...func(context.Context)) (wait func()) {
	var all sync.WaitGroup
	for _, call := range calls {
		waiting := waits{ctx, make(chan struct{}), new(sync.Once)}
		all.Go(func() {
			call(waiting)
			waiting.Done() // for a call that never came to wait
		})
		<-waiting.begun
	}
	return all.Wait
}

// waits is a context that tells when somebody begins to wait for it. Who commits a command first does so when it stands in the queue.
type waits struct {
	context.Context
	begun chan struct{}
	once  *sync.Once
}

func (w waits) Done() <-chan struct{} {
	w.once.Do(func() { close(w.begun) })
	return w.Context.Done()
}
