package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/paygraph/paygraph/store/connector"
)

// database is the cluster as its owner sees it: for what no command of the gateway's tells.
type database struct {
	db       *sql.DB
	settings []setting // those that matter to the figures, as the server said them
	version  string
	pid      int // of one of our sessions, whose parent is the postmaster
}

type setting struct{ name, value string }

// reported are the settings that the report names; the first three decide whether an answered payment is on the disk.
var reported = []string{"fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers", "max_wal_size",
	"wal_compression", "max_connections", "jit"}

// openDatabase connects as the owner, and refuses a server that forgets what it has answered.
func openDatabase(ctx context.Context, dsn string) (*database, error) {
	db, err := connector.Open(dsn, connector.Options{Settings: map[string]string{"application_name": "paygraph bench"}})
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	d := &database{db: db}
	if err := d.read(ctx); err != nil {
		_ = db.Close()
		return nil, err
	}
	return d, nil
}

func (d *database) read(ctx context.Context) error {
	if err := d.db.QueryRowContext(ctx, `SELECT current_setting('server_version'), pg_backend_pid()`).
		Scan(&d.version, &d.pid); err != nil {
		return err
	}
	d.settings = nil
	for _, name := range reported {
		s := setting{name: name}
		if err := d.db.QueryRowContext(ctx, `SELECT current_setting($1)`, name).Scan(&s.value); err != nil {
			return err
		}
		d.settings = append(d.settings, s)
	}
	return d.durable(ctx)
}

// errNotDurable refuses to measure a database that may lose what it has answered.
var errNotDurable = errors.New("nothing is measured without durable commits")

// durable refuses fsync or synchronous_commit off, for this session or for any role or database.
func (d *database) durable(ctx context.Context) error {
	for _, s := range d.settings {
		if (s.name == "fsync" || s.name == "synchronous_commit") && s.value == "off" {
			return fmt.Errorf("%w: %s is off", errNotDurable, s.name)
		}
	}
	var line sql.NullString
	err := d.db.QueryRowContext(ctx, `SELECT max(c) FROM pg_db_role_setting, unnest(setconfig) c
		WHERE c ~* '^(fsync|synchronous_commit)=(off|false|no|0)$'`).Scan(&line)
	if err == nil && line.Valid {
		return fmt.Errorf("%w: a role or a database has %s", errNotDurable, line.String)
	}
	return err
}

// checkpoint writes out what is dirty, so that no round pays for the one before it.
func (d *database) checkpoint(ctx context.Context) error {
	_, err := d.db.ExecContext(ctx, `CHECKPOINT`)
	return err
}

// settle brings the planner's statistics and the visibility maps of our tables up to date, as `pgbench -i` does for its own once, and each
// run of pgbench for those that change most. Autovacuum would do it at a moment of its own, within a round or not.
func (d *database) settle(ctx context.Context) error {
	_, err := d.db.ExecContext(ctx, `VACUUM (ANALYZE)`)
	return err
}

// created makes another database in the cluster, and returns its address.
func (d *database) created(ctx context.Context, dsn, name string) (string, error) {
	if _, err := d.db.ExecContext(ctx, `CREATE DATABASE `+name); err != nil {
		return "", err
	}
	address, err := url.Parse(dsn)
	if err != nil {
		return "", err
	}
	address.Path = "/" + name
	return address.String(), nil
}

// stored is how many payments the database holds as succeeded, and how many transactions of payments: their first legs say so.
func (d *database) stored(ctx context.Context) (payments, transactions int64, err error) {
	err = d.db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM payment WHERE status = 'SUCCEEDED'),
		(SELECT count(*) FROM entry WHERE kind = 'PAYMENT')`).Scan(&payments, &transactions)
	return payments, transactions, err
}

// String is the version and the settings in one line.
func (d *database) String() string {
	var b strings.Builder
	b.WriteString("PostgreSQL " + d.version)
	for _, s := range d.settings {
		b.WriteString(", " + s.name + " " + s.value)
	}
	return b.String()
}

func (d *database) close() error { return d.db.Close() }
