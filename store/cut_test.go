package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/connector/faultproxy"
	"github.com/paygraph/paygraph/store/storetest"
)

// cutting is a merchant's node whose way to the database can be cut, and another node, which cannot.
type cutting struct {
	*proxy
	t        *testing.T
	h, other *storetest.House
	p        auth.Principal
	from, to ledger.AccountID
	db       *sql.DB
}

// cutCommands are commands that load each table that there is. Each returns the command, which is given any number of times.
var cutCommands = map[string]func(*cutting) func(ctx context.Context) (replayed bool, err error){
	"a payment that is confirmed": func(c *cutting) func(context.Context) (bool, error) {
		created, err := c.other.Payments.Create(c.t.Context(), c.p, payment.CreateInput{IdempotencyKey: key(), Amount: usd("1.00")})
		must(c.t, err)
		in := payment.ConfirmInput{IdempotencyKey: key(), PaymentID: created.Payment.ID, Source: &payment.Source{AccountID: &c.from}}
		return func(ctx context.Context) (bool, error) {
			success, err := c.h.Payments.Confirm(ctx, c.p, in)
			return success.Replayed, err
		}
	},
	"a hold that is released": func(c *cutting) func(context.Context) (bool, error) {
		placed, err := c.other.Ledger.PlaceHold(c.t.Context(), c.p, ledger.PlaceHoldInput{
			IdempotencyKey: key(), AccountID: c.from, Amount: usd("1.00"),
		})
		must(c.t, err)
		in := ledger.ReleaseHoldInput{IdempotencyKey: key(), HoldID: placed.Transaction.Made().ID, Reason: "because"}
		return func(ctx context.Context) (bool, error) {
			success, err := c.h.Ledger.ReleaseHold(ctx, c.p, in)
			return success.Replayed, err
		}
	},
	"a payment of a merchant who is the node's alone": func(c *cutting) func(context.Context) (bool, error) {
		prove(c.t, c.h, c.p, c.from, c.to)
		k := key()
		return func(ctx context.Context) (bool, error) {
			success, err := pay(ctx, c.h, c.p, k, c.from, c.to, "0.01")
			return success.Replayed, err
		}
	},
}

// cutKinds are the places at which a message is cut, but for silence, which takes seconds each time: TestAnswersThatAreLost and the soak have that.
var cutKinds = map[string]faultproxy.Kind{
	"before the server has it": faultproxy.LoseRequest, "when the server has a part of it": faultproxy.CutRequest,
	"before the answer": faultproxy.CutAnswer, "in mid-answer": faultproxy.HalveAnswer,
}

// TestEveryMessageIsCut cuts the way of a batch at each of its messages in turn, those that begin a session and prepare statements among them, and
// then, after the answer to COMMIT or the request with it was lost, each message of the second attempt. The command has one effect, and its caller hears of it.
func TestEveryMessageIsCut(t *testing.T) {
	t.Parallel()
	for name, prepare := range cutCommands {
		for place, kind := range cutKinds {
			t.Run(name+", cut "+place, func(t *testing.T) {
				t.Parallel()
				c := newCutting(t)
				c.events(prepare(c)) // the first may open the merchant's own accounts
				events := c.events(prepare(c))
				strike := faultproxy.Fault{Application: "paygraph writer", Kind: kind}
				c.eachMessage(prepare, events, strike)
				for _, first := range []faultproxy.Kind{faultproxy.LoseRequest, faultproxy.CutAnswer} {
					c.eachMessage(prepare, events, faultproxy.Fault{Application: "paygraph writer", Kind: first, Statement: steps["write"]}, strike)
				}
				must(t, c.h.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
			})
		}
	}
}

func newCutting(t *testing.T) *cutting {
	t.Helper()
	dsn := storetest.DSN(t)
	c := &cutting{proxy: newProxy(t, dsn), t: t, db: owner(t, dsn)}
	c.h, c.other = storetest.At(t, c.dsn), storetest.At(t, dsn)
	c.p = c.other.Merchant(t)
	c.from, c.to = wallet(t, c.other, c.p, "100.00"), wallet(t, c.other, c.p, "")
	return c
}

// eachMessage has the last of some faults strike the first message that it may, then the second, and so on until there is none.
func (c *cutting) eachMessage(prepare func(*cutting) func(context.Context) (bool, error), events int64, faults ...faultproxy.Fault) {
	c.t.Helper()
	last := &faults[len(faults)-1]
	for last.At = 0; ; last.At++ {
		do := prepare(c)
		_, err := c.db.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'paygraph writer'`)
		must(c.t, err)
		last.Reset = last.At%2 == 0
		struck := c.Arm(faults[0], faults[1:]...)
		if got := c.events(do, faults...); got != events {
			c.t.Errorf("message %d after %d: %d events, want %d", last.At+1, len(faults)-1, got, events)
		}
		select {
		case <-struck:
		default:
			if last.At < 1 {
				c.t.Errorf("no fault has struck: %+v", faults)
			}
			return
		}
	}
}

// events is how many events a command makes that is given twice with the same key.
func (c *cutting) events(do func(context.Context) (bool, error), faults ...faultproxy.Fault) int64 {
	c.t.Helper()
	before := c.sequence()
	if replayed, err := do(c.t.Context()); err != nil || replayed {
		c.t.Errorf("%s: replayed %v, %v", fmt.Sprint(faults), replayed, err)
	}
	c.Arm(faultproxy.Fault{})
	if replayed, err := do(c.t.Context()); err != nil || !replayed {
		c.t.Errorf("%s: the same key again: replayed %v, %v", fmt.Sprint(faults), replayed, err)
	}
	return c.sequence() - before
}

func (c *cutting) sequence() (n int64) {
	c.t.Helper()
	must(c.t, c.db.QueryRow(`SELECT max(sequence) FROM event`).Scan(&n))
	return n
}
