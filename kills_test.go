package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/connector"
	"github.com/paygraph/paygraph/store/embedded"
	"github.com/paygraph/paygraph/store/embedded/embeddedtest"
)

// kills is how often something is killed; more with PAYGRAPH_KILLS.
func kills(t *testing.T) int {
	if text := os.Getenv("PAYGRAPH_KILLS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 5
}

// mortal is a cluster that is killed and started again, behind an address that stays.
type mortal struct {
	t       *testing.T
	config  embedded.Config
	running *embedded.Cluster
	backend atomic.Value // the address of the server as it is now
	dsn     string
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

// node is a gateway that is killed and started again on the same port.
type node struct {
	*program
	port      int
	variables []string
}

func (n *node) begin(t *testing.T) {
	t.Helper()
	n.program = run(t, n.variables, fmt.Sprintf("--port=%d", n.port))
}

func (n *node) address() string { return fmt.Sprintf("http://127.0.0.1:%d", n.port) }

// TestNoKillMakesAGapARepeatOrADisorder has payments made at two nodes, and subscribers at both, who write down what arrives, while the nodes
// and PostgreSQL are killed one after the other.
func TestNoKillMakesAGapARepeatOrADisorder(t *testing.T) {
	t.Parallel()
	for _, hints := range []bool{true, false} {
		t.Run(map[bool]string{true: "with hints", false: "without hints"}[hints], func(t *testing.T) {
			t.Parallel()
			testKills(t, hints)
		})
	}
}

func testKills(t *testing.T, hints bool) {
	database := newMortal(t)
	variables := []string{"DATABASE_URL=" + database.dsn, "PUBLIC_URL=http://127.0.0.1:1", "LOG_LEVEL=warn"} // one token for both
	nodes := []*node{{port: freePort(t), variables: variables}, {port: freePort(t), variables: variables}}
	output(t, variables, "migrate")
	if !hints {
		withoutHints(t, database.dsn)
	}
	for _, n := range nodes {
		n.begin(t)
	}
	for _, n := range nodes {
		n.awaitReady()
	}
	made := makeMerchant(t, variables)
	nodes[0].url = nodes[0].address()
	first := clientOf(t, nodes[0].program, made.ClientID, made.ClientSecret)
	clients := make([]*client, len(nodes))
	for i, n := range nodes {
		clients[i] = &client{url: n.address(), token: first.token, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}}
	}
	from, to := first.newWallet(t, "1000.00"), first.newWallet(t, "0.01")
	turned := []*client{clients[1], clients[0]}

	var begun struct{ EventHead struct{ Sequence string } }
	first.must(t, `{ eventHead { sequence } }`, nil, &begun)
	head, _ := strconv.ParseInt(begun.EventHead.Sequence, 10, 64)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var logs, accounts []*recorder
	for _, order := range [][]*client{clients, turned} {
		logs = append(logs, recording(ctx, t, order, "events", `subscription { events { sequence } }`, nil))
		accounts = append(accounts, recording(ctx, t, order, "accountActivity",
			`subscription ($id: ID!) { accountActivity(accountId: $id) { sequence snapshot } }`, map[string]any{"id": to}))
	}
	recorders := append(append([]*recorder{}, logs...), accounts...)
	for _, r := range accounts {
		r.await(1)
	}
	time.Sleep(300 * time.Millisecond) // the log's subscribers have nothing by which they could be seen

	var enough atomic.Bool
	var paid atomic.Int64
	var payers sync.WaitGroup
	for p := range 4 {
		payers.Go(func() {
			for n := 0; !enough.Load(); n++ {
				key := fmt.Sprintf("payment-of-payer-%d-%06d", p, n)
				for try := p; ; try++ {
					if status, err := clients[try%2].pay(key, from, to); err == nil && status == "SUCCEEDED" {
						break
					}
					time.Sleep(20 * time.Millisecond)
				}
				paid.Add(1)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	t.Cleanup(func() { enough.Store(true) })

	for _, r := range recorders {
		r.await(5)
	}
	var statuses []*recorder
	for round := range kills(t) {
		id := waitingPayment(t, clients, round, to)
		watching := recording(ctx, t, clients, "paymentStatus", `subscription ($id: ID!) { paymentStatus(paymentId: $id) { sequence snapshot } }`,
			map[string]any{"id": id})
		watching.await(1)
		statuses = append(statuses, watching)
		victim := nodes[round%2]
		victim.kill()
		if round%2 == 1 {
			database.kill()
		}
		time.Sleep(200 * time.Millisecond)
		victim.begin(t)
		victim.awaitReady()
		confirm(t, clients, round, id, from)
		for _, r := range recorders {
			r.await(r.count() + 10)
		}
	}
	enough.Store(true)
	payers.Wait()

	end := awaitHead(t, clients[0])
	for _, r := range logs {
		r.await(int(end - head))
		r.judge(head+1, end)
	}
	// The wallet has its deposit, and a number that is the snapshot's.
	for _, r := range accounts {
		r.await(1 + int(paid.Load()) + len(statuses))
	}
	for _, r := range statuses {
		<-r.ended
		r.judge(1, 2)
	}
	time.Sleep(300 * time.Millisecond) // for what comes too often
	for _, r := range accounts {
		r.judge(1, 1+paid.Load()+int64(len(statuses)))
	}
	for _, r := range logs {
		r.judge(head+1, end)
		t.Logf("%d events arrived, over %d connections", r.count(), r.returns+1)
	}
}

// withoutHints has the nodes' notifications refused.
func withoutHints(t *testing.T, dsn string) {
	t.Helper()
	db, err := connector.Open(dsn, connector.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC`); err != nil {
		t.Fatal(err)
	}
	var may bool
	err = db.QueryRowContext(t.Context(), `SELECT has_function_privilege('paygraph_runtime', 'pg_notify(text, text)', 'EXECUTE')`).Scan(&may)
	if err != nil || may {
		t.Fatalf("hints are sent all the same: %v, %v", may, err)
	}
}

// persist asks one node after the other until one answers without an error.
func persist(t *testing.T, clients []*client, query string, variables map[string]any, data any) {
	t.Helper()
	for deadline, try := time.Now().Add(patience), 0; ; try++ {
		errs, err := clients[try%len(clients)].ask(query, variables, data)
		if err == nil && len(errs) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v, %v", query, errs, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// waitingPayment makes a payment of 0.01 USD that is not confirmed.
func waitingPayment(t *testing.T, clients []*client, round int, to string) string {
	t.Helper()
	var data struct {
		CreatePayment struct{ Payment struct{ ID string } }
	}
	persist(t, clients, `mutation ($input: CreatePaymentInput!) { createPayment(input: $input) { ... on CreatePaymentSuccess { payment { id } } } }`,
		map[string]any{"input": map[string]any{
			"idempotencyKey": fmt.Sprintf("waiting-payment-%06d", round), "amount": map[string]any{"amount": "0.01", "currency": "USD"},
			"destinationAccountId": to,
		}}, &data)
	return data.CreatePayment.Payment.ID
}

func confirm(t *testing.T, clients []*client, round int, id, from string) {
	t.Helper()
	var data struct {
		ConfirmPayment struct{ Payment struct{ Status string } }
	}
	persist(t, clients, `mutation ($input: ConfirmPaymentInput!) { confirmPayment(input: $input) {
		... on ConfirmPaymentSuccess { payment { status } } } }`,
		map[string]any{"input": map[string]any{
			"idempotencyKey": fmt.Sprintf("confirmed-payment-%06d", round), "paymentId": id, "source": map[string]any{"accountId": from},
		}}, &data)
	if data.ConfirmPayment.Payment.Status != "SUCCEEDED" {
		t.Fatalf("confirmed: %+v", data)
	}
}

func awaitHead(t *testing.T, c *client) int64 {
	t.Helper()
	var data struct{ EventHead struct{ Sequence string } }
	persist(t, []*client{c}, `{ eventHead { sequence } }`, nil, &data)
	n, err := strconv.ParseInt(data.EventHead.Sequence, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
