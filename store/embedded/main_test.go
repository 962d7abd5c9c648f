package embedded

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/connector"
	"github.com/paygraph/paygraph/store/embedded/embeddedtest"
)

// patience is what a test waits for something to happen on a busy machine.
const patience = 20 * time.Second

// gatewayVariable asks the test program to be a gateway: to start the cluster of the Config in it, say so, and wait to be killed.
const gatewayVariable = "PAYGRAPH_TEST_GATEWAY"

func TestMain(m *testing.M) {
	if config := os.Getenv(gatewayVariable); config != "" {
		beGateway(config)
	}
	code := m.Run()
	for _, dir := range made {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

var made []string // what model has made

// model is a folder with a cluster, made once. A copy of it takes a tenth of the time.
var model = sync.OnceValues(func() (string, error) {
	dir, err := embeddedtest.NewFolder()
	if err != nil {
		return "", err
	}
	made = append(made, dir)
	c, err := Start(context.Background(), Config{Dir: dir, Settings: quick, DieWithParent: true})
	if err != nil {
		return "", err
	}
	return dir, c.Stop(context.Background())
})

// usedFolder is a folder as a gateway leaves it that was stopped.
func usedFolder(t *testing.T) string {
	t.Helper()
	from, err := model()
	if err != nil {
		t.Fatal(err)
	}
	return embeddedtest.Copy(t, from)
}

// gatewayConfig is as much of a Config as can be handed to another process.
type gatewayConfig struct {
	Dir           string
	DieWithParent bool
}

func beGateway(config string) {
	var g gatewayConfig
	if err := json.Unmarshal([]byte(config), &g); err != nil {
		panic(err)
	}
	_, err := Start(context.Background(), Config{
		Dir:           g.Dir,
		Settings:      quick,
		DieWithParent: g.DieWithParent,
		Progress:      func(line string) { fmt.Println(line) },
	})
	fmt.Println("started:", err)
	if err != nil {
		os.Exit(1)
	}
	time.Sleep(time.Hour)
}

// gateway is another process that runs a cluster.
type gateway struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

// startGateway starts a gateway and waits for the line that it prints.
func startGateway(t *testing.T, g gatewayConfig, line string) *gateway {
	t.Helper()
	config, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), gatewayVariable+"="+string(config))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	other := &gateway{cmd, bufio.NewScanner(out)}
	t.Cleanup(other.kill)
	for other.lines.Scan() {
		if strings.HasPrefix(other.lines.Text(), line) {
			return other
		}
		t.Log("the gateway says:", other.lines.Text())
	}
	t.Fatalf("the gateway ended without saying %q", line)
	return nil
}

// kill kills the gateway with SIGKILL.
func (g *gateway) kill() {
	_ = g.cmd.Process.Kill()
	_ = g.cmd.Wait()
}

// quick are the settings of tests, which may lose data when the machine fails.
var quick = map[string]string{"fsync": "off", "shared_buffers": "16MB", "max_connections": "20"}

// start starts a cluster that lives as long as the test.
func start(t *testing.T, c Config) *Cluster {
	t.Helper()
	c.DieWithParent = true
	if c.Settings == nil {
		c.Settings = quick
	}
	cluster, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, cluster) })
	return cluster
}

func stop(t *testing.T, c *Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// refusal starts a cluster that must not start, and returns the sentence.
func refusal(t *testing.T, c Config) string {
	t.Helper()
	cluster, err := Start(t.Context(), c)
	if err == nil {
		stop(t, cluster)
		t.Fatal("it started")
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than a line: %q", err)
	}
	return err.Error()
}

func wantContains(t *testing.T, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("%q does not say %q", text, part)
	}
}

func open(t *testing.T, c *Cluster) *sql.DB {
	t.Helper()
	db, err := connector.Open(c.DSN(), connector.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func execute(t *testing.T, c *Cluster, statement string) {
	t.Helper()
	if _, err := open(t, c).ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func ask(t *testing.T, c *Cluster, query string) string {
	t.Helper()
	var answer string
	if err := open(t, c).QueryRowContext(t.Context(), query).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

// serverPID is the process number of the server in the folder, alive or not.
func serverPID(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, clusterName, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func waitUntilGone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(patience); alive(pid); time.Sleep(poll) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there", pid)
		}
	}
}

// TestAsAnOrdinaryUser runs, if root runs the tests, those again to which the user makes a difference, as a user whose home is
// closed to others.
func TestAsAnOrdinaryUser(t *testing.T) {
	t.Parallel()
	home, as := embeddedtest.Ordinary(t)
	program := filepath.Join(embeddedtest.Folder(t), "embedded.test") // the folder that it is in now may be closed to that user
	// By another process: a child of ours that is being forked would have the file open for writing, and it could not be run.
	if output, err := exec.CommandContext(t.Context(), "cp", os.Args[0], program).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.v", "-test.timeout=90s", "-test.run",
		"TestFirstStart|TestDefaultDir|Killed|Dies|Stale|FetchedOnce|TooOld|AFolder")
	as(cmd)
	cmd.Env = append(os.Environ(), "HOME="+home, "TMPDIR="+home, "XDG_STATE_HOME=")
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, line := range strings.Split(string(output), "\n") {
		if strings.HasPrefix(line, "---") {
			t.Log(line)
		}
	}
}
