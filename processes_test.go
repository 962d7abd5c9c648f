package main

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/paygraph/paygraph/store/connector"
)

// A wallet with fifty cents pays fifty times a cent, through whichever of two processes, and the log has no gap.
func TestTwoProcessesOnOneDatabase(t *testing.T) {
	t.Parallel()
	p := newTwins(t)
	clients := p.clients
	from, to := clients[0].newWallet(t, "0.50"), clients[1].newWallet(t, "0.01")
	var succeeded, refused atomic.Int64
	var all sync.WaitGroup
	for n := range 100 {
		all.Go(func() {
			switch status, err := clients[n%2].pay(fmt.Sprintf("two-processes-%04d", n), from, to); status {
			case "SUCCEEDED":
				succeeded.Add(1)
			case "INSUFFICIENT_FUNDS":
				refused.Add(1)
			default:
				t.Errorf("payment %d: %s, %v", n, status, err)
			}
		})
	}
	all.Wait()
	if succeeded.Load() != 50 || refused.Load() != 50 {
		t.Errorf("%d succeeded and %d were refused, want 50 and 50", succeeded.Load(), refused.Load())
	}
	clients[0].wantWholeLog(t, 50)
	wantVerify(t, p.database, p.merchant)
}

// wantVerify runs the command on a database of one merchant that is whole, with what was noted of it and what was not, and on one that
// somebody has meddled with.
func wantVerify(t *testing.T, database []string, merchant string) {
	t.Helper()
	whose, head, _ := strings.Cut(strings.TrimSpace(output(t, database, "verify")), "  ")
	number, hash, _ := strings.Cut(head, ":")
	if whose != merchant || number == "0" || len(hash) != 64 {
		t.Errorf("verify prints %q and %q", whose, head)
	}
	output(t, database, "verify", "--expect", head)
	wantContains(t, refusal(t, database, "verify", "--expect", number+":"+strings.Repeat("0", 64)), "was expected")
	wantContains(t, refusal(t, database, "verify", "--expect", "here"), "N:HASH")
	db, err := connector.Open(strings.TrimPrefix(database[0], "DATABASE_URL="), connector.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("UPDATE balance SET credits_posted = credits_posted + 1, debits_posted = debits_posted + 1"); err != nil {
		t.Fatal(err)
	}
	wantContains(t, refusal(t, database, "verify"), merchant, "table balance, row acc_")
}

// newWallet opens a wallet of a new customer, with some money in USD.
func (c *client) newWallet(t *testing.T, amount string) string {
	t.Helper()
	var data struct {
		CreateCustomer struct{ Customer struct{ ID string } }
		OpenAccount    struct{ Account struct{ ID string } }
		DepositFunds   struct{ Transaction struct{ Status string } }
	}
	c.must(t, fmt.Sprintf(`mutation { createCustomer(input: { idempotencyKey: "wallet-customer-%s", name: "Ada" }) {
		... on CreateCustomerSuccess { customer { id } } } }`, amount), nil, &data)
	c.must(t, fmt.Sprintf(`mutation { openAccount(input: { idempotencyKey: "wallet-account-%s", customerId: %q, currency: "USD" }) {
		... on OpenAccountSuccess { account { id } } } }`, amount, data.CreateCustomer.Customer.ID), nil, &data)
	c.must(t, fmt.Sprintf(`mutation { depositFunds(input: { idempotencyKey: "wallet-deposit-%[1]s", accountId: %[2]q, reason: "cash",
		amount: { amount: %[1]q, currency: "USD" } }) { ... on DepositFundsSuccess { transaction { status } } } }`,
		amount, data.OpenAccount.Account.ID), nil, &data)
	if data.DepositFunds.Transaction.Status != "POSTED" {
		t.Fatalf("the deposit is %+v", data.DepositFunds)
	}
	return data.OpenAccount.Account.ID
}

// wantWholeLog reads the merchant's log page by page: numbers from 1 without a gap, and so many payments.
func (c *client) wantWholeLog(t *testing.T, payments int) {
	t.Helper()
	next, found := 1, 0
	for after := ""; ; {
		var data struct {
			Events struct {
				Nodes    []struct{ Sequence, Type string }
				PageInfo struct {
					HasNextPage bool
					EndCursor   string
				}
			}
		}
		variables := map[string]any{}
		if after != "" {
			variables["after"] = after
		}
		c.must(t, `query ($after: Cursor) { events(first: 30, after: $after) { nodes { sequence type } pageInfo { hasNextPage endCursor } } }`,
			variables, &data)
		for _, e := range data.Events.Nodes {
			if e.Sequence != fmt.Sprint(next) {
				t.Fatalf("event %s comes where %d should", e.Sequence, next)
			}
			next++
			if e.Type == "PAYMENT_SUCCEEDED" {
				found++
			}
		}
		if after = data.Events.PageInfo.EndCursor; !data.Events.PageInfo.HasNextPage {
			break
		}
	}
	if found != payments {
		t.Errorf("the log has %d payments, want %d", found, payments)
	}
}
