package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// metricsOf reads what a gateway shows at an address: the value of each number, by its name and labels as Prometheus writes them.
func metricsOf(t *testing.T, address string) map[string]float64 {
	t.Helper()
	status, text, err := get(address + "/metrics")
	if err != nil || status != http.StatusOK {
		t.Fatalf("no metrics: %d %s %v", status, text, err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	if _, err := parser.TextToMetricFamilies(strings.NewReader(text)); err != nil {
		t.Fatalf("Prometheus cannot read this: %v: %s", err, text)
	}
	shown := map[string]float64{}
	for line := range strings.Lines(text) {
		if name, value, is := strings.Cut(strings.TrimSpace(line), "} "); is && !strings.HasPrefix(line, "#") {
			name += "}"
			shown[name] = valueOf(t, value)
		} else if name, value, is := strings.Cut(strings.TrimSpace(line), " "); is && !strings.HasPrefix(line, "#") {
			shown[name] = valueOf(t, value)
		}
	}
	return shown
}

func valueOf(t *testing.T, text string) (value float64) {
	t.Helper()
	if _, err := fmt.Sscan(text, &value); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return value
}

// measured starts a gateway that shows its metrics, and says where.
func measured(t *testing.T, variables []string, args ...string) (p *program, metrics string) {
	t.Helper()
	port := freePort(t)
	p = serve(t, append(variables, fmt.Sprintf("METRICS_PORT=%d", port)), args...)
	return p, fmt.Sprintf("http://127.0.0.1:%d", port)
}

// TestMetrics has a gateway do something of everything, and reads that it was counted.
func TestMetrics(t *testing.T) {
	t.Parallel()
	p, address := measured(t, nil, "--data-dir", usedFolder(t))
	c := demoClient(t, p)
	from, to := c.twoWallets(t)
	before := metricsOf(t, address)
	streams := c.followedByAll(t, c.head(t).Cursor, "a-payment-that-is-counted", from, to)
	if status, err := c.pay("a-payment-that-is-refused", from, from); err != nil {
		t.Fatalf("%s, %v", status, err)
	}
	if _, err := c.ask(`query Broken { nothing }`, nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ask(`query Absent { node(id: "x") { id } }`, nil, nil); err != nil {
		t.Fatal(err)
	}
	after := metricsOf(t, address)
	for name, least := range map[string]float64{
		`paygraph_operation_seconds_count{kind="mutation",name="Pay"}`:                                 3,
		`paygraph_operation_seconds_count{kind="query",name="Absent"}`:                                 1,
		`paygraph_operation_seconds_count{kind="query",name="unnamed"}`:                                1,
		`paygraph_operation_seconds_count{kind="subscription",name="unnamed"}`:                         float64(len(streams)),
		`paygraph_operation_errors_total{code="GRAPHQL_VALIDATION_FAILED",kind="none",name="unnamed"}`: 1,
		`paygraph_commands_total{operation="createPayment",outcome="OK"}`:                              2,
		`paygraph_batch_commands_count`:                                                                2,
		`paygraph_batch_waited_seconds_count`:                                                          2,
		`paygraph_batch_lock_seconds_count`:                                                            1,
		`paygraph_batch_commit_seconds_count{way="long"}`:                                              1,
		`paygraph_tokens_total{outcome="remembered"}`:                                                  3,
		`paygraph_hub_items_given_total`:                                                               2,
		`paygraph_hub_items_read_total`:                                                                0,
		`paygraph_pool_waits_total{pool="writers"}`:                                                    0,
	} {
		if got, shown := after[name]; !shown || got-before[name] < least {
			t.Errorf("%s was %v and is %v: want %v more", name, before[name], got, least)
		}
	}
	for name, want := range map[string]float64{
		`paygraph_ready`: 1, `paygraph_synchronous_replication`: 0, `paygraph_commands_waiting`: 0, `paygraph_hub_merchants`: 1,
		`paygraph_hub_subscribers`: float64(len(streams)), `paygraph_sockets{state="acknowledged"}`: 1, `paygraph_streams`: float64(len(streams) - 1),
		`paygraph_pool_connections_most{pool="hints"}`: 1, `paygraph_batches_retried_total`: 0, `paygraph_timers_set_aside`: 0,
		`paygraph_hub_too_slow_total`: 0,
	} {
		if got, shown := after[name]; !shown || got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	wantKnown(t, after)
	for _, name := range []string{"go_goroutines", "process_open_fds", "process_resident_memory_bytes"} {
		if after[name] < 1 {
			t.Errorf("%s is %v", name, after[name])
		}
	}
}

// TestMetricsAreNowhereElse: profiles and metrics are on their listener alone, and what is for clients is not there.
func TestMetricsAreNowhereElse(t *testing.T) {
	t.Parallel()
	p, address := measured(t, nil, "--data-dir", usedFolder(t))
	for _, at := range []struct {
		address string
		want    map[string]int
	}{
		{p.url, map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 404, "/debug/pprof/": 404, "/debug/pprof/heap": 404, "/debug/pprof/cmdline": 404}},
		{address, map[string]int{
			"/healthz": 200, "/metrics": 200, "/debug/pprof/": 200, "/debug/pprof/heap": 200, "/debug/pprof/profile?seconds=1": 200,
			"/debug/pprof/cmdline": 404, "/readyz": 404, "/graphql": 404, "/oauth2/token": 404, "/": 404,
		}},
	} {
		for path, want := range at.want {
			if status, text, err := get(at.address + path); err != nil || status != want {
				t.Errorf("%s%s: %d, %v, want %d: %.200s", at.address, path, status, err, want, text)
			}
		}
	}
	asked := time.Now()
	p.stop()
	if took := time.Since(asked); took > stopsWithin {
		t.Errorf("it took %s to stop", took)
	}
	if _, _, err := get(address + "/healthz"); err == nil {
		t.Error("the listener of metrics is still there")
	}
}

// TestNoMetricsUnlessAsked: without METRICS_PORT there is no second listener, and with a wrong one a sentence.
func TestNoMetricsUnlessAsked(t *testing.T) {
	t.Parallel()
	p := serve(t, nil, "--data-dir", usedFolder(t))
	wantNotContains(t, p.log.String(), "/metrics")
	wantContains(t, refusal(t, []string{"METRICS_PORT=8080"}), "METRICS_PORT")
	wantContains(t, refusal(t, nil, "--metrics-port=70000"), "METRICS_PORT")
	wantContains(t, refusal(t, []string{"METRICS_HOST=192.0.2.1", "METRICS_PORT=9"}, "--port=0", "--data-dir", t.TempDir()), "192.0.2.1", "--metrics-host")
}
