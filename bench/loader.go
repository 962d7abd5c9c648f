package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store"
)

const (
	loaders      = 512 // callers for each merchant: two full batches
	loadTold     = 15 * time.Second
	loadPause    = time.Second
	loadPatience = time.Minute // with an outcome that is not known
	bytesLoaded  = 4 << 10     // of disk that a payment takes, with its share of the write-ahead log: with room to spare
)

// millions makes payments by the gateway's own services, without HTTP in between, and without waiting for the disk at each commit. They are payments
// like all others, in rows, events and records.
type millions struct {
	tenants []*tenant
	count   int
	confirm bool
}

// load makes them, and returns how many a second there were.
func (b *bench) load(ctx context.Context, m millions) (perSecond float64, err error) {
	if free := freeBytes(b.dir); free < bytesLoaded*int64(m.count) {
		return 0, fmt.Errorf("%d payments need %d GiB of disk, and %s has %d: --dir names another place", m.count, bytesLoaded*int64(m.count)>>30, b.dir,
			free>>30)
	}
	s, err := store.Open(ctx, store.Config{DSN: b.dsn + "&synchronous_commit=off", Refusals: payment.Refusals})
	if err != nil {
		return 0, err
	}
	defer func() { _ = s.Close() }()
	payments := &payment.Service{Committer: store.Committer[payment.Batch](s), Reader: s}
	var next, made atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	begin := time.Now()
	for i := range loaders * len(m.tenants) {
		group.Go(func() error {
			t, random, key := m.tenants[i%len(m.tenants)], newRandom(), make([]byte, keyLength)
			p := auth.Principal{Kind: auth.Backend, Merchant: t.id, Subject: t.clientID, Scopes: auth.AllScopes}
			for next.Add(1) <= int64(m.count) && ctx.Err() == nil {
				freshKey(random, key)
				from, to := two(random, len(t.accounts))
				source, destination := ledger.AccountID(t.accounts[from]), ledger.AccountID(t.accounts[to])
				in := payment.CreateInput{
					IdempotencyKey: string(key), Amount: money.Input{Amount: paidAmount, Currency: currency},
					Source: &payment.Source{AccountID: &source}, DestinationAccountID: &destination, Confirm: m.confirm,
				}
				_, err := payments.Create(ctx, p, in)
				for first := time.Now(); mayAskAgain(err) && ctx.Err() == nil && time.Since(first) < loadPatience; { // the machine may stand still
					time.Sleep(loadPause)
					_, err = payments.Create(ctx, p, in)
				}
				if err != nil {
					return err
				}
				made.Add(1)
			}
			return context.Cause(ctx)
		})
	}
	stop := b.tell(loadTold, func() {
		n, took := made.Load(), time.Since(begin)
		b.progress("%d of %d payments made, %.0f a second", n, m.count, float64(n)/took.Seconds())
	})
	err = group.Wait()
	stop()
	took := time.Since(begin)
	if m.confirm {
		b.succeeded.Add(made.Load())
	}
	b.progress("%d payments made in %v, %.0f a second", made.Load(), took.Round(time.Second), float64(made.Load())/took.Seconds())
	return float64(made.Load()) / took.Seconds(), err
}

// mayAskAgain says whether the same command with the same key is to be given again.
func mayAskAgain(err error) bool {
	return errors.Is(err, command.ErrOutcomeUnknown) || errors.Is(err, command.ErrUnavailable)
}

// tell has something told again and again, until it is stopped.
func (b *bench) tell(every time.Duration, what func()) (stop func()) {
	ticker, done := time.NewTicker(every), make(chan struct{})
	go func() {
		for {
			select {
			case <-ticker.C:
				what()
			case <-done:
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(done)
	}
}

// beside opens another bench, with a gateway and a merchant of its own on another database of the same server. prepare is told the database before
// the gateway starts.
func (b *bench) beside(ctx context.Context, name string, merchants int, prepare func(*database) error) (other *bench, err error) {
	dsn, err := b.database.created(ctx, b.dsn, name)
	if err != nil {
		return nil, err
	}
	if err := store.Migrate(ctx, dsn, slog.Default()); err != nil {
		return nil, err
	}
	other = &bench{
		options: b.options, stderr: b.stderr, started: b.started, dir: b.dir, cluster: b.cluster, dsn: dsn, pgbench: b.pgbench, alive: b.alive, ask: b.ask,
	}
	defer func() {
		if err != nil {
			other.leave()
		}
	}()
	if other.database, err = openDatabase(ctx, dsn); err != nil {
		return nil, err
	}
	if err := prepare(other.database); err != nil {
		return nil, err
	}
	if other.gateway, err = b.startAnother(ctx, dsn, name); err != nil {
		return nil, err
	}
	b.progress("%s: making %d merchants with %d funded accounts each", name, merchants, b.Accounts)
	made, err := other.newTenants(ctx, name, merchants, b.Accounts)
	if err != nil {
		return nil, err
	}
	other.one, other.many = made[0], made[1:]
	return other, nil
}

// leave ends what beside has begun. The database goes with the cluster.
func (b *bench) leave() {
	if b.gateway != nil {
		b.gateway.Kill()
	}
	if b.database != nil {
		_ = b.database.close()
	}
}
