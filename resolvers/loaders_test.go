package resolvers_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/resolvers"
)

// countingNow counts the questions that are asked outside of snapshots, as subscribers do.
func countingNow(asked *questions) func(*gateway) {
	return func(g *gateway) { g.operations.Now = counted{never{g.operations.Now}, asked} }
}

// never ends.
type never struct{ resolvers.Reads }

func (never) Close() {}

// counted counts the questions to a snapshot. Each is one SQL statement in the store.
type counted struct {
	resolvers.Snapshot
	asked *questions
}

// questions counts by the name of the question.
type questions struct {
	mu     sync.Mutex
	counts map[string]int
}

func (q *questions) add(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.counts[name]++
}

// take returns the counts and their sum, and begins anew.
func (q *questions) take() (map[string]int, int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	counts, sum := q.counts, 0
	for _, n := range counts {
		sum += n
	}
	q.counts = map[string]int{}
	return counts, sum
}

func counting(asked *questions) func(*gateway) {
	return func(g *gateway) {
		open := g.operations.Snapshot
		g.operations.Snapshot = func() resolvers.Snapshot { return counted{open(), asked} }
	}
}

func (c counted) Merchant(ctx context.Context, m merchant.ID) (*merchant.Merchant, error) {
	c.asked.add("Merchant")
	return c.Snapshot.Merchant(ctx, m)
}

func (c counted) Customers(ctx context.Context, m merchant.ID, ids []string) ([]*merchant.Customer, error) {
	c.asked.add("Customers")
	return c.Snapshot.Customers(ctx, m, ids)
}

func (c counted) Accounts(ctx context.Context, m merchant.ID, ids []string) ([]*ledger.Account, error) {
	c.asked.add("Accounts")
	return c.Snapshot.Accounts(ctx, m, ids)
}

func (c counted) Transactions(ctx context.Context, m merchant.ID, ids []string) ([]*ledger.Transaction, error) {
	c.asked.add("Transactions")
	return c.Snapshot.Transactions(ctx, m, ids)
}

func (c counted) Payments(ctx context.Context, m merchant.ID, ids []string) ([]*payment.Payment, error) {
	c.asked.add("Payments")
	return c.Snapshot.Payments(ctx, m, ids)
}

func (c counted) Events(ctx context.Context, m merchant.ID, ids []string) ([]*event.Event, error) {
	c.asked.add("Events")
	return c.Snapshot.Events(ctx, m, ids)
}

func (c counted) Entries(ctx context.Context, m merchant.ID, ids []ledger.EntryID) ([]*ledger.Entry, error) {
	c.asked.add("Entries")
	return c.Snapshot.Entries(ctx, m, ids)
}

func (c counted) AccountEntries(ctx context.Context, m merchant.ID, of []ledger.Span) ([][]*ledger.Entry, error) {
	c.asked.add("AccountEntries")
	return c.Snapshot.AccountEntries(ctx, m, of)
}

func (c counted) AccountStatement(ctx context.Context, m merchant.ID, of []ledger.Span, limit int) ([][]*ledger.Entry, error) {
	c.asked.add("AccountStatement")
	return c.Snapshot.AccountStatement(ctx, m, of, limit)
}

func (c counted) Holds(ctx context.Context, m merchant.ID, ids []string) ([]*ledger.Hold, error) {
	c.asked.add("Holds")
	return c.Snapshot.Holds(ctx, m, ids)
}

func (c counted) AccountHolds(ctx context.Context, m merchant.ID, accounts []string, before answer.UUID, limit int) ([][]*ledger.Hold, error) {
	c.asked.add("AccountHolds")
	return c.Snapshot.AccountHolds(ctx, m, accounts, before, limit)
}

func (c counted) AccountTransactions(ctx context.Context, m merchant.ID, of []ledger.Span) ([][]*ledger.Transaction, error) {
	c.asked.add("AccountTransactions")
	return c.Snapshot.AccountTransactions(ctx, m, of)
}

func (c counted) PaymentTransactions(ctx context.Context, m merchant.ID, payments []string, after answer.UUID, limit int) ([][]*ledger.Transaction, error) {
	c.asked.add("PaymentTransactions")
	return c.Snapshot.PaymentTransactions(ctx, m, payments, after, limit)
}

func (c counted) CurrentPayments(ctx context.Context, m merchant.ID, ids []string) ([]payment.Current, error) {
	c.asked.add("CurrentPayments")
	return c.Snapshot.CurrentPayments(ctx, m, ids)
}

func (c counted) PaymentEvents(ctx context.Context, m merchant.ID, payments []string, after int64, limit int) ([][]*event.Event, error) {
	c.asked.add("PaymentEvents")
	return c.Snapshot.PaymentEvents(ctx, m, payments, after, limit)
}

func (c counted) CustomerAccounts(ctx context.Context, m merchant.ID, customers []string, before answer.UUID, limit int) ([][]*ledger.Account, error) {
	c.asked.add("CustomerAccounts")
	return c.Snapshot.CustomerAccounts(ctx, m, customers, before, limit)
}

func (c counted) ListAccounts(ctx context.Context, m merchant.ID, f ledger.AccountFilter, s answer.Slice) ([]*ledger.Account, error) {
	c.asked.add("ListAccounts")
	return c.Snapshot.ListAccounts(ctx, m, f, s)
}

// inParallel runs n calls, a few at a time.
func inParallel(n int, do func(int)) {
	var all sync.WaitGroup
	places := make(chan struct{}, 16)
	for i := range n {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			do(i)
		})
	}
	all.Wait()
}

func TestManyObjectsAreFewQuestions(t *testing.T) {
	t.Parallel()
	asked := &questions{counts: map[string]int{}}
	c := start(t, counting(asked)).merchant(t)
	wallets := make([]string, 50)
	inParallel(len(wallets), func(i int) {
		wallets[i] = c.wallet(t, "100.00")
		c.hold(t, wallets[i], "1.00")
	})
	inParallel(25*len(wallets), func(i int) { // the accounts have 25 different numbers of entries
		if wallet := i % len(wallets); i/len(wallets) < wallet%25+1 {
			c.pay(t, wallets[wallet], "", "0.01")
		}
	})
	entries := list(c.must(t, `query ($id: ID!) { account(id: $id) { entries(first: 4) { nodes { id } } } }`, vars{"id": wallets[0]}),
		"account", "entries", "nodes")
	ids := make([]string, 0, len(entries))
	for i := range entries {
		ids = append(ids, text(entries, i, "id"))
	}
	for name, document := range map[string]string{
		"accounts with transactions": `query { accounts(first: 50, filter: { kind: [CUSTOMER_WALLET] }) { nodes { id
			transactions(first: 5) { nodes { id entries { account { id customer { id } } } } } } } }`,
		"edges of entries": `query { accounts(first: 50, filter: { kind: [CUSTOMER_WALLET] }) { edges { node { id
			entries(first: 3) { edges { cursor node { id transaction { id payment { id } } } } } } } } }`,
		"accounts with holds": `query { accounts(first: 50, filter: { kind: [CUSTOMER_WALLET] }) { nodes { id
			holds(first: 5) { nodes { id account { id } transaction { id entries { hold { id status } } } } } } } }`,
		"customers with accounts": `query { customers(first: 50) { nodes { id accounts(first: 3) { nodes { id customer { id } } } } } }`,
		"payments": `query { payments(first: 50) { nodes { id source { ... on Account { id } } destination { ... on Account { id }
			... on Merchant { id } } transactions(first: 2) { nodes { id } } events(first: 2) { nodes { id object { id } } } } } }`,
		"events with objects": `query { events(first: 100) { nodes { id object { id } } } }`,
		"nodes":               `query ($ids: [ID!]!) { nodes(ids: $ids) { id } }`,
	} {
		variables := vars{}
		if name == "nodes" {
			variables["ids"] = append(append([]string{}, ids...), wallets...)
		}
		asked.take()
		c.must(t, document, variables)
		counts, sum := asked.take()
		if sum == 0 {
			t.Errorf("%s: nothing was asked", name)
		}
		for question, n := range counts { // one each if the machine is quiet; a busy one gathers in several goes
			if most := map[string]int{"AccountTransactions": 12, "AccountStatement": 12}[question]; n > cmp.Or(most, 30) {
				t.Errorf("%s: %s was asked %d times", name, question, n)
			}
		}
	}
}

// Jepsen's bank, in small: money that only moves between accounts is always the same in sum, in whatever moment a query sees it.
func TestAQuerySeesOneMoment(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	const accounts, each = 8, 100
	const long, longest = 3 * time.Second, time.Minute // the second on a machine that is busy with other tests
	var document string
	wallets := make([]string, accounts)
	for i := range wallets {
		wallets[i] = c.wallet(t, fmt.Sprintf("%d.00", each))
		document += fmt.Sprintf(` b%d: accounts(first: 1, filter: { customerId: "%s" }) { nodes { id balance { posted { minorUnits } }
			transactions(first: 1) { nodes { entries { account { id } runningBalance { minorUnits } } } } } }`, i, c.customerOf(t, wallets[i]))
	}
	stop := make(chan struct{})
	var movers sync.WaitGroup
	var moved atomic.Int64
	for range 4 {
		movers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				from := rand.N(accounts)
				got := c.do(t, "transferFunds", vars{
					"fromAccountId": wallets[from], "toAccountId": wallets[(from+1+rand.N(accounts-1))%accounts], "amount": usd("0.07"),
				})
				if text(got, "__typename") == "TransferFundsSuccess" {
					moved.Add(1)
				}
			}
		})
	}
	queries := 0
	enough := func() bool { return queries >= 5 && moved.Load() >= 20 }
	for begin := time.Now(); time.Since(begin) < long || !enough() && time.Since(begin) < longest; queries++ {
		data := c.must(t, "{"+document+"}", nil)
		sum := 0
		for i := range wallets {
			account := at(data, fmt.Sprintf("b%d", i), "nodes", 0)
			posted := text(account, "balance", "posted", "minorUnits")
			units := 0
			_, _ = fmt.Sscan(posted, &units)
			sum += units
			for _, entry := range list(account, "transactions", "nodes", 0, "entries") {
				if text(entry, "account", "id") == text(account, "id") && text(entry, "runningBalance", "minorUnits") != posted {
					t.Errorf("the balance is %s, and after the last entry %s", posted, text(entry, "runningBalance", "minorUnits"))
				}
			}
		}
		if sum != accounts*each*100 {
			t.Errorf("the balances of one query sum to %d, want %d", sum, accounts*each*100)
		}
	}
	close(stop)
	movers.Wait()
	if !enough() {
		t.Errorf("only %d queries saw %d transfers", queries, moved.Load())
	}
}

func (c *client) customerOf(t *testing.T, account string) string {
	t.Helper()
	return text(c.must(t, `query ($id: ID!) { account(id: $id) { customer { id } } }`, vars{"id": account}), "account", "customer", "id")
}

// TestWhoResumesAsksLittle: thousands may come back at once.
func TestWhoResumesAsksLittle(t *testing.T) {
	t.Parallel()
	asked := &questions{counts: map[string]int{}}
	c := start(t, countingNow(asked)).merchant(t)
	account := c.wallet(t, "10.00")
	payment := c.make(t, "createPayment", vars{"amount": usd("1.00")})
	activity, status := c.hear(t, activityOf, vars{"id": account}, ""), c.hear(t, statusOf, vars{"id": payment}, "")
	atAccount, atPayment := activity.next().id, status.next().id
	c.make(t, "confirmPayment", vars{"paymentId": payment, "source": vars{"accountId": account}})
	activity.run(2, 2)
	status.run(2, 2)
	activity.end()
	status.end()
	for name, stream := range map[string]struct {
		document, id, after string
		questions           int
	}{
		"accountActivity": {strings.Replace(activityOf, "account {", "account @skip(if: true) {", 1), account, atAccount, 2},
		"paymentStatus":   {strings.Replace(statusOf, "previousStatus payment { id status version }", "", 1), payment, atPayment, 2},
	} {
		asked.take()
		c.hear(t, stream.document, vars{"id": stream.id}, stream.after).run(2, 2)
		counts, sum := asked.take()
		if sum == 0 || sum > stream.questions {
			t.Errorf("%s: %d questions: %v", name, sum, counts)
		}
		asked.take()
		const many = 100
		inParallel(many, func(int) { c.hear(t, stream.document, vars{"id": stream.id}, stream.after).run(2, 2) })
		if counts, sum = asked.take(); sum > stream.questions*many*3/4 { // sixteen at once, on a machine that may be busy: a few together
			t.Errorf("%s: for %d there were %d questions: %v", name, many, sum, counts)
		}
	}
}
