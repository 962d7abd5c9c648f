package main

import (
	"encoding/json"
	"io"
	"math"
	"slices"
	"strconv"
	"sync"
)

// figure is what a round of load showed, or the medians over all runs. Those that are not for a scenario are zero.
type figure struct {
	PerSecond float64 `json:"perSecond"`
	Ratio     float64 `json:"ratio"` // to pgbench in the rounds before and after; for single to pgbench with one client
	P50Ms     float64 `json:"p50Ms"`
	P99Ms     float64 `json:"p99Ms"`

	OfUniform    float64 `json:"ofUniform,omitempty"`    // hot: share of uniform's rate with as many clients
	Offered      float64 `json:"offered,omitempty"`      // openLoop: requests a second that were sent
	PgbenchP99Ms float64 `json:"pgbenchP99Ms,omitempty"` // openLoop: of pgbench at half of its own rate
	P99Ratio     float64 `json:"p99Ratio,omitempty"`     // openLoop: p99Ms against that
	PgbenchP50Ms float64 `json:"pgbenchP50Ms,omitempty"` // single: of pgbench with one client
	P50Ratio     float64 `json:"p50Ratio,omitempty"`     // single: p50Ms against that
	Failed       float64 `json:"failed,omitempty"`       // requests without success

	client, gateway, postgres float64 // cores
}

// spend takes down how many cores were used.
func (f *figure) spend(u usage) {
	f.client, f.gateway, f.postgres = u.cores(u.client), u.cores(u.gateway), u.cores(u.postgres)
}

// values are all numbers of a figure.
func (f *figure) values() []*float64 {
	return []*float64{&f.PerSecond, &f.Ratio, &f.P50Ms, &f.P99Ms, &f.OfUniform, &f.Offered, &f.PgbenchP99Ms, &f.P99Ratio, &f.PgbenchP50Ms, &f.P50Ratio,
		&f.Failed, &f.client, &f.gateway, &f.postgres}
}

// span is a median with the least and the most, and the mean with its standard error: where a machine is noisy, the mean of many runs tells what no
// single one can.
type span struct{ median, least, most, mean, error float64 }

func spanOf(values []float64) span {
	if len(values) == 0 {
		return span{}
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	s := span{median: (sorted[(n-1)/2] + sorted[n/2]) / 2, least: sorted[0], most: sorted[n-1], mean: mean(sorted)}
	if n > 1 {
		var squares float64
		for _, v := range sorted {
			squares += (v - s.mean) * (v - s.mean)
		}
		s.error = math.Sqrt(squares / float64(n*(n-1)))
	}
	return s
}

func mean(values []float64) (m float64) {
	for _, v := range values {
		m += v / float64(len(values))
	}
	return m
}

// quotient is 0 where there is nothing to compare with.
func quotient(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// results is everything that was measured.
type results struct {
	options  options
	database *database
	tps      []float64 // pgbench's mean of each run
	figures  map[key][]figure
	rounds   []roundUse
	blaming  sync.Mutex // of failures, where several things are done at once
	failures []string
	doubts   []string // why figures may be wrong

	streams   []streamFigures // of each run
	disturbed []disturbedFigures
	timers    []timersFigures
	grown     []growthFigures
	relations []relation // of the database that has grown
}

// spanOver is one number of a group of figures over all runs.
func spanOver[T any](runs []T, of func(*T) float64) span {
	var values []float64
	for i := range runs {
		values = append(values, of(&runs[i]))
	}
	return spanOf(values)
}

// medians are those of all numbers of a group of figures over all runs.
func medians[T any](runs []T, values func(*T) []*float64) (m T) {
	into := values(&m)
	for i := range into {
		*into[i] = spanOver(runs, func(f *T) float64 { return *values(f)[i] }).median
	}
	return m
}

// roundUse is what a round cost.
type roundUse struct {
	name string
	use  usage
}

func (r *results) note(name string, u usage) { r.rounds = append(r.rounds, roundUse{name, u}) }

// median is the figure of medians over all runs.
func (r *results) median(k key) (m figure) {
	into := m.values()
	for i := range into {
		*into[i] = r.span(k, func(f *figure) float64 { return *f.values()[i] }).median
	}
	return m
}

// span is one number of a figure over all runs.
func (r *results) span(k key, number func(*figure) float64) span {
	var values []float64
	for _, f := range r.figures[k] {
		values = append(values, number(&f))
	}
	return spanOf(values)
}

// keys are what was measured, in the order of the report.
func (r *results) keys() []key {
	order := []string{nameUniform, nameHot, nameMany, nameOpen, nameSingle, nameAccount, namePage}
	var keys []key
	for k := range r.figures {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int {
		if a.name != b.name {
			return slices.Index(order, a.name) - slices.Index(order, b.name)
		}
		return a.clients - b.clients
	})
	return keys
}

// output is the JSON of DESIGN section 14. What was not measured is absent.
type output struct {
	Pgbench struct {
		TPS float64 `json:"tps"`
	} `json:"pgbench"`
	Payments struct {
		Uniform       map[string]figure `json:"uniform,omitempty"` // by the number of clients
		Hot           map[string]figure `json:"hot,omitempty"`
		ManyMerchants map[string]figure `json:"manyMerchants,omitempty"`
		Single        *figure           `json:"single,omitempty"`
		OpenLoop      *figure           `json:"openLoop,omitempty"`
	} `json:"payments"`
	Reads         map[string]figure `json:"reads,omitempty"`
	Subscriptions *streamFigures    `json:"subscriptions,omitempty"`
	Disturbances  *disturbedFigures `json:"disturbances,omitempty"`
	Timers        *timersFigures    `json:"timers,omitempty"`
	Growth        *growthFigures    `json:"growth,omitempty"`
}

// writeJSON writes the medians.
func (r *results) writeJSON(w io.Writer) error {
	var o output
	o.Pgbench.TPS = rounded(spanOf(r.tps).median)
	for k := range r.figures {
		f := r.median(k)
		for _, v := range f.values() {
			*v = rounded(*v)
		}
		clients := strconv.Itoa(k.clients)
		switch k.name {
		case nameUniform:
			put(&o.Payments.Uniform, clients, f)
		case nameHot:
			put(&o.Payments.Hot, clients, f)
		case nameMany:
			put(&o.Payments.ManyMerchants, clients, f)
		case nameSingle:
			o.Payments.Single = &f
		case nameOpen:
			o.Payments.OpenLoop = &f
		default:
			put(&o.Reads, k.name, f)
		}
	}
	o.Subscriptions = summary(r.streams, (*streamFigures).values)
	o.Disturbances = summary(r.disturbed, (*disturbedFigures).values)
	o.Timers = summary(r.timers, (*timersFigures).values)
	o.Growth = summary(r.grown, (*growthFigures).values)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(o)
}

// summary is a group's medians for the JSON, nil where it was not measured.
func summary[T any](runs []T, values func(*T) []*float64) *T {
	if len(runs) == 0 {
		return nil
	}
	m := medians(runs, values)
	for _, v := range values(&m) {
		*v = rounded(*v)
	}
	return &m
}

func put(m *map[string]figure, name string, f figure) {
	if *m == nil {
		*m = map[string]figure{}
	}
	(*m)[name] = f
}

// rounded leaves three digits behind the point.
func rounded(v float64) float64 { return math.Round(v*1000) / 1000 }

// busy lists the rounds in which others used the machine.
func (r *results) busy() (lines []string) {
	for _, round := range r.rounds {
		if line := round.use.busy(); line != "" {
			lines = append(lines, line+", during "+round.name)
		}
	}
	return lines
}
