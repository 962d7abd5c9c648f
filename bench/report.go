package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// target is what a figure must reach.
type target struct {
	key
	what   string // of what the number is
	number func(*figure) float64
	limit  float64
	aim    float64 // better than the limit; 0: none
	most   bool    // the limit is the most that is allowed, not the least
	zero   bool    // nothing is as good as it gets, and no sign of a round in which nothing succeeded
}

// readClients is with how many clients reads must reach their targets: as many as pgbench has.
const readClients = 32

func ratio(f *figure) float64 { return f.Ratio }

var targets = []target{
	{key: key{nameUniform, 64}, what: "× pgbench", number: ratio, limit: 1.4, aim: 1.6},
	{key: key{nameUniform, 256}, what: "× pgbench", number: ratio, limit: 1.8, aim: 2.2},
	{key: key{nameHot, 64}, what: "× uniform", number: func(f *figure) float64 { return f.OfUniform }, limit: 0.95},
	{key: key{nameMany, 64}, what: "× pgbench", number: ratio, limit: 0.5},
	{key: key{nameOpen, openClients}, what: "ms p99", number: func(f *figure) float64 { return f.P99Ms }, limit: millis(lateAfter), most: true},
	{key: key{nameSingle, 1}, what: "× p50 of pgbench -c 1", number: func(f *figure) float64 { return f.P50Ratio }, limit: 2.5, most: true},
	{key: key{nameAccount, readClients}, what: "× pgbench", number: ratio, limit: 1.0},
	{key: key{namePage, readClients}, what: "× pgbench", number: ratio, limit: 0.13},
}

// judge says whether a number is good enough. Zero is the number of a round in which nothing succeeded.
func (t target) judge(v float64) string {
	switch {
	case v == 0 && !t.zero:
		return "MISSED (nothing succeeded)"
	case t.most && v <= t.limit:
		return fmt.Sprintf("met (at most %v)", t.limit)
	case t.most:
		return fmt.Sprintf("MISSED (at most %v)", t.limit)
	case v < t.limit:
		return fmt.Sprintf("MISSED (at least %v)", t.limit)
	case t.aim == 0:
		return fmt.Sprintf("met (at least %v)", t.limit)
	case v < t.aim:
		return fmt.Sprintf("met (at least %v), below the aim of %v", t.limit, t.aim)
	default:
		return fmt.Sprintf("met, and the aim of %v", t.aim)
	}
}

// text is the report for people.
func (r *results) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nMeasured %s on %s\n%s\n", time.Now().UTC().Format(time.DateOnly), machine(), r.database)
	for name, value := range r.options.Setting {
		fmt.Fprintf(&b, "NOT THE PRODUCT'S DEFAULTS: %s = %s\n", name, value)
	}
	tps := spanOf(r.tps)
	fmt.Fprintf(&b, "%d accounts, %d merchants, rounds of %v s; medians of %d run(s), with the least and the most, and the mean, where there are more\n",
		r.options.Accounts, r.options.Merchants, r.options.Seconds, r.options.Runs)
	fmt.Fprintf(&b, "pgbench -M prepared -c %d -j 2, scale %d: %s transactions a second\n\n", r.options.Yardstick, r.options.Scale,
		r.show(tps, "%.0f"))
	r.writeFigures(&b)
	r.writeStreams(&b)
	r.writeDisturbed(&b)
	r.writeTimers(&b)
	r.writeGrowth(&b)
	r.writeTargets(&b)
	r.writeCPU(&b)
	r.writeDoubts(&b)
	return b.String()
}

// show prints a median, how far the runs were apart, and their mean with its standard error.
func (r *results) show(s span, format string) string {
	if r.options.Runs == 1 {
		return fmt.Sprintf(format, s.median)
	}
	return fmt.Sprintf(format+" ("+format+"–"+format+"; mean "+format+" ± "+format+")", s.median, s.least, s.most, s.mean, s.error)
}

func (r *results) writeFigures(b *strings.Builder) {
	w := tabwriter.NewWriter(b, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(w, "\ta second\t× pgbench\tp50 ms\tp99 ms\tfailed")
	for _, k := range r.keys() {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.0f\n", k,
			r.show(r.span(k, func(f *figure) float64 { return f.PerSecond }), "%.0f"), r.show(r.span(k, ratio), "%.2f"),
			r.show(r.span(k, func(f *figure) float64 { return f.P50Ms }), "%.2f"),
			r.show(r.span(k, func(f *figure) float64 { return f.P99Ms }), "%.2f"), r.median(k).Failed)
	}
	_ = w.Flush()
	if open := (key{nameOpen, openClients}); len(r.figures[open]) > 0 {
		fmt.Fprintf(b, "pgbench at half of its own rate: p99 %s ms; %s is %s times that\n",
			r.show(r.span(open, func(f *figure) float64 { return f.PgbenchP99Ms }), "%.1f"), nameOpen,
			r.show(r.span(open, func(f *figure) float64 { return f.P99Ratio }), "%.2f"))
	}
}

func (r *results) writeTargets(b *strings.Builder) {
	b.WriteString("\nTargets\n")
	w := tabwriter.NewWriter(b, 0, 0, 3, ' ', 0)
	for _, t := range targets {
		if len(r.figures[t.key]) == 0 {
			_, _ = fmt.Fprintf(w, "%s\tnot measured\t\n", t.key)
			continue
		}
		s := r.span(t.key, t.number)
		_, _ = fmt.Fprintf(w, "%s\t%s %s\t%s\n", t.key, r.show(s, "%.2f"), t.what, t.judge(s.median))
	}
	writeGroup(w, r, nameSubscriptions, r.streams, streamTargets)
	writeGroup(w, r, nameDisturbances, r.disturbed, disturbedTargets)
	writeGroup(w, r, nameTimers, r.timers, timersTargets)
	writeGroup(w, r, nameGrowth, r.grown, growthTargets)
	_ = w.Flush()
}

// groupTarget is what a figure of a group of figures T must reach.
type groupTarget[T any] struct {
	name string
	target
	of func(*T) float64
}

// writeGroup tells which targets of a group were met in the runs.
func writeGroup[T any](w io.Writer, r *results, group string, runs []T, targets []groupTarget[T]) {
	for _, t := range targets {
		if len(runs) == 0 || !r.options.measures(t.name) {
			_, _ = fmt.Fprintf(w, "%s, %s\tnot measured\t\n", group, t.name)
			continue
		}
		s := spanOver(runs, t.of)
		_, _ = fmt.Fprintf(w, "%s, %s\t%s %s\t%s\n", group, t.name, r.show(s, "%.2f"), t.what, t.judge(s.median))
	}
}

// writeCPU tells where the cores went. Only the client of a pgbench round is pgbench.
func (r *results) writeCPU(b *strings.Builder) {
	if !r.cpuKnown() {
		b.WriteString("\nWhere the CPU went: not available on this system\n")
		return
	}
	b.WriteString("\nWhere the CPU went, in cores, and in µs for each good answer\n")
	w := tabwriter.NewWriter(b, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(w, "\tclient\tgateway\tPostgreSQL")
	each := func(cores, perSecond float64) string {
		if perSecond == 0 {
			return fmt.Sprintf("%.2f", cores)
		}
		return fmt.Sprintf("%.2f (%.0f µs)", cores, cores/perSecond*1e6)
	}
	for _, k := range r.keys() {
		m := r.median(k)
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", k, each(m.client, m.PerSecond), each(m.gateway, m.PerSecond), each(m.postgres, m.PerSecond))
	}
	var client, gateway, postgres []float64
	for _, round := range r.rounds {
		if u := round.use; round.name == namePgbench {
			client, gateway = append(client, u.cores(u.client)), append(gateway, u.cores(u.gateway))
			postgres = append(postgres, u.cores(u.postgres))
		}
	}
	_, _ = fmt.Fprintf(w, "pgbench\t%.2f\t%.2f\t%.2f\n", spanOf(client).median, spanOf(gateway).median, spanOf(postgres).median)
	_ = w.Flush()
}

func (r *results) cpuKnown() bool {
	for _, round := range r.rounds {
		if !round.use.known {
			return false
		}
	}
	return true
}

// writeDoubts tells what speaks against the figures.
func (r *results) writeDoubts(b *strings.Builder) {
	b.WriteString("\n")
	for _, line := range r.failures {
		b.WriteString("FAILED REQUESTS: " + line + "\n")
	}
	for _, line := range r.doubts {
		b.WriteString("IN DOUBT: " + line + "\n")
	}
	if !r.cpuKnown() {
		b.WriteString("Whether the machine was busy: not available on this system\n")
		return
	}
	var worst, waitIO float64
	for _, round := range r.rounds {
		others, stolen := round.use.foreign()
		worst, waitIO = max(worst, others+stolen), max(waitIO, round.use.cores(round.use.waitIO))
	}
	lines := r.busy()
	if len(lines) == 0 {
		fmt.Fprintf(b, "The machine was quiet: other processes and the host used at most %.1f %% of it in any round", 100*worst)
	} else {
		fmt.Fprintf(b, "THE MACHINE WAS BUSY in %d of %d rounds, the figures are in doubt:\n  %s\nAt the worst %.0f %% of it", len(lines),
			len(r.rounds), strings.Join(lines, "\n  "), 100*worst)
	}
	fmt.Fprintf(b, "; somebody waited for the disk up to %.0f %% of the time.\n", 100*waitIO)
}
