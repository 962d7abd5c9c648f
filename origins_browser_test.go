//go:build ci

package main

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
)

// TestRealClientsOfOtherOrigins needs Node, npm's registry and Chromium. A page of the list queries and streams, and one that is not in it can do nothing.
func TestRealClientsOfOtherOrigins(t *testing.T) {
	t.Parallel()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("Debian's package chromium is missing: %v", err)
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>A shop</title>"))
	})
	welcome, stranger := httptest.NewServer(page), httptest.NewServer(page)
	t.Cleanup(welcome.Close)
	t.Cleanup(stranger.Close)
	scripts := installed(t, "origins.mjs")
	p := serve(t, []string{"ORIGINS=" + welcome.URL}, "--data-dir", usedFolder(t))
	script := exec.CommandContext(t.Context(), "node", "origins.mjs", p.url, chromium, welcome.URL, stranger.URL)
	script.Dir = scripts
	if out, err := script.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "passed" {
		t.Errorf("%v: %s", err, out)
	}
}
