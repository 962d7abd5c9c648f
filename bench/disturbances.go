package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	nameDisturbances = "disturbances"
	nameSlow         = "slow and dead clients"
	nameHalfOpen     = "half-open sockets"
	nameKnocking     = "half-open, coming again"
	nameFlood        = "a flood on one socket"
	nameStorm        = "reconnect storm"
	nameNeighbour    = "another merchant's load"
	nameLeft         = "left behind"

	neighbourRounds = 2                // with the load of another merchant, and as many without it
	neighbours      = 100              // subscribers of payments of the other merchant
	otherFiles      = 1000             // open files that are neither half-open sockets nor clients' connections, in the bench or in the gateway
	calmTime        = 12 * time.Second // after which nothing may be left of those who have gone
	stacksShown     = 3                // of goroutines that are left
)

// disturbance is what clients do that must neither slow payments nor leave anything behind.
type disturbance struct {
	name string
	of   func(*disturbedFigures) *disturbanceFigure
	// begin has clients do it to a gateway, and returns when all do. They have to be ended, also where there is an error.
	begin    func(ctx context.Context, b *bench, address string, t *tenant) (trouble, error)
	tells    time.Duration // after which it tells on the gateway, if there are payments
	settings []string      // of a gateway of its own, where it needs other ones
}

// trouble is a disturbance under way.
type trouble interface {
	end() // nothing of it runs any more, and what it tells is final; it may be called again
	did() int64
	tell(*disturbanceFigure)
	faults() map[string]int64
}

var disturbances = []disturbance{
	{
		nameSlow, func(f *disturbedFigures) *disturbanceFigure { return &f.Slow },
		func(ctx context.Context, b *bench, address string, t *tenant) (trouble, error) {
			return slow(ctx, address, t, b.Slow)
		}, slowTime, nil,
	},
	{ // the gateway waits for them for longer than is measured
		name: nameHalfOpen, of: func(f *disturbedFigures) *disturbanceFigure { return &f.HalfOpen },
		begin: func(ctx context.Context, b *bench, address string, _ *tenant) (trouble, error) {
			return halfOpen(ctx, address, b.HalfOpen, min(halfOpenTime, b.length()), upgradeRequest(address))
		}, settings: []string{"WS_INIT_TIMEOUT=1h"},
	},
	{ // the gateway closes each after ten seconds, and it comes again: hundreds of connections a second
		name: nameKnocking, of: func(f *disturbedFigures) *disturbanceFigure { return &f.Knocking },
		begin: func(ctx context.Context, b *bench, address string, _ *tenant) (trouble, error) {
			request := upgradeRequest(address)
			return halfOpen(ctx, address, b.HalfOpen, min(halfOpenTime, b.length()), "", request[:len(request)/halfUpgrade], request)
		},
	},
	{
		nameFlood, func(f *disturbedFigures) *disturbanceFigure { return &f.Flood },
		func(ctx context.Context, _ *bench, address string, t *tenant) (trouble, error) {
			return flood(ctx, address, t)
		}, 0, nil,
	},
	{
		nameStorm, func(f *disturbedFigures) *disturbanceFigure { return &f.Storm },
		func(ctx context.Context, b *bench, address string, t *tenant) (trouble, error) {
			return b.newStorm(ctx, address, t, b.Returning)
		}, 0, nil,
	},
}

// filesSuffice holds the connections of disturbances against the limit of open files, which is the same for the bench and for the gateway.
func (o options) filesSuffice(limit uint64) error {
	var open int // with what is asked for
	if o.measures(nameHalfOpen) || o.measures(nameKnocking) || o.measures(nameLeft) {
		open = o.HalfOpen
	}
	if o.measures(nameStorm) || o.measures(nameLeft) {
		open = max(open, o.Returning)
	}
	needed := open + slices.Max(o.Clients) + otherFiles
	if limit < uint64(needed) {
		return fmt.Errorf("%d open files are allowed, and %d needed for %d half-open sockets and %d subscribers: raise the limit (ulimit -n), or "+
			"take fewer (--half-open, --returning)", limit, needed, o.HalfOpen, o.Returning)
	}
	return nil
}

// disturbances measures payments beside clients that disturb them, and what those leave behind.
func (b *bench) disturbances(ctx context.Context, all *results) (err error) {
	var f disturbedFigures
	for _, d := range disturbances {
		if !b.measures(d.name) {
			continue
		}
		if err := b.disturb(ctx, all, d, d.of(&f)); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	if b.measures(nameNeighbour) {
		if f.Neighbour, err = b.besideNeighbours(ctx, all); err != nil {
			return fmt.Errorf("%s: %w", nameNeighbour, err)
		}
	}
	if b.measures(nameLeft) {
		if err := b.left(ctx, all, &f); err != nil {
			return fmt.Errorf("what clients leave behind: %w", err)
		}
	}
	all.disturbed = append(all.disturbed, f)
	return nil
}

// undisturbed is payments as they are measured beside a disturbance: they leave alone what a storm's subscribers follow.
func (b *bench) undisturbed(g *gateway, t *tenant) load {
	return load{traffic: uniform(t.but(stormAccounts)), address: g.address, clients: b.Clients[0], lead: b.lead(), length: b.length()}
}

// disturb measures payments without a disturbance, with it, without again, and so on. What comes once in a while, such as PostgreSQL's vacuum, falls on both;
// in rounds with it that follow each other it fell on those.
func (b *bench) disturb(ctx context.Context, all *results, d disturbance, f *disturbanceFigure) error {
	if err := b.prepare(ctx); err != nil {
		return err
	}
	g, t := b.gateway, b.one
	if d.settings != nil {
		var err error
		if g, t, err = b.another(ctx, "patient", d.settings...); err != nil {
			return err
		}
		defer g.Kill()
	}
	if _, err := b.drive(ctx, b.undisturbed(g, t)); err != nil { // after what prepare does, and on a gateway that is new, it is slower
		return err
	}
	before, err := b.paid(ctx, all, "without "+d.name, b.undisturbed(g, t))
	if err != nil {
		return err
	}
	rounds := float64(b.Rounds)
	for range b.Rounds {
		with, err := b.disturbed(ctx, all, g, t, d, f)
		if err != nil {
			return err
		}
		after, err := b.paid(ctx, all, "without "+d.name, b.undisturbed(g, t))
		if err != nil {
			return err
		}
		f.With += with
		f.Without += (before + after) / 2
		before = after
	}
	f.With, f.Without, f.DonePerSecond = f.With/rounds, f.Without/rounds, f.DonePerSecond/rounds
	f.Ratio = quotient(f.With, f.Without)
	b.progress("%s: %.3f × payments without; %s", d.name, f.Ratio, f)
	return nil
}

// disturbed is payments a second with a disturbance, which adds to what is known of it.
func (b *bench) disturbed(ctx context.Context, all *results, g *gateway, t *tenant, d disturbance, f *disturbanceFigure) (perSecond float64, err error) {
	b.progress("%s: beginning", d.name)
	clients, err := d.begin(ctx, b, g.address, t)
	defer clients.end()
	if err != nil {
		return 0, err
	}
	begin, did := time.Now(), clients.did()
	l := b.undisturbed(g, t)
	l.lead += min(d.tells, b.length())
	if perSecond, err = b.paid(ctx, all, "with "+d.name, l); err != nil {
		return 0, err
	}
	f.DonePerSecond += float64(clients.did()-did) / time.Since(begin).Seconds()
	clients.end()
	clients.tell(f)
	b.blame(all, d.name, clients.faults())
	return perSecond, nil
}

// besideNeighbours measures how late a merchant's subscribers get their items without and with the full load of another merchant.
func (b *bench) besideNeighbours(ctx context.Context, all *results) (f neighbourFigure, err error) {
	if err := b.prepare(ctx); err != nil {
		return f, err
	}
	latency := [2]*tally{newTally(), newTally()}
	for i := range 2 * neighbourRounds {
		with := (i + 1) / 2 % 2 // without, with, with, without
		if err := b.besideNeighbour(ctx, all, with*b.Clients[0], latency[with]); err != nil {
			return f, err
		}
	}
	f = neighbourFigure{
		Subscribers: neighbours, AloneP50Ms: latency[0].millis(50), AloneP99Ms: latency[0].millis(99),
		P50Ms: latency[1].millis(50), P99Ms: latency[1].millis(99),
	}
	b.progress("%s: p99 %.2f ms, without it %.2f ms", nameNeighbour, f.P99Ms, f.AloneP99Ms)
	return f, nil
}

// besideNeighbour is one round: a merchant's subscribers follow their own payments, and a number of clients make payments of another merchant.
func (b *bench) besideNeighbour(ctx context.Context, all *results, loaders int, latency *tally) error {
	if err := b.database.checkpoint(ctx); err != nil {
		return err
	}
	length, name := b.length(), fmt.Sprintf("beside %d clients of another merchant", loaders)
	_, arrivals, err := b.followed(ctx, all, name, b.neighbour, neighbours, length, func(ctx context.Context) error {
		if loaders == 0 {
			return nil
		}
		t, err := b.drive(ctx, load{traffic: uniform(b.one), clients: loaders, lead: b.lead(), length: length})
		if err == nil {
			b.progress("%s: %.0f payments a second of that merchant", name, t.perSecond)
			b.blame(all, "payments of another merchant", t.failures)
		}
		return err
	})
	if err == nil {
		latency.latency.Merge(arrivals.latency)
	}
	return err
}

// left is what all disturbances together leave behind in a gateway, when they have ended and everything is calm: resident memory, and
// goroutines that still serve somebody. All are done twice: a gateway that has had thousands of connections keeps some memory for as many more,
// while a leak grows each time. The gateway is one of its own, as where the memory of subscribers is measured.
func (b *bench) left(ctx context.Context, all *results, f *disturbedFigures) error {
	if err := b.prepare(ctx); err != nil {
		return err
	}
	b.progress("what clients leave behind, on another gateway")
	g, t, err := b.another(ctx, "third", alwaysCollect, "GOTRACEBACK=all")
	if err != nil {
		return err
	}
	defer g.Kill()
	before, err := b.churned(ctx, g, t)
	if err != nil {
		return err
	}
	for _, more := range []*float64{&f.LeftMiB, &f.LeftAgainMiB} {
		after, err := b.endured(ctx, all, g, t)
		if err != nil {
			return err
		}
		*more = (after - before) / 1024
		b.progress("left behind: %.1f MiB more than the %.1f MiB before", *more, before/1024)
		before = after
	}
	stacks, err := g.quit()
	if err != nil {
		return err
	}
	still := serving(stacks)
	f.LeftGoroutines = float64(len(still))
	b.progress("left behind: %d of %d goroutines", len(still), len(stacks))
	for _, stack := range still[:min(len(still), stacksShown)] {
		b.progress("  %s", stack)
	}
	return nil
}

// endured is a gateway's resident memory in KiB after all disturbances, and a pause. The slow clients stay for as long as the others come and go.
func (b *bench) endured(ctx context.Context, all *results, g *gateway, t *tenant) (kib float64, err error) {
	var group errgroup.Group
	group.Go(func() error { return b.endure(ctx, all, disturbances[0], g, t) })
	for _, d := range disturbances[1:] {
		if err = b.endure(ctx, all, d, g, t); err != nil {
			err = fmt.Errorf("%s: %w", d.name, err)
			break
		}
	}
	if err := cmp.Or(err, group.Wait()); err != nil {
		return 0, err
	}
	sleepUntil(ctx, time.Now().Add(min(calmTime, b.length())))
	return b.churned(ctx, g, t)
}

// endure has a disturbance go on for a while. There are payments, since without them a slow client has nothing to be slow at.
func (b *bench) endure(ctx context.Context, all *results, d disturbance, g *gateway, t *tenant) error {
	clients, err := d.begin(ctx, b, g.address, t)
	defer clients.end()
	if err != nil {
		return err
	}
	l := b.undisturbed(g, t)
	l.lead = min(d.tells, b.length())
	made, err := b.drive(ctx, l)
	if err != nil {
		return err
	}
	clients.end()
	b.blame(all, d.name+", on another gateway", clients.faults())
	b.blame(all, "payments of another gateway with "+d.name, made.failures)
	return nil
}
