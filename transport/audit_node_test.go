//go:build ci

package transport_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestAuditsInNode runs the audits of the npm package graphql-http itself. It fails where Node is missing.
func TestAuditsInNode(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(filepath.Join("audit", "node_modules")); err != nil {
		install := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund")
		install.Dir = "audit"
		if out, err := install.CombinedOutput(); err != nil {
			t.Fatalf("npm ci: %v\n%s", err, out)
		}
	}
	run := exec.CommandContext(t.Context(), "node", "audit.mjs", start(t).URL+"/graphql")
	run.Dir = "audit"
	run.Stderr = os.Stderr
	out, err := run.Output()
	if err != nil {
		t.Fatalf("node: %v", err)
	}
	var results []struct{ ID, Name, Status, Reason string }
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, result := range results {
		if result.Status == "ok" {
			passed++
		} else {
			t.Errorf("%s %s: %s (%s)", result.ID, result.Name, result.Status, result.Reason)
		}
	}
	if passed != 61 || len(results) != len(audits) {
		t.Errorf("%d of %d audits are ok, want 61 of 61", passed, len(results))
	}
	for i, result := range results {
		if i < len(audits) && (result.ID != audits[i].id || result.Name != audits[i].name) {
			t.Errorf("audit %d is %s %q, and %s %q in Go", i, result.ID, result.Name, audits[i].id, audits[i].name)
		}
	}
}
