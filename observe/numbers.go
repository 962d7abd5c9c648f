package observe

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/timer"
	"github.com/paygraph/paygraph/transport"
)

// Sources say how things stand, whenever somebody reads the metrics.
type Sources struct {
	Store     func() store.Stats
	Hub       func() event.Stats
	Timers    func() timer.Stats
	Tokens    func() auth.Stats
	Transport func() transport.Stats
	// Ready says what /readyz does. It may wait as long as that.
	Ready func() (ready, synchronous bool)
}

// Watch shows what sources say from now on. It is called once.
func (m *Metrics) Watch(s Sources) { m.registry.MustRegister(numbers{s}) }

// numbers are the metrics that are read from sources.
type numbers struct{ from Sources }

// number is one of them.
type number struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func gauge(name, help string, labels ...string) number {
	return number{prometheus.NewDesc("paygraph_"+name, help, labels, nil), prometheus.GaugeValue}
}

func counter(name, help string, labels ...string) number {
	return number{prometheus.NewDesc("paygraph_"+name, help, labels, nil), prometheus.CounterValue}
}

var (
	ready       = gauge("ready", "1 where /readyz answers 200.")
	synchronous = gauge("synchronous_replication", "1 where a commit is on a standby, too, before it is answered.")

	commandsWaiting = gauge("commands_waiting", "Commands that no writer has taken yet.")
	poolOpen        = gauge("pool_connections", "Sessions of the database, by their pool and by what they do.", "pool", "state")
	poolMost        = gauge("pool_connections_most", "Sessions that a pool may have.", "pool")
	poolWaits       = counter("pool_waits_total", "Times that somebody has waited for a session.", "pool")
	poolWaited      = counter("pool_waited_seconds_total", "How long all of them have waited.", "pool")
	hintsHeard      = counter("hints_heard_total", "Notifications of other nodes that were heard.")
	hintsMissed     = counter("hints_missed_total", "Times that notifications may have been missed, and all heads were looked at.")
	hintsFailed     = counter("hints_failed_total", "Notifications that could not be sent.")

	hubMerchants   = gauge("hub_merchants", "Merchants to whose log somebody listens.")
	hubSubscribers = gauge("hub_subscribers", "Subscriptions that are open.")
	hubGiven       = counter("hub_items_given_total", "Items that subscriptions were given from memory, each for each of them.")
	hubRead        = counter("hub_items_read_total", "Items that subscriptions have read from the database.")
	hubTooSlow     = counter("hub_too_slow_total", "Subscriptions that were ended because they did not take what came.")

	timersDue      = gauge("timers_due", "Timers that the last look has found: as many as it looks for, where there are more.")
	timersServed   = counter("timers_served_total", "Timers that were served.")
	timersFailed   = counter("timers_failed_total", "Attempts to serve a timer that have failed for a reason of its own.")
	timersSetAside = gauge("timers_set_aside", "Timers that are not tried again before the next start.")

	tokens  = counter("tokens_total", "Access tokens that were shown, by what was done with them.", "outcome")
	sockets = gauge("sockets", "WebSockets that are open, by their state.", "state")
	streams = gauge("streams", "Streams of Server-Sent Events that are open.")
)

// Describe implements [prometheus.Collector]. It says nothing, since Collect is not to be called for it.
func (numbers) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (n numbers) Collect(to chan<- prometheus.Metric) {
	show := func(n number, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(n.desc, n.kind, value, labels...)
	}
	count := func(n number, value int64, labels ...string) { show(n, float64(value), labels...) }
	amount := func(n number, value int, labels ...string) { show(n, float64(value), labels...) }

	isReady, isSynchronous := n.from.Ready()
	amount(ready, truth(isReady))
	amount(synchronous, truth(isSynchronous))

	stored := n.from.Store()
	amount(commandsWaiting, stored.Waiting)
	for name, pool := range stored.Pools {
		amount(poolOpen, pool.InUse, name, "in_use")
		amount(poolOpen, pool.Idle, name, "idle")
		amount(poolMost, pool.MaxOpenConnections, name)
		count(poolWaits, pool.WaitCount, name)
		show(poolWaited, pool.WaitDuration.Seconds(), name)
	}
	count(hintsHeard, stored.Hints.Heard)
	count(hintsMissed, stored.Hints.Missed)
	count(hintsFailed, stored.Hints.Failed)

	hub := n.from.Hub()
	amount(hubMerchants, hub.Merchants)
	amount(hubSubscribers, hub.Subscribers)
	count(hubGiven, hub.Given)
	count(hubRead, hub.Read)
	count(hubTooSlow, hub.TooSlow)

	timers := n.from.Timers()
	count(timersDue, timers.Due)
	count(timersServed, timers.Served)
	count(timersFailed, timers.Failed)
	amount(timersSetAside, timers.SetAside)

	shown := n.from.Tokens()
	count(tokens, shown.Verified, "verified")
	count(tokens, shown.Remembered, "remembered")
	count(tokens, shown.Refused, "refused")

	open := n.from.Transport()
	amount(sockets, open.Waiting, "waiting")
	amount(sockets, open.Acknowledged, "acknowledged")
	amount(sockets, open.Ending, "ending")
	amount(streams, open.Streams)
}

func truth(is bool) int {
	if is {
		return 1
	}
	return 0
}
