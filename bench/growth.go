package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
)

const (
	nameGrowth = "growth"

	grownMerchants = 4 // that share the many payments; what is measured is the first one's
	statusPairs    = 3 // rounds of paymentStatus on either database: a limit is set, and no ratio
	loadSeconds    = 1800
	loadPayments   = 10_000_000
)

// growthFigures are the same loads on a database with few payments and on one with many, in turns.
type growthFigures struct {
	Few        float64    `json:"few"`  // payments at the beginning
	Many       float64    `json:"many"` // payments at the beginning
	LoadedRate float64    `json:"loadedPerSecond"`
	Payments   growthPair `json:"payments"`
	Account    growthPair `json:"account20"`
	Page       growthPair `json:"accounts50x5"`
	Status     growthPair `json:"paymentStatusP99Ms"`
	Logged     growthPair `json:"walBytesAPayment"`
	Images     growthPair `json:"walPageImagesAPayment"` // pages that were written whole, since it was their first change after a checkpoint
	Hot        float64    `json:"hotUpdatesOfBalances"`  // share, on the database with many
	VerifyTook float64    `json:"verifySeconds,omitempty"`
}

// growthPair is a figure with few payments and with many.
type growthPair struct {
	Few   float64 `json:"few"`
	Many  float64 `json:"many"`
	Ratio float64 `json:"ratio"`
}

func pairOf(few, many float64) growthPair { return growthPair{few, many, quotient(many, few)} }

func (p *growthPair) values() []*float64 { return []*float64{&p.Few, &p.Many, &p.Ratio} }

func (f *growthFigures) values() []*float64 {
	all := []*float64{&f.Few, &f.Many, &f.LoadedRate, &f.Hot, &f.VerifyTook}
	for _, p := range []*growthPair{&f.Payments, &f.Account, &f.Page, &f.Status, &f.Logged, &f.Images} {
		all = append(all, p.values()...)
	}
	return all
}

var growthTargets = []groupTarget[growthFigures]{
	{"loading", target{what: "payments a second", limit: loadPayments / loadSeconds}, func(f *growthFigures) float64 { return f.LoadedRate }},
	{"payments", target{what: "× with few", limit: 0.9}, func(f *growthFigures) float64 { return f.Payments.Ratio }},
	{nameAccount, target{what: "× with few", limit: 0.9}, func(f *growthFigures) float64 { return f.Account.Ratio }},
	{namePage, target{what: "× with few", limit: 0.9}, func(f *growthFigures) float64 { return f.Page.Ratio }},
	{"paymentStatus", target{what: "ms p99 with many", limit: 50, most: true}, func(f *growthFigures) float64 { return f.Status.Many }},
	{"balances", target{what: "of updates are HOT", limit: 0.95}, func(f *growthFigures) float64 { return f.Hot }},
}

// growth measures the same on two databases of one server, in turns: one with as many payments as give its accounts a history, and one with millions.
func (b *bench) growth(ctx context.Context, all *results) error {
	grown, err := b.beside(ctx, "grown", grownMerchants, func(*database) error { return nil })
	if err != nil {
		return err
	}
	defer grown.leave()
	var f growthFigures
	if f.LoadedRate, err = grown.load(ctx, millions{tenants: grown.tenants(), count: b.Grown, confirm: true}); err != nil {
		return err
	}
	b.progress("%s: vacuum", nameGrowth)
	both := [2]*bench{b, grown}
	for i, n := range []*float64{&f.Few, &f.Many} {
		if err := both[i].prepare(ctx); err != nil {
			return err
		}
		if *n, err = both[i].database.rows(ctx, "payment"); err != nil {
			return err
		}
	}
	b.progress("%s: %.0f payments against %.0f", nameGrowth, f.Many, f.Few)
	if err := b.paymentsInTurns(ctx, all, both, &f); err != nil {
		return err
	}
	for _, m := range []struct {
		name string
		into *growthPair
		of   func(*bench, *tenant) (traffic, error)
	}{{nameAccount, &f.Account, (*bench).account20}, {namePage, &f.Page, (*bench).accounts50x5}} {
		if err := b.inTurns(ctx, m.name, both, b.Pairs, m.into, func(b *bench) (float64, error) {
			reads, err := m.of(b, b.one)
			if err != nil {
				return 0, err
			}
			t, err := b.answered(ctx, all, m.name, load{traffic: reads, clients: b.Readers, lead: b.lead(), length: b.length()})
			if err != nil {
				return 0, err
			}
			return t.perSecond, nil
		}); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	if err := b.inTurns(ctx, "paymentStatus", both, min(b.Pairs, statusPairs), &f.Status, func(b *bench) (float64, error) {
		own, err := b.ownPayments(ctx, all)
		return own.P99Ms, err
	}); err != nil {
		return err
	}
	if f.Hot, err = grown.database.hotUpdates(ctx); err != nil {
		return err
	}
	if all.relations, err = grown.database.relations(ctx); err != nil {
		return err
	}
	if err := grown.count(ctx); err != nil {
		return err
	}
	took, err := grown.verify(ctx)
	if err != nil {
		return err
	}
	f.VerifyTook = took.Seconds()
	all.grown = append(all.grown, f)
	return nil
}

// paymentsInTurns measures payments, and what PostgreSQL has written to its log (WAL) for each.
func (b *bench) paymentsInTurns(ctx context.Context, all *results, both [2]*bench, f *growthFigures) error {
	var made, images, bytes [2]float64 // with few, with many
	if err := b.inTurns(ctx, "payments", both, b.Pairs, &f.Payments, func(which *bench) (float64, error) {
		imagesBefore, bytesBefore, err := b.database.logged(ctx)
		if err != nil {
			return 0, err
		}
		t, err := which.answered(ctx, all, "payments", load{traffic: uniform(which.one), clients: b.Clients[0], lead: b.lead(), length: b.length()})
		if err != nil {
			return 0, err
		}
		imagesAfter, bytesAfter, err := b.database.logged(ctx)
		i := slices.Index(both[:], which)
		made[i] += float64(t.good)
		images[i] += imagesAfter - imagesBefore
		bytes[i] += bytesAfter - bytesBefore
		return t.perSecond, err
	}); err != nil {
		return fmt.Errorf("payments: %w", err)
	}
	f.Logged = pairOf(quotient(bytes[0], made[0]), quotient(bytes[1], made[1]))
	f.Images = pairOf(quotient(images[0], made[0]), quotient(images[1], made[1]))
	b.progress("%s: log (WAL) a payment, with many %.0f bytes and %.2f whole pages, with few %.0f and %.2f", nameGrowth,
		f.Logged.Many, f.Images.Many, f.Logged.Few, f.Images.Few)
	return nil
}

// logged is what the server has written to its log so far: whole pages, and bytes of all.
func (d *database) logged(ctx context.Context) (images, bytes float64, err error) {
	err = d.db.QueryRowContext(ctx, `SELECT wal_fpi, wal_bytes FROM pg_stat_wal`).Scan(&images, &bytes)
	return images, bytes, err
}

// inTurns measures on both databases, few, many, many, few …, so that a machine that becomes slower falls on both, and so do PostgreSQL's checkpoints
// and autovacuums: what is written for the first time after a checkpoint is written twice, which is the fate of a random page of a large index each
// time. Many short rounds tell more than a few long ones, of which one beside an autovacuum, or a neighbour, decides.
func (b *bench) inTurns(ctx context.Context, name string, both [2]*bench, pairs int, p *growthPair, measure func(*bench) (float64, error)) error {
	if err := b.database.checkpoint(ctx); err != nil {
		return err
	}
	var measured [2][]float64 // with few, with many
	for i := range 2 * pairs {
		which := (i + 1) / 2 % 2
		if err := both[which].refresh(ctx, both[which].tenants()); err != nil {
			return err
		}
		n, err := measure(both[which])
		if err != nil {
			return err
		}
		measured[which] = append(measured[which], n)
	}
	*p = pairOf(mean(measured[0]), mean(measured[1]))
	b.progress("%s: %s with many payments %.1f, with few %.1f: %.2f, ± %.2f", nameGrowth, name, p.Many, p.Few, p.Ratio, uncertainty(measured))
	return nil
}

// uncertainty is the standard error of the ratio of two means, of which the values were measured in pairs.
func uncertainty(measured [2][]float64) float64 {
	few, many := mean(measured[0]), mean(measured[1])
	var sum float64
	for i, n := range measured[0] {
		d := measured[1][i]/many - n/few
		sum += d * d
	}
	n := float64(len(measured[0]))
	return many / few * math.Sqrt(sum/(n*max(n-1, 1)))
}

// rows is how many a table has.
func (d *database) rows(ctx context.Context, table string) (n float64, err error) {
	err = d.db.QueryRowContext(ctx, `SELECT count(*) FROM `+table).Scan(&n)
	return n, err
}

// hotUpdates is the share of updates of balances that touched no index (heap-only tuples).
func (d *database) hotUpdates(ctx context.Context) (share float64, err error) {
	err = d.db.QueryRowContext(ctx, `SELECT coalesce(n_tup_hot_upd::float / nullif(n_tup_upd, 0), 0) FROM pg_stat_user_tables WHERE relname = 'balance'`).
		Scan(&share)
	return share, err
}

// relation is a table or an index.
type relation struct {
	Name  string
	Index bool
	Bytes int64
}

// relations are those that take most of the disk.
func (d *database) relations(ctx context.Context) (all []relation, err error) {
	rows, err := d.db.QueryContext(ctx, `SELECT relname, relkind = 'i', pg_total_relation_size(oid) - CASE relkind WHEN 'r' THEN pg_indexes_size(oid) ELSE 0 END
		FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i') ORDER BY 3 DESC LIMIT 20`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var r relation
		if err := rows.Scan(&r.Name, &r.Index, &r.Bytes); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// freeBytes is how much of a folder's disk is free.
func freeBytes(dir string) int64 {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 1 << 62
	}
	return int64(s.Bavail) * s.Bsize
}

func (r *results) writeGrowth(b *strings.Builder) {
	if len(r.grown) == 0 {
		return
	}
	m := medians(r.grown, (*growthFigures).values)
	fmt.Fprintf(b, "\nGrowth: %.0f payments, made at %.0f a second, against %.0f\n", m.Many, m.LoadedRate, m.Few)
	w := tabwriter.NewWriter(b, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(w, "\twith few\twith many\t×")
	for _, line := range []struct {
		name string
		p    growthPair
	}{
		{"payments a second", m.Payments}, {nameAccount + " a second", m.Account}, {namePage + " a second", m.Page}, {"paymentStatus, ms p99", m.Status},
		{"log (WAL), bytes a payment", m.Logged}, {"pages logged whole, a payment", m.Images},
	} {
		_, _ = fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.2f\n", line.name, line.p.Few, line.p.Many, line.p.Ratio)
	}
	_ = w.Flush()
	fmt.Fprintf(b, "%.3f of the updates of balances were HOT", m.Hot)
	if m.VerifyTook > 0 {
		fmt.Fprintf(b, "; paygraph verify took %.0f s", m.VerifyTook)
	}
	b.WriteString("\n")
	w = tabwriter.NewWriter(b, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(w, "table or index\tMiB\tbytes a payment")
	for _, relation := range r.relations {
		name := relation.Name
		if relation.Index {
			name = "  " + name
		}
		_, _ = fmt.Fprintf(w, "%s\t%.1f\t%.0f\n", name, float64(relation.Bytes)/(1<<20), quotient(float64(relation.Bytes), m.Many))
	}
	_ = w.Flush()
}
