package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
)

// receiver takes traces as an OpenTelemetry collector does, by OTLP over HTTP.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	bytes bytes.Buffer // all that has come
	spans []*otlp.Span
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		var sent collector.ExportTraceServiceRequest
		if err != nil || request.URL.Path != "/v1/traces" || proto.Unmarshal(body, &sent) != nil {
			t.Errorf("%s %s is no export of traces: %q, %v", request.Method, request.URL, body, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bytes.Write(body)
		for _, resource := range sent.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				r.spans = append(r.spans, scope.Spans...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(r.Close)
	return r
}

// named are the spans of a trace with a name.
func (r *receiver) named(traceID, name string) (found []*otlp.Span) {
	for _, s := range r.spans {
		if fmt.Sprintf("%x", s.TraceId) == traceID && s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

// child is the only span with a name below a parent.
func (r *receiver) child(t *testing.T, parent *otlp.Span, name string) *otlp.Span {
	t.Helper()
	var found []*otlp.Span
	for _, s := range r.named(fmt.Sprintf("%x", parent.TraceId), name) {
		if bytes.Equal(s.ParentSpanId, parent.SpanId) {
			found = append(found, s)
		}
	}
	if len(found) == 0 {
		t.Fatalf("there is no %q below %q: %s", name, parent.Name, r.names())
	}
	return found[0]
}

func (r *receiver) names() string {
	var text strings.Builder
	for _, s := range r.spans {
		fmt.Fprintf(&text, "%x %x %x %s\n", s.TraceId, s.ParentSpanId, s.SpanId, s.Name)
	}
	return text.String()
}

// askAs is ask with a traceparent header.
func (c *client) askAs(t *testing.T, traceparent, query string, variables map[string]any) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPost, c.url+"/graphql", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Traceparent", traceparent)
	response, err := c.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if text, err := io.ReadAll(response.Body); err != nil || !bytes.Contains(text, []byte(`"data"`)) {
		t.Errorf("%s: %v", text, err)
	}
}

const (
	callersTrace = "0af7651916cd43dd8448eb211c80319c"
	readersTrace = "0af7651916cd43dd8448eb211c80319d"
	callersSpan  = "b7ad6b7169203331"
)

// TestTraces follows payments from their callers to the statements that write them, and sees that nothing of what they are about is told.
func TestTraces(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	p := serve(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.URL, "OTEL_BSP_SCHEDULE_DELAY=50"}, "--data-dir", usedFolder(t))
	c := demoClient(t, p)
	from, to := c.twoWallets(t)
	const pay = `mutation Pay($input: CreatePaymentInput!) { createPayment(input: $input) {
		... on CreatePaymentSuccess { payment { status } } ... on UserError { code } } }`
	var all sync.WaitGroup
	for n := range 64 {
		all.Go(func() {
			c.askAs(t, "00-"+callersTrace+"-"+callersSpan+"-01", pay, map[string]any{"input": map[string]any{
				"idempotencyKey": fmt.Sprintf("key-of-a-payment-%d", n), "amount": map[string]any{"amount": "0.07", "currency": "USD"},
				"source": map[string]any{"accountId": from}, "destinationAccountId": to, "confirm": true, "reference": "invoice-of-Lovelace",
			}})
		})
	}
	all.Wait()
	c.askAs(t, "00-"+readersTrace+"-"+callersSpan+"-01", fmt.Sprintf(`query Wallet { account(id: %q) { id name } customers(first: 3) { nodes { name } } }`, from), nil)
	c.askAs(t, "00-"+readersTrace+"-"+callersSpan+"-01", `mutation Join { createCustomer(input: { idempotencyKey: "key-of-a-customer", name: "Augusta King" }) {
		... on CreateCustomerSuccess { customer { id name } } } }`, nil)
	c.followedByAll(t, c.head(t).Cursor, "key-of-another-payment", from, to)
	p.stop() // what waits is sent then

	r.mu.Lock()
	defer r.mu.Unlock()
	requests := r.named(callersTrace, "GraphQL over HTTP")
	if len(requests) != 64 {
		t.Fatalf("%d requests are followed: %s", len(requests), r.names())
	}
	for _, request := range requests {
		if fmt.Sprintf("%x", request.ParentSpanId) != callersSpan || request.Kind != otlp.Span_SPAN_KIND_SERVER {
			t.Errorf("a request is not its caller's: %v", request)
		}
		r.child(t, r.child(t, request, "mutation Pay"), "command createPayment")
	}
	linked, shared := 0, false
	for _, batch := range r.named(callersTrace, "batch") {
		linked += len(batch.Links)
		shared = shared || len(batch.Links) > 1
		r.child(t, batch, "WRITE")
	}
	if linked < 64 || !shared {
		t.Errorf("the batches are linked to %d commands, and one to several: %t", linked, shared)
	}
	if len(r.named(callersTrace, "BEGIN lock_head")) == 0 {
		t.Errorf("the lock is not among the statements: %s", r.names())
	}
	request := r.named(readersTrace, "GraphQL over HTTP")
	if len(request) != 2 {
		t.Fatalf("%d requests of a reader are followed: %s", len(request), r.names())
	}
	if len(r.named(readersTrace, "SELECT account")) == 0 || len(r.named(readersTrace, "SELECT customer")) == 0 {
		t.Errorf("what is read is not named: %s", r.names())
	}
	sockets := 0
	for _, s := range r.spans {
		if s.Name == "GraphQL over WebSocket" {
			sockets++
		}
	}
	if sockets == 0 {
		t.Errorf("no message on a socket is followed: %s", r.names())
	}
	for _, secret := range []string{
		c.token, from, to, "key-of-a", "0.07", "Lovelace", "Augusta", "King", "Bearer", "createPayment(", "demo:demo", "paygraph_runtime", "postgres://",
	} {
		if bytes.Contains(r.bytes.Bytes(), []byte(secret)) {
			t.Errorf("%q is told", secret)
		}
	}
	for _, a := range []string{strings.TrimPrefix(from, "acc_"), strings.TrimPrefix(to, "acc_")} {
		if bytes.Contains(r.bytes.Bytes(), []byte(a)) {
			t.Errorf("%q is told", a)
		}
	}
}

// TestNoTracesUnlessAsked: a receiver that is sampled out, or switched off, hears nothing, and one that speaks something else is refused.
func TestNoTracesUnlessAsked(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	for _, variables := range [][]string{
		{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.URL, "OTEL_TRACES_SAMPLER=always_off"}, {"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.URL, "OTEL_SDK_DISABLED=true"},
	} {
		p := serve(t, variables, "--data-dir", usedFolder(t))
		c := demoClient(t, p)
		from, to := c.twoWallets(t)
		if status, err := c.pay("a-payment-without-a-trace", from, to); status != "SUCCEEDED" {
			t.Errorf("%s, %v", status, err)
		}
		p.stop()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.spans) > 0 {
		t.Errorf("there are traces: %s", r.names())
	}
	wantContains(t, refusal(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, "--port=0", "--data-dir", t.TempDir()), "grpc", "http/protobuf")
}

// TestAReceiverThatIsAway costs nothing but a line in the log.
func TestAReceiverThatIsAway(t *testing.T) {
	t.Parallel()
	p := serve(t, []string{fmt.Sprintf("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:%d", freePort(t)), "OTEL_BSP_SCHEDULE_DELAY=20", "OTEL_EXPORTER_OTLP_TIMEOUT=200"},
		"--data-dir", usedFolder(t))
	c := demoClient(t, p)
	from, to := c.twoWallets(t)
	if status, err := c.pay("a-payment-nobody-follows", from, to); status != "SUCCEEDED" {
		t.Errorf("%s, %v", status, err)
	}
	if said, ok := p.log.await("traces are not taken"); !ok {
		t.Errorf("the log does not say so: %s", said)
	}
}
