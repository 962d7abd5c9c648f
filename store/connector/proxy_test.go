package connector

import (
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/connector/proxytest"
)

func newProxy(t testing.TB) *proxytest.Proxy {
	t.Helper()
	return proxytest.New(t, server)
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
