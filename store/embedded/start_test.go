package embedded

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/connector"
	"github.com/paygraph/paygraph/store/embedded/embeddedtest"
)

func TestFirstStart(t *testing.T) {
	t.Parallel()
	dir := embeddedtest.Folder(t)
	began := time.Now()
	c := start(t, Config{Dir: dir, Settings: map[string]string{}})
	t.Log("the first start took", time.Since(began))

	for query, want := range map[string]string{
		"SELECT current_user":       "paygraph",
		"SELECT current_database()": "paygraph",
		"SELECT rolsuper::text FROM pg_roles WHERE rolname = current_user":                 "true",
		"SELECT datcollate || ' ' || datctype FROM pg_database WHERE datname = 'paygraph'": "C C",
		"SHOW server_encoding":    "UTF8",
		"SHOW data_checksums":     "on",
		"SHOW fsync":              "on",
		"SHOW synchronous_commit": "on",
		"SHOW full_page_writes":   "on",
		"SHOW jit":                "off",
		"SHOW max_wal_size":       "4GB",
		"SHOW max_connections":    "100",
		"SHOW listen_addresses":   "127.0.0.1",
		"SHOW timezone":           "UTC",
		"SELECT left(rolpassword, 13) FROM pg_authid WHERE rolname = current_user":                               "SCRAM-SHA-256",
		"SELECT count(*)::text FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256' OR error IS NOT NULL": "0",
	} {
		if got := ask(t, c, query); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
	if compression := ask(t, c, "SHOW wal_compression"); compression == "off" {
		t.Error("the WAL is not compressed")
	}
}

func TestThePasswordIsAskedForAndKeptFromOthers(t *testing.T) {
	t.Parallel()
	dir := usedFolder(t)
	c := start(t, Config{Dir: dir})
	dsn, err := url.Parse(c.DSN())
	if err != nil {
		t.Fatal(err)
	}
	dsn.User = url.UserPassword("paygraph", "wrong")
	db, err := connector.Open(dsn.String(), connector.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.PingContext(t.Context()); err == nil {
		t.Error("a wrong password will do")
	}
	for name, want := range map[string]os.FileMode{"cluster/password": 0o600, "cluster/data": 0o700 | os.ModeDir, "log": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
}

func TestASecondStartKeepsTheDataAndAFreshOneForgetsIt(t *testing.T) {
	t.Parallel()
	dir := usedFolder(t)
	c := start(t, Config{Dir: dir})
	execute(t, c, "CREATE TABLE kept AS SELECT 42 AS answer")
	stop(t, c)

	began := time.Now()
	c = start(t, Config{Dir: dir})
	t.Log("the second start took", time.Since(began))
	if got := ask(t, c, "SELECT answer FROM kept"); got != "42" {
		t.Errorf("got %s", got)
	}
	stop(t, c)
	stop(t, c) // does nothing

	note := filepath.Join(dir, "note") // by a person
	if err := os.WriteFile(note, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c = start(t, Config{Dir: dir, Fresh: true})
	if got := ask(t, c, "SELECT count(*) FROM pg_class WHERE relname = 'kept'"); got != "0" {
		t.Error("the table is still there")
	}
	if _, err := os.Stat(filepath.Join(dir, scratch)); err == nil {
		t.Error("the old cluster is still there")
	}
	if _, err := os.Stat(note); err != nil {
		t.Error("what paygraph did not make is gone:", err)
	}
}

func TestSettingsComeAfterTheDefaultsAndMayChange(t *testing.T) {
	t.Parallel()
	dir := usedFolder(t)
	c := start(t, Config{Dir: dir, Settings: map[string]string{"fsync": "off", "jit": "on", "cluster_name": `it's a \ test`}})
	if got := ask(t, c, "SHOW jit") + ask(t, c, "SHOW cluster_name"); got != `onit's a \ test` {
		t.Errorf("got %s", got)
	}
	if got := ask(t, c, "SELECT pg_size_bytes(current_setting('shared_buffers')) = pg_size_bytes('"+defaults["shared_buffers"]+"')"); got != "true" {
		t.Errorf("a setting of the start before is still there: %s", got)
	}
}

func TestOnlyOneOfManyAtOnceGetsTheFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(embeddedtest.Folder(t), "new")
	results := make(chan error)
	clusters := make(chan *Cluster, 8)
	for range cap(clusters) {
		go func() {
			c, err := Start(t.Context(), Config{Dir: dir, Settings: quick, DieWithParent: true})
			if err == nil {
				clusters <- c
			}
			results <- err
		}()
	}
	refused := regexp.MustCompile(`^another paygraph( \(pid \d+\))? is using .*/new; stop it or use another folder$`)
	for range cap(clusters) {
		if err := <-results; err != nil && !refused.MatchString(err.Error()) {
			t.Error(err)
		}
	}
	close(clusters)
	if len(clusters) != 1 {
		t.Fatalf("%d started", len(clusters))
	}
	c := <-clusters
	wantContains(t, refusal(t, Config{Dir: dir}), "another paygraph (pid ")
	stop(t, c)
	stop(t, start(t, Config{Dir: dir}))
}

func TestAPortThatSomebodyElseTookMeanwhile(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	tries := 0
	c := start(t, Config{Dir: usedFolder(t), port: func(ctx context.Context) (int, error) {
		if tries++; tries < 3 {
			return taken.Addr().(*net.TCPAddr).Port, nil
		}
		return FreePort(ctx)
	}})
	ask(t, c, "SELECT 1")
	if tries != 3 {
		t.Errorf("%d tries", tries)
	}
}

func TestALongLogIsPutAside(t *testing.T) {
	t.Parallel()
	dir := usedFolder(t)
	if err := os.Truncate(filepath.Join(dir, "log"), logLimit+1); err != nil {
		t.Fatal(err)
	}
	stop(t, start(t, Config{Dir: dir}))
	for name, long := range map[string]bool{"log": false, "log.1": true} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if (info.Size() > logLimit) != long {
			t.Errorf("%s has %d bytes", name, info.Size())
		}
	}
}

func TestStopWithoutTimeLeft(t *testing.T) {
	t.Parallel()
	dir := usedFolder(t)
	c := start(t, Config{Dir: dir})
	execute(t, c, "CREATE TABLE kept AS SELECT 42 AS answer")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// The server may be quick enough all the same. In any case it has ended, and nothing that was committed is lost.
	if err := c.Stop(ctx); err != nil {
		wantContains(t, err.Error(), "did not shut down in time")
	}
	c = start(t, Config{Dir: dir})
	if got := ask(t, c, "SELECT answer FROM kept"); got != "42" {
		t.Errorf("got %s", got)
	}
}

func TestAnInterruptedStart(t *testing.T) {
	t.Parallel()
	dir := embeddedtest.Folder(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Start(ctx, Config{Dir: dir, Settings: quick, Progress: func(line string) {
		if strings.HasPrefix(line, "making") {
			time.AfterFunc(300*time.Millisecond, cancel)
		}
	}})
	if err == nil {
		t.Fatal("it was not interrupted")
	}
	wantContains(t, err.Error(), "the start of PostgreSQL was interrupted")
	f, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if err := f.endOrphans(t.Context(), Config{Progress: func(string) {}}); err != nil {
		t.Error(err)
	}
}

func TestDefaultDir(t *testing.T) {
	t.Setenv("HOME", "/home/ada")
	t.Setenv("XDG_STATE_HOME", "")
	want := "/home/ada/.local/state/paygraph"
	if os.Geteuid() == 0 {
		want = "/var/lib/paygraph"
	}
	if got, err := DefaultDir(); err != nil || got != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	t.Setenv("XDG_STATE_HOME", "relative") // to be ignored, says the XDG Base Directory Specification
	if got, err := DefaultDir(); err != nil || got != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	t.Setenv("XDG_STATE_HOME", "/state")
	if got, err := DefaultDir(); err != nil || got != "/state/paygraph" {
		t.Errorf("got %s, %v", got, err)
	}
}
