//go:build ci

package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/paygraph/paygraph/store/embedded/embeddedtest"
	"github.com/paygraph/paygraph/store/storetest"
)

// TestTheVersionBeforeServesBesideThisOne upgrades under load: a node of the version before the newest migration serves, the database is
// migrated, a node of this version joins, and the old one is started again on the migrated database. What the two have in common are payments
// that succeed at once (docs/operations.md).
func TestTheVersionBeforeServesBesideThisOne(t *testing.T) {
	t.Parallel()
	before := versionBefore(t)
	database := []string{"DATABASE_URL=" + storetest.Empty(t), "PUBLIC_URL=http://127.0.0.1:1"} // one token for both
	said(t, before, database, "migrate")
	old := &node{port: freePort(t), variables: database, file: before}
	recent := &node{port: freePort(t), variables: database}
	old.begin(t)
	old.ready()
	made := merchantBefore(t, before, database)
	c := clientOf(t, old.program, made.ClientID, made.ClientSecret)
	from, to := c.newWallet(t, "1000.00"), c.newWallet(t, "0.01")
	load := startPayers(t, 32, from, to, 0, old.client(c.token), recent.client(c.token))
	load.await(10)

	output(t, database, "migrate")
	output(t, database, "credential", "limits", made.ClientID, "--points-per-second=10000000", "--burst=10000000", "--at-once=10000", "--sockets=10000")
	load.await(10)
	recent.begin(t)
	recent.ready()
	load.await(10)
	old.stop()
	old.begin(t)
	old.ready()
	load.await(10)

	load.stop()
	for _, n := range []*node{old, recent} {
		load.judge(n.client(c.token), load.answered())
	}
	output(t, database, "verify")
}

// versionBefore builds the program as it was before the newest migration.
func versionBefore(t *testing.T) string {
	t.Helper()
	if git(t, "rev-parse", "--is-shallow-repository") != "false" {
		t.Fatal("the clone is shallow: the version before is not in it; git fetch --unshallow")
	}
	all, err := filepath.Glob("migrations/*.sql") // sorted
	if err != nil || len(all) == 0 {
		t.Fatalf("no migrations: %v", err)
	}
	newest := all[len(all)-1]
	commit := "HEAD" // where the newest migration is not committed yet
	if added := git(t, "log", "-1", "--diff-filter=A", "--format=%H", "--", newest); added != "" {
		commit = added + "^"
	}
	t.Logf("the version before %s is %s", newest, git(t, "log", "-1", "--format=%h %s", commit))
	dir := embeddedtest.Folder(t)
	archive := filepath.Join(dir, "source.tar")
	git(t, "archive", "-o", archive, commit)
	must(t, exec.CommandContext(t.Context(), "tar", "-xf", archive, "-C", dir))
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", "paygraph", ".")
	build.Dir = dir
	must(t, build)
	return filepath.Join(dir, "paygraph")
}

func git(t *testing.T, args ...string) string {
	t.Helper()
	return must(t, exec.CommandContext(t.Context(), "git", args...))
}

// must runs a command that succeeds, and returns what it prints.
func must(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd.Args, err, text)
	}
	return strings.TrimSpace(string(text))
}

// said is output for another program file.
func said(t *testing.T, file string, variables []string, args ...string) string {
	t.Helper()
	p := runFile(t, file, variables, args...)
	if status := p.wait(); status != 0 {
		t.Fatalf("%v: exit status %d: %s", args, status, p.log)
	}
	return p.out.String()
}

// merchantBefore is a merchant with a credential that has the scopes of the version before.
func merchantBefore(t *testing.T, file string, variables []string) (made madeCredential) {
	t.Helper()
	var m struct{ ID string }
	decode(t, said(t, file, variables, "merchant", "create", "Shop", "--json"), &m)
	decode(t, said(t, file, variables, "credential", "create", "--merchant", m.ID, "--json"), &made)
	return made
}
