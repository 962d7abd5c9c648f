package resolvers_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/storetest"
)

const holdFields = `id status amount { amount } posted { amount } reference payment { id } account { id } createdAt endedAt
	transaction { id kind amount { amount } } endTransaction { id kind reference }`

const sumsOf = `query ($id: ID!) { account(id: $id) { balance { posted { amount } available { amount } pendingIn { amount } pendingOut { amount } }
	holds { nodes { id } } } }`

// sums are an account's balances, and how many holds are open.
func (c *client) sums(t *testing.T, account string) string {
	t.Helper()
	got := at(c.must(t, sumsOf, vars{"id": account}), "account")
	of := func(name string) string { return text(got, "balance", name, "amount") }
	return fmt.Sprint(of("posted"), " ", of("available"), " ", of("pendingIn"), " ", of("pendingOut"), " ", len(list(got, "holds", "nodes")))
}

func TestAHoldIsTold(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	wallet := c.wallet(t, "100.00")
	place := vars{"accountId": wallet, "amount": usd("30.00"), "reference": "a bicycle", "idempotencyKey": key()}
	const placeHold = `mutation ($input: PlaceHoldInput!) { placeHold(input: $input) { ... on PlaceHoldSuccess { replayed hold { ` + holdFields + ` }
		transaction { id kind status amount { amount } reference entries { id amount { amount } pending { amount minorUnits } hold { id }
		direction runningBalance { amount } accountSequence account { id kind } } } } } }`
	placed := at(c.must(t, placeHold, vars{"input": place}), "placeHold")
	hold, transaction := text(placed, "hold", "id"), text(placed, "transaction", "id")
	for _, want := range []struct {
		value string
		steps []any
	}{
		{holdMadeBy(transaction), []any{"hold", "id"}}, {"OPEN", []any{"hold", "status"}}, {"30.00", []any{"hold", "amount", "amount"}},
		{"0.00", []any{"hold", "posted", "amount"}}, {"a bicycle", []any{"hold", "reference"}}, {wallet, []any{"hold", "account", "id"}},
		{transaction, []any{"hold", "transaction", "id"}}, {"HOLD", []any{"transaction", "kind"}}, {"POSTED", []any{"transaction", "status"}},
		{"30.00", []any{"transaction", "amount", "amount"}}, {"a bicycle", []any{"transaction", "reference"}},
		{"0.00", []any{"transaction", "entries", 0, "amount", "amount"}}, {"30.00", []any{"transaction", "entries", 0, "pending", "amount"}},
		{hold, []any{"transaction", "entries", 0, "hold", "id"}}, {"DEBIT", []any{"transaction", "entries", 0, "direction"}},
		{"100.00", []any{"transaction", "entries", 0, "runningBalance", "amount"}}, {"2", []any{"transaction", "entries", 0, "accountSequence"}},
		{wallet, []any{"transaction", "entries", 0, "account", "id"}}, {"SUSPENSE", []any{"transaction", "entries", 1, "account", "kind"}},
		{"3000", []any{"transaction", "entries", 1, "pending", "minorUnits"}},
	} {
		if got := text(placed, want.steps...); got != want.value {
			t.Errorf("%v is %q, want %q", want.steps, got, want.value)
		}
	}
	if at(placed, "hold", "endedAt") != nil || at(placed, "hold", "endTransaction") != nil || at(placed, "hold", "payment") != nil {
		t.Errorf("an open hold is %v", at(placed, "hold"))
	}
	if got := c.sums(t, wallet); got != "100.00 70.00 0.00 30.00 1" {
		t.Errorf("with a hold the account has %s", got)
	}
	if got := c.sums(t, c.inner(t, "SUSPENSE")); got != "0.00 0.00 30.00 0.00 0" {
		t.Errorf("with a hold SUSPENSE has %s", got)
	}
	c.setStatus(t, wallet, "FROZEN")
	const releaseHold = `mutation ($input: ReleaseHoldInput!) { releaseHold(input: $input) { ... on ReleaseHoldSuccess { replayed
		hold { ` + holdFields + ` } transaction { id kind amount { amount } entries { amount { amount } pending { amount } hold { id } } } } } }`
	released := at(c.must(t, releaseHold, vars{"input": vars{"holdId": hold, "reason": "brought back", "idempotencyKey": key()}}), "releaseHold")
	if text(released, "hold", "id") != hold || text(released, "hold", "status") != "VOIDED" || text(released, "hold", "endedAt") == "" ||
		text(released, "hold", "endTransaction", "id") != text(released, "transaction", "id") ||
		text(released, "hold", "endTransaction", "reference") != "brought back" || text(released, "transaction", "kind") != "RELEASE" ||
		text(released, "transaction", "amount", "amount") != "30.00" || text(released, "transaction", "entries", 0, "pending", "amount") != "-30.00" ||
		text(released, "transaction", "entries", 1, "hold", "id") != hold {
		t.Errorf("the release is %v", released)
	}
	if got := c.sums(t, wallet); got != "100.00 100.00 0.00 0.00 0" {
		t.Errorf("after the release the account has %s", got)
	}
	again := at(c.must(t, placeHold, vars{"input": place}), "placeHold")
	if at(again, "replayed") != true || text(again, "transaction", "id") != transaction || text(again, "hold", "status") != "VOIDED" {
		t.Errorf("the replay is %v, want the hold as it is now", again)
	}
	events := list(c.must(t, `{ events(first: 100, types: [FUNDS_HELD, HOLD_RELEASED]) { nodes { type object { id } objectVersion } } }`, nil), "events", "nodes")
	if len(events) != 2 || text(events, 0, "object", "id") != transaction || text(events, 1, "object", "id") != text(released, "transaction", "id") {
		t.Errorf("the events are %v", events)
	}
}

// TestAStatementHasNoHolds pages through entries between which lie those of holds; the account's transactions and its activity have them.
func TestAStatementHasNoHolds(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	from, to := c.wallet(t, "50.00"), c.wallet(t, "")
	begin := c.hear(t, activityOf, vars{"id": from}, "").next()
	var ended []string
	for range 5 {
		ended = append(ended, c.hold(t, from, "1.00"), c.hold(t, from, "2.00"))
		c.make(t, "releaseHold", releasing(ended[len(ended)-1]))
		c.pay(t, from, to, "0.50")
	}
	const statement = `query ($id: ID!, $first: Int!, $after: Cursor) { account(id: $id) { entries(first: $first, after: $after) {
		nodes { accountSequence amount { amount } pending { amount } hold { id } } pageInfo { hasNextPage endCursor } } } }`
	for _, first := range []int{1, 2, 3, 6, 100} {
		var numbers []string
		var after any
		for more := true; more; {
			page := at(c.must(t, statement, vars{"id": from, "first": first, "after": after}), "account", "entries")
			for _, e := range list(page, "nodes") {
				numbers = append(numbers, text(e, "accountSequence"))
				if text(e, "amount", "amount") == "0.00" || text(e, "pending", "amount") != "0.00" || at(e, "hold") != nil {
					t.Errorf("the statement has %v", e)
				}
			}
			after, more = at(page, "pageInfo", "endCursor"), at(page, "pageInfo", "hasNextPage") == true
		}
		if fmt.Sprint(numbers) != "[21 17 13 9 5 1]" {
			t.Errorf("by %d the statement has the entries %v", first, numbers)
		}
	}
	if n := len(list(c.must(t, `query ($id: ID!) { account(id: $id) { transactions(first: 100) { nodes { id } } } }`, vars{"id": from}),
		"account", "transactions", "nodes")); n != 21 {
		t.Errorf("the account has %d transactions", n)
	}
	c.hear(t, activityOf, vars{"id": from}, begin.id).run(2, 21)
}

// split posts a part of an open hold and holds the rest on, in one transaction, as no mutation does yet. It returns the hold of the rest.
func (c *client) split(t *testing.T, hold string, posted int64) string {
	t.Helper()
	result, err := store.Committer[ledger.Batch](c.house.Store).Commit(t.Context(), command.Command[ledger.Batch]{
		Envelope: command.Envelope{Principal: c.principal, Operation: "test", Key: key()}, Needs: command.Needs{Holds: []string{hold}},
		Decide: func(b ledger.Batch) (command.Object, error) {
			h := b.Hold(ledger.HoldID(hold))
			from, to := b.Account(h.AccountID), b.Account(h.CounterAccountID)
			rest := money.Amount{MinorUnits: h.Amount.MinorUnits - posted, Currency: h.Amount.Currency}
			made, err := ledger.Post(b, ledger.Draft{
				Kind: ledger.Transfer, Amount: money.Amount{MinorUnits: posted, Currency: rest.Currency},
				Legs: slices.Concat(h.End(posted, from, to), ledger.SetAside(rest, from, to)),
			})
			if err != nil {
				return nil, err
			}
			b.Append(event.Draft{Type: event.TransferPosted, ObjectID: made.NodeID(), ObjectVersion: 1, State: made.State()})
			return made, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return holdMadeBy(result.ObjectID)
}

// TestATransactionWithSeveralEntriesIsListedOnce walks through the transactions of an account, some of which have two entries on it.
func TestATransactionWithSeveralEntriesIsListedOnce(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	from := c.wallet(t, "50.00")
	hold := c.hold(t, from, "20.00")
	for range 4 {
		hold = c.split(t, hold, 100)
		c.deposit(t, from, usd("1.00"))
		hold = c.split(t, c.split(t, hold, 100), 100)
	}
	for _, first := range []int{1, 2, 3, 7, 18, 100} {
		node := startAt(t, storetest.At(t, c.house.DSN)).as(c.principal)
		for range 2 { // from the database, and from memory
			document := fmt.Sprintf(`query ($id: ID!, $after: Cursor) { account(id: $id) { transactions(first: %d, after: $after) %s } }`, first, pageFields)
			walked := node.walk(t, document, []any{"account", "transactions"}, vars{"id": from}, func() {})
			if ordered := slices.Compact(slices.Sorted(slices.Values(walked))); len(walked) != 18 || len(ordered) != 18 {
				t.Errorf("by %d: %d transactions, %d different ones, want 18", first, len(walked), len(ordered))
			}
		}
	}
	got := at(c.must(t, `query ($id: ID!) { node(id: $id) { ... on Hold { status amount { amount } transaction { id } } } account: node(id: "`+from+`") {
		... on Account { holds { nodes { id } } balance { posted { amount } available { amount } } } } }`, vars{"id": hold}))
	if text(got, "node", "status") != "OPEN" || text(got, "node", "amount", "amount") != "8.00" || text(got, "account", "holds", "nodes", 0, "id") != hold ||
		text(got, "account", "balance", "posted", "amount") != "42.00" || text(got, "account", "balance", "available", "amount") != "34.00" {
		t.Errorf("in the end there is %v", got)
	}
}
