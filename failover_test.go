package main

import (
	"context"
	"database/sql"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/connector"
	"github.com/paygraph/paygraph/store/embedded"
	"github.com/paygraph/paygraph/store/embedded/embeddedtest"
	"github.com/paygraph/paygraph/store/storetest"
)

// TestFailoverLosesNothingThatWasAnswered has the machine of the database fall under load, and its standby, which had everything before it was
// answered, take over. The gateway goes on by itself, and one that is started in between waits.
func TestFailoverLosesNothingThatWasAnswered(t *testing.T) {
	t.Parallel()
	pair := newPair(t)
	database := []string{"DATABASE_URL=" + pair.dsn, "PUBLIC_URL=http://127.0.0.1:1"} // one token for all nodes
	output(t, database, "migrate")
	pair.follow()
	gateway := newNode(t, database)
	gateway.ready()
	if _, body, err := get(gateway.url + "/readyz"); err != nil || !strings.Contains(body, `"synchronousReplication":true`) {
		t.Fatalf("/readyz: %s, %v", body, err)
	}
	made := makeMerchant(t, database)
	c := clientOf(t, gateway.program, made.ClientID, made.ClientSecret)
	from, to := c.newWallet(t, "1000.00"), c.newWallet(t, "0.01")
	load := startPayers(t, 64, from, to, 0, c)
	load.await(20)

	fallen := time.Now()
	if err := pair.first.Kill(); err != nil {
		t.Fatal(err)
	}
	before := load.answered()
	early := newNode(t, database)
	if said, waits := early.log.await("waiting for the database"); !waits {
		t.Errorf("a gateway without a database that takes writes does not wait: %s", said)
	}
	if status, body, _ := get(gateway.url + "/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz without a database that takes writes: %d %s", status, body)
	}
	promoted := time.Now()
	pair.promote()
	early.ready()
	load.await(20)
	t.Logf("the standby was promoted after %v, and every payer was answered within %v of that", promoted.Sub(fallen).Round(time.Millisecond),
		time.Since(promoted).Round(time.Millisecond))
	load.stop()
	t.Logf("%d payments were answered before, %d in all, %d attempts were not the first", len(before), len(load.answered()), load.again.Load())
	persist(t, load.clients, "{ eventHead { sequence } }", nil, nil) // it reads, too
	load.judge(early.client(c.token), before)
	output(t, database, "verify")
}

// TestNothingIsAnsweredThatTheStandbyDoesNotHave freezes the standby for longer than the time-outs of a writer's session: they must not end the
// wait for it.
func TestNothingIsAnsweredThatTheStandbyDoesNotHave(t *testing.T) {
	t.Parallel()
	pair := newPair(t)
	database := []string{"DATABASE_URL=" + pair.dsn}
	gateway := serve(t, database)
	made := makeMerchant(t, database)
	c := clientOf(t, gateway, made.ClientID, made.ClientSecret)
	from, to := c.newWallet(t, "1.00"), c.newWallet(t, "0.01")
	pair.follow()
	var receiver int
	if err := ownerOf(t, pair.second).QueryRowContext(t.Context(), `SELECT pid FROM pg_stat_wal_receiver`).Scan(&receiver); err != nil {
		t.Fatal(err)
	}
	thaw := func() { _ = syscall.Kill(receiver, syscall.SIGCONT) }
	t.Cleanup(thaw) // its server could not end otherwise
	if err := syscall.Kill(receiver, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if status, err := c.pay("while-the-standby-is-frozen", from, to); err != nil || status != "OUTCOME_UNKNOWN" {
		t.Errorf("without the standby a payment is %s, %v", status, err)
	}
	thaw()
	if status, err := c.pay("while-the-standby-is-frozen", from, to); err != nil || status != "SUCCEEDED" {
		t.Errorf("with the standby the same payment is %s, %v", status, err)
	}
	c.wantWholeLog(t, 1)
}

// TestAStartWaitsForAServerThatTakesWrites has one server, which is read-only at first, as a standby is until it is promoted.
func TestAStartWaitsForAServerThatTakesWrites(t *testing.T) {
	t.Parallel()
	dsn := storetest.Empty(t)
	owner, err := connector.Open(dsn+"&target_session_attrs=any", connector.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	readOnly := func(is string) {
		_, err := owner.ExecContext(t.Context(), `ALTER DATABASE `+strings.TrimPrefix(parsed(t, dsn).Path, "/")+` SET default_transaction_read_only = `+is)
		if err != nil {
			t.Fatal(err)
		}
	}
	readOnly("on")
	early := run(t, []string{"DATABASE_URL=" + dsn}, "migrate")
	if said, waits := early.log.await("waiting for the database"); !waits {
		t.Errorf("it does not wait: %s", said)
	}
	readOnly("off")
	if status := early.wait(); status != 0 {
		t.Errorf("exit status %d: %s", status, early.log)
	}
}

// pair is a cluster and its synchronous standby.
type pair struct {
	t             *testing.T
	first, second *embedded.Cluster
	dir           string // of the first
	db            *sql.DB
	dsn           string // names both
}

// withoutDisk is for clusters whose processes die, and not their machine.
var withoutDisk = map[string]string{"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB"}

// startCluster runs a cluster for the time of a test.
func startCluster(t *testing.T, c embedded.Config) *embedded.Cluster {
	t.Helper()
	settings := maps.Clone(withoutDisk)
	maps.Copy(settings, c.Settings)
	c.Settings, c.DieWithParent = settings, true
	running, err := embedded.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = running.Stop(context.Background()) })
	return running
}

// ownerOf is a session of a cluster's owner, on whatever it is.
func ownerOf(t *testing.T, c *embedded.Cluster) *sql.DB {
	t.Helper()
	db, err := connector.Open(c.DSN()+"&target_session_attrs=any", connector.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	return db
}

// baseBackup is a copy of a running cluster, taken as operators do.
func baseBackup(t *testing.T, of *embedded.Cluster) string {
	t.Helper()
	program := filepath.Join(of.Programs(), "pg_basebackup")
	if _, err := os.Stat(program); err != nil {
		t.Skip("PostgreSQL is here without its clients: ", err)
	}
	dir := filepath.Join(embeddedtest.Folder(t), "backup")
	cmd := exec.CommandContext(t.Context(), program, "-D", dir, "-d", of.DSN(), "-c", "fast", "--no-sync")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return dir
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t, dir: embeddedtest.Folder(t)}
	p.first = startCluster(t, embedded.Config{Dir: p.dir})
	p.db = ownerOf(t, p.first)
	p.second = startCluster(t, embedded.Config{
		Dir:      embeddedtest.Folder(t),
		Origin:   &embedded.Origin{Of: p.first, Backup: baseBackup(t, p.first), As: embedded.Standby},
		Settings: map[string]string{"primary_conninfo": p.first.DSN() + "&application_name=second"},
	})
	first, second := parsed(t, p.first.DSN()), parsed(t, p.second.DSN())
	first.Host += "," + second.Host
	p.dsn = first.String()
	return p
}

func parsed(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// follow has the first wait with each commit until the second has it.
func (p *pair) follow() {
	p.t.Helper()
	p.exec(`ALTER SYSTEM SET synchronous_standby_names = 'second'`)
	p.exec(`SELECT pg_reload_conf()`)
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var state string
		err := p.db.QueryRowContext(p.t.Context(), `SELECT coalesce(max(sync_state), '') FROM pg_stat_replication WHERE application_name = 'second'`).
			Scan(&state)
		if state == "sync" {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("the standby is %q: %v", state, err)
		}
	}
}

func (p *pair) exec(statement string) {
	p.t.Helper()
	if _, err := p.db.ExecContext(p.t.Context(), statement); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pair) promote() {
	p.t.Helper()
	var done bool
	err := ownerOf(p.t, p.second).QueryRowContext(p.t.Context(), `SELECT pg_promote()`).Scan(&done)
	if err != nil || !done {
		p.t.Fatalf("the standby is not promoted: %v", err)
	}
}
