// Package observe shows what the gateway does: as metrics for Prometheus, and as traces for OpenTelemetry. Nothing but the wiring knows it; what it shows,
// others offer by Stats functions, and by interfaces of theirs that it satisfies.
package observe

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"net/http/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/transport"
)

// Limits of what is kept, and of who reads it.
const (
	maxNames   = 200 // names of operations, which are the clients' words; the rest is other
	maxName    = 64  // bytes of a name
	scrapes    = 4   // at once
	scrapeTime = 10 * time.Second
	otherName  = "other"
	noName     = "unnamed"
	noKind     = "none"
)

// Buckets of histograms, in seconds. A batch takes some milliseconds, an operation as long as a client waits for it.
var (
	operationTimes = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	batchTimes     = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	batchSizes     = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256}
)

// Metrics counts for Prometheus. It is safe for concurrent use, and takes no lock where operations and batches pass.
type Metrics struct {
	registry *prometheus.Registry

	operations *prometheus.HistogramVec
	failures   *prometheus.CounterVec
	commands   *prometheus.CounterVec
	size       prometheus.Histogram
	waited     prometheus.Histogram
	locked     prometheus.Histogram
	short      prometheus.Observer
	long       prometheus.Observer
	refuted    prometheus.Counter
	retried    prometheus.Counter

	mu   sync.Mutex // for who exchanges seen
	seen atomic.Pointer[seen]
}

// seen is what operations are counted under. It does not change.
type seen struct {
	times map[operation]prometheus.Observer
	names map[string]bool // those that are shown as they are
}

// operation is what an operation is counted under.
type operation struct {
	kind ast.Operation
	name string
}

var (
	_ transport.Watcher = (*Metrics)(nil)
	_ store.Watcher     = (*Metrics)(nil)
)

// NewMetrics counts from zero, and shows the Go runtime, the process and the build.
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.seen.Store(&seen{})
	m.operations = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "paygraph_operation_seconds", Buckets: operationTimes,
		Help: "Time until an operation was answered, or a subscription had begun, by its kind and the client's name for it.",
	}, []string{"kind", "name"})
	m.failures = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "paygraph_operation_errors_total", Help: "Errors in answers, by their code.",
	}, []string{"kind", "name", "code"})
	m.commands = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "paygraph_commands_total", Help: "Commands that were answered, by their outcome: OK, or the code of a refusal or an error.",
	}, []string{"operation", "outcome"})
	m.size = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "paygraph_batch_commands", Buckets: batchSizes, Help: "Commands that a writer has taken at once.",
	})
	m.waited = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "paygraph_batch_waited_seconds", Buckets: batchTimes, Help: "How long the first command of a batch has waited for a writer.",
	})
	m.locked = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "paygraph_batch_lock_seconds", Buckets: batchTimes, Help: "Time until a batch had its merchant's lock, and knew which of its keys are known.",
	})
	commit := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "paygraph_batch_commit_seconds", Buckets: batchTimes,
		Help: "Time for writing a batch and its COMMIT; on the short way the lock is in it.",
	}, []string{"way"})
	m.short, m.long = commit.WithLabelValues("short"), commit.WithLabelValues("long")
	m.refuted = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "paygraph_batches_refuted_total", Help: "Batches that went the short way in vain, and then the long one.",
	})
	m.retried = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "paygraph_batches_retried_total", Help: "Times that the database did not take a batch, and it was tried again.",
	})
	m.registry.MustRegister(m.operations, m.failures, m.commands, m.size, m.waited, m.locked, commit, m.refuted, m.retried,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector())
	return m
}

// Handler answers /metrics, and Go's profiles under /debug/pprof/. It is not for strangers. The command line is not among the profiles, since a password
// may be in it.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.InstrumentMetricHandler(m.registry, promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: scrapes, Timeout: scrapeTime, EnableOpenMetrics: true,
	})))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// Answered implements [transport.Watcher].
func (m *Metrics) Answered(a transport.Answered) {
	o, times := m.find(operation{a.Kind, a.Name}, a.Known)
	times.Observe(a.Took.Seconds())
	for _, code := range a.Codes {
		m.failures.WithLabelValues(o.kindLabel(), o.nameLabel(), code).Inc()
	}
}

// find is what an operation is counted under. A stranger's name is not kept: strangers could use up all the room there is.
func (m *Metrics) find(o operation, known bool) (operation, prometheus.Observer) {
	seen := m.seen.Load()
	if times := seen.times[o]; times != nil {
		return o, times
	}
	mayKeep := known && len(seen.names) < maxNames && isName(o.name)
	if o.name != "" && !seen.names[o.name] && !mayKeep {
		o.name = otherName
		if times := seen.times[o]; times != nil {
			return o, times
		}
	}
	return m.add(o)
}

// add makes room for what is seen for the first time, unless others have taken it meanwhile.
func (m *Metrics) add(o operation) (operation, prometheus.Observer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.seen.Load()
	next := seen{map[operation]prometheus.Observer{}, map[string]bool{}}
	maps.Copy(next.times, last.times)
	maps.Copy(next.names, last.names)
	if !next.names[o.name] && o.name != "" && len(next.names) == maxNames {
		o.name = otherName
	}
	if o.name != "" && o.name != otherName {
		next.names[o.name] = true
	}
	times := m.operations.WithLabelValues(o.kindLabel(), o.nameLabel())
	next.times[o] = times
	m.seen.Store(&next)
	return o, times
}

// isName says whether a text is a GraphQL name (GraphQL, section 2.1.9), and not too long.
func isName(text string) bool {
	for i, c := range []byte(text) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_', i > 0 && '0' <= c && c <= '9':
		default:
			return false
		}
	}
	return text != "" && len(text) <= maxName
}

func (o operation) kindLabel() string { return cmp.Or(string(o.kind), noKind) }
func (o operation) nameLabel() string { return cmp.Or(o.name, noName) }

// outcomes are the errors of commands that are no refusals.
var outcomes = []struct {
	err  error
	code string
}{
	{command.ErrOutcomeUnknown, "OUTCOME_UNKNOWN"}, {command.ErrRateLimited, "RATE_LIMITED"}, {command.ErrUnavailable, "UNAVAILABLE"},
}

// outcomeOf is OK, the code of a refusal, or that of an error.
func outcomeOf(err error) string {
	if err == nil {
		return "OK"
	}
	if refusal, ok := errors.AsType[answer.Refusal](err); ok {
		return string(refusal.Code())
	}
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			return o.code
		}
	}
	return transport.Internal
}

// Decided implements [store.Watcher].
func (m *Metrics) Decided(operation string, err error) {
	m.commands.WithLabelValues(operation, outcomeOf(err)).Inc()
}

// Took implements [store.Watcher].
func (m *Metrics) Took(commands int, waited time.Duration) {
	m.size.Observe(float64(commands))
	m.waited.Observe(waited.Seconds())
}

// Locked implements [store.Watcher].
func (m *Metrics) Locked(after time.Duration) { m.locked.Observe(after.Seconds()) }

// Committed implements [store.Watcher].
func (m *Metrics) Committed(after time.Duration, assumed bool) {
	if assumed {
		m.short.Observe(after.Seconds())
	} else {
		m.long.Observe(after.Seconds())
	}
}

// Refuted implements [store.Watcher].
func (m *Metrics) Refuted() { m.refuted.Inc() }

// Retried implements [store.Watcher].
func (m *Metrics) Retried() { m.retried.Inc() }
