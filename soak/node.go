package soak

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/paygraph/paygraph/store/connector/faultproxy"
	"github.com/paygraph/paygraph/store/embedded"
	"github.com/paygraph/paygraph/store/embedded/child"
)

const (
	readyWithin = time.Minute
	readyPoll   = 10 * time.Millisecond
	issuer      = "http://127.0.0.1:1" // one token is good at all nodes
)

// node is a gateway, our child, with a way of its own to the database. It is killed and begun again.
type node struct {
	program string
	port    int
	dsn     string
	proxy   *faultproxy.Proxy
	log     string
	*child.Child
}

func newNode(ctx context.Context, program, dir, name string, proxy *faultproxy.Proxy, dsn string) (*node, error) {
	port, err := embedded.FreePort(ctx)
	return &node{program: program, port: port, dsn: dsn, proxy: proxy, log: filepath.Join(dir, name+".log")}, err
}

func (n *node) address() string { return fmt.Sprintf("http://127.0.0.1:%d", n.port) }

// begin starts it, and does not wait until it is ready.
func (n *node) begin() error {
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(n.program, "serve") //nolint:noctx // its life is not a context's
	cmd.Env = []string{
		"DATABASE_URL=" + n.dsn, "HOST=127.0.0.1", "PORT=" + strconv.Itoa(n.port), "PUBLIC_URL=" + issuer, "LOG_LEVEL=warn",
		"PATH=" + os.Getenv("PATH"),
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	child.DieWithParent(cmd.SysProcAttr, syscall.SIGKILL)
	n.Child, err = child.Start(cmd)
	return err
}

// awaitReady returns when it says that it can serve.
func (n *node) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyWithin, fmt.Errorf("a node was not ready within %v; its log is %s", readyWithin, n.log))
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.address()+"/readyz", nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-n.Ended:
			return fmt.Errorf("a node has ended: %w; its log is %s", n.Outcome, n.log)
		case <-time.After(readyPoll):
		}
	}
}

// kill ends it at once, and waits until it has ended.
func (n *node) kill() {
	if n.Child != nil {
		n.Kill()
	}
}

// freeze stops all that it does, and thaw lets it go on.
func (n *node) freeze() error { return n.Process.Signal(syscall.SIGSTOP) }
func (n *node) thaw() error   { return n.Process.Signal(syscall.SIGCONT) }
