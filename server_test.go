package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/embedded/embeddedtest"
)

// What section 13 of the design allows a start to take.
const (
	firstStart = 15 * time.Second
	laterStart = 2 * time.Second
)

func TestTheFirstStart(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	p := run(t, []string{"PORT=" + strconv.Itoa(port)}, "--data-dir", embeddedtest.Folder(t))
	early := 0
	for address := fmt.Sprintf("http://127.0.0.1:%d", port); ; time.Sleep(20 * time.Millisecond) {
		status, body, err := get(address + "/readyz")
		if err == nil && status == http.StatusOK {
			wantContains(t, body, `"status":"ok"`, `"synchronousReplication":false`)
			break
		}
		if time.Since(p.begun) > patience {
			t.Fatalf("it is not ready: %d %s %v", status, body, err)
		}
		if err != nil {
			continue
		}
		early++
		if status != http.StatusServiceUnavailable || !strings.Contains(body, `"reason":"`) {
			t.Errorf("too early for /readyz: %d %s", status, body)
		}
		if status, _, _ := get(address + "/healthz"); status != http.StatusOK {
			t.Errorf("/healthz: %d", status)
		}
		if status, body, _ := get(address + "/graphql?query={__typename}"); status == http.StatusServiceUnavailable {
			wantContains(t, body, "NOT_READY", `"retryAfterMs":1000`, `"requestId":"`)
		}
	}
	if early < 5 {
		t.Errorf("/readyz was asked %d times before it was ready", early)
	}
	p.awaitReady()
	wantContains(t, p.out.String(), "GraphiQL  "+p.url+"/\n", "curl -u demo:demo", "/oauth2/token", "--fresh")

	demo := demoClient(t, p)
	from, to := demo.twoWallets(t)
	if status, err := demo.pay("the-first-payment", from, to); status != "SUCCEEDED" {
		t.Errorf("a payment is %s, %v", status, err)
	}
	nobody := &client{url: p.url, http: http.DefaultClient}
	nobody.must(t, `{ __schema { queryType { name } } }`, nil, nil)
	if status, body, err := get(p.url + "/graphiql.json"); status != http.StatusOK || !strings.Contains(body, `"clientId":"demo"`) {
		t.Errorf("GraphiQL is told %d %s %v", status, body, err)
	}
}

// servePaid serves from the folder and makes a payment. books is what the ledger shows then.
func servePaid(t *testing.T, dir, key string) (p *program, books string) {
	t.Helper()
	p = serve(t, nil, "--data-dir", dir)
	c := demoClient(t, p)
	from, to := c.twoWallets(t)
	if status, err := c.pay(key, from, to); status != "SUCCEEDED" {
		t.Fatalf("%s, %v", status, err)
	}
	return p, c.books(t)
}

func TestALaterStartKeepsTheDataAndFreshForgetsThem(t *testing.T) {
	t.Parallel()
	dir := usedFolder(t)
	first, before := servePaid(t, dir, "paid-between-starts")
	if first.stop(); first.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("SIGTERM: exit status %d", first.cmd.ProcessState.ExitCode())
	}
	second := serve(t, nil, "--data-dir", dir)
	if after := demoClient(t, second).books(t); after != before {
		t.Errorf("the books were\n%s\nand are\n%s", before, after)
	}
	wantNotContains(t, second.log.String(), "making")
	second.stop()

	third := serve(t, nil, "--data-dir", dir, "--fresh")
	if demoClient(t, third).wasDecided(t, []string{"paid-between-starts"})["paid-between-starts"] {
		t.Error("--fresh has kept a payment")
	}
}

// Not parallel, since it measures. The fastest of some starts counts: others may build on this machine at the same time.
func TestStartsAreQuick(t *testing.T) {
	dir := usedFolder(t)
	for _, start := range []struct {
		name  string
		args  []string
		tries int
		most  time.Duration
	}{{"a first start", []string{"--fresh"}, 4, firstStart}, {"a later start", nil, 8, laterStart}} {
		best := time.Hour
		for i := 0; i < start.tries && best >= start.most; i++ {
			p := serve(t, nil, append(start.args, "--data-dir", dir)...)
			best = min(best, time.Since(p.begun))
			p.stop()
		}
		if t.Logf("%s took %s", start.name, best); best >= start.most {
			t.Errorf("%s took %s at best, and may take %s", start.name, best, start.most)
		}
	}
}

func TestAfterAKillTheNextStartGoesOn(t *testing.T) {
	t.Parallel()
	dir := usedFolder(t)
	first, before := servePaid(t, dir, "paid-before-the-kill")
	first.kill()
	if after := demoClient(t, serve(t, nil, "--data-dir", dir)).books(t); after != before {
		t.Errorf("the books were\n%s\nand are\n%s", before, after)
	}
}

func TestAKillDuringTheFirstStartIsMadeGood(t *testing.T) {
	t.Parallel()
	whole := demoClient(t, serve(t, nil, "--data-dir", usedFolder(t)))
	want := sortedBalances(whole.accounts(t))
	dir := embeddedtest.Folder(t)
	for _, at := range []struct {
		line  string
		delay time.Duration
	}{
		{"making the database cluster", 100 * time.Millisecond}, {"making the database cluster", 700 * time.Millisecond},
		{"making the demo's", 0}, {"making the demo's", 20 * time.Millisecond}, {"making the demo's", 60 * time.Millisecond},
		{"making the demo's", 120 * time.Millisecond},
	} {
		p := run(t, nil, "--port=0", "--data-dir", dir)
		for !strings.Contains(p.log.String(), at.line) && !strings.Contains(p.out.String(), "ready") {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(at.delay)
		p.kill()
	}
	if got := sortedBalances(demoClient(t, serve(t, nil, "--data-dir", dir)).accounts(t)); got != want {
		t.Errorf("balances are\n%s, want\n%s", got, want)
	}
}

func TestATakenPortIsOneSentence(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	dir := embeddedtest.Folder(t)
	wantContains(t, refusal(t, nil, "--port", port, "--data-dir", dir), port, "taken", "--port")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("the database was touched: %v, %v", entries, err)
	}
}

func TestTwoAtOnceIsOneSentence(t *testing.T) {
	t.Parallel()
	dir := usedFolder(t)
	first := serve(t, nil, "--data-dir", dir)
	wantContains(t, refusal(t, nil, "--port=0", "--data-dir", dir), dir, "another paygraph", strconv.Itoa(first.cmd.Process.Pid))
	if status, _, err := get(first.url + "/readyz"); status != http.StatusOK {
		t.Errorf("the first one was disturbed: %d %v", status, err)
	}
}

// TestSIGTERMDrains sends payments without pause. When the signal comes some are being worked on: each is either answered, and then
// in the books, or refused by the connection, and then not.
func TestSIGTERMDrains(t *testing.T) {
	t.Parallel()
	const clients = 200
	dir := usedFolder(t)
	p := serve(t, nil, "--data-dir", dir)
	c := demoClient(t, p)
	from, to := c.twoWallets(t)
	reserve, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://")) // as a browser keeps one
	if err != nil {
		t.Fatal(err)
	}
	defer reserve.Close()
	var mu sync.Mutex
	answered := map[string]bool{}
	var senders sync.WaitGroup
	for n := range clients {
		senders.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("drained-payment-%d-%d", n, i)
				status, err := c.pay(key, from, to)
				mu.Lock()
				answered[key] = err == nil
				mu.Unlock()
				if err != nil && !errors.Is(err, errNotAnswered) || err == nil && status != "SUCCEEDED" {
					t.Errorf("%s: %q, %v", key, status, err)
				}
				if err != nil || status != "SUCCEEDED" {
					return
				}
			}
		})
	}
	for enough := false; !enough; time.Sleep(time.Millisecond) {
		mu.Lock()
		enough = len(answered) >= clients
		mu.Unlock()
	}
	asked := time.Now()
	p.signal(syscall.SIGTERM)
	senders.Wait()
	if status := p.wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if took := time.Since(asked); took > drainTime {
		t.Errorf("it took %s to stop", took)
	}
	var keys []string
	for key := range answered {
		keys = append(keys, key)
	}
	done := 0
	for key, known := range demoClient(t, serve(t, nil, "--data-dir", dir)).wasDecided(t, keys) {
		if known != answered[key] {
			t.Errorf("%s: answered %v, in the books %v", key, answered[key], known)
		}
		if known {
			done++
		}
	}
	t.Logf("%d payments were answered, %d refused by the connection", done, len(keys)-done)
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	p := serve(t, nil, "--data-dir", usedFolder(t))
	connection, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	fmt.Fprint(connection, "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
	time.Sleep(200 * time.Millisecond)
	p.signal(syscall.SIGINT)
	if _, said := p.log.await("stopping"); !said {
		t.Fatal("it does not say that it stops")
	}
	asked := time.Now()
	p.signal(syscall.SIGINT)
	p.wait()
	if took := time.Since(asked); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestWhenGoRunIsKilledTheGatewayDrains(t *testing.T) {
	t.Parallel()
	dir := usedFolder(t)
	cmd := exec.Command("go", "run", "-buildvcs=false", ".", "--port=0", "--data-dir", dir)
	cmd.Env = environment("GOTMPDIR=" + t.TempDir())
	p := begin(t, cmd).awaitReady()
	text, err := os.ReadFile(filepath.Join(dir, "paygraph.lock"))
	if err != nil {
		t.Fatal(err)
	}
	gateway, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || gateway == cmd.Process.Pid {
		t.Fatalf("the gateway is process %q of go run %d", text, cmd.Process.Pid)
	}
	t.Cleanup(func() { _ = syscall.Kill(gateway, syscall.SIGKILL) })
	_ = cmd.Process.Kill()
	killed := time.Now()
	for ; syscall.Kill(gateway, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Since(killed) > patience {
			t.Fatal("the gateway is still there")
		}
	}
	if took := time.Since(killed); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
	wantContains(t, p.log.String(), "is gone")
	if _, _, err := get(p.url + "/healthz"); err == nil {
		t.Error("somebody still listens")
	}
	serve(t, nil, "--data-dir", dir)
}

func TestAsAnOrdinaryUserWithAClosedHome(t *testing.T) {
	t.Parallel()
	home, as := embeddedtest.Ordinary(t)
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		cmd := exec.Command(path, "--port=0")
		as(cmd)
		cmd.Env = environment("HOME=" + home)
		p := begin(t, cmd).awaitReady()
		wantContains(t, p.out.String(), filepath.Join(home, ".local", "state", "paygraph"))
		demoClient(t, p).twoWallets(t)
		p.stop()
	}
}

// The folder has the demo's credential from an earlier start.
func TestWhereOtherMachinesComeThereIsNoDemoCredential(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"on every address": {"--host=0.0.0.0"}, "behind a proxy": {"--public-url=https://pay.example"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := serve(t, nil, append(args, "--data-dir", usedFolder(t))...)
			wantContains(t, p.out.String(), p.url+"/graphql", "there is no demo credential")
			if p.url == "https://pay.example" {
				logged, ok := p.log.await("address=http")
				if !ok {
					t.Fatal("no address in the log: " + logged)
				}
				_, address, _ := strings.Cut(logged, "address=")
				p.url = strings.Fields(address)[0]
			}
			if _, status := tokenFor(t, p, "demo", "demo"); status != http.StatusUnauthorized {
				t.Errorf("a token for demo: %d", status)
			}
			if _, body, err := get(p.url + "/graphiql.json"); err != nil || strings.Contains(body, "demo") {
				t.Errorf("GraphiQL is told %s %v", body, err)
			}
		})
	}
}

func wantNotContains(t *testing.T, text, part string) {
	t.Helper()
	if strings.Contains(text, part) {
		t.Errorf("%q says %q", text, part)
	}
}
