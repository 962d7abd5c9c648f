package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
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
	others   []int64 // the other node's sessions: the cuts do not concern them, and to begin one costs as much as a command
}

// cutCommands are commands that, together, load from each table that there is. Each returns the command, which is given any number of times.
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
	"a payment that is captured": func(c *cutting) func(context.Context) (bool, error) {
		created, err := c.other.Payments.Create(c.t.Context(), c.p, payment.CreateInput{
			IdempotencyKey: key(), Amount: usd("1.00"), Source: &payment.Source{AccountID: &c.from}, Confirm: true, CaptureMethod: payment.Manual,
		})
		must(c.t, err)
		in := payment.CaptureInput{IdempotencyKey: key(), PaymentID: created.Payment.ID, Amount: new(usd("0.40"))}
		return func(ctx context.Context) (bool, error) {
			success, err := c.h.Payments.Capture(ctx, c.p, in)
			return success.Replayed, err
		}
	},
	"a transfer that is reversed": func(c *cutting) func(context.Context) (bool, error) {
		moved, err := c.other.Ledger.TransferFunds(c.t.Context(), c.p, ledger.TransferFundsInput{
			IdempotencyKey: key(), FromAccountID: c.from, ToAccountID: c.to, Amount: usd("1.00"),
		})
		must(c.t, err)
		in := ledger.ReverseTransferInput{IdempotencyKey: key(), TransactionID: moved.Transaction.ID, Reason: "because"}
		return func(ctx context.Context) (bool, error) {
			success, err := c.h.Ledger.ReverseTransfer(ctx, c.p, in)
			return success.Replayed, err
		}
	},
	"an account that is opened": func(c *cutting) func(context.Context) (bool, error) {
		made, err := c.other.Merchants.CreateCustomer(c.t.Context(), c.p, merchant.CreateCustomerInput{IdempotencyKey: key(), Name: "Ada"})
		must(c.t, err)
		in := ledger.OpenAccountInput{IdempotencyKey: key(), CustomerID: made.Customer.ID, Currency: "USD"}
		return func(ctx context.Context) (bool, error) {
			success, err := c.h.Ledger.OpenAccount(ctx, c.p, in)
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
// then, after the answer to COMMIT or the request with it was lost, each message of the second attempt: in the long form at each place, else the
// commands take turns with the places. The command has one effect, and its caller hears of it.
func TestEveryMessageIsCut(t *testing.T) {
	t.Parallel()
	for turn, name := range slices.Sorted(maps.Keys(cutCommands)) {
		for n, place := range slices.Sorted(maps.Keys(cutKinds)) {
			prepare, kind := cutCommands[name], cutKinds[place]
			t.Run(name+", cut "+place, func(t *testing.T) {
				t.Parallel()
				c := newCutting(t)
				c.events(prepare(c)) // the first may open the merchant's own accounts
				events, messages := c.events(prepare(c)), c.messages(prepare(c))
				strike := faultproxy.Fault{Application: "paygraph writer", Kind: kind}
				c.eachMessage(prepare, events, messages, strike)
				for _, first := range []faultproxy.Kind{faultproxy.LoseRequest, faultproxy.CutAnswer} {
					if !long && n != turn%len(cutKinds) {
						break
					}
					c.eachMessage(prepare, events, 1, faultproxy.Fault{Application: "paygraph writer", Kind: first, Statement: steps["write"]}, strike)
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
	c.other = storetest.At(t, dsn)
	c.p = c.other.Merchant(t)
	c.from, c.to = wallet(t, c.other, c.p, "100.00"), wallet(t, c.other, c.p, "")
	c.others = writersOf(t, c.db)
	c.h = storetest.At(t, c.dsn)
	return c
}

// eachMessage has the last of some faults strike the first message that it may, then the second, and so on until there is none. That many there
// are at least.
func (c *cutting) eachMessage(prepare func(*cutting) func(context.Context) (bool, error), events int64, least int, faults ...faultproxy.Fault) {
	c.t.Helper()
	last := &faults[len(faults)-1]
	for last.At = 0; ; last.At++ {
		do := prepare(c)
		endWriters(c.t, c.db, c.others...) // those that come have nothing prepared
		last.Reset = last.At%2 == 0
		struck := c.Arm(faults[0], faults[1:]...)
		if got := c.events(do, faults...); got != events {
			c.t.Errorf("message %d after %d: %d events, want %d", last.At+1, len(faults)-1, got, events)
		}
		select {
		case <-struck:
		default:
			if last.At < least {
				c.t.Errorf("only %d messages were struck, of at least %d: %+v", last.At, least, faults)
			}
			return
		}
	}
}

// messages is how many a writer sends for a command at least when nothing is cut: the first may have gone to a session that has just ended.
func (c *cutting) messages(do func(context.Context) (bool, error)) (n int) {
	c.t.Helper()
	endWriters(c.t, c.db, c.others...)
	c.Arm(faultproxy.Fault{})
	if _, err := do(c.t.Context()); err != nil {
		c.t.Error(err)
	}
	for _, x := range c.Exchanges() {
		if x.Application == "paygraph writer" {
			n++
		}
	}
	return n - 1
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
