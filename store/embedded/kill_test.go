package embedded

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/embedded/embeddedtest"
)

func TestAfterTheGatewayWasKilled(t *testing.T) {
	t.Parallel()
	dir := usedFolder(t)
	c := start(t, Config{Dir: dir})
	execute(t, c, "CREATE TABLE kept AS SELECT 42 AS answer")
	stop(t, c)

	for _, fresh := range []bool{false, true} {
		startGateway(t, gatewayConfig{Dir: dir}, "started: <nil>").kill()
		orphan := serverPID(t, dir)
		if !alive(orphan) {
			t.Fatal("the server did not outlive its gateway")
		}
		var told []string
		c = start(t, Config{Dir: dir, Fresh: fresh, Progress: func(line string) { told = append(told, line) }})
		waitUntilGone(t, orphan)
		wantContains(t, strings.Join(told, "\n"), "stopping the PostgreSQL that a killed paygraph left behind in "+dir)
		want := map[bool]string{false: "1", true: "0"}[fresh]
		if got := ask(t, c, "SELECT count(*) FROM pg_class WHERE relname = 'kept'"); got != want {
			t.Errorf("fresh %v: got %s", fresh, got)
		}
		stop(t, c)
	}
}

func TestTheServerDiesWithItsGateway(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("no other kernel does it")
	}
	dir := usedFolder(t)
	g := startGateway(t, gatewayConfig{Dir: dir, DieWithParent: true}, "started: <nil>")
	server := serverPID(t, dir)
	time.Sleep(100 * time.Millisecond) // the threads that forked programs are idle again, and may have ended
	if !alive(server) {
		t.Fatal("the server did not wait for its gateway to die")
	}
	g.kill()
	waitUntilGone(t, server)
	start(t, Config{Dir: dir})
}

func TestAGatewayKilledWhileItMadeTheCluster(t *testing.T) {
	t.Parallel()
	dir := embeddedtest.Folder(t)
	for _, after := range []time.Duration{0, 500 * time.Millisecond} {
		g := startGateway(t, gatewayConfig{Dir: dir}, "making the database cluster")
		time.Sleep(after)
		g.kill()
		if _, err := os.Stat(filepath.Join(dir, scratch)); err != nil {
			t.Logf("after %v: %v", after, err)
		}
	}
	start(t, Config{Dir: dir})
}

func TestAfterTheServerWasKilledToo(t *testing.T) {
	t.Parallel()
	dir := usedFolder(t)
	g := startGateway(t, gatewayConfig{Dir: dir}, "started: <nil>")
	server := serverPID(t, dir)
	g.kill()
	if err := syscall.Kill(server, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	start(t, Config{Dir: dir})
}

func TestAStalePIDFile(t *testing.T) {
	t.Parallel()
	dir := usedFolder(t)
	c := start(t, Config{Dir: dir})
	file := filepath.Join(dir, clusterName, "data", "postmaster.pid")
	stale, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	stop(t, c)

	// A process of the same user that has nothing to do with us: PostgreSQL by itself takes it for a server and refuses to start.
	as, err := whoRuns(filepath.Dir(file))
	if err != nil {
		t.Fatal(err)
	}
	stranger := exec.CommandContext(t.Context(), "sleep", "60")
	stranger.Dir = "/"
	if as.other {
		stranger.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(as.uid), Gid: uint32(as.gid)}}
	}
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stranger.Process.Kill(); _ = stranger.Wait() })
	_, rest, _ := strings.Cut(string(stale), "\n")
	for name, text := range map[string]string{
		"a process that is gone":    string(stale),
		"somebody else's process":   fmt.Sprintf("%d\n%s", stranger.Process.Pid, rest),
		"nothing, for want of disk": "",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(file, as.uid, as.gid); err != nil {
			t.Fatal(err)
		}
		c, err := Start(t.Context(), Config{Dir: dir, Settings: quick, DieWithParent: true})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		stop(t, c)
	}
	if !alive(stranger.Process.Pid) {
		t.Error("the stranger was killed")
	}
}

func TestTheOwnerOfTheDataRunsTheServer(t *testing.T) {
	t.Parallel()
	nobody, err := user.Lookup("nobody")
	if os.Geteuid() != 0 || err != nil {
		t.Skip("root alone has a choice")
	}
	dir := usedFolder(t)
	data := filepath.Join(dir, clusterName, "data")
	output, err := exec.CommandContext(t.Context(), "chown", "-R", nobody.Uid+":"+nobody.Gid, data).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	c := start(t, Config{Dir: dir})
	if got := ask(t, c, "SELECT count(*) FROM pg_database"); got != "4" {
		t.Errorf("got %s", got)
	}
}
