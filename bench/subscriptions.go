package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	nameSubscriptions = "subscriptions"
	nameOwn           = "a payment each"
	nameAccountOfAll  = "one account"
	nameMemory        = "a subscriber's memory"
	nameIdle          = "idle subscribers"

	confirmShare = 16 // connections that confirm payments: one for so many subscribers, and none so rarely used that the gateway ends it
	accountRate  = 4  // payments a second to the account that all listen to
	accountPaid  = 8  // connections that make them
	churnShare   = 5  // the load before memory is read, and the pause after it, are this part of a round
	paidEachTime = 2  // a subscriber's next payment is confirmed after so many seconds
)

// subscriptions measures what reaches subscribers over WebSockets, and what they cost.
func (b *bench) subscriptions(ctx context.Context, all *results) error {
	var f streamFigures
	for _, part := range []struct {
		name    string
		measure func() error
	}{
		{nameOwn, func() (err error) { f.OwnPayments, err = b.ownPayments(ctx, all); return err }},
		{nameAccountOfAll, func() (err error) { f.OneAccount, err = b.oneAccount(ctx, all); return err }},
		{nameMemory, func() (err error) { f.MemoryKiB, err = b.memory(ctx); return err }},
		{nameIdle, func() (err error) { f.IdleRatio, err = b.idle(ctx, all); return err }},
	} {
		if !b.measures(part.name) {
			continue
		}
		if err := part.measure(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	all.streams = append(all.streams, f)
	return nil
}

// ownPayments has each subscriber follow a payment of its own, and then the next.
func (b *bench) ownPayments(ctx context.Context, all *results) (f streamFigure, err error) {
	if err := b.prepare(ctx); err != nil {
		return f, err
	}
	b.progress("%s: %d subscribers", nameOwn, b.Payers)
	f, _, err = b.followed(ctx, all, nameOwn, b.one, b.Payers, b.length(), func(context.Context) error { return nil })
	return f, err
}

// followed has n subscribers of a merchant follow payments of their own, which are confirmed in an open loop, while something else goes on.
func (b *bench) followed(ctx context.Context, all *results, name string, t *tenant, n int, length time.Duration,
	meanwhile func(context.Context) error,
) (f streamFigure, arrivals *tally, err error) {
	p := newPayers(t, n)
	a, err := gather(ctx, b.gateway.address, t.token, n, p.follow)
	if err != nil {
		return f, nil, err
	}
	defer a.close()
	if err := a.gathered(ctx, n); err != nil {
		return f, nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, b.lead()+length+arrivalTime, errSubscribersStall)
	defer cancel()
	c, err := p.confirmations(ctx, b.gateway.address)
	if err != nil {
		return f, nil, err
	}
	var group errgroup.Group
	group.Go(func() error { return meanwhile(ctx) })
	confirmed, err := b.heard(ctx, a, load{
		traffic: c, clients: 1 + n/confirmShare, rate: float64(n) / paidEachTime, lead: b.lead(), length: length,
	})
	if err := cmp.Or(err, group.Wait()); err != nil {
		return f, nil, err
	}
	a.await(ctx, &a.ended, confirmed.good, arrivalTime)
	return b.conclude(all, name, a, confirmed, confirmed.good), a.arrivals, context.Cause(ctx)
}

// oneAccount has all listen to one account, and makes the same payments without them before: what they cost is the difference.
func (b *bench) oneAccount(ctx context.Context, all *results) (f streamFigure, err error) {
	if err := b.prepare(ctx); err != nil {
		return f, err
	}
	b.progress("%s: payments without subscribers", nameAccountOfAll)
	l := load{traffic: toFirst(b.one), clients: accountPaid, rate: accountRate, lead: b.lead(), length: b.length()}
	alone, err := b.drive(ctx, l)
	if err != nil {
		return f, err
	}
	b.progress("%s: %d subscribers", nameAccountOfAll, b.Listeners)
	a, err := gather(ctx, b.gateway.address, b.one.token, b.Listeners, followAccount(b.one.accounts[0]))
	if err != nil {
		return f, err
	}
	defer a.close()
	if err := a.gathered(ctx, b.Listeners); err != nil {
		return f, err
	}
	t, err := b.heard(ctx, a, l)
	if err != nil {
		return f, err
	}
	due := t.good * int64(b.Listeners)
	a.await(ctx, &a.delivered, due, arrivalTime)
	f = b.conclude(all, nameAccountOfAll, a, t, due)
	f.CPUMicros = quotient(1e6*(t.use.gateway-alone.use.gateway), float64(a.arrivals.latency.TotalCount()))
	b.progress("%s: %.1f µs of the gateway's CPU a delivery, and %.1f of the subscribers' own", nameAccountOfAll, f.CPUMicros,
		quotient(1e6*t.use.client, float64(a.arrivals.latency.TotalCount())))
	a.close()
	f.BareMicros, err = b.bareWrites(ctx, b.Listeners)
	return f, cmp.Or(err, context.Cause(ctx))
}

// toFirst is payments to a merchant's first account, from all others.
func toFirst(t *tenant) traffic {
	return payments{func(r *rand.Rand) (*tenant, int, int) { return t, 1 + r.IntN(len(t.accounts)-1), 0 }}
}

// heard drives a load while an audience listens.
func (b *bench) heard(ctx context.Context, a *audience, l load) (*tally, error) {
	a.measure(l.lead, l.length)
	t, err := b.drive(ctx, l)
	if err != nil && t != nil {
		err = fmt.Errorf("%w: %d sent, %d delivered; %s; %s", err, t.good+t.failed, a.delivered.Load(), reasons(t.failures), reasons(a.faults()))
	}
	return t, err
}

// conclude counts what has come against what was due.
func (b *bench) conclude(all *results, name string, a *audience, t *tally, due int64) streamFigure {
	f := streamFigure{
		Subscribers: float64(len(a.sockets)), PerSecond: t.perSecond, Delivered: float64(a.delivered.Load()), Due: float64(due),
		P50Ms: a.arrivals.millis(50), P99Ms: a.arrivals.millis(99),
	}
	all.note(fmt.Sprintf("%s, %d subscribers", name, len(a.sockets)), t.use)
	b.progress("%s: %.0f payments a second, %d of %d delivered, p50 %.2f ms, p99 %.2f ms", name, t.perSecond, a.delivered.Load(), due, f.P50Ms,
		f.P99Ms)
	b.warn(t.use)
	faults := a.faults()
	for reason, n := range t.failures {
		faults[reason] = n
	}
	for _, n := range faults {
		f.Faults += float64(n)
	}
	if len(faults) > 0 || f.Delivered != f.Due {
		all.failures = append(all.failures, fmt.Sprintf("%s: %d of %d delivered; %s", name, a.delivered.Load(), due, reasons(faults)))
		b.progress("%s", all.failures[len(all.failures)-1])
	}
	return f
}

// alwaysCollect has Go's runtime collect as soon as a tenth has been allocated, and so return to the kernel what is not needed.
const alwaysCollect = "GOGC=10"

// memory is what a subscriber adds to a gateway's resident memory after a collection, in KiB. The gateway is a second one that has done nothing
// else, since one that has grown before would hide what subscribers need. From outside nobody can have it collect; but its runtime can be told
// to do so all the time, and a load of payments gives it reason to, without subscribers and with them.
func (b *bench) memory(ctx context.Context) (kib float64, err error) {
	if err := b.prepare(ctx); err != nil {
		return 0, err
	}
	b.progress("memory of %d subscribers, on a second gateway", b.Listeners)
	g, t, err := b.another(ctx, "second", alwaysCollect)
	if err != nil {
		return 0, err
	}
	defer g.Kill()
	before, err := b.churned(ctx, g, t)
	if err != nil {
		return 0, err
	}
	a, err := gather(ctx, g.address, t.token, b.Listeners, followAccount(b.one.accounts[0]))
	if err != nil {
		return 0, err
	}
	defer a.close()
	if err := a.gathered(ctx, b.Listeners); err != nil {
		return 0, err
	}
	after, err := b.churned(ctx, g, t)
	kib = (after - before) / float64(b.Listeners)
	b.progress("memory: %.0f MiB, with subscribers %.0f MiB: %.1f KiB each", before/1024, after/1024, kib)
	return kib, err
}

// another starts one more gateway on the database, with something in its environment besides, and gets the merchant a token of it.
func (b *bench) another(ctx context.Context, name string, more ...string) (*gateway, *tenant, error) {
	g, err := b.startAnother(ctx, b.dsn, name, more...)
	if err != nil {
		return nil, nil, err
	}
	t, err := b.one.at(g.address)
	if err != nil {
		g.Kill()
	}
	return g, t, err
}

// startAnother starts the same program on a database, in a folder of that name.
func (b *bench) startAnother(ctx context.Context, dsn, name string, more ...string) (*gateway, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	g, err := startGateway(ctx, b.gateway.program, dsn, dir, more...)
	b.second = g
	return g, err
}

// at is the merchant with a token of another gateway, which takes none of the first one's: they name another address.
func (t *tenant) at(address string) (*tenant, error) {
	c, err := dial(address)
	if err != nil {
		return nil, err
	}
	defer c.close()
	other := *t
	if err := other.authorize(c); err != nil {
		return nil, err
	}
	other.payment, err = paymentTemplate(address, &other)
	return &other, err
}

// churned is a gateway's resident memory in KiB after a load of payments and a pause.
func (b *bench) churned(ctx context.Context, g *gateway, t *tenant) (kib float64, err error) {
	others := t.but(1) // the one that all listen to
	l := load{traffic: uniform(others), address: g.address, clients: b.Clients[0], length: b.length() / churnShare}
	if _, err := b.drive(ctx, l); err != nil {
		return 0, err
	}
	sleepUntil(ctx, time.Now().Add(b.length()/churnShare)) // until what it collected has gone back to the kernel
	return residentMemory(g.Process.Pid), nil
}

// idle is payments a second with idle subscribers, against those without, in turns so that a machine that becomes slower falls on both.
func (b *bench) idle(ctx context.Context, all *results) (ratio float64, err error) {
	if err := b.prepare(ctx); err != nil {
		return 0, err
	}
	l := load{traffic: uniform(b.one), clients: b.Clients[0], lead: b.lead(), length: b.length()}
	if _, err := b.drive(ctx, l); err != nil { // after what prepare does it is slower
		return 0, err
	}
	var sums [2]float64
	for i := range 2 * b.IdlePairs {
		with := (i + 1) / 2 % 2 // without, with, with, without
		perSecond, err := b.besideIdle(ctx, all, with*b.Payers, l)
		if err != nil {
			return 0, err
		}
		sums[with] += perSecond
	}
	ratio = quotient(sums[1], sums[0])
	b.progress("%d idle subscribers: %.3f × payments without", b.Payers, ratio)
	return ratio, nil
}

func (b *bench) besideIdle(ctx context.Context, all *results, n int, l load) (perSecond float64, err error) {
	a, err := gather(ctx, b.gateway.address, b.one.token, n, newPayers(b.one, n).follow)
	if err != nil {
		return 0, err
	}
	defer a.close()
	if err := a.gathered(ctx, n); err != nil {
		return 0, err
	}
	perSecond, err = b.paid(ctx, all, fmt.Sprintf("with %d idle subscribers", n), l)
	b.blame(all, nameIdle, a.faults())
	return perSecond, err
}

// paid is payments a second, beside something.
func (b *bench) paid(ctx context.Context, all *results, beside string, l load) (perSecond float64, err error) {
	if err := b.database.checkpoint(ctx); err != nil {
		return 0, err
	}
	t, err := b.answered(ctx, all, "payments "+beside, l)
	if err != nil {
		return 0, err
	}
	return t.perSecond, nil
}

// answered drives a load, and tells of it.
func (b *bench) answered(ctx context.Context, all *results, name string, l load) (*tally, error) {
	t, err := b.drive(ctx, l)
	if err != nil {
		return nil, err
	}
	all.note(name, t.use)
	b.progress("%s: %.0f a second; of the cores the gateway had %.2f, PostgreSQL %.2f, the clients %.2f", name, t.perSecond,
		t.use.cores(t.use.gateway), t.use.cores(t.use.postgres), t.use.cores(t.use.client))
	b.warn(t.use)
	b.blame(all, name, t.failures)
	return t, nil
}

// blame notes what must not have happened.
func (b *bench) blame(all *results, name string, faults map[string]int64) {
	if len(faults) > 0 {
		all.blaming.Lock()
		defer all.blaming.Unlock()
		all.failures = append(all.failures, name+": "+reasons(faults))
		b.progress("%s", all.failures[len(all.failures)-1])
	}
}

var rss = regexp.MustCompile(`(?m)^Rss: +(\d+) kB$`)

// residentMemory is a process's in KiB, 0 where the kernel does not tell. /proc/PID/status would be late by what each thread has counted.
func residentMemory(pid int) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	found := rss.FindSubmatch(text)
	if found == nil {
		return 0
	}
	n, _ := strconv.ParseFloat(string(found[1]), 64)
	return n
}
