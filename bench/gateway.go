package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/paygraph/paygraph/store/embedded"
	"github.com/paygraph/paygraph/store/embedded/child"
)

const (
	product     = "github.com/paygraph/paygraph" // the main package that is measured
	readyWithin = time.Minute                    // what a gateway's start may take
	stopWithin  = 30 * time.Second               // what its graceful stop may take
	logShown    = 2000                           // bytes of its log that an error shows
)

// gateway is a running server, our child.
type gateway struct {
	program string
	dsn     string
	address string // host and port
	log     string // the file that it writes to
	*child.Child
}

// build builds a program of the module into dir. It works in any folder of the module, as `go run ./bench` does.
func build(ctx context.Context, name, dir string) (program string, err error) {
	program = filepath.Join(dir, filepath.Base(name))
	// -buildvcs=false: git refuses a checkout that belongs to somebody else, and its stamp is not needed.
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", program, name)
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s does not build: %w\n%s", name, err, output)
	}
	return program, nil
}

// environment is all that the gateway sees, so that nothing which the caller has set makes it another than the product.
func environment(dsn, port string) []string {
	env := []string{"DATABASE_URL=" + dsn, "HOST=127.0.0.1", "PORT=" + port}
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LANG", "TZ"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// startGateway runs the program on a free port, and returns when it is ready. more is what it finds in its environment besides.
func startGateway(ctx context.Context, program, dsn, dir string, more ...string) (*gateway, error) {
	free, err := embedded.FreePort(ctx)
	if err != nil {
		return nil, err
	}
	port := strconv.Itoa(free)
	g := &gateway{program: program, dsn: dsn, address: net.JoinHostPort("127.0.0.1", port), log: filepath.Join(dir, "gateway.log")}
	log, err := os.Create(g.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(program)
	cmd.Env = append(environment(dsn, port), more...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	child.DieWithParent(cmd.SysProcAttr, syscall.SIGTERM)
	if g.Child, err = child.Start(cmd); err != nil {
		return nil, err
	}
	if err := g.awaitReady(ctx); err != nil {
		g.Kill()
		return nil, fmt.Errorf("the gateway did not become ready: %w; its log ends with:\n%s", err, g.lastWords())
	}
	return g, nil
}

func (g *gateway) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyWithin, fmt.Errorf("it was not ready after %v", readyWithin))
	defer cancel()
	defer http.DefaultClient.CloseIdleConnections() // they would be among what clients leave behind
	for {
		if g.ready(ctx) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-g.Ended:
			return fmt.Errorf("it ended: %w", errors.Join(g.Outcome))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ready asks /readyz, and, where there is none, for a GraphQL answer.
func (g *gateway) ready(ctx context.Context) bool {
	switch g.status(ctx, http.MethodGet, "/readyz", "") {
	case http.StatusOK:
		return true
	case http.StatusNotFound:
		return g.status(ctx, http.MethodPost, "/graphql", `{"query":"{ __typename }"}`) == http.StatusOK
	default:
		return false
	}
}

func (g *gateway) status(ctx context.Context, method, path, body string) int {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+g.address+path, strings.NewReader(body))
	if err != nil {
		return 0
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response.StatusCode
}

// stop lets the gateway drain and end. A second stop does nothing.
func (g *gateway) stop() error {
	http.DefaultClient.CloseIdleConnections()
	if err := g.Process.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	select {
	case <-g.Ended:
		if g.Outcome != nil {
			return fmt.Errorf("the gateway's stop: %w; its log ends with:\n%s", g.Outcome, g.lastWords())
		}
		return nil
	case <-time.After(stopWithin):
		g.Kill()
		return fmt.Errorf("the gateway did not stop within %v and was killed", stopWithin)
	}
}

// quit ends the gateway at once, and returns what each of its goroutines was at. GOTRACEBACK=all must be in its environment.
func (g *gateway) quit() (goroutines []string, err error) {
	if err := g.Process.Signal(syscall.SIGQUIT); err != nil {
		return nil, err
	}
	select {
	case <-g.Ended:
	case <-time.After(stopWithin):
		return nil, fmt.Errorf("the gateway did not quit within %v", stopWithin)
	}
	text, err := os.ReadFile(g.log)
	if err != nil {
		return nil, err
	}
	if goroutines = goroutinesIn(string(text)); len(goroutines) == 0 {
		err = fmt.Errorf("the gateway has not said what its goroutines were at; its log ends with:\n%s", g.lastWords())
	}
	return goroutines, err
}

// goroutinesIn are the stacks of a dump at the end of a log.
func goroutinesIn(log string) (stacks []string) {
	for part := range strings.SplitSeq(log, "\n\n") {
		if strings.HasPrefix(part, "goroutine ") {
			stacks = append(stacks, part)
		}
	}
	return stacks
}

// serving are those of some goroutines that serve a connection or a stream.
func serving(goroutines []string) (stacks []string) {
	for _, stack := range goroutines {
		if slices.ContainsFunc(servers, func(name string) bool { return strings.Contains(stack, name) }) {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// servers are found in the stack of each goroutine that serves a connection or a stream, and of no other.
var servers = []string{
	"net/http.(*conn).serve", product + "/transport.", product + "/event.(*feed)", product + "/event.(*Subscription)",
}

// errNoVerify says that this gateway cannot check its ledger.
var errNoVerify = errors.New("this gateway has no command `paygraph verify` yet; --skip-verify leaves it out")

// verify runs `paygraph verify` on the gateway's database.
func (g *gateway) verify(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, g.program, "verify")
	cmd.Env = environment(g.dsn, "0")
	output, err := cmd.CombinedOutput()
	if err != nil && bytes.Contains(output, []byte("unexpected argument verify")) {
		return errNoVerify
	}
	if err != nil {
		return fmt.Errorf("paygraph verify: %w\n%s", err, output)
	}
	return nil
}

// lastWords is the end of the gateway's log.
func (g *gateway) lastWords() string {
	text, _ := os.ReadFile(g.log)
	return string(text[max(0, len(text)-logShown):])
}
