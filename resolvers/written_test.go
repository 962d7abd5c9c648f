package resolvers_test

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// allOfTransactions is all that can be asked of a transaction and its entries without a resolver, in all ways in which it can be asked.
const allOfTransactions = `
fragment Everything on Transaction {
  __typename id again: id kind status amount { ...M } reference valueDate createdAt
  entries { __typename id direction amount { ...M } amount { minorUnits } pending { ...M } runningBalance { ...M } accountSequence createdAt }
  few: entries { id }
  ... on Node { id }
  ... @include(if: $no) { kind never: kind }
  skipped: kind @skip(if: true)
  none: amount { currency @skip(if: true) }
}
fragment M on Money { amount currency minorUnits }`

// TestListsAreWrittenAsObjectsAre reads the same transactions in lists, which are written without a tree of marshalers, and one by one.
func TestListsAreWrittenAsObjectsAre(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	from, to := c.wallet(t, "100.00"), c.wallet(t, "")
	for i, reference := range []string{"", "plain", `"quoted" \ and <escaped>`, "two\nlines\tand\u007f", "ünïcode 🙂 \u2028"} {
		c.make(t, "transferFunds", vars{
			"fromAccountId": from, "toAccountId": to, "amount": usd(fmt.Sprintf("%d.00", i+1)), "reference": reference,
		})
	}
	c.make(t, "releaseHold", releasing(c.hold(t, to, "2.00")))
	for name, steps := range map[string][]any{"nodes { ...Everything }": {"nodes"}, "edges { cursor node { ...Everything } }": {"edges"}} {
		lists := c.must(t, `query ($id: ID!, $no: Boolean = false) { account(id: $id) { transactions { `+name+` } } transactions { `+name+` } }`+
			allOfTransactions, vars{"id": to})
		for _, objects := range [][]any{list(lists, append([]any{"account", "transactions"}, steps...)...), list(lists, append([]any{"transactions"}, steps...)...)} {
			if len(objects) < 5 {
				t.Fatalf("%s: only %d transactions", name, len(objects))
			}
			for _, object := range objects {
				if strings.HasPrefix(name, "edges") {
					object = at(object, "node")
				}
				alone := c.must(t, `query ($id: ID!, $no: Boolean = false) { transaction(id: $id) { ...Everything } }`+allOfTransactions,
					vars{"id": text(object, "id")})
				if !reflect.DeepEqual(object, at(alone, "transaction")) {
					t.Errorf("in a list %v\nand alone %v", object, at(alone, "transaction"))
				}
			}
		}
	}
}

// TestWhatFollowsFromAnAccountNeedsNoSnapshot counts questions to snapshots.
func TestWhatFollowsFromAnAccountNeedsNoSnapshot(t *testing.T) {
	t.Parallel()
	asked := &questions{counts: map[string]int{}}
	c := start(t, counting(asked)).merchant(t)
	wallet := c.wallet(t, "100.00")
	c.pay(t, wallet, "", "1.00")
	for query, snapshot := range map[string]bool{
		`account(id: $id) { id balance { posted { amount } } transactions { nodes { id entries { id } } } }`:                  false,
		`account(id: $id) { entries { nodes { id transaction { id } } } transactions { edges { cursor } } }`:                  false,
		`accounts { nodes { id transactions { nodes { id } } entries { nodes { id } } } }`:                                    false,
		`node(id: $id) { ... on Account { transactions { nodes { id } } } }`:                                                  false,
		`account(id: $id) { customer { id } }`:                                                                                true,
		`account(id: $id) { transactions { nodes { payment { id } } } }`:                                                      true,
		`account(id: $id) { transactions { nodes { entries { account { balance { posted { amount } } } } } } }`:               true,
		`accounts { nodes { id } } account(id: $id) { id }`:                                                                   true,
		`nodes(ids: [$id]) { ... on Account { transactions { nodes { id } } } }`:                                              true,
		`payments { nodes { transactions { nodes { id } } } } account(id: $id) { id }`:                                        true,
		`account(id: $id) { ...F } } fragment F on Account { transactions { nodes { id } } customer { id } `:                  true,
		`account(id: $id) { ...F } } fragment F on Account { ... { transactions { nodes { id } } } entries { nodes { id } } `: false,
	} {
		asked.take()
		if strings.Contains(query, "$id") {
			query = `query ($id: ID!) { ` + query + ` }`
		} else {
			query = "{ " + query + " }"
		}
		c.must(t, query, vars{"id": wallet})
		if _, n := asked.take(); (n > 0) != snapshot {
			t.Errorf("%s asked a snapshot %d times", query, n)
		}
	}
}

// TestAnAccountsTransactionsAreAsOfItsBalance reads accounts without a snapshot while their money moves.
func TestAnAccountsTransactionsAreAsOfItsBalance(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	wallets := []string{c.wallet(t, "100.00"), c.wallet(t, "100.00"), c.wallet(t, "100.00")}
	stop := make(chan struct{})
	var movers sync.WaitGroup
	movers.Go(func() {
		inParallel(4, func(i int) {
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				default:
					c.do(t, "transferFunds", vars{"fromAccountId": wallets[n%3], "toAccountId": wallets[(n+1+i%2)%3], "amount": usd("0.01")})
				}
			}
		})
	})
	defer func() {
		close(stop)
		movers.Wait()
	}()
	seen := map[string]bool{}
	begin := time.Now()
	for queries := 0; queries < 300 || (len(seen) < 10 && time.Since(begin) < 30*time.Second); queries++ {
		page := c.must(t, `query { accounts(filter: { kind: [CUSTOMER_WALLET] }) { nodes { id balance { posted { amount } }
			transactions(first: 3) { nodes { entries { id runningBalance { amount } } } }
			entries(first: 3) { nodes { id accountSequence runningBalance { amount } } } } } }`, nil)
		for _, account := range list(page, "accounts", "nodes") {
			posted, last := text(account, "balance", "posted", "amount"), at(account, "entries", "nodes", 0)
			seen[text(last, "id")] = true
			var inTransaction any
			for _, entry := range list(account, "transactions", "nodes", 0, "entries") {
				if text(entry, "id") == text(last, "id") {
					inTransaction = entry
				}
			}
			if text(last, "runningBalance", "amount") != posted || text(inTransaction, "runningBalance", "amount") != posted {
				t.Fatalf("the balance is %s, the last entry %v, and of the last transaction %v", posted, last, inTransaction)
			}
		}
	}
	if len(seen) < 10 {
		t.Errorf("only %d entries were the last", len(seen))
	}
}
