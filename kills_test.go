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
// and PostgreSQL are killed one after the other, and now and then a node is frozen with the merchant's lock: for less time than a WebSocket may
// be silent, and, where they are pinged often, for more.
func TestNoKillMakesAGapARepeatOrADisorder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ hints, pings bool }{
		"with hints, and pinged often": {hints: true, pings: true}, "without hints": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, c.hints, c.pings)
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
	clients   []*client     // of the nodes
	from, to  string        // wallets
	head      head          // of the merchant's log, before the first payment
	silence   time.Duration // after which subscribers leave a WebSocket, where they are pinged often
	recorders []*recorder
	deaf      []*recorder // one at each node, where they are pinged often: it leaves no WebSocket by itself, and may be made deaf
	statuses  []*recorder // of payments
	rounds    int
	paid      atomic.Int64 // payments besides those of the rounds
}

type head struct{ Sequence, Cursor string }

// Of a scene whose WebSockets are pinged often. A subscriber goes when it has missed two pings.
const (
	pingInterval = time.Second
	pongTimeout  = time.Second
	silence      = 3 * pingInterval
)

func newScene(t *testing.T, hints, pings bool) *scene {
	t.Helper()
	database := newMortal(t)
	s := &scene{t: t, database: database}
	common := []string{"PUBLIC_URL=http://127.0.0.1:1", "LOG_LEVEL=warn"} // one token for both
	if pings {
		common = append(common, fmt.Sprint("WS_PING_INTERVAL=", pingInterval), fmt.Sprint("WS_PONG_TIMEOUT=", pongTimeout))
		s.silence = silence
	}
	for range 2 {
		d := database.door(t)
		s.nodes = append(s.nodes, &node{port: freePort(t), door: d, variables: append([]string{"DATABASE_URL=" + d.dsn}, common...)})
	}
	variables := s.nodes[0].variables
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
func (s *scene) record(connect *protocol, place int, field, after string, variables map[string]any) *recorder {
	r := &recorder{t: s.t, field: field, variables: variables, connect: connect, clients: s.clients, place: place, after: after}
	if connect == bySocket {
		r.silence = s.silence
	}
	return r.record()
}

var protocols = []*protocol{bySSE, bySocket}

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
	for place := 0; s.silence > 0 && place < len(s.nodes); place++ {
		r := &recorder{t: s.t, field: "events", connect: bySocket, clients: s.clients, place: place, after: s.head.Cursor}
		s.deaf = append(s.deaf, r.record())
	}
	s.recorders = append(s.recorders, s.deaf...)
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

// sentAway is how long a subscriber who answers no ping may keep its socket, on a busy machine. By default it is more.
const sentAway = pingInterval + pongTimeout + 6*time.Second

// freeze stops a node that has the merchant's lock, until the subscribers at the other one are far ahead. Where they are pinged often, those
// over a WebSocket leave the frozen node meanwhile, and one that answers no ping is sent away by the thawed one.
func (s *scene) freeze(frozen int) {
	s.t.Helper()
	s.nodes[frozen].freeze(s.t, s.database)
	begin := time.Now()
	had := s.committed()
	var going []*recorder
	for n, r := range s.recorders {
		switch {
		case n%len(s.nodes) != frozen:
			r.awaitWithin(frozenAtMost-time.Since(begin), had[r.field]+1)
			going = append(going, r)
		case r.silence > 0:
			going = append(going, r)
		}
	}
	s.t.Logf("a frozen node stopped the other's subscribers for %v", time.Since(begin).Round(time.Millisecond))
	for _, r := range going {
		r.await(had[r.field] + 50)
	}
	if s.silence == 0 {
		s.nodes[frozen].thaw()
		return
	}
	s.deaf[frozen].deaf.Store(true)
	s.nodes[frozen].thaw()
	s.deaf[frozen].awaitTold(sentAway, "close 4408")
	s.deaf[frozen].deaf.Store(false)
}

// committed is how many arrivals the database has for the recorders of each field.
func (s *scene) committed() map[string]int {
	s.t.Helper()
	begun, err := strconv.Atoi(s.head.Sequence)
	if err != nil {
		s.t.Fatal(err)
	}
	events, entries := s.database.reached(s.to)
	return map[string]int{"events": events - begun, "accountActivity": entries}
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
