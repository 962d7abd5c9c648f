package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lib/pq"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/store/connector"
	"github.com/paygraph/paygraph/store/embedded"
	"github.com/paygraph/paygraph/store/embedded/embeddedtest"
)

// mortal is a cluster that is killed and started again, behind doors that stay.
type mortal struct {
	t       *testing.T
	config  embedded.Config
	running *embedded.Cluster
	backend atomic.Value // the address of the server as it is now
	db      *sql.DB      // the owner's
}

func newMortal(t *testing.T) *mortal {
	t.Helper()
	m := &mortal{t: t, config: embedded.Config{
		Dir: embeddedtest.Folder(t), DieWithParent: true, Settings: withoutDisk,
	}}
	m.start()
	t.Cleanup(func() { _ = m.running.Stop(context.Background()) })
	var err error
	if m.db, err = connector.Open(m.door(t).dsn, connector.Options{}); err != nil {
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

// door is an address of the cluster. The server sees from which ports those come who take it, and so one node's sessions can be told from
// another's.
type door struct {
	dsn string

	mu    sync.Mutex
	ports map[int]bool // of the connections to the server
}

func (m *mortal) door(t *testing.T) *door {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	u, err := url.Parse(m.running.DSN())
	if err != nil {
		t.Fatal(err)
	}
	u.Host = listener.Addr().String()
	d := &door{dsn: u.String(), ports: map[int]bool{}}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go d.forward(conn, m.backend.Load().(string))
		}
	}()
	return d
}

func (d *door) forward(client net.Conn, backend string) {
	defer client.Close()
	server, err := net.Dial("tcp", backend)
	if err != nil {
		return
	}
	defer server.Close()
	port := server.LocalAddr().(*net.TCPAddr).Port
	d.note(port, true)
	defer d.note(port, false) // before it is closed, and can be another's
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(client, server)
}

func (d *door) note(port int, open bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if open {
		d.ports[port] = true
	} else {
		delete(d.ports, port)
	}
}

// open are the ports of the connections through the door.
func (d *door) open() []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.ports))
}

// kill kills the postmaster, and starts the cluster again.
func (m *mortal) kill() {
	m.t.Helper()
	if err := syscall.Kill(postmaster(m.t, m.config.Dir), syscall.SIGKILL); err != nil {
		m.t.Fatal(err)
	}
	_ = m.running.Stop(context.Background())
	m.start()
}

// postmaster is the process of the cluster in a folder.
func postmaster(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "cluster", "data", "postmaster.pid"))
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

// hasLock says whether a node that was stopped has a merchant's lock: a transaction of its own, which begins with the lock and has therefore
// written, has waited for the node longer than for one that is well. It looks until that is certain.
func (m *mortal) hasLock(d *door) bool {
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var busy, has bool
		err := m.db.QueryRowContext(m.t.Context(), `SELECT count(*) > 0, coalesce(bool_or(state = 'idle in transaction' AND backend_xid IS NOT NULL
			AND state_change < clock_timestamp() - interval '150 ms'), false)
			FROM pg_stat_activity WHERE application_name = 'paygraph writer' AND state <> 'idle' AND client_port = ANY($1)`,
			pq.Array(d.open())).Scan(&busy, &has)
		if err != nil {
			m.t.Log("the sessions cannot be seen:", err) // after a kill its own is gone
			continue
		}
		if has || !busy {
			return has
		}
	}
	return false
}

// reached is how far the log of the only merchant reaches, and an account's entries.
func (m *mortal) reached(account string) (event, entry int) {
	m.t.Helper()
	id, err := answer.Decode(answer.AccountPrefix, account)
	if err == nil {
		err = m.db.QueryRowContext(m.t.Context(), `SELECT head.sequence, balance.sequence FROM head, balance WHERE account_id = $1`,
			id.String()).Scan(&event, &entry)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return event, entry
}

// node is a gateway that is killed, or frozen, and started again on the same port.
type node struct {
	*program
	port      int
	door      *door // to the database
	variables []string
	file      string // the program; empty: this version's
}

func (n *node) begin(t *testing.T) {
	t.Helper()
	file := n.file
	if file == "" {
		var err error
		if file, err = built(); err != nil {
			t.Fatal(err)
		}
	}
	p := runFile(t, file, n.variables, fmt.Sprintf("--port=%d", n.port))
	n.program = p
	t.Cleanup(func() { // the gateway notices a gap before its subscribers would, and has them come back
		wantNotContains(t, p.log.String(), "a gap in a stream")
		wantNotContains(t, p.log.String(), "is not the one that was passed on")
	})
}

// newNode is a gateway on a port of its own, which is being started. PUBLIC_URL says what its tokens name.
func newNode(t *testing.T, variables []string) *node {
	t.Helper()
	n := &node{port: freePort(t), variables: variables}
	n.begin(t)
	return n
}

// ready waits until the node serves.
func (n *node) ready() {
	n.t.Helper()
	n.awaitReady().url = n.address()
}

// client is a merchant's backend that asks the node.
func (n *node) client(token string) *client {
	return clientAt(n.address(), token)
}

func (n *node) address() string { return fmt.Sprintf("http://127.0.0.1:%d", n.port) }

// freeze stops the node in the midst of a batch: again and again, until it is caught with the merchant's lock.
func (n *node) freeze(t *testing.T, database *mortal) {
	t.Helper()
	t.Cleanup(n.thaw) // it could not end otherwise
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		n.signal(syscall.SIGSTOP)
		if database.hasLock(n.door) {
			return
		}
		n.thaw()
	}
	t.Fatal("the node is never caught with the merchant's lock")
}

func (n *node) thaw() { n.signal(syscall.SIGCONT) }
