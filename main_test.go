package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/embedded"
	"github.com/paygraph/paygraph/store/embedded/embeddedtest"
	"github.com/paygraph/paygraph/store/storetest"
)

// These tests build the program once and run it as a person does. patience is what they wait for something on a busy machine.
const patience = time.Minute

// parallelTests run at once unless -parallel says otherwise: some wait for time-outs, or for PostgreSQL.
const parallelTests = "4"

func TestMain(m *testing.M) {
	flag.Parse()
	if p := flag.Lookup("test.parallel"); p.Value.String() == p.DefValue {
		_ = p.Value.Set(parallelTests)
	}
	code := m.Run()
	storetest.Stop()
	for _, undo := range atTheEnd {
		undo()
	}
	os.Exit(code)
}

var (
	atTheEnd   []func()
	atTheEndMu sync.Mutex
)

// sharedFolder is a folder for all tests.
func sharedFolder() (string, error) {
	dir, err := embeddedtest.NewFolder()
	atTheEndMu.Lock()
	defer atTheEndMu.Unlock()
	atTheEnd = append(atTheEnd, func() { _ = os.RemoveAll(dir) })
	return dir, err
}

// built is the program.
var built = sync.OnceValues(func() (string, error) {
	dir, err := sharedFolder()
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "paygraph")
	if output, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, output)
	}
	return program, nil
})

// seeded is a folder as the first start leaves it, after a stop. A copy takes a tenth of the time.
var seeded = sync.OnceValues(func() (string, error) {
	dir, err := sharedFolder()
	if err != nil {
		return "", err
	}
	program, err := built()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(program, "--port=0", "--data-dir", dir)
	cmd.Env = environment()
	said := &record{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		return "", err
	}
	_, ready := said.await("Paygraph is ready")
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil || !ready {
		return "", fmt.Errorf("the first start failed: %w: %s", err, said)
	}
	return dir, nil
})

// usedFolder is a folder of a gateway that was stopped, with the demo's data.
func usedFolder(t *testing.T) string {
	t.Helper()
	from, err := seeded()
	if err != nil {
		t.Fatal(err)
	}
	return embeddedtest.Copy(t, from)
}

// environment is ours without what configures the program, and with more.
func environment(more ...string) []string {
	ours := regexp.MustCompile(`^(HOST|PORT|PRODUCTION|GRAPHIQL|DATABASE_URL|PUBLIC_URL|TOKEN_TTL|OUTSIDE_ISSUERS|ORIGINS|ACME[A-Z_]*|TLS_[A-Z_]+|REDIRECT_PORT|METRICS_[A-Z]+|OTEL_[A-Z_]+|WS_[A-Z_]+|LOG_LEVEL|LOG_FORMAT|XDG_STATE_HOME|PG[A-Z]+)=`)
	var all []string
	for _, variable := range os.Environ() {
		if !ours.MatchString(variable) {
			all = append(all, variable)
		}
	}
	return append(all, more...)
}

// record is what a program prints.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// await waits until the program has printed something, and returns all that it has.
func (r *record) await(part string) (string, bool) {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if text := r.String(); strings.Contains(text, part) {
			return text, true
		} else if time.Now().After(deadline) {
			return text, false
		}
	}
}

// program is a running gateway, or a command.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	out   *record // standard output
	log   *record // standard error
	ended chan struct{}
	begun time.Time
	url   string      // once it is ready
	tls   *tls.Config // how clients speak to it; nil: in plain HTTP
}

// run starts the program. It is killed at the end of the test.
func run(t *testing.T, variables []string, args ...string) *program {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return runFile(t, path, variables, args...)
}

// runFile is run for another program file.
func runFile(t *testing.T, path string, variables []string, args ...string) *program {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env = environment(variables...)
	return begin(t, cmd)
}

func begin(t *testing.T, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{t: t, cmd: cmd, out: &record{}, log: &record{}, ended: make(chan struct{}), begun: time.Now()}
	cmd.Stdout, cmd.Stderr = p.out, p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s printed\n%s\nand logged\n%s", strings.Join(cmd.Args[1:], " "), p.out, p.log)
		}
	})
	return p
}

// serve starts a gateway on a free port and waits until it is ready.
func serve(t *testing.T, variables []string, args ...string) *program {
	t.Helper()
	return run(t, variables, append([]string{"--port=0"}, args...)...).awaitReady()
}

var graphqlLine = regexp.MustCompile(`GraphQL +(\S+)/graphql\n`)

// awaitReady waits for the banner.
func (p *program) awaitReady() *program {
	p.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if found := graphqlLine.FindStringSubmatch(p.out.String()); found != nil {
			p.url = found[1]
			return p
		}
		select {
		case <-p.ended:
			p.t.Fatalf("it has ended: %s", p.log)
		default:
		}
	}
	p.t.Fatalf("it is not ready: %s", p.log)
	return nil
}

// stop asks the program to end, and waits.
func (p *program) stop() {
	p.signal(syscall.SIGTERM)
	p.wait()
}

// kill ends it without warning.
func (p *program) kill() {
	p.signal(syscall.SIGKILL)
	p.wait()
}

func (p *program) signal(s syscall.Signal) {
	select {
	case <-p.ended:
	default:
		_ = p.cmd.Process.Signal(s)
	}
}

// wait waits for its end and returns the exit status.
func (p *program) wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		p.t.Errorf("it does not end: %s", p.log)
	}
	return p.cmd.ProcessState.ExitCode()
}

// output runs a command that succeeds, and returns what it printed.
func output(t *testing.T, variables []string, args ...string) string {
	t.Helper()
	p := run(t, variables, args...)
	if status := p.wait(); status != 0 {
		t.Fatalf("%v: exit status %d: %s", args, status, p.log)
	}
	return p.out.String()
}

// refusal runs a command that fails, and returns its one sentence.
func refusal(t *testing.T, variables []string, args ...string) string {
	t.Helper()
	p := run(t, variables, args...)
	if status := p.wait(); status != 1 {
		t.Errorf("%v: exit status %d, want 1", args, status)
	}
	var sentences []string
	for line := range strings.Lines(p.log.String()) {
		if sentence, is := strings.CutPrefix(line, "paygraph: "); is {
			sentences = append(sentences, strings.TrimSpace(sentence))
		} else if !strings.Contains(line, "level=") {
			t.Errorf("%v: it also prints %q", args, line)
		}
	}
	if len(sentences) != 1 {
		t.Fatalf("%v: it says %q, want one sentence", args, sentences)
	}
	return sentences[0]
}

func wantContains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not say %q", text, part)
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := embedded.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// get asks for a path. The error is the connection's.
func get(address string) (status int, body string, err error) {
	response, err := http.Get(address)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

var errNotAnswered = errors.New("the connection was refused or closed")
