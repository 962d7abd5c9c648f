package connector

import (
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/connector/faultproxy"
)

func newProxy(t testing.TB) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.Listen(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// within fails the test if f takes longer than d.
func within(t *testing.T, d time.Duration, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("it takes longer than %v", d)
	}
}
