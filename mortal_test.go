package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/connector"
	"github.com/paygraph/paygraph/store/embedded"
	"github.com/paygraph/paygraph/store/embedded/embeddedtest"
)

// mortal is a cluster that is killed and started again, behind an address that stays.
type mortal struct {
	t       *testing.T
	config  embedded.Config
	running *embedded.Cluster
	backend atomic.Value // the address of the server as it is now
	dsn     string
	db      *sql.DB // the owner's
}

func newMortal(t *testing.T) *mortal {
	t.Helper()
	m := &mortal{t: t, config: embedded.Config{
		Dir: embeddedtest.Folder(t), DieWithParent: true, Settings: map[string]string{"fsync": "off", "full_page_writes": "off"},
	}}
	m.start()
	t.Cleanup(func() { _ = m.running.Stop(context.Background()) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go m.forward(conn)
		}
	}()
	u, err := url.Parse(m.running.DSN())
	if err != nil {
		t.Fatal(err)
	}
	u.Host = listener.Addr().String()
	m.dsn = u.String()
	if m.db, err = connector.Open(m.dsn, connector.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.db.Close() })
	return m
}

func (m *mortal) start() {
	m.t.Helper()
	running, err := embedded.Start(m.t.Context(), m.config)
	if err != nil {
		m.t.Fatal(err)
	}
	u, err := url.Parse(running.DSN())
	if err != nil {
		m.t.Fatal(err)
	}
	m.running = running
	m.backend.Store(u.Host)
}

func (m *mortal) forward(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", m.backend.Load().(string))
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
}

// kill kills the postmaster, and starts the cluster again.
func (m *mortal) kill() {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.config.Dir, "cluster", "data", "postmaster.pid"))
	if err != nil {
		m.t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	_ = m.running.Stop(context.Background())
	m.start()
}

// withoutHints has the nodes' notifications refused.
func (m *mortal) withoutHints(t *testing.T) {
	t.Helper()
	if _, err := m.db.ExecContext(t.Context(), `REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC`); err != nil {
		t.Fatal(err)
	}
	var may bool
	err := m.db.QueryRowContext(t.Context(), `SELECT has_function_privilege('paygraph_runtime', 'pg_notify(text, text)', 'EXECUTE')`).Scan(&may)
	if err != nil || may {
		t.Fatalf("hints are sent all the same: %v, %v", may, err)
	}
}

// hasLeftLocked says whether a writer's transaction waits for its node, and for longer than for one that is well.
func (m *mortal) hasLeftLocked() bool {
	var left bool
	err := m.db.QueryRowContext(m.t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'paygraph writer'
		AND state = 'idle in transaction' AND state_change < clock_timestamp() - interval '150 ms')`).Scan(&left)
	if err != nil {
		m.t.Log("the sessions cannot be seen:", err) // after a kill its own is gone
	}
	return left
}

// node is a gateway that is killed, or frozen, and started again on the same port.
type node struct {
	*program
	port      int
	variables []string
}

func (n *node) begin(t *testing.T) {
	t.Helper()
	p := run(t, n.variables, fmt.Sprintf("--port=%d", n.port))
	n.program = p
	t.Cleanup(func() { // the gateway notices a gap before its subscribers would, and has them come back
		wantNotContains(t, p.log.String(), "a gap in a stream")
		wantNotContains(t, p.log.String(), "is not the one that was passed on")
	})
}

func (n *node) address() string { return fmt.Sprintf("http://127.0.0.1:%d", n.port) }

// freeze stops the node in the midst of a batch: again and again, until it is caught with the merchant's lock.
func (n *node) freeze(t *testing.T, database *mortal) {
	t.Helper()
	t.Cleanup(n.thaw) // it could not end otherwise
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		n.signal(syscall.SIGSTOP)
		time.Sleep(200 * time.Millisecond)
		if database.hasLeftLocked() {
			return
		}
		n.thaw()
	}
	t.Fatal("the node is never caught with the merchant's lock")
}

func (n *node) thaw() { n.signal(syscall.SIGCONT) }
