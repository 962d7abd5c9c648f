package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The names of figures, as in the JSON.
const (
	nameUniform = "uniform"
	nameHot     = "hot"
	nameMany    = "manyMerchants"
	nameOpen    = "openLoop"
	nameSingle  = "single"
	nameAccount = "account20"
	namePage    = "accounts50x5"

	namePgbench = "pgbench"

	openClients = 512 // connections of the open loop: more than it ever needs at once
)

// key names a figure.
type key struct {
	name    string
	clients int
}

// step is one thing to measure beside pgbench.
type step struct {
	key
	load func(ctx context.Context) (load, error)
}

// measure does all runs.
func (b *bench) measure(ctx context.Context) (*results, error) {
	all := &results{options: b.options, database: b.database, figures: map[key][]figure{}}
	if err := b.heat(ctx); err != nil {
		return nil, err
	}
	for run := range b.Runs {
		b.progress("run %d of %d", run+1, b.Runs)
		if err := b.besideMany(ctx, all); err != nil {
			return nil, err
		}
		if b.wants(nameSingle) {
			if err := b.besideOne(ctx, all); err != nil {
				return nil, err
			}
		}
		if b.wants(nameSubscriptions) {
			if err := b.subscriptions(ctx, all); err != nil {
				return nil, fmt.Errorf("%s: %w", nameSubscriptions, err)
			}
		}
		if b.wants(nameDisturbances) {
			if err := b.disturbances(ctx, all); err != nil {
				return nil, fmt.Errorf("%s: %w", nameDisturbances, err)
			}
		}
		if b.wants(nameTimers) {
			if err := b.timers(ctx, all); err != nil {
				return nil, fmt.Errorf("%s: %w", nameTimers, err)
			}
		}
		if b.wants(nameGrowth) {
			if err := b.growth(ctx, all); err != nil {
				return nil, fmt.Errorf("%s: %w", nameGrowth, err)
			}
		}
	}
	return all, nil
}

// heat runs pgbench and payments for a while, so that caches are filled before anything is measured.
func (b *bench) heat(ctx context.Context) error {
	b.progress("warming up")
	if _, err := b.pgbench.many(ctx, b.warmUp()); err != nil {
		return err
	}
	t, err := b.drive(ctx, load{traffic: uniform(b.one), clients: b.Clients[0], length: b.warmUp()})
	if err == nil && t.good == 0 {
		err = fmt.Errorf("no payment succeeds: %s", reasons(t.failures))
	}
	return err
}

// besideMany measures everything that is compared with pgbench's many clients, with a round of pgbench before, between and after.
func (b *bench) besideMany(ctx context.Context, all *results) error {
	steps := b.steps(all)
	if len(steps) == 0 {
		return nil
	}
	before, err := b.besides(ctx, all, namePgbench, b.pgbench.many)
	if err != nil {
		return err
	}
	yardsticks := []float64{before.tps}
	for _, s := range steps {
		f, err := b.round(ctx, all, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.key, err)
		}
		after, err := b.besides(ctx, all, namePgbench, b.pgbench.many)
		if err != nil {
			return err
		}
		f.Ratio = quotient(f.PerSecond, (before.tps+after.tps)/2)
		b.progress("%s: %.2f × pgbench", s.key, f.Ratio)
		if s.name == nameHot {
			if rates := all.figures[key{nameUniform, s.clients}]; len(rates) > 0 {
				f.OfUniform = quotient(f.PerSecond, rates[len(rates)-1].PerSecond)
			}
		}
		if s.name == nameOpen {
			if err := b.besideOpen(ctx, all, &f, after.tps/2); err != nil {
				return err
			}
		}
		all.figures[s.key] = append(all.figures[s.key], f)
		yardsticks = append(yardsticks, after.tps)
		before = after
	}
	all.tps = append(all.tps, mean(yardsticks))
	return nil
}

// besideOpen runs pgbench in open loop too, at half of its own rate: what the machine itself does to latencies.
func (b *bench) besideOpen(ctx context.Context, all *results, f *figure, perSecond float64) error {
	open := func(ctx context.Context, length time.Duration) (yardstick, error) {
		return b.pgbench.open(ctx, b.openLead(), length, perSecond)
	}
	y, err := b.besides(ctx, all, namePgbench+", at half of its rate", open)
	if err != nil {
		return err
	}
	if y.p99Ms == 0 {
		all.doubts = append(all.doubts, nameOpen+": in a round of pgbench no transaction came to an end after the lead")
	}
	f.PgbenchP99Ms, f.P99Ratio = y.p99Ms, quotient(f.P99Ms, y.p99Ms)
	b.progress("%s: p99 %.2f times that of pgbench in open loop, %.1f ms", nameOpen, f.P99Ratio, f.PgbenchP99Ms)
	return nil
}

// besideOne measures one client beside pgbench with one client.
func (b *bench) besideOne(ctx context.Context, all *results) error {
	before, err := b.besides(ctx, all, namePgbench, b.pgbench.one)
	if err != nil {
		return err
	}
	s := b.payments(nameSingle, 1, uniform(b.one))
	f, err := b.round(ctx, all, s)
	if err != nil {
		return fmt.Errorf("%s: %w", s.key, err)
	}
	after, err := b.besides(ctx, all, namePgbench, b.pgbench.one)
	if err != nil {
		return err
	}
	f.Ratio = quotient(f.PerSecond, (before.tps+after.tps)/2)
	if before.p50Ms == 0 || after.p50Ms == 0 {
		all.doubts = append(all.doubts, nameSingle+": in a round of pgbench no transaction came to an end")
	}
	f.PgbenchP50Ms = (before.p50Ms + after.p50Ms) / 2
	f.P50Ratio = quotient(f.P50Ms, f.PgbenchP50Ms)
	all.figures[s.key] = append(all.figures[s.key], f)
	if len(all.tps) < len(all.figures[s.key]) { // nothing was compared with many
		all.tps = append(all.tps, mean([]float64{before.tps, after.tps}))
	}
	return nil
}

// steps lists what is compared with pgbench's many clients, in the order of measuring: hot right after the uniform that it is
// compared with, reads last, when accounts have a history.
func (b *bench) steps(all *results) []step {
	var steps []step
	first := b.Clients[0]
	if b.wants(nameUniform) {
		steps = append(steps, b.payments(nameUniform, first, uniform(b.one)))
	}
	if b.wants(nameHot) {
		steps = append(steps, b.payments(nameHot, first, hot(b.one)))
	}
	if b.wants(nameUniform) {
		for _, clients := range b.Clients[1:] {
			steps = append(steps, b.payments(nameUniform, clients, uniform(b.one)))
		}
	}
	if b.wants(nameMany) {
		steps = append(steps, b.payments(nameMany, first, manyMerchants(b.many)))
	}
	if b.wants(nameOpen) {
		steps = append(steps, step{key{nameOpen, openClients}, func(ctx context.Context) (load, error) {
			fastest, err := b.fastest(ctx, all)
			return load{traffic: uniform(b.one), clients: openClients, rate: fastest / 2, lead: b.openLead()}, err
		}})
	}
	if b.wants("reads") {
		steps = append(steps, b.reads(nameAccount, b.account20), b.reads(namePage, b.accounts50x5))
	}
	return steps
}

func (b *bench) payments(name string, clients int, t traffic) step {
	return step{key{name, clients}, func(context.Context) (load, error) { return load{traffic: t, clients: clients}, nil }}
}

func (b *bench) reads(name string, make func(*tenant) (traffic, error)) step {
	return step{key{name, b.Readers}, func(context.Context) (load, error) {
		t, err := make(b.one)
		return load{traffic: t, clients: b.Readers, lead: b.length() / 2}, err
	}}
}

// fastest is the highest rate of payments that this run has reached, or else one that is found out now.
func (b *bench) fastest(ctx context.Context, all *results) (perSecond float64, err error) {
	for k, figures := range all.figures {
		if k.name == nameUniform {
			perSecond = max(perSecond, figures[len(figures)-1].PerSecond)
		}
	}
	if perSecond > 0 {
		return perSecond, nil
	}
	t, err := b.drive(ctx, load{traffic: uniform(b.one), clients: slices.Max(b.Clients), length: b.warmUp()})
	if err != nil {
		return 0, err
	}
	return t.perSecond, nil
}

// besides runs a round of pgbench, under a name for the report.
func (b *bench) besides(ctx context.Context, all *results, name string,
	run func(context.Context, time.Duration) (yardstick, error),
) (yardstick, error) {
	if err := b.database.checkpoint(ctx); err != nil {
		return yardstick{}, err
	}
	before := b.usage()
	y, err := run(ctx, b.length())
	if err != nil {
		return y, err
	}
	use := b.usage().since(before)
	use.client += y.use.client // ours is only waiting
	all.note(name, use)
	b.progress("%s: %.0f transactions a second", name, y.tps)
	b.warn(use)
	return y, nil
}

// round measures one step.
func (b *bench) round(ctx context.Context, all *results, s step) (figure, error) {
	if err := b.prepare(ctx); err != nil {
		return figure{}, err
	}
	l, err := s.load(ctx)
	if err != nil {
		return figure{}, err
	}
	l.lead, l.length = max(l.lead, b.lead()), b.length()
	t, err := b.drive(ctx, l)
	if err != nil {
		return figure{}, err
	}
	all.note(s.String(), t.use)
	b.progress("%s: %.0f a second, p50 %.2f ms, p99 %.2f ms", s.key, t.perSecond, t.millis(50), t.millis(99))
	if l.rate > 0 {
		b.progress("  %s", t.worstSeconds())
	}
	b.warn(t.use)
	if t.failed > 0 {
		all.failures = append(all.failures, fmt.Sprintf("%s: %d failed: %s", s.key, t.failed, reasons(t.failures)))
		b.progress("%s", all.failures[len(all.failures)-1])
	}
	f := figure{PerSecond: t.perSecond, P50Ms: t.millis(50), P99Ms: t.millis(99), Offered: l.rate, Failed: float64(t.failed)}
	f.spend(t.use)
	return f, nil
}

// prepare is done before a round: its tokens are good to its end, and what the rounds before have left to vacuum, to analyse and to write out
// is done.
func (b *bench) prepare(ctx context.Context) error {
	if err := b.refresh(ctx, b.tenants()); err != nil {
		return err
	}
	if err := b.database.settle(ctx); err != nil {
		return err
	}
	return b.database.checkpoint(ctx)
}

// warn says that the round which has just ended was disturbed.
func (b *bench) warn(u usage) {
	if line := u.busy(); line != "" {
		b.progress("  MACHINE BUSY: %s", line)
	}
}

// reasons lists why requests failed, the most frequent first.
func reasons(failures map[string]int64) string {
	var all []string
	for reason := range failures {
		all = append(all, reason)
	}
	slices.SortFunc(all, func(a, b string) int { return int(failures[b] - failures[a]) })
	for i, reason := range all {
		all[i] = fmt.Sprintf("%d × %s", failures[reason], reason)
	}
	return strings.Join(all, "; ")
}

func (k key) String() string {
	switch k.clients {
	case 1:
		return k.name
	case openClients:
		return k.name + ", at half of the highest rate"
	default:
		return fmt.Sprintf("%s, %d clients", k.name, k.clients)
	}
}
