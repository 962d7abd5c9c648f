package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store/dbclock"
)

const (
	nameTimers = "timers"

	timerMerchants = 2   // whose timers are due, and another
	timerClients   = 256 // connections to either merchant, in open loop
	timerShare     = 4   // at this part of the highest rate for either: together they are half of it
	roundsAlone    = 3   // before; a minute of them sees what the kernel does every half
	expiredWithin  = time.Hour
)

// timersFigures are clients' payments while very many timers of one merchant are due at once.
type timersFigures struct {
	Timers       float64 `json:"timers"`
	ServedSecond float64 `json:"servedPerSecond"`
	PerSecond    float64 `json:"paymentsPerSecond"` // of clients, meanwhile
	AloneP99Ms   float64 `json:"aloneP99Ms"`        // of that merchant's payments, before
	P99Ms        float64 `json:"p99Ms"`
	OtherAlone   float64 `json:"otherAloneP99Ms"` // of another merchant's
	Other        float64 `json:"otherP99Ms"`
}

func (f *timersFigures) values() []*float64 {
	return []*float64{&f.Timers, &f.ServedSecond, &f.PerSecond, &f.AloneP99Ms, &f.P99Ms, &f.OtherAlone, &f.Other}
}

var timersTargets = []groupTarget[timersFigures]{
	{"clients of that merchant", target{what: "ms later at p99", limit: 100, most: true, zero: true}, func(f *timersFigures) float64 {
		return f.P99Ms - f.AloneP99Ms
	}},
	{"clients of another merchant", target{what: "ms later at p99", limit: 100, most: true, zero: true}, func(f *timersFigures) float64 {
		return f.Other - f.OtherAlone
	}},
}

// timers has payments that nobody confirms expire all at once, by a clock of the database that jumps, beside payments of the same merchant and of
// another, until the last has expired.
func (b *bench) timers(ctx context.Context, all *results) error {
	t, err := b.beside(ctx, nameTimers, timerMerchants, func(d *database) error { return dbclock.Install(ctx, d.db) })
	if err != nil {
		return err
	}
	defer t.leave()
	b.progress("%s: making %d payments that nobody will confirm", nameTimers, b.Timers)
	if _, err := t.load(ctx, millions{tenants: []*tenant{t.one}, count: b.Timers}); err != nil {
		return err
	}
	if err := t.prepare(ctx); err != nil {
		return err
	}
	fastest, err := t.fastest(ctx, &results{})
	if err != nil {
		return err
	}
	f := timersFigures{Timers: float64(b.Timers)}
	alone, err := t.watch(ctx, all, "without timers", fastest/timerShare, func(rounds int) (bool, error) { return rounds == roundsAlone, nil })
	if err != nil {
		return err
	}
	f.AloneP99Ms, f.OtherAlone = alone.p99(0), alone.p99(1)
	b.progress("%s: all are due now", nameTimers)
	if err := dbclock.Set(ctx, t.database.db, payment.UnconfirmedLifetime+time.Minute); err != nil {
		return err
	}
	begin := time.Now()
	now, err := t.watch(ctx, all, "beside timers", fastest/timerShare, func(int) (bool, error) {
		left, err := t.database.rows(ctx, "timer")
		if err != nil {
			return false, err
		}
		served, took := float64(b.Timers)-left, time.Since(begin)
		f.ServedSecond = served / took.Seconds()
		b.progress("%s: %.0f of %d have been served, %.0f a second", nameTimers, served, b.Timers, f.ServedSecond)
		if left > 0 && took > expiredWithin {
			return false, fmt.Errorf("%.0f timers are not served after %v", left, expiredWithin)
		}
		return left == 0, nil
	})
	if err != nil {
		return err
	}
	f.P99Ms, f.Other, f.PerSecond = now.p99(0), now.p99(1), now.perSecond
	all.timers = append(all.timers, f)
	return t.count(ctx)
}

// watched are the payments of some rounds.
type watched struct {
	latency   [timerMerchants]*tally
	perSecond float64 // of both merchants' clients
}

// p99 is in milliseconds, of a merchant's clients.
func (w watched) p99(merchant int) float64 { return w.latency[merchant].millis(99) }

// watch has clients of either merchant pay at a rate that is given, a round after the other until it is over.
func (b *bench) watch(ctx context.Context, all *results, name string, rate float64, over func(rounds int) (bool, error)) (watched, error) {
	w := watched{latency: [timerMerchants]*tally{newTally(), newTally()}}
	for rounds := 1; ; rounds++ {
		now, err := b.bothMerchants(ctx, all, name, rate)
		if err != nil {
			return w, err
		}
		w.perSecond += (now[0].perSecond + now[1].perSecond - w.perSecond) / float64(rounds)
		for i := range w.latency {
			w.latency[i].latency.Merge(now[i].latency)
		}
		if over, err := over(rounds); over || err != nil {
			return w, err
		}
		if err := b.refresh(ctx, b.tenants()); err != nil {
			return w, err
		}
	}
}

// bothMerchants has clients of either merchant pay for a round.
func (b *bench) bothMerchants(ctx context.Context, all *results, name string, rate float64) (tallies [timerMerchants]*tally, err error) {
	var group errgroup.Group
	for i, t := range b.tenants() {
		group.Go(func() (err error) {
			l := load{traffic: uniform(t), clients: timerClients, rate: rate, lead: b.lead(), length: b.length()}
			tallies[i], err = b.drive(ctx, l)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return tallies, err
	}
	for i, t := range tallies {
		whose := []string{"clients of that merchant", "clients of another"}[i]
		b.progress("%s, %s: %.0f payments a second, p50 %.2f ms, p99 %.2f ms", name, whose, t.perSecond, t.millis(50), t.millis(99))
		b.blame(all, name, t.failures)
	}
	all.note(name, tallies[0].use)
	return tallies, nil
}

func (r *results) writeTimers(b *strings.Builder) {
	if len(r.timers) == 0 {
		return
	}
	m := medians(r.timers, (*timersFigures).values)
	fmt.Fprintf(b, "\nTimers\n%.0f of one merchant due at once: %.0f served a second, beside %.0f payments a second\n", m.Timers, m.ServedSecond, m.PerSecond)
	fmt.Fprintf(b, "p99 of that merchant's clients %.1f ms, before %.1f ms; of another's %.1f ms, before %.1f ms\n", m.P99Ms, m.AloneP99Ms, m.Other,
		m.OtherAlone)
}
