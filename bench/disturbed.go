package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// disturbanceFigure is what payments were beside a disturbance, or the medians over all runs.
type disturbanceFigure struct {
	Clients       float64 `json:"clients"`       // that disturb
	Without       float64 `json:"without"`       // payments a second
	With          float64 `json:"with"`          // payments a second
	Ratio         float64 `json:"ratio"`         // with against without
	DonePerSecond float64 `json:"donePerSecond"` // connections that were made again, operations that were begun, or storms
	Faults        float64 `json:"faults"`        // wrong numbers, lost subscribers, refused connections

	Delivered float64 `json:"delivered,omitempty"` // a storm's items, without those with which subscriptions begin
	Due       float64 `json:"due,omitempty"`       // a storm's items that should have been delivered
	AllBackMs float64 `json:"allBackMs,omitempty"` // the longest that it took until all whom a storm had cut off had what they had missed
}

// neighbourFigure is how late a merchant's subscribers got their items, from the time of the commit's batch to the socket.
type neighbourFigure struct {
	Subscribers float64 `json:"subscribers"`
	AloneP50Ms  float64 `json:"aloneP50Ms"` // without another merchant's load
	AloneP99Ms  float64 `json:"aloneP99Ms"`
	P50Ms       float64 `json:"p50Ms"` // with it
	P99Ms       float64 `json:"p99Ms"`
}

// disturbedFigures are the group "disturbances".
type disturbedFigures struct {
	Slow           disturbanceFigure `json:"slowClients"`
	HalfOpen       disturbanceFigure `json:"halfOpenSockets"`
	Knocking       disturbanceFigure `json:"halfOpenSocketsAgain"`
	Flood          disturbanceFigure `json:"floodOnOneSocket"`
	Storm          disturbanceFigure `json:"reconnectStorm"`
	Neighbour      neighbourFigure   `json:"anotherMerchantsLoad"`
	LeftMiB        float64           `json:"leftMiB"`      // resident memory that is more than before, when all who disturb have gone
	LeftAgainMiB   float64           `json:"leftAgainMiB"` // and once more, when they have come again and gone
	LeftGoroutines float64           `json:"leftGoroutines"`
}

func (f *disturbanceFigure) values() []*float64 {
	return []*float64{&f.Clients, &f.Without, &f.With, &f.Ratio, &f.DonePerSecond, &f.Faults, &f.Delivered, &f.Due, &f.AllBackMs}
}

func (f *disturbedFigures) values() []*float64 {
	n := &f.Neighbour
	all := []*float64{&n.Subscribers, &n.AloneP50Ms, &n.AloneP99Ms, &n.P50Ms, &n.P99Ms, &f.LeftMiB, &f.LeftAgainMiB, &f.LeftGoroutines}
	for _, d := range disturbances {
		all = append(all, d.of(f).values()...)
	}
	return all
}

// share is 1 where each of a storm's items came once and in order.
func (f *disturbanceFigure) share() float64 {
	s := streamFigure{Delivered: f.Delivered, Due: f.Due, Faults: f.Faults}
	return s.share()
}

var disturbedTargets = []groupTarget[disturbedFigures]{
	notSlowed(nameSlow, func(f *disturbedFigures) float64 { return f.Slow.Ratio }),
	notSlowed(nameHalfOpen, func(f *disturbedFigures) float64 { return f.HalfOpen.Ratio }),
	notSlowed(nameFlood, func(f *disturbedFigures) float64 { return f.Flood.Ratio }),
	notSlowed(nameStorm, func(f *disturbedFigures) float64 { return f.Storm.Ratio }),
	{nameStorm, target{what: "of what was due came once, in order", limit: 1}, func(f *disturbedFigures) float64 { return f.Storm.share() }},
	{nameNeighbour, target{what: "ms p99", limit: 50, most: true}, func(f *disturbedFigures) float64 { return f.Neighbour.P99Ms }},
	{nameLeft, target{what: "MiB the second time", limit: 8, most: true, zero: true}, func(f *disturbedFigures) float64 { return f.LeftAgainMiB }},
	{nameLeft, target{what: "goroutines", most: true, zero: true}, func(f *disturbedFigures) float64 { return f.LeftGoroutines }},
}

// notSlowed is the target of payments beside a disturbance.
func notSlowed(name string, ratio func(*disturbedFigures) float64) groupTarget[disturbedFigures] {
	return groupTarget[disturbedFigures]{name, target{what: "× payments without", limit: 0.9}, ratio}
}

func (f *disturbanceFigure) String() string {
	text := fmt.Sprintf("%.2f a second of what its %.0f clients do", f.DonePerSecond, f.Clients)
	if f.Due > 0 {
		text += fmt.Sprintf(", %.0f of %.0f items delivered, all back within %.0f ms", f.Delivered, f.Due, f.AllBackMs)
	}
	return text
}

func (r *results) writeDisturbed(b *strings.Builder) {
	if len(r.disturbed) == 0 {
		return
	}
	b.WriteString("\nDisturbances\n")
	w := tabwriter.NewWriter(b, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(w, "\tclients\tpayments a second without\twith\t×\tdone a second\tfaults")
	m := medians(r.disturbed, (*disturbedFigures).values)
	for _, d := range disturbances {
		if !r.options.measures(d.name) {
			continue
		}
		f := d.of(&m)
		_, _ = fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\t%.0f\n", d.name, f.Clients, f.Without, f.With, f.Ratio, f.DonePerSecond, f.Faults)
	}
	_ = w.Flush()
	b.WriteString("done: connections made again, operations begun, storms\n")
	for _, line := range []struct{ name, text string }{
		{nameStorm, fmt.Sprintf("%.0f of %.0f items delivered, all back within %.0f ms", m.Storm.Delivered, m.Storm.Due, m.Storm.AllBackMs)},
		{nameNeighbour, fmt.Sprintf("p50 %.2f ms and p99 %.2f ms to the socket, without it %.2f ms and %.2f ms", m.Neighbour.P50Ms,
			m.Neighbour.P99Ms, m.Neighbour.AloneP50Ms, m.Neighbour.AloneP99Ms)},
		{nameLeft, fmt.Sprintf("when all had gone %.1f MiB, %.1f MiB more the second time, %.0f goroutines", m.LeftMiB, m.LeftAgainMiB,
			m.LeftGoroutines)},
	} {
		if r.options.measures(line.name) {
			fmt.Fprintf(b, "%s: %s\n", line.name, line.text)
		}
	}
}
