package store

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/clock/clocktest"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/timer"
)

// TestSimulation runs two nodes, their queues, writers, timers and hubs, on a database and a network that fail, in one thread and a time of its own
// (docs/decisions/021). A seed decides everything. PAYGRAPH_SEEDS is how many are run; PAYGRAPH_SEED runs one, and prints what happened.
func TestSimulation(t *testing.T) {
	t.Parallel()
	if text := os.Getenv("PAYGRAPH_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		var story bytes.Buffer
		_, err = simulate(seed, &story)
		t.Logf("%s", story.String())
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		return
	}
	var next atomic.Uint64
	var met sightings
	var runners sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		runners.Go(func() {
			for seed := next.Add(1); seed <= seeds(t) && !t.Failed(); seed = next.Add(1) {
				seen, err := simulate(seed, nil)
				if err != nil {
					t.Errorf("seed %d: %v\nPAYGRAPH_SEED=%d go test -count=1 -v -run TestSimulation ./store tells the story", seed, err, seed)
				}
				met.add(seen)
			}
		})
	}
	runners.Wait()
	t.Logf("met: %+v", met.all)
	if never := met.all.lacks(); !t.Failed() && len(never) > 0 {
		t.Errorf("never met: %v", never)
	}
}

func seeds(t *testing.T) uint64 {
	text := os.Getenv("PAYGRAPH_SEEDS")
	if text == "" {
		return 300
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestASimulationCanBeRepeated: a seed that failed would fail again.
func TestASimulationCanBeRepeated(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		first, err := simulate(seed, nil)
		again, errAgain := simulate(seed, nil)
		if first != again || fmt.Sprint(err) != fmt.Sprint(errAgain) {
			t.Errorf("seed %d: first %+v, %v, then %+v, %v", seed, first, err, again, errAgain)
		}
	}
}

// seen counts what a run has met.
type seen struct {
	Steps                                                       uint64 // a hash of what ran when
	Answered, Replayed, Refused, Unknown, Unavailable, Poisoned int    // answers
	Events, Heard, Resumed, Old                                 int    // old is a key that has expired
	Expired, Late, Captured, Refunded                           int    // payments; late is who came when its time was up
	Transferred, Reversed                                       int    // transfers
	Killed, Frozen, Drained, Restarted                          int    // nodes
	Forward, SetBack                                            int    // the database's clock
	Unconnected, Unsent, Unheard, Delayed, Full, Unread, Slow   int    // messages to the database, and its disk
}

// lacks are the names of what was never met.
func (s seen) lacks() (never []string) {
	for field, n := range reflect.ValueOf(s).Fields() {
		if n.CanInt() && n.Int() == 0 {
			never = append(never, field.Name)
		}
	}
	return never
}

type sightings struct {
	mu  sync.Mutex
	all seen
}

func (s *sightings) add(one seen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, more := reflect.ValueOf(&s.all).Elem(), reflect.ValueOf(one)
	for i := range all.NumField() {
		if n := all.Field(i); n.CanInt() {
			n.SetInt(n.Int() + more.Field(i).Int())
		}
	}
}

var simMerchant = merchant.ID(answer.Encode(answer.MerchantPrefix, answer.UUID{1}))

var simPrincipal = auth.Principal{Kind: auth.Backend, Merchant: simMerchant, Subject: "simulated", Scopes: auth.AllScopes}

// world is a run: nodes on a database, clients and subscribers.
type world struct {
	*clocktest.Simulation
	outside     *clocktest.Host // where clients are
	db          *simDatabase
	log         *slog.Logger
	nodes       []*simNode
	wallets     []ledger.AccountID
	customer    merchant.CustomerID
	asked       []*asked
	payments    []payment.ID // that are known to clients
	transfers   []ledger.TransactionID
	holds       []ledger.HoldID
	subscribers []*simSubscriber
	working     int // clients that have not finished
	calm        bool
	seen        seen
	wrong       error // the first thing that a client or subscriber must not see
}

// simNode is a gateway: a store on the simulated database, with its services.
type simNode struct {
	number    int
	host      *clocktest.Host
	store     *Store
	merchants *merchant.Service
	ledger    *ledger.Service
	payments  *payment.Service

	stopTimers func()
	gone       bool // it has been killed, or stopped
	frozen     bool
}

// What a run takes, by its own time.
const (
	simTrouble = 25 * time.Second
	simPeace   = 3 * time.Minute // in which everybody who waits must have got an answer
	simSweeps  = time.Minute     // in which everything that is due must have been served
)

// simulate is one run. Its error is what went wrong.
func simulate(seed uint64, story *bytes.Buffer) (seen, error) {
	w := newWorld(seed, story)
	defer w.Close()
	w.outside.Go(w.prepare)
	err := w.run(func() error { return w.Run(time.Minute) }, func() error { w.begin(); return w.Run(simTrouble) }, w.settle, w.later, w.check)
	w.seen.Steps = w.Steps()
	return w.seen, err
}

// newWorld starts the nodes. What is logged goes into the story, if there is one. The world has to be closed.
func newWorld(seed uint64, story *bytes.Buffer) *world {
	sim := clocktest.New(seed)
	w := &world{Simulation: sim, outside: sim.Host("outside"), log: slog.New(slog.DiscardHandler)}
	if story != nil {
		w.log = slog.New(slog.NewTextHandler(story, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.String("at", sim.Elapsed().String())
			}
			return a
		}}))
	}
	w.db = &simDatabase{sim: sim, host: sim.Host("database"), shelves: map[merchant.ID]*shelf{simMerchant: newShelf(simMerchant)}}
	if w.Rand.IntN(2) == 0 {
		w.db.shelves[simMerchant].head.plans = map[money.Currency]payment.FeePlan{"USD": {BasisPoints: 290, FixedMinorUnits: 30}}
	}
	for n := range 2 {
		w.nodes = append(w.nodes, nil)
		w.start(n)
	}
	return w
}

// run goes on until something is wrong.
func (w *world) run(parts ...func() error) error {
	for _, part := range parts {
		if err := part(); err != nil {
			return err
		}
		if w.db.broken != nil {
			return w.db.broken
		}
		if w.wrong != nil {
			return w.wrong
		}
	}
	return nil
}

// start starts a node, or another in its place.
func (w *world) start(n int) {
	host := w.Host(fmt.Sprint("node ", n))
	host.Ahead = time.Duration(w.Rand.Int64N(int64(time.Minute)))
	reads, node := &simReads{w.db, host}, &simNode{}
	w.nodes[n] = node
	s := &Store{inFlight: inFlight{keys: map[scopedKey]int{}}, watcher: unwatched{}}
	s.codec = codec{answer.NewCodec(payment.Refusals)}
	s.fingerprinters.New = func() any { return command.NewFingerprinter([]byte("secret")) }
	s.Hub = event.NewHub(host, reads, w.log.With("node", n))
	s.queue = newQueue(2, writer{
		clock: host, log: w.log.With("node", n), watcher: unwatched{}, hub: s.Hub, codec: s.codec, hint: func(m merchant.ID, sequence int64) { w.hint(n, m, sequence) },
	}, func() database { return &simSession{simDatabase: w.db, by: host, lost: func() { w.lost(node) }} })
	*node = simNode{
		number: n, host: host, store: s,
		merchants: &merchant.Service{Committer: Committer[merchant.Batch](s), Reader: reads},
		ledger:    &ledger.Service{Committer: Committer[ledger.Batch](s), Reader: reads},
		payments:  &payment.Service{Committer: Committer[payment.Batch](s), Reader: reads},
	}
	timers := timer.Sweeper{
		Source: reads, Serve: map[command.TimerKind]timer.Serve{command.PaymentExpires: node.payments.Expire},
		Clock: host, Log: w.log.With("node", n),
	}
	node.stopTimers = timers.Start()
}

// prepare makes wallets with money, without any trouble.
func (w *world) prepare() {
	node, ctx := w.nodes[0], context.Background()
	made, err := node.merchants.CreateCustomer(ctx, simPrincipal, merchant.CreateCustomerInput{IdempotencyKey: "prepare-the-customer", Name: "Ada"})
	if err != nil {
		w.fail("the customer: %v", err)
		return
	}
	w.customer = made.Customer.ID
	for n := range 4 {
		opened, err := node.ledger.OpenAccount(ctx, simPrincipal, ledger.OpenAccountInput{
			IdempotencyKey: fmt.Sprint("prepare-the-wallet-", n), CustomerID: w.customer, Currency: "USD",
		})
		if err == nil {
			w.wallets = append(w.wallets, opened.Account.ID)
			_, err = node.ledger.DepositFunds(ctx, simPrincipal, ledger.DepositFundsInput{
				IdempotencyKey: fmt.Sprint("prepare-the-money-", n), AccountID: opened.Account.ID, Amount: dollars(40), Reason: "cash",
			})
		}
		if err != nil {
			w.fail("wallet %d: %v", n, err)
			return
		}
	}
}

// begin lets clients and subscribers come, and trouble.
func (w *world) begin() {
	// In half of the runs none.
	s, some := &w.seen, func(most float64, met *int) mishap { return mishap{max(0, w.Rand.Float64()*2*most-most), met} }
	w.db.trouble = mishaps{
		some(.3, &s.Unconnected), some(.1, &s.Unsent), some(.2, &s.Unheard), some(.2, &s.Delayed), some(.1, &s.Full), some(.3, &s.Unread), some(.1, &s.Slow),
	}
	w.log.Info("trouble", "is", w.db.trouble)
	for n := range 3 + w.Rand.IntN(8) {
		w.working++
		w.outside.Go(func() { w.client(n) })
	}
	for range 1 + w.Rand.IntN(4) {
		w.subscribe()
	}
	for range w.Rand.IntN(3) {
		w.outside.Go(w.harm)
	}
	for range w.Rand.IntN(3) {
		w.outside.Go(w.turnClocks)
	}
}

// settle ends all trouble, and waits for everybody.
func (w *world) settle() error {
	w.calm, w.db.trouble = true, mishaps{}
	w.log.Info("calm")
	if err := w.Run(simPeace); err != nil {
		return err
	}
	if w.working > 0 {
		return fmt.Errorf("%d clients wait for ever", w.working)
	}
	w.working++
	w.outside.Go(w.askAgain)
	if err := w.Run(simPeace); err != nil {
		return err
	}
	if w.working > 0 {
		return fmt.Errorf("who asks again waits for ever")
	}
	return nil
}

// later lets days pass, until the time of every payment is up.
func (w *world) later() error {
	if timers := w.db.shelves[simMerchant].waiting(); len(timers) > 0 {
		w.forward(timers[len(timers)-1].DueAt)
	}
	return w.Run(simSweeps)
}

func (w *world) fail(format string, what ...any) {
	if w.wrong == nil {
		w.wrong = fmt.Errorf(format, what...)
		w.log.Error(w.wrong.Error())
	}
}

// TestTheSimulationKnowsEveryTable: what a batch writes, the simulated database keeps.
func TestTheSimulationKnowsEveryTable(t *testing.T) {
	t.Parallel()
	known := map[string]bool{
		"customer": true, "account": true, "balance": true, "payment": true, "entry": true, "hold": true, "event": true, "capture": true, "refund": true,
		"reversal": true, "timer": true, "idempotency": true,
	}
	for _, c := range changes {
		if !known[c.table] {
			t.Errorf("wire and commit leave out the table %s", c.table)
		}
	}
}
