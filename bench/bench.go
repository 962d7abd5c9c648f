package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/embedded"
)

// bench is everything that is measured, running.
type bench struct {
	options
	stderr   io.Writer
	started  time.Time
	dir      string
	cluster  *embedded.Cluster
	dsn      string // of the database that is measured
	database *database
	pgbench  *pgbench
	gateway  *gateway
	second   *gateway        // of the same program, where one was started: what it uses is the gateway's
	alive    context.Context // ends with that of open, or when the gateway ends unasked
	ask      context.CancelCauseFunc

	one       *tenant   // the merchant of most scenarios
	many      []*tenant // those of manyMerchants
	neighbour *tenant   // of disturbances: the merchant whose streams the load of the one must not delay

	succeeded atomic.Int64 // payments that were answered SUCCEEDED
	unclear   atomic.Int64 // payments of which no answer says whether they were made
}

var errGatewayEnded = errors.New("the gateway has ended by itself")

// open starts the database and the gateway, and makes the merchants with their accounts.
func open(ctx context.Context, o options, stderr io.Writer) (_ *bench, err error) {
	b := &bench{options: o, stderr: stderr, started: time.Now()}
	b.alive, b.ask = context.WithCancelCause(ctx)
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.dir, err = os.MkdirTemp(o.Dir, "paygraph-bench-"); err != nil {
		return nil, err
	}
	if err := os.Chmod(b.dir, 0o711); err != nil { // root has PostgreSQL run by another user, who must come through
		return nil, err
	}
	if err := b.startDatabase(ctx); err != nil {
		return nil, err
	}
	b.progress("building and starting the gateway")
	program, err := build(ctx, product, b.dir)
	if err != nil {
		return nil, err
	}
	if err := store.Migrate(ctx, b.dsn, slog.Default()); err != nil {
		return nil, err
	}
	if b.gateway, err = startGateway(ctx, program, b.dsn, b.dir); err != nil {
		return nil, err
	}
	go func(g *gateway) {
		<-g.Ended
		b.ask(errGatewayEnded)
	}(b.gateway)
	return b, b.populate(b.alive)
}

func (b *bench) startDatabase(ctx context.Context) (err error) {
	b.progress("starting PostgreSQL in %s", b.dir)
	b.cluster, err = embedded.Start(ctx, embedded.Config{
		Dir: filepath.Join(b.dir, "postgresql"), Settings: b.Setting, DieWithParent: true,
		Progress: func(line string) { b.progress("%s", line) },
	})
	if err != nil {
		return err
	}
	if inMemory(b.dir) {
		b.progress("WARNING: %s is in memory, where fsync costs nothing: use --dir", b.dir)
	}
	b.dsn = b.cluster.DSN()
	if b.database, err = openDatabase(ctx, b.dsn); err != nil {
		return err
	}
	dsn, err := b.database.created(ctx, b.dsn, "pgbench")
	if err != nil {
		return err
	}
	b.pgbench, err = newPgbench(b.cluster.Programs(), dsn, b.dir, b.Yardstick)
	return err
}

// populate makes pgbench's tables, the merchants, their accounts and some history. Nothing of it is measured.
func (b *bench) populate(ctx context.Context) error {
	b.progress("making pgbench's tables, scale %d", b.Scale)
	if err := b.pgbench.initialize(ctx, b.Scale); err != nil {
		return err
	}
	b.progress("making a merchant with %d funded accounts", b.Accounts)
	made, err := b.newTenants(ctx, "one", 1, b.Accounts)
	if err != nil {
		return err
	}
	b.one = made[0]
	if b.wants("reads") || b.wants(nameGrowth) {
		b.progress("making %d payments, so that each account has a history to read", b.Accounts*historyPasses)
		if err := b.makeHistory(ctx, b.one); err != nil {
			return err
		}
	}
	if b.wants("manyMerchants") {
		b.progress("making %d merchants with %d funded accounts each", b.Merchants, accountsOfMany)
		if b.many, err = b.newTenants(ctx, "many", b.Merchants, accountsOfMany); err != nil {
			return err
		}
	}
	if b.wants(nameDisturbances) {
		if made, err = b.newTenants(ctx, "neighbour", 1, accountsOfMany); err != nil {
			return err
		}
		b.neighbour = made[0]
	}
	return b.database.settle(ctx)
}

// tenants are all merchants that there are.
func (b *bench) tenants() []*tenant {
	all := append([]*tenant{b.one}, b.many...)
	if b.neighbour != nil {
		all = append(all, b.neighbour)
	}
	return all
}

func (b *bench) wants(scenario string) bool { return slices.Contains(b.Scenarios, scenario) }

// check stops the gateway, and compares what it answered with what the database holds.
func (b *bench) check(ctx context.Context) error {
	b.ask(nil) // its end is no surprise any more
	if err := b.gateway.stop(); err != nil {
		return err
	}
	if err := b.database.read(ctx); err != nil { // still durable?
		return err
	}
	if err := b.count(ctx); err != nil {
		return err
	}
	_, err := b.verify(ctx)
	return err
}

// verify runs `paygraph verify` where that is asked for, and says how long it took.
func (b *bench) verify(ctx context.Context) (took time.Duration, err error) {
	if !b.Verify {
		b.progress("paygraph verify was left out")
		return 0, nil
	}
	b.progress("running paygraph verify")
	begin := time.Now()
	if err := b.gateway.verify(ctx); err != nil {
		return 0, err
	}
	took = time.Since(begin)
	b.progress("paygraph verify passed in %v", took.Round(time.Millisecond))
	return took, nil
}

// count compares the payments that were answered SUCCEEDED with those in the database. A payment without a clear answer may be
// there or not.
func (b *bench) count(ctx context.Context) error {
	payments, transactions, err := b.database.stored(ctx)
	if err != nil {
		return err
	}
	answered, unclear := b.succeeded.Load(), b.unclear.Load()
	if payments < answered || payments > answered+unclear {
		return fmt.Errorf("%d payments were answered SUCCEEDED (and %d without a clear answer), the database holds %d", answered,
			unclear, payments)
	}
	if transactions != payments {
		return fmt.Errorf("the database holds %d succeeded payments and %d transactions of payments", payments, transactions)
	}
	b.progress("the database holds %d succeeded payments; %d were answered SUCCEEDED, %d without a clear answer", payments, answered,
		unclear)
	return nil
}

// close ends everything, and removes the folder.
func (b *bench) close() error {
	b.ask(nil)
	var errs []error
	if b.gateway != nil {
		errs = append(errs, b.gateway.stop())
	}
	if b.database != nil {
		errs = append(errs, b.database.close())
	}
	if b.cluster != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
		defer cancel()
		errs = append(errs, b.cluster.Stop(ctx))
	}
	if b.Keep {
		b.progress("left behind: %s", b.dir)
	} else if b.dir != "" {
		errs = append(errs, os.RemoveAll(b.dir))
	}
	return errors.Join(errs...)
}

// progress tells on standard error what is going on.
func (b *bench) progress(format string, args ...any) {
	at := time.Since(b.started).Round(time.Second)
	_, _ = fmt.Fprintf(b.stderr, "bench %5v  %s\n", at, fmt.Sprintf(format, args...))
}
