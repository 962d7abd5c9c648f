package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/paygraph/paygraph/observe"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/transport"
)

// profileTime is how long a profile may be taken.
const profileTime = 2 * time.Minute

// metricsOption names the port of metrics on the command line.
const metricsOption = "--metrics-port"

// measure counts what the gateway does, and shows it on a listener of its own. Without METRICS_PORT nobody would read it: metrics is nil.
func (a *app) measure(ctx context.Context) (metrics *observe.Metrics, stop func(), err error) {
	if a.MetricsPort == 0 {
		return nil, func() {}, nil
	}
	listener, err := listenOn(ctx, a.MetricsHost, a.MetricsPort, metricsOption)
	if err != nil {
		return nil, nil, err
	}
	metrics = observe.NewMetrics()
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { answerHealth(w, "", nil) })
	mux.Handle("/", metrics.Handler())
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: headerTime, ReadTimeout: bodyTime, WriteTimeout: profileTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
	go func() {
		if err := server.Serve(listener); err != nil && ctx.Err() == nil {
			a.log.Error("metrics are not shown any more", "error", err)
		}
	}()
	a.log.Info("metrics", "address", fmt.Sprintf("http://%s/metrics", listener.Addr()))
	return metrics, func() { _ = server.Close() }, nil
}

// traceEnd is how long traces that wait may take to be sent, once the gateway stops.
const traceEnd = 3 * time.Second

// trace follows requests for OpenTelemetry, where its own variables say where to send traces. traces is nil where they do not.
func (a *app) trace(ctx context.Context) (traces *observe.Traces, stop func(), err error) {
	endpoint := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	exporter := cmp.Or(os.Getenv("OTEL_TRACES_EXPORTER"), "otlp")
	if endpoint == "" || exporter == "none" || strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, func() {}, nil
	}
	protocol := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf")
	if exporter != "otlp" || protocol != "http/protobuf" {
		return nil, nil, fmt.Errorf("traces go by otlp and http/protobuf, and OpenTelemetry's variables say %s and %s: change them, or say OTEL_SDK_DISABLED=true", exporter, protocol)
	}
	traces, err = observe.NewTraces(ctx, a.log)
	if err != nil {
		return nil, nil, fmt.Errorf("OpenTelemetry's variables: %w", err)
	}
	return traces, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), traceEnd)
		defer cancel()
		if err := traces.Close(ctx); err != nil {
			a.log.Warn("some traces were not taken", "error", err)
		}
	}, nil
}

// observers watch and follow what the gateway does; those that are nil are not there.
type observers struct {
	metrics *observe.Metrics
	traces  *observe.Traces
}

// ofStore are those of the store: an interface with a nil pointer in it would not be nil.
func (o observers) ofStore() (w store.Watcher, t store.Tracer) {
	if o.metrics != nil {
		w = o.metrics
	}
	if o.traces != nil {
		t = o.traces
	}
	return w, t
}

func (o observers) ofTransport() (w transport.Watcher, t transport.Tracer) {
	if o.metrics != nil {
		w = o.metrics
	}
	if o.traces != nil {
		t = o.traces
	}
	return w, t
}

// watch has the metrics show how things stand with the gateway.
func (g *gateway) watch(f *front) {
	if g.observers.metrics == nil {
		return
	}
	g.observers.metrics.Watch(observe.Sources{
		Store: g.store.Stats, Hub: g.store.Hub.Stats, Timers: g.timers.Stats, Tokens: g.issuer.Stats, Transport: g.api.Stats,
		Ready: func() (ready, synchronous bool) {
			reason, synchronous := f.readiness(context.Background())
			return reason == "", synchronous
		},
	})
}
