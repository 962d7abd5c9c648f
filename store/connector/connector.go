// Package connector is the one way in which the process opens its database. It wraps lib/pq, because lib/pq says
// driver.ErrBadConn when it has sent a statement and lost the answer, whereupon database/sql sends the statement again: an INSERT
// runs twice and nobody hears of it (lib/pq #939).
//
// # What an error says
//
// Of an error from a statement, a Begin, a Commit or a Rollback on a pool, a connection or a transaction of [Open]'s, one of these
// holds:
//
//   - errors.Is(err, ErrOutcomeUnknown): a byte or more of the request went out and no complete answer came back. It may have had its
//     effect, or not. Nothing was tried again.
//   - errors.As(err, new(*pq.Error)), and not ErrOutcomeUnknown: the server's answer. The statement had no effect (in a
//     transaction: the transaction has failed). That holds for a cancelled context too: lib/pq asks the server to cancel, and
//     57014 is the server saying that it did. A server that has not answered 2 s after the context ended is given up.
//   - anything else from a call that sends (driver.ErrBadConn on a connection or a transaction, a context's error from Exec, a
//     failure to connect): the request was never sent.
//
// Errors that are answers and still leave the outcome open count as unknown, whatever they answer: SQL class 08, 57P0x
// (admin_shutdown, crash_shutdown …), 40003, and all of severity FATAL or PANIC. A backend may be told to end when its COMMIT is
// durable and before it has said so.
//
// Two things are beyond a driver's reach. While rows are read, database/sql itself answers with the context's error when the
// context ends, so that a context's error from Rows.Err, Row.Scan or sqlx's Get and Select says nothing about what an INSERT …
// RETURNING has done; nor does an error of scanning, which is the caller's own. And a request of several statements, one of which is
// a COMMIT, may have committed before the one that failed.
//
// # What happens to the connection
//
// A connection that had any such trouble is never used again; further calls on it (as a sql.Conn or in a transaction) fail with
// driver.ErrBadConn and send nothing. That cures lib/pq 1.12's connections that stay in the pool and can do nothing more (#1298,
// #1320, #1450). Before each request the socket is asked whether the server has hung up, so that a restart of the server costs an
// idle pool nothing: database/sql takes another connection for a request that was never sent.
//
// Not supported: COPY FROM STDIN, and LISTEN on a pooled connection (a message that comes unasked counts as the server's farewell).
package connector

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/lib/pq"
)

// Defaults of [Options].
const (
	DefaultConnectTimeout = 5 * time.Second
	DefaultTCPUserTimeout = 10 * time.Second
)

// Options say how sessions begin. The zero value is good.
type Options struct {
	// Settings are the run-time parameters that each session starts with: lock_timeout, plan_cache_mode, enable_seqscan, role,
	// application_name and so on. They travel in the startup packet, cost no round trip, survive RESET ALL and win over the DSN's.
	Settings map[string]string

	// ConnectTimeout bounds dialling and logging in, and dialling for a cancel request. Zero: connect_timeout of the DSN, and
	// DefaultConnectTimeout if it has none. database/sql's context ends dialling earlier, but not logging in.
	ConnectTimeout time.Duration

	// TCPUserTimeout is how long sent data may stay unacknowledged, and how long a silent peer may leave keep-alive probes
	// unanswered, before the socket fails (RFC 5482; on Linux, elsewhere keep-alive alone). Zero: DefaultTCPUserTimeout. A server
	// that is alive and says nothing is not noticed by this. The server's end has a setting of its own, tcp_user_timeout.
	TCPUserTimeout time.Duration

	// Statements is how many texts with parameters each session keeps prepared: Exec and Query with arguments then parse and plan a
	// text once a session. Zero: none.
	Statements int

	// NoCancel leaves out the request to cancel by which lib/pq follows a context's end: what the server has begun it goes on with, until
	// an answer or its own statement_timeout. The session is given up all the same. For statements that take a moment and are not to be
	// taken back; lib/pq then needs no goroutine a statement to watch the context, which is 6 % of a lone payment's time.
	NoCancel bool

	// Connected is called with each new session, before anything else is asked on it: its error ends the session. The server that it speaks
	// to may be another than that of the session before.
	Connected func(ctx context.Context, session driver.QueryerContext) error

	// Tracer follows statements whose context says that they are followed; nil: none are.
	Tracer Tracer

	// Dial replaces the dialler and with it TCPUserTimeout; for tests.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Tracer follows statements.
type Tracer interface {
	// Statement follows one until end. Its text may have values in it, which are not to be shown.
	Statement(ctx context.Context, text string) (end func(error))
}

// Open returns a pool whose every connection goes through the wrapper. It does not connect. For sqlx: sqlx.NewDb(db, "postgres").
//
// dsn is a URL or key=value pairs, as [pq.NewConfig] reads it (PG… in the environment included). binary_parameters is always on: an
// unnamed statement with parameters is one round trip, and a []byte goes out as the binary form of its parameter's type, so that
// arrays encoded in binary can be passed as they are. An sslmode that is given is kept; where none is, it is disable if all hosts are
// on this machine (a Unix socket, localhost, a loopback address), else require, which encrypts and does not check the server's
// certificate: say verify-full where that matters. A target_session_attrs that is given is kept too; where none is, it is read-write: of
// several hosts ("postgres://one:5432,two:5432/d") that one is taken which takes writes, and a standby is no database until it is promoted.
// The error never shows the password.
func Open(dsn string, o Options) (*sql.DB, error) {
	cfg, err := config(dsn, o)
	if err != nil {
		return nil, fmt.Errorf("connector: %w", err)
	}
	dial := o.Dial
	if dial == nil {
		dial = dialer(cfg.ConnectTimeout, o.TCPUserTimeout)
	}
	c := &connector{cfg: cfg, dial: dial, statements: o.Statements, noCancel: o.NoCancel, connected: o.Connected, tracer: o.Tracer}
	c.afterwards = wantPrimary(&c.cfg)
	return sql.OpenDB(c), nil
}

// config merges the DSN and the options into lib/pq's configuration.
func config(dsn string, o Options) (pq.Config, error) {
	cfg, err := pq.NewConfig(spread(dsn))
	if err != nil {
		if !strings.HasPrefix(err.Error(), "pq: ") { // complaints about form quote parts of the DSN, and may hit the password
			err = errors.New("the DSN is neither a URL nor key=value pairs (in a URL, percent-encode the password; in pairs, quote it)")
		}
		return cfg, err
	}
	cfg.BinaryParameters = true
	if cfg.SSLMode == "" {
		cfg.SSLMode = sslMode(cfg)
	}
	if o.ConnectTimeout > 0 {
		cfg.ConnectTimeout = o.ConnectTimeout
	}
	if cfg.ConnectTimeout <= 0 {
		cfg.ConnectTimeout = DefaultConnectTimeout
	}
	cfg = cfg.Clone() // its map of run-time parameters is ours then
	for name, value := range o.Settings {
		switch strings.ToLower(name) {
		case "user", "database", "options", "replication", "client_encoding", "datestyle":
			return cfg, fmt.Errorf("%s is not a setting that a session can be given", name)
		case "application_name":
			cfg.ApplicationName = value
		default:
			maps.DeleteFunc(cfg.Runtime, func(other, _ string) bool { return strings.EqualFold(other, name) })
			cfg.Runtime[name] = value
		}
	}
	return cfg, nil
}

// sslMode is the mode for a DSN that names none.
func sslMode(cfg pq.Config) pq.SSLMode {
	local := onThisMachine(cfg.Host, cfg.Hostaddr)
	for _, other := range cfg.Multi {
		local = local && onThisMachine(other.Host, other.Hostaddr)
	}
	if local && cfg.SSLNegotiation != pq.SSLNegotiationDirect {
		return pq.SSLModeDisable
	}
	return pq.SSLModeRequire
}

func onThisMachine(host string, addr netip.Addr) bool {
	if !addr.IsValid() {
		addr, _ = netip.ParseAddr(strings.Trim(host, "[]"))
	}
	if addr.IsValid() {
		return addr.IsLoopback()
	}
	return host == "" || strings.EqualFold(host, "localhost") || filepath.IsAbs(host) || strings.HasPrefix(host, "@")
}

// connector makes sessions; database/sql owns it.
type connector struct {
	cfg        pq.Config
	dial       dialFunc
	statements int
	noCancel   bool
	tracer     Tracer
	afterwards string // a statement, before connected
	connected  func(context.Context, driver.QueryerContext) error
}

// ErrConnect wraps why a session could not be opened.
var ErrConnect = errors.New("connector: connect")

// Connect implements [driver.Connector].
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := pq.NewConnectorConfig(c.cfg)
	if err != nil {
		return nil, fmt.Errorf("connector: %w", err)
	}
	tap := &tap{dial: c.dial}
	inner.Dialer(tap)
	conn, err := inner.Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConnect, err)
	}
	s := &session{
		pq: conn.(pqConn), wire: tap.last.Load(), kept: newKept(c.statements), noCancel: c.noCancel, plain: c.cfg.SSLMode == pq.SSLModeDisable,
		settings: map[string]string{}, tracer: c.tracer,
	}
	if err := c.begin(ctx, s); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("connector: connect: %w", err)
	}
	return s, nil
}

// begin does with a new session what comes before anything else.
func (c *connector) begin(ctx context.Context, s *session) error {
	if c.afterwards != "" {
		if _, err := s.ExecContext(ctx, c.afterwards, nil); err != nil {
			return err
		}
	}
	if c.connected != nil {
		return c.connected(ctx, s)
	}
	return nil
}

// Driver implements [driver.Connector].
func (c *connector) Driver() driver.Driver { return pq.Driver{} }
