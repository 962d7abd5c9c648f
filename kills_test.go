package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
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

// TestNoKillMakesAGapARepeatOrADisorder has payments made at two nodes, and subscribers at both, who write down what arrives, while the nodes
// and PostgreSQL are killed one after the other, and now and then a node is frozen with the merchant's lock.
func TestNoKillMakesAGapARepeatOrADisorder(t *testing.T) {
	t.Parallel()
	for _, hints := range []bool{true, false} {
		t.Run(map[bool]string{true: "with hints", false: "without hints"}[hints], func(t *testing.T) {
			t.Parallel()
			s := newScene(t, hints)
			s.subscribe()
			enough := s.pay()
			for _, r := range s.recorders {
				r.await(5)
			}
			for kill := range kills(t) {
				s.round(func() { s.kill(killed[kill%len(killed)]) })
				if kill%len(killed) == len(killed)-1 {
					s.round(func() { s.freeze(kill / len(killed) % 2) })
				}
			}
			enough()
			s.judge()
		})
	}
}

// killed are what is killed at once, in turn.
var killed = []victims{
	{nodes: []int{0}}, {database: true}, {nodes: []int{1}, database: true}, {nodes: []int{0, 1}}, {nodes: []int{1}},
}

type victims struct {
	nodes    []int
	database bool
}

// scene is two nodes on one database, with a merchant who has payers and subscribers at both.
type scene struct {
	t         *testing.T
	database  *mortal
	nodes     []*node
	clients   []*client // of the nodes
	from, to  string    // wallets
	head      head      // of the merchant's log, before the first payment
	recorders []*recorder
	statuses  []*recorder // of payments
	rounds    int
	paid      atomic.Int64 // payments besides those of the rounds
}

type head struct{ Sequence, Cursor string }

func newScene(t *testing.T, hints bool) *scene {
	t.Helper()
	database := newMortal(t)
	variables := []string{"DATABASE_URL=" + database.dsn, "PUBLIC_URL=http://127.0.0.1:1", "LOG_LEVEL=warn"} // one token for both
	s := &scene{t: t, database: database, nodes: []*node{{port: freePort(t), variables: variables}, {port: freePort(t), variables: variables}}}
	output(t, variables, "migrate")
	if !hints {
		database.withoutHints(t)
	}
	s.start(0, 1)
	made := makeMerchant(t, variables)
	s.nodes[0].url = s.nodes[0].address()
	first := clientOf(t, s.nodes[0].program, made.ClientID, made.ClientSecret)
	for _, n := range s.nodes {
		s.clients = append(s.clients, &client{
			url: n.address(), token: first.token, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}},
		})
	}
	s.from, s.to = first.newWallet(t, "1000.00"), first.newWallet(t, "0.01")
	s.head = s.readHead()
	return s
}

// start starts nodes, and waits until they are ready.
func (s *scene) start(nodes ...int) {
	s.t.Helper()
	for _, n := range nodes {
		s.nodes[n].begin(s.t)
	}
	for _, n := range nodes {
		s.nodes[n].awaitReady()
	}
}

func (s *scene) readHead() head {
	s.t.Helper()
	var data struct{ EventHead head }
	persist(s.t, s.clients, `{ eventHead { sequence cursor } }`, nil, &data)
	return data.EventHead
}

// record has a subscriber begin at a node, after a cursor if there is one.
func (s *scene) record(connect protocol, place int, field, after string, variables map[string]any) *recorder {
	r := &recorder{t: s.t, field: field, variables: variables, connect: connect, clients: s.clients, place: place, after: after}
	return r.record()
}

var protocols = []protocol{bySSE, bySocket}

// subscribe has the log and the wallet recorded over each protocol at each node, the even ones at the first.
func (s *scene) subscribe() {
	for _, connect := range protocols {
		for place := range s.nodes {
			s.recorders = append(s.recorders, s.record(connect, place, "events", s.head.Cursor, map[string]any{}))
		}
		for place := range s.nodes {
			wallet := s.record(connect, place, "accountActivity", "", map[string]any{"id": s.to})
			wallet.await(1) // it begins before the first payment
			s.recorders = append(s.recorders, wallet)
		}
	}
}

// pay has four clients pay, each payment until it has succeeded. enough lets them finish.
func (s *scene) pay() (enough func()) {
	var stop atomic.Bool
	var payers sync.WaitGroup
	for p := range 4 {
		payers.Go(func() {
			for n := 0; !stop.Load() && s.t.Context().Err() == nil; n++ {
				s.payOne(p, fmt.Sprintf("payment-of-payer-%d-%06d", p, n))
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	return func() {
		stop.Store(true)
		payers.Wait()
	}
}

// payOne asks one node after the other until a payment has succeeded.
func (s *scene) payOne(payer int, key string) {
	for try := payer; s.t.Context().Err() == nil; try++ {
		if status, err := s.clients[try%len(s.clients)].pay(key, s.from, s.to); err == nil && status == "SUCCEEDED" {
			s.paid.Add(1)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// round has a payment followed over each protocol, and the recorders divided between the nodes, while something happens. Then all go on.
func (s *scene) round(happen func()) {
	s.t.Helper()
	s.rounds++
	id := waitingPayment(s.t, s.clients, s.rounds, s.to)
	for n, connect := range protocols {
		status := s.record(connect, (s.rounds+n)%len(s.nodes), "paymentStatus", "", map[string]any{"id": id})
		status.await(1)
		s.statuses = append(s.statuses, status)
	}
	for n, r := range s.recorders {
		r.move(n % len(s.nodes))
		r.await(r.count() + 1)
	}
	happen()
	confirm(s.t, s.clients, s.rounds, id, s.from)
	for _, r := range s.recorders {
		r.await(r.count() + 10)
	}
}

// kill kills, and starts again what it has killed.
func (s *scene) kill(v victims) {
	s.t.Helper()
	for _, n := range v.nodes {
		s.nodes[n].kill()
	}
	if v.database {
		s.database.kill()
	}
	time.Sleep(200 * time.Millisecond)
	s.start(v.nodes...)
}

// frozenAtMost is how long a node that is frozen with a merchant's lock may stop that merchant at another node.
const frozenAtMost = 10 * time.Second

// freeze stops a node that has the merchant's lock, until the subscribers at the other one are far ahead.
func (s *scene) freeze(frozen int) {
	s.t.Helper()
	s.nodes[frozen].freeze(s.t, s.database)
	begin := time.Now()
	had := map[*recorder]int{}
	for n, r := range s.recorders {
		if n%len(s.nodes) != frozen {
			had[r] = r.count()
		}
	}
	for r, count := range had {
		r.awaitWithin(frozenAtMost-time.Since(begin), count+1)
	}
	s.t.Logf("a frozen node stopped the other's subscribers for %v", time.Since(begin).Round(time.Millisecond))
	for r, count := range had {
		r.await(count + 50)
	}
	s.nodes[frozen].thaw()
}

// judge waits for the rest, and looks at all records.
func (s *scene) judge() {
	s.t.Helper()
	for _, r := range s.statuses {
		r.awaitEnd()
		r.judge(1, 2)
	}
	begun, _ := strconv.ParseInt(s.head.Sequence, 10, 64)
	end, err := strconv.ParseInt(s.readHead().Sequence, 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	want := map[string][2]int64{
		"events":          {begun + 1, end},
		"accountActivity": {1, 1 + s.paid.Load() + int64(s.rounds)}, // the wallet has its deposit, whose number is the snapshot's
	}
	for _, r := range s.recorders {
		r.await(int(want[r.field][1] - want[r.field][0] + 1))
	}
	time.Sleep(300 * time.Millisecond) // for what comes too often
	for _, r := range s.recorders {
		r.judge(want[r.field][0], want[r.field][1])
		s.t.Logf("%s: %d arrived, over %d connections", r.field, r.count(), r.returns+1)
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
