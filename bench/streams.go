package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// streamFigure is what reached the subscribers of one kind, or the medians over all runs.
type streamFigure struct {
	Subscribers float64 `json:"subscribers"`
	PerSecond   float64 `json:"perSecond"` // payments
	Delivered   float64 `json:"delivered"` // items, without those with which subscriptions begin
	Due         float64 `json:"due"`       // items that should have been delivered
	Faults      float64 `json:"faults"`    // wrong numbers, lost subscribers, failed payments
	P50Ms       float64 `json:"p50Ms"`     // from the time of the commit's batch to the socket
	P99Ms       float64 `json:"p99Ms"`
	CPUMicros   float64 `json:"cpuMicrosPerDelivery,omitempty"` // of the gateway, beyond that of the same payments without subscribers
	BareMicros  float64 `json:"bareMicrosPerWrite,omitempty"`   // of a program that writes as many bytes to as many connections, and does nothing else
}

// streamFigures are the group "subscriptions".
type streamFigures struct {
	OwnPayments streamFigure `json:"ownPayments"`
	OneAccount  streamFigure `json:"oneAccount"`
	MemoryKiB   float64      `json:"memoryPerSubscriberKiB"`
	IdleRatio   float64      `json:"idleRatio"` // payments a second with idle subscribers against those without
}

func (f *streamFigure) values() []*float64 {
	return []*float64{&f.Subscribers, &f.PerSecond, &f.Delivered, &f.Due, &f.Faults, &f.P50Ms, &f.P99Ms, &f.CPUMicros, &f.BareMicros}
}

func (f *streamFigures) values() []*float64 {
	return append(append(f.OwnPayments.values(), f.OneAccount.values()...), &f.MemoryKiB, &f.IdleRatio)
}

// share is 1 where each item came once and in order: of what was due, without what went wrong.
func (f *streamFigure) share() float64 {
	if f.Faults > 0 || f.Delivered > f.Due {
		return quotient(min(f.Due, f.Delivered)-max(1, f.Faults), f.Due)
	}
	return quotient(f.Delivered, f.Due)
}

// streamTargets are what subscriptions must reach.
var streamTargets = []groupTarget[streamFigures]{
	{nameOwn, target{what: "of what was due came once, in order", limit: 1}, func(f *streamFigures) float64 { return f.OwnPayments.share() }},
	{nameOwn, target{what: "ms p99", limit: 50, most: true}, func(f *streamFigures) float64 { return f.OwnPayments.P99Ms }},
	{nameAccountOfAll, target{what: "of what was due came once, in order", limit: 1}, func(f *streamFigures) float64 { return f.OneAccount.share() }},
	{nameAccountOfAll, target{what: "ms p99", limit: 100, most: true}, func(f *streamFigures) float64 { return f.OneAccount.P99Ms }},
	{nameAccountOfAll, target{what: "µs of gateway CPU a delivery", limit: 15, most: true}, func(f *streamFigures) float64 { return f.OneAccount.CPUMicros }},
	{nameMemory, target{what: "KiB", limit: 25, most: true}, func(f *streamFigures) float64 { return f.MemoryKiB }},
	{nameIdle, target{what: "× payments without", limit: 0.97}, func(f *streamFigures) float64 { return f.IdleRatio }},
}

func (r *results) writeStreams(b *strings.Builder) {
	if len(r.streams) == 0 {
		return
	}
	b.WriteString("\nSubscriptions\n")
	w := tabwriter.NewWriter(b, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(w, "\tsubscribers\tpayments a second\tdelivered\tdue\tp50 ms\tp99 ms")
	m := medians(r.streams, (*streamFigures).values)
	for _, line := range []struct {
		name string
		f    streamFigure
	}{{nameOwn, m.OwnPayments}, {nameAccountOfAll, m.OneAccount}} {
		if !r.options.measures(line.name) {
			continue
		}
		_, _ = fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\n", line.name, line.f.Subscribers, line.f.PerSecond, line.f.Delivered, line.f.Due,
			line.f.P50Ms, line.f.P99Ms)
	}
	_ = w.Flush()
	if r.options.measures(nameAccountOfAll) {
		fmt.Fprintf(b, "%s: %.1f µs of the gateway's CPU a delivery, %.2f times the %.1f µs of a bare write\n", nameAccountOfAll,
			m.OneAccount.CPUMicros, quotient(m.OneAccount.CPUMicros, m.OneAccount.BareMicros), m.OneAccount.BareMicros)
	}
}
