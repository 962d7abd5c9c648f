package transport_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/transport"
	"github.com/paygraph/paygraph/transport/internal/testschema"
)

const createPayment = `mutation CreatePayment($input: CreatePaymentInput!) {
  createPayment(input: $input) { id reference amount }
}`

func benchHandler() http.Handler {
	return transport.New(transport.Config{
		Schema: testschema.New(&testschema.Resolver{}),
		Authenticate: func(context.Context, string) (auth.Principal, error) {
			return auth.Principal{Kind: auth.Backend, Merchant: "mer_1", Scopes: auth.AllScopes}, nil
		},
	})
}

func mutationBody(tb testing.TB) string {
	tb.Helper()
	body, err := json.Marshal(map[string]any{"query": createPayment, "variables": map[string]any{"input": map[string]any{
		"idempotencyKey": "0123456789abcdef", "amount": map[string]any{"amount": "12.34", "currency": "USD"},
		"source": map[string]any{"accountId": "acc_01h455vb4pex5vsknk084sn02q"}, "reference": "order 17",
	}}})
	if err != nil {
		tb.Fatal(err)
	}
	return string(body)
}

// discard is the cheapest http.ResponseWriter.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// cpu reports the processor time of an operation, which means more than its duration on a machine that others use too.
func cpu(b *testing.B) func() {
	b.Helper()
	used := func() int64 {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			b.Fatal(err)
		}
		return usage.Utime.Nano() + usage.Stime.Nano()
	}
	start := used()
	return func() { b.ReportMetric(float64(used()-start)/float64(b.N), "cpu-ns/op") }
}

// BenchmarkHandler is the handler alone: the same small mutation again and again.
func BenchmarkHandler(b *testing.B) {
	h, body := benchHandler(), mutationBody(b)
	b.ReportAllocs()
	defer cpu(b)()
	b.RunParallel(func(pb *testing.PB) {
		request := httptest.NewRequest(http.MethodPost, "/graphql", nil)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer token")
		request.ContentLength = int64(len(body))
		for pb.Next() {
			request.Body = io.NopCloser(strings.NewReader(body))
			h.ServeHTTP(discard{http.Header{}}, request)
		}
	})
}

// BenchmarkServer is the same over loopback HTTP, client included.
func BenchmarkServer(b *testing.B) {
	server := httptest.NewServer(benchHandler())
	defer server.Close()
	body := mutationBody(b)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	b.ReportAllocs()
	defer cpu(b)()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			request, _ := http.NewRequest(http.MethodPost, server.URL, strings.NewReader(body))
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("Authorization", "Bearer token")
			response, err := client.Do(request)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
	})
}
