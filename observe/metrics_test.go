package observe_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/observe"
	"github.com/paygraph/paygraph/transport"
)

// shown is what Prometheus would read.
func shown(t testing.TB, m *observe.Metrics) string {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	if answer.Code != 200 {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	return answer.Body.String()
}

func want(t *testing.T, m *observe.Metrics, lines ...string) {
	t.Helper()
	text := "\n" + shown(t, m)
	for _, line := range lines {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("there is no %s in %s", line, text)
		}
	}
}

func operation(kind ast.Operation, name string, known bool, codes ...string) transport.Answered {
	return transport.Answered{Kind: kind, Name: name, Known: known, Took: 3 * time.Millisecond, Codes: codes}
}

func TestOperationsAreCountedByTheirNames(t *testing.T) {
	t.Parallel()
	m := observe.NewMetrics()
	m.Answered(operation("query", "Wallet", true))
	m.Answered(operation("query", "Wallet", false, "FORBIDDEN"))
	m.Answered(operation("mutation", "Wallet", false))
	m.Answered(operation("query", "Stranger", false))
	m.Answered(operation("", "", false, "UNAUTHENTICATED"))
	m.Answered(operation("query", "", true, "INTERNAL", "INTERNAL"))
	want(t, m,
		`paygraph_operation_seconds_count{kind="query",name="Wallet"} 2`,
		`paygraph_operation_seconds_bucket{kind="query",name="Wallet",le="0.0025"} 0`,
		`paygraph_operation_seconds_bucket{kind="query",name="Wallet",le="0.005"} 2`,
		`paygraph_operation_seconds_count{kind="mutation",name="Wallet"} 1`,
		`paygraph_operation_seconds_count{kind="query",name="other"} 1`,
		`paygraph_operation_seconds_count{kind="none",name="unnamed"} 1`,
		`paygraph_operation_errors_total{code="FORBIDDEN",kind="query",name="Wallet"} 1`,
		`paygraph_operation_errors_total{code="UNAUTHENTICATED",kind="none",name="unnamed"} 1`,
		`paygraph_operation_errors_total{code="INTERNAL",kind="query",name="unnamed"} 2`)
}

// TestNamesAreBounded has many clients use many names at once, and names that are none.
func TestNamesAreBounded(t *testing.T) {
	t.Parallel()
	m := observe.NewMetrics()
	const clients, names = 8, 1000
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for n := range names {
				m.Answered(operation("query", fmt.Sprint("Name", n), true))
			}
		})
	}
	all.Wait()
	text := shown(t, m)
	if found := strings.Count(text, "paygraph_operation_seconds_count{"); found != 201 {
		t.Errorf("%d names are kept, want 200 and other", found)
	}
	var counted, n int
	for line := range strings.Lines(text) {
		if _, value, is := strings.Cut(line, "} "); is && strings.HasPrefix(line, "paygraph_operation_seconds_count{") {
			_, _ = fmt.Sscan(value, &n)
			counted += n
		}
	}
	if counted != clients*names {
		t.Errorf("%d operations are counted, want %d", counted, clients*names)
	}
}

func TestNamesThatAreNone(t *testing.T) {
	t.Parallel()
	m := observe.NewMetrics()
	names := []string{"4111", "a b", "a\nb", "a\"b", "é", "\x00", "\xff", strings.Repeat("a", 65)}
	for _, name := range names {
		m.Answered(operation("query", name, true))
	}
	want(t, m, fmt.Sprintf(`paygraph_operation_seconds_count{kind="query",name="other"} %d`, len(names)))
	if found := strings.Count(shown(t, m), "paygraph_operation_seconds_count{"); found != 1 {
		t.Errorf("%d names are kept, want other alone", found)
	}
}

func TestOutcomesOfCommands(t *testing.T) {
	t.Parallel()
	m := observe.NewMetrics()
	for _, err := range []error{
		nil, ledger.AccountNotActive{}, fmt.Errorf("why: %w", command.ErrUnavailable), command.ErrRateLimited, command.ErrOutcomeUnknown,
		command.ErrInternal, errors.New("a defect"),
	} {
		m.Decided("pay", err)
	}
	for outcome, times := range map[string]int{
		"OK": 1, "ACCOUNT_NOT_ACTIVE": 1, "UNAVAILABLE": 1, "RATE_LIMITED": 1, "OUTCOME_UNKNOWN": 1, "INTERNAL": 2,
	} {
		want(t, m, fmt.Sprintf(`paygraph_commands_total{operation="pay",outcome=%q} %d`, outcome, times))
	}
}

func TestBatchesAreCounted(t *testing.T) {
	t.Parallel()
	m := observe.NewMetrics()
	m.Took(5, 2*time.Millisecond)
	m.Locked(20 * time.Millisecond)
	m.Committed(time.Millisecond/2, true)
	m.Committed(time.Second, false)
	m.Refuted()
	m.Retried()
	want(t, m, `paygraph_batch_commands_sum 5`, `paygraph_batch_waited_seconds_sum 0.002`, `paygraph_batch_lock_seconds_sum 0.02`,
		`paygraph_batch_commit_seconds_sum{way="short"} 0.0005`, `paygraph_batch_commit_seconds_sum{way="long"} 1`,
		`paygraph_batches_refuted_total 1`, `paygraph_batches_retried_total 1`)
}

func BenchmarkOperation(b *testing.B) {
	m := observe.NewMetrics()
	a := operation("mutation", "Pay", true)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Answered(a)
		}
	})
}

func BenchmarkCommand(b *testing.B) {
	m := observe.NewMetrics()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Decided("createPayment", nil)
		}
	})
}

func BenchmarkBatch(b *testing.B) {
	m := observe.NewMetrics()
	b.ReportAllocs()
	for b.Loop() {
		m.Took(31, time.Millisecond)
		m.Locked(time.Millisecond)
		m.Committed(time.Millisecond, false)
	}
}
