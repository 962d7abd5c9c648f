// Package store keeps what the domain has decided, in PostgreSQL. It is the only package that knows SQL.
package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
	"github.com/pressly/goose/v3"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/clock"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/migrations"
	"github.com/paygraph/paygraph/store/connector"
	"github.com/paygraph/paygraph/store/groupcommit"
)

// Config says how a store uses its database.
type Config struct {
	DSN      string           // names the owner of the database; sessions take the runtime role
	Refusals []answer.Refusal // all that commands may refuse, so that they can be recorded
	Writers  int              // merchants that are written at once; 0: DefaultWriters
	Readers  int              // connections for queries; 0: DefaultReaders
	NoHints  bool             // other nodes are not told of commits, nor heard: subscribers get theirs a second later
	Watcher  Watcher          // nil: nobody is told
	Tracer   Tracer           // nil: nothing is followed
	Log      *slog.Logger     // nil: slog.Default()
}

// DefaultWriters is Config's. One merchant keeps one of them busy, and always the same: the session of a writer that takes over after a
// pause has to plan again after each ANALYZE, and to map the pages, and is slow for a while.
const DefaultWriters = 4

// DefaultReaders is Config's: what keeps this machine's cores busy. More sessions only take the caches of the database's cores from each
// other: with 16 for two cores, a page of transactions cost PostgreSQL a third more.
var DefaultReaders = max(4, 3*runtime.GOMAXPROCS(0))

// statementsKept bounds the texts that a session keeps prepared: batches and filters make many.
const statementsKept = 128

// runtimeRole is what serving sessions become: it owns nothing, and cannot rewrite history.
const runtimeRole = "paygraph_runtime"

// Store is the database as the gateway uses it.
type Store struct {
	Reads
	Hub            *event.Hub // passes on what is committed
	hints          *hints
	writers        *sql.DB
	readers        *sqlx.DB
	once           *once
	watcher        Watcher
	tracer         Tracer // nil: nothing is followed
	queue          *groupcommit.Queue[merchant.ID, *request, command.Result]
	inFlight       inFlight
	fingerprinters sync.Pool
}

// How a migration gets the locks it needs. One that waits for a table has everybody else wait behind it: a tenth of the time, while it tries.
const (
	migrationLock     = "200ms" // less than writers wait for a lock, and than it takes the server to look for a deadlock
	migrationAgain    = 2 * time.Second
	migrationPatience = time.Minute
)

// Migrate brings the database to the shape that this version needs, and leaves alone one that has it. It connects as the owner, and tells the log what it
// waits for. A table that others use for longer than a minute, as a dump does, is an error, and nothing is lost by trying again.
func Migrate(ctx context.Context, dsn string, log *slog.Logger) error {
	db, err := connector.Open(dsn, connector.Options{Settings: map[string]string{
		"application_name": "paygraph migrate", "lock_timeout": migrationLock,
		"idle_in_transaction_session_timeout": "0", "statement_timeout": "0", // the turn may last, and so may an index
		"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "4", // but not for a machine that is gone
	}})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, migrations.Files)
	if err != nil {
		return err
	}
	switch due, err := isDue(ctx, db, provider); {
	case err != nil:
		return err
	case !due:
		return nil
	}
	turn, err := takeTurn(ctx, db, log)
	if err != nil {
		return err
	}
	defer func() { _ = turn.Rollback() }()
	for err == nil {
		err = patiently(ctx, log, func() error {
			_, err := provider.UpByOne(ctx)
			return err
		})
	}
	if errors.Is(err, goose.ErrNoNextVersion) {
		return nil
	}
	return err
}

// isDue says whether there is anything to do, and waits for nobody: so a node starts while another one makes an index.
func isDue(ctx context.Context, db *sql.DB, provider *goose.Provider) (due bool, err error) {
	var old, begun bool
	err = db.QueryRowContext(ctx, "SELECT to_regclass('transaction') IS NOT NULL, to_regclass('goose_db_version') IS NOT NULL").Scan(&old, &begun)
	switch {
	case err != nil:
		return false, err
	case old:
		return false, errBeforeRelease
	case !begun: // goose would make its table, and perhaps another one at once
		return true, nil
	}
	return provider.HasPending(ctx)
}

// patiently does one migration, again and again while others have the tables that it needs.
func patiently(ctx context.Context, log *slog.Logger, migrate func() error) error {
	var until time.Time
	for {
		begin := time.Now()
		err := migrate()
		refused, ok := errors.AsType[*pq.Error](err)
		if !ok || refused.Code != pqerror.LockNotAvailable && refused.Code != pqerror.TRDeadlockDetected {
			return err
		}
		if until.IsZero() || time.Since(begin) > migrationAgain { // it had its tables for a while, and was at work
			until = time.Now().Add(migrationPatience)
			log.InfoContext(ctx, "a migration waits for a table that others use", "error", err)
		} else if time.Now().After(until) {
			return fmt.Errorf("other sessions, a dump perhaps, have used a table for a minute that is to be changed; try again when they have ended: %w", err)
		}
		if err := pause(ctx, migrationAgain); err != nil {
			return err
		}
	}
}

// takeTurn lets one process at a time migrate, until its transaction ends; no request waits for it. Who has to wait does not do so in the database, and asks
// each time in a transaction of its own: an index that is made beside payments waits for the end of every one that it meets with a snapshot
// (docs/decisions/024).
func takeTurn(ctx context.Context, db *sql.DB, log *slog.Logger) (*sql.Tx, error) {
	for told := false; ; told = true {
		turn, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted}) // no snapshot between statements
		if err != nil {
			return nil, err
		}
		var taken bool
		if err = turn.QueryRowContext(ctx, "SELECT pg_try_advisory_xact_lock(7377000142)").Scan(&taken); err == nil && taken {
			return turn, nil
		}
		_ = turn.Rollback()
		if err == nil && !told {
			log.InfoContext(ctx, "waiting for another process that migrates the database")
		}
		if err == nil {
			err = pause(ctx, 200*time.Millisecond)
		}
		if err != nil {
			return nil, err
		}
	}
}

// pause waits. Error: the context's.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// errBeforeRelease refuses tables as they were before the first release, of which there is no way to today's.
var errBeforeRelease = errors.New("the database has the tables of a version before the first release: begin with an empty one " +
	"(--fresh, where it is the gateway's own)")

// Open connects to a database that Migrate has brought up to date, and starts the writers.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Watcher == nil {
		c.Watcher = unwatched{}
	}
	if c.Writers == 0 {
		c.Writers = DefaultWriters
	}
	if c.Readers == 0 {
		c.Readers = DefaultReaders
	}
	writers, err := pool(c.DSN, c.Writers+1, connector.Options{Settings: writerSettings, NoCancel: true, Tracer: c.Tracer}) // one more for keys and secrets
	if err != nil {
		return nil, err
	}
	posted := newPosted()
	readers, err := pool(c.DSN, c.Readers, connector.Options{Settings: readerSettings, Connected: posted.meetOn, Tracer: c.Tracer})
	if err != nil {
		return nil, errors.Join(err, writers.Close())
	}
	once, err := newOnce(c.DSN, c.Tracer, c.Log)
	if err != nil {
		return nil, errors.Join(err, writers.Close(), readers.Close())
	}
	s := &Store{
		writers: writers, readers: sqlx.NewDb(readers, "postgres"), once: once,
		inFlight: inFlight{keys: map[scopedKey]int{}}, watcher: c.Watcher, tracer: c.Tracer,
	}
	s.Reads = Reads{pooled{readers}, codec{answer.NewCodec(c.Refusals)}, posted}
	secret, err := s.Secret(ctx, "fingerprint")
	if err != nil {
		return nil, errors.Join(err, writers.Close(), readers.Close(), once.close())
	}
	s.Hub = event.NewHub(clock.Real, s.Reads, c.Log)
	if !c.NoHints {
		if s.hints, err = newHints(c.DSN, s.Hub, c.Log); err != nil {
			s.Hub.Close()
			return nil, errors.Join(err, writers.Close(), readers.Close(), once.close())
		}
	}
	s.fingerprinters.New = func() any { return command.NewFingerprinter(secret) }
	template := writer{clock: clock.Real, log: c.Log, hub: s.Hub, codec: s.codec, watcher: c.Watcher, tracer: c.Tracer}
	if s.hints != nil {
		template.hint = s.hints.note
	}
	s.queue = newQueue(c.Writers, template, func() database { return newSession(writers) })
	return s, nil
}

// newQueue starts writers like a template, each with its own way to the database.
func newQueue(writers int, like writer, connect func() database) *groupcommit.Queue[merchant.ID, *request, command.Result] {
	like.caches, like.server = newCaches(), &serverClock{own: like.clock}
	limits := groupcommit.Limits{
		Writers: writers, Batch: maxBatch, Waiting: maxWaiting, WaitingOfKey: maxWaitingOfOne, Patience: callerPatience,
	}
	return groupcommit.New(like.clock, limits, func(int) groupcommit.Writer[merchant.ID, *request, command.Result] {
		w := like
		w.database = connect()
		return &w
	})
}

// Close lets the writers finish what they were given, and disconnects.
func (s *Store) Close() error {
	s.queue.Close()
	var hints error
	if s.hints != nil {
		hints = s.hints.close()
	}
	s.Hub.Close()
	defer s.posted.close()
	return errors.Join(hints, s.writers.Close(), s.readers.Close(), s.once.close())
}

// A writer that dies holding a merchant's lock must not hold it for long: the server ends a session that waits, works or idles in a
// transaction beyond these times.
var writerSettings = pinned(map[string]string{
	"application_name":                    "paygraph writer",
	"lock_timeout":                        "2s",
	"statement_timeout":                   "5s",
	"idle_in_transaction_session_timeout": "5s",
	"tcp_user_timeout":                    "10s",
	"default_transaction_isolation":       "read committed", // what follows the lock sees what was committed before it was granted
})

var readerSettings = pinned(map[string]string{
	"application_name":                    "paygraph reader",
	"lock_timeout":                        "2s",
	"statement_timeout":                   "10s",
	"idle_in_transaction_session_timeout": "10s",
	"default_transaction_isolation":       "repeatable read", // so that BEGIN alone begins a snapshot
	"default_transaction_read_only":       "on",
})

// pinned adds what all serving sessions have: the runtime role, and plans that use the indexes. Every question is asked by the leading
// columns of one; the planner, who thinks of tables as they were when they were last analysed, now and then prefers to read all of a
// merchant's rows for it.
func pinned(settings map[string]string) map[string]string {
	settings["role"] = runtimeRole
	settings["jit"] = "off"
	settings["plan_cache_mode"] = "force_generic_plan"
	for _, way := range []string{"seqscan", "bitmapscan", "hashjoin", "mergejoin", "material", "memoize"} {
		settings["enable_"+way] = "off"
	}
	return settings
}

func pool(dsn string, size int, o connector.Options) (*sql.DB, error) {
	o.Statements = statementsKept
	db, err := connector.Open(dsn, o)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	db.SetConnMaxIdleTime(10 * time.Minute)
	return db, nil
}

// Synchronous says whether the database answers a commit only when a standby has it too. It asks on the writers' pool, which no query of a
// client can keep busy. It fails where the database takes no writes.
func (s *Store) Synchronous(ctx context.Context) (bool, error) {
	var synchronous, readOnly bool
	err := s.writers.QueryRowContext(ctx, `SELECT current_setting('synchronous_standby_names') <> ''
		AND current_setting('synchronous_commit') IN ('on', 'remote_apply'), current_setting('transaction_read_only') = 'on'`,
	).Scan(&synchronous, &readOnly)
	if err == nil && readOnly {
		err = errReadOnly
	}
	return synchronous, err
}

var errReadOnly = errors.New("the database takes no writes")

const secretLength = 32

// Secret is the value of 32 bytes that all nodes share for a purpose. Who asks first makes it.
func (s *Store) Secret(ctx context.Context, purpose string) ([]byte, error) {
	fresh := make([]byte, secretLength)
	_, _ = rand.Read(fresh)
	_, err := s.writers.ExecContext(ctx, `INSERT INTO secret (purpose, value, created_at) VALUES ($1, $2, clock_timestamp())
		ON CONFLICT (purpose) DO NOTHING`, purpose, fresh)
	if err != nil {
		return nil, fmt.Errorf("the secret for %s: %w", purpose, err)
	}
	var value []byte
	if err := s.readers.GetContext(ctx, &value, `SELECT value FROM secret WHERE purpose = $1`, purpose); err != nil {
		return nil, fmt.Errorf("the secret for %s: %w", purpose, err)
	}
	return value, nil
}
