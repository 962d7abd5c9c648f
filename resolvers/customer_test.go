package resolvers_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
)

// endUser is a customer who asks by itself. Its principal is made here, with all scopes, because no token names a customer yet.
type endUser struct {
	*client
	customer, account string
	deposit           string // the transaction that filled the account
}

func newEndUser(t *testing.T, shop *client, amount string) endUser {
	t.Helper()
	u := endUser{customer: shop.customer(t)}
	u.account = shop.make(t, "openAccount", vars{"customerId": u.customer, "currency": "USD", "name": "Everyday"})
	u.deposit = shop.deposit(t, u.account, usd(amount))
	p := shop.principal
	p.Kind, p.Customer, p.Subject = auth.Customer, u.customer, u.customer
	u.client = shop.as(p)
	return u
}

func TestACustomerHearsItsOwnAlone(t *testing.T) {
	t.Parallel()
	shop := start(t).merchant(t)
	ada, eve := newEndUser(t, shop, "10.00"), newEndUser(t, shop, "10.00")
	own := shop.make(t, "createPayment", vars{"amount": usd("1.00"), "source": vars{"accountId": ada.account}})
	nobodys := shop.make(t, "createPayment", vars{"amount": usd("1.00")})
	shop.pay(t, ada.account, "", "1.00")
	inner := shop.inner(t, "MERCHANT_AVAILABLE")

	account, status := ada.hear(t, activityOf, vars{"id": ada.account}, ""), ada.hear(t, statusOf, vars{"id": own}, "")
	place, payment := account.next(), status.next()

	denied := func(c endUser, document, id string) string {
		r := c.hear(t, document, vars{"id": id}, "").refusal()
		if r.Extensions.Code != "NOT_FOUND" {
			t.Errorf("%s is answered %+v", id, r)
		}
		return strings.ReplaceAll(r.Message, id, "<id>")
	}
	for _, id := range []string{own, nobodys} {
		if got, want := denied(eve, statusOf, id), denied(eve, statusOf, unknown("pay")); got != want {
			t.Errorf("another's payment is answered %q, an unknown one %q", got, want)
		}
	}
	denied(ada, statusOf, nobodys)
	for _, id := range []string{ada.account, inner} {
		if got, want := denied(eve, activityOf, id), denied(eve, activityOf, unknown("acc")); got != want {
			t.Errorf("another's account is answered %q, an unknown one %q", got, want)
		}
	}
	for document, id := range map[string]string{logOf: "", hearing("paymentStatus", "paymentId", "payment { events { nodes { sequence hash } } }"): own} {
		if r := ada.hear(t, document, vars{"id": id}, "").refusal(); r.Extensions.Code != "FORBIDDEN" {
			t.Errorf("the log is answered %+v", r)
		}
	}

	// A cursor is good for who got it.
	for _, c := range []struct {
		from     item
		document string
		id       string
	}{{place, activityOf, ada.account}, {payment, statusOf, own}} {
		if r := shop.hear(t, c.document, vars{"id": c.id}, c.from.id).refusal(); r.Extensions.Code != "CURSOR_INVALID" {
			t.Errorf("the merchant with a customer's cursor is answered %+v", r)
		}
	}

	shop.pay(t, eve.account, "", "1.00")
	account.silent(50 * time.Millisecond)
	shop.make(t, "confirmPayment", vars{"paymentId": own})
	status.run(2, 2)
	status.complete()
	account.run(3, 3)
	resumed := ada.hear(t, activityOf, vars{"id": ada.account}, place.id)
	resumed.run(3, 3)
}

// What stands around an own object: the other side of a payment, and of a transaction.
const (
	aroundEntry = `{ id accountSequence runningBalance { amount } account { id kind customer { id } balance { posted { amount } }
		transactions(first: 3) { nodes { entries { id account { id } } } } } transaction { entries { id account { id } } } }`
	aroundPayment = `{ id source { ... on Account { id kind balance { posted { amount } } } }
		destination { __typename ... on Account { id kind balance { posted { amount } } } }
		transactions(first: 3) { nodes { id payment { id } entries ` + aroundEntry + ` } } }`
)

// hearing is a subscription to an object.
func hearing(field, argument, selection string) string {
	return fmt.Sprintf(`subscription ($id: ID!, $after: Cursor) { %s(%s: $id, after: $after) { cursor sequence %s } }`, field, argument, selection)
}

// sees says whether an answer has something of the customer's, and nothing of another's.
func (u endUser) sees(t *testing.T, what string, answer any, entries []any, other endUser) {
	t.Helper()
	text, _ := json.Marshal(answer)
	if !strings.Contains(string(text), u.account) {
		t.Errorf("%s has nothing of the customer's own: %s", what, text)
	}
	for _, foreign := range []string{other.account, other.customer, "BANK_CASH", "MERCHANT_AVAILABLE"} {
		if strings.Contains(string(text), foreign) {
			t.Errorf("%s has %s, which is another's: %s", what, foreign, text)
		}
	}
	if len(entries) != 1 || at(entries, 0, "account", "id") != u.account {
		t.Errorf("%s has the entries %v", what, entries)
	}
}

// Two who are in one payment hear of it at the same time, each its own side; the merchant hears both.
func TestTwoCustomersHearOfOnePaymentEachItsOwnSide(t *testing.T) {
	t.Parallel()
	shop := start(t).merchant(t)
	ada, eve := newEndUser(t, shop, "10.00"), newEndUser(t, shop, "77.00")
	both := shop.make(t, "createPayment", vars{
		"amount": usd("1.00"), "source": vars{"accountId": ada.account}, "destinationAccountId": eve.account,
	})
	status := hearing("paymentStatus", "paymentId", "status previousStatus payment "+aroundPayment)
	activity := hearing("accountActivity", "accountId", "account { id } entry { transaction { payment "+aroundPayment+" entries "+aroundEntry+" } }")
	whole := shop.hear(t, status, vars{"id": both}, "")
	whole.next()
	type place struct {
		user, other      endUser
		status, activity []*listening
		first            item
	}
	var places []*place
	for _, p := range []*place{{user: ada, other: eve}, {user: eve, other: ada}} {
		for range 2 {
			p.status = append(p.status, p.user.hear(t, status, vars{"id": both}, ""))
			p.activity = append(p.activity, p.user.hear(t, activity, vars{"id": p.user.account}, ""))
		}
		for i := range p.status {
			p.first = p.status[i].next()
			p.activity[i].next()
		}
		places = append(places, p)
	}
	shop.make(t, "confirmPayment", vars{"paymentId": both})
	if i := whole.next(); len(list(i.field, "payment", "transactions", "nodes", 0, "entries")) != 2 ||
		text(i.field, "payment", "source", "id") != ada.account || text(i.field, "payment", "destination", "id") != eve.account {
		t.Errorf("the merchant hears %v", i)
	}
	for _, p := range places {
		check := func(how string, i item) {
			t.Helper()
			p.user.sees(t, how, i.field, list(i.field, "payment", "transactions", "nodes", 0, "entries"), p.other)
			if text(i.field, "status") != "SUCCEEDED" || text(i.field, "previousStatus") != "REQUIRES_CONFIRMATION" {
				t.Errorf("%s: %v", how, i)
			}
		}
		for n := range p.status {
			check("a status", p.status[n].next())
			p.status[n].complete()
			i := p.activity[n].next()
			p.user.sees(t, "an entry", i.field, list(i.field, "entry", "transaction", "entries"), p.other)
		}
		for _, cursor := range []string{p.first.id, text(p.first.field, "cursor")} {
			again := p.user.hear(t, status, vars{"id": both, "after": cursor}, "")
			check("a status after a cursor", again.next())
			again.complete()
			for name, c := range map[string]*client{"another customer": p.other.client, "the merchant": shop} {
				if r := c.hear(t, status, vars{"id": both, "after": cursor}, "").refusal(); r.Extensions.Code != "CURSOR_INVALID" {
					t.Errorf("%s with a customer's cursor is answered %+v", name, r)
				}
			}
		}
	}
}

func TestACustomerSeesItsOwnAlone(t *testing.T) {
	t.Parallel()
	shop := start(t).merchant(t)
	ada, eve := newEndUser(t, shop, "10.00"), newEndUser(t, shop, "77.00")
	both := shop.pay(t, eve.account, ada.account, "1.00")
	mine := shop.pay(t, ada.account, "", "2.00")
	shop.pay(t, eve.account, "", "3.00")
	const account = `{ id customer { id accounts { nodes { id } } } balance { posted { amount } }
		entries(first: 3) { nodes { id account { id } transaction { entries { id account { id } } payment { id source { ... on Account { id } } } } } }
		transactions(first: 3) { nodes { entries { id accountSequence runningBalance { amount } account { id } } } } }`
	whole := func() []any {
		return list(shop.must(t, `query ($id: ID!) { account(id: $id) `+account+` }`, vars{"id": ada.account}), "account", "transactions", "nodes", 1, "entries")
	}
	if got := whole(); len(got) != 2 { // they are in memory from now on
		t.Errorf("the merchant sees the entries %v", got)
	}
	for _, c := range []struct {
		document, id string
		entries      []any // leads to them
	}{
		{`account(id: $id) ` + account, ada.account, []any{"found", "transactions", "nodes", 1, "entries"}},
		{`node(id: $id) { ... on Account ` + account + ` }`, ada.account, []any{"found", "entries", "nodes", 1, "transaction", "entries"}},
		{`payment(id: $id) ` + aroundPayment, both, []any{"found", "transactions", "nodes", 0, "entries"}},
		{`nodes(ids: [$id]) { ... on Payment ` + aroundPayment + ` }`, both, []any{"found", 0, "transactions", "nodes", 0, "entries"}},
		{`transaction(id: $id) { entries ` + aroundEntry + ` }`, ada.deposit, []any{"found", "entries"}},
		{`customer(id: $id) { accounts { nodes ` + account + ` } }`, ada.customer,
			[]any{"found", "accounts", "nodes", 0, "transactions", "nodes", 0, "entries"}},
	} {
		got := ada.must(t, `query ($id: ID!) { found: `+c.document+` }`, vars{"id": c.id})
		ada.sees(t, c.document, got, list(got, c.entries...), eve)
	}
	if got := whole(); len(got) != 2 {
		t.Errorf("after a customer the merchant sees the entries %v", got)
	}

	// Lists.
	for document, want := range map[string][]string{
		`accounts(orderBy: { direction: ASC }) { nodes { id } }`:                  {ada.account},
		`payments(orderBy: { direction: ASC }) { nodes { id } }`:                  {both, mine},
		`payments(filter: { accountId: "` + ada.account + `" }) { nodes { id } }`: {mine, both},
		`payments(filter: { accountId: "` + eve.account + `" }) { nodes { id } }`: nil,
	} {
		var got []string
		for _, node := range list(ada.must(t, `{ found: `+document+` }`, nil), "found", "nodes") {
			got = append(got, text(node, "id"))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is answered %v, want %v", document, got, want)
		}
	}
	page := ada.must(t, `{ payments(first: 1) { pageInfo { hasNextPage endCursor } } }`, nil)
	next := vars{"after": text(page, "payments", "pageInfo", "endCursor")}
	const after = `query ($after: Cursor) { payments(first: 1, after: $after) { nodes { id } } }`
	if got := ada.must(t, after, next); text(got, "payments", "nodes", 0, "id") != both {
		t.Errorf("the next page is %v", got)
	}
	for _, c := range []*client{eve.client, shop} {
		if r := c.ask(t, after, next); r.code() != "CURSOR_INVALID" {
			t.Errorf("another with a customer's cursor is answered %s", r.text)
		}
	}

	// What the merchant has as a whole, or does.
	refused := []string{
		`{ events { nodes { id } } }`, `{ events(waitMs: 25000) { nodes { id } } }`, `{ eventHead { cursor } }`,
		`{ payment(id: "` + both + `") { events { nodes { sequence hash } } } }`, `{ customers { nodes { id } } }`,
		`{ transactions { nodes { id } } }`, `{ idempotentRequest(key: "sixteen-characters") { operation } }`,
	}
	for _, document := range refused {
		if r := ada.ask(t, document, nil); r.code() != "FORBIDDEN" {
			t.Errorf("%s is answered %s", document, r.text)
		}
	}
	for _, f := range contract.Mutation.Fields {
		document, variables := minimal("mutation", f)
		if r := ada.ask(t, document, variables); !strings.HasPrefix(f.Name, "__") && r.code() != "FORBIDDEN" {
			t.Errorf("%s is answered %s", f.Name, r.text)
		}
	}
}

func TestAnotherCustomersObjectsAreUnknown(t *testing.T) {
	t.Parallel()
	shop := start(t).merchant(t)
	ada, eve := newEndUser(t, shop, "10.00"), newEndUser(t, shop, "77.00")
	objects := func(u endUser, leg int) map[answer.Prefix]string {
		entries := list(shop.must(t, `query ($id: ID!) { transaction(id: $id) { entries { id account { kind } } } }`, vars{"id": u.deposit}),
			"transaction", "entries")
		wallet := slices.IndexFunc(entries, func(e any) bool { return text(e, "account", "kind") == "CUSTOMER_WALLET" })
		return map[answer.Prefix]string{
			answer.CustomerPrefix: u.customer, answer.AccountPrefix: u.account, answer.TransactionPrefix: u.deposit,
			answer.PaymentPrefix: shop.pay(t, u.account, "", "1.00"), answer.EntryPrefix: text(entries, (wallet+leg)%2, "id"),
			answer.HoldPrefix: shop.hold(t, u.account, "0.50"),
		}
	}
	eves, adas := objects(eve, 0), objects(ada, 0)
	inner := objects(ada, 1) // the bank's side of an own transaction
	bank := map[answer.Prefix]string{answer.EntryPrefix: inner[answer.EntryPrefix], answer.AccountPrefix: shop.inner(t, "BANK_CASH"),
		answer.EventPrefix: text(shop.must(t, `{ events(first: 1) { nodes { id } } }`, nil), "events", "nodes", 0, "id")}
	s := &scene{client: ada.client}
	found := 0
	for _, slot := range slots() {
		prefixes := []answer.Prefix{prefixOf(slot.path)}
		if strings.HasPrefix(slot.path, "node") {
			prefixes = []answer.Prefix{answer.CustomerPrefix, answer.AccountPrefix, answer.TransactionPrefix, answer.PaymentPrefix,
				answer.EntryPrefix, answer.EventPrefix, answer.HoldPrefix}
		}
		for _, prefix := range prefixes {
			want := s.told(t, slot, unknown(prefix))
			for _, foreign := range []string{eves[prefix], bank[prefix]} {
				if foreign == "" {
					continue
				}
				if got := s.told(t, slot, foreign); got != want {
					t.Errorf("%s: another's %s is answered\n%s\nand an unknown one\n%s", slot.path, prefix, got, want)
				}
			}
			if own := adas[prefix]; slot.root != contract.Mutation && own != "" && !strings.Contains(want, "FORBIDDEN") {
				if found++; s.told(t, slot, own) == want {
					t.Errorf("%s: an own %s is answered as an unknown one: %s", slot.path, prefix, want)
				}
			}
		}
	}
	if found < 18 {
		t.Errorf("own objects were asked for in %d places", found)
	}
}

// TestACustomersCapturesAndRefunds are seen by both sides of the payment, and by nobody else; what the merchant was charged, by the merchant.
func TestACustomersCapturesAndRefunds(t *testing.T) {
	t.Parallel()
	shop := start(t).merchant(t)
	ada, bob, eve := newEndUser(t, shop, "10.00"), newEndUser(t, shop, "1.00"), newEndUser(t, shop, "1.00")
	id := shop.authorize(t, ada.account, bob.account, "4.00")
	capture := shop.make(t, "capturePayment", vars{"paymentId": id, "amount": usd("1.00"), "final": false})
	refund := shop.make(t, "refundPayment", vars{"paymentId": id, "amount": usd("0.50")})
	const document = `query ($ids: [ID!]!, $payment: ID!) { nodes(ids: $ids) { id ... on Capture { payment { id } } ... on Refund { payment { id } } }
		payment(id: $payment) { fee { amount } net { amount } captures { nodes { id } } refunds { nodes { id transaction { entries { account { id } } } } } } }`
	asked := vars{"ids": []string{capture, refund}, "payment": id}
	for _, side := range []endUser{ada, bob} {
		got := side.must(t, document, asked)
		if text(got, "nodes", 0, "payment", "id") != id || text(got, "nodes", 1, "id") != refund || text(got, "payment", "captures", "nodes", 0, "id") != capture {
			t.Errorf("a side of the payment sees %v", got)
		}
		if at(got, "payment", "fee") != nil || at(got, "payment", "net") != nil {
			t.Errorf("a customer sees what the merchant is charged: %v", got)
		}
		if entries := list(got, "payment", "refunds", "nodes", 0, "transaction", "entries"); len(entries) != 1 || text(entries[0], "account", "id") != side.account {
			t.Errorf("a side of the refund sees %v", entries)
		}
	}
	if got := eve.must(t, document, asked); at(got, "nodes", 0) != nil || at(got, "nodes", 1) != nil || at(got, "payment") != nil {
		t.Errorf("another customer sees %v", got)
	}
	if got := shop.must(t, document, asked); text(got, "payment", "net", "amount") != "0.50" || text(got, "payment", "fee", "amount") != "0.00" {
		t.Errorf("the merchant sees %v", got)
	}
}

// TestWhatAMerchantTransfersShowsACustomerItsOwnSide: the merchant's account stays out of sight, whichever way the money went.
func TestWhatAMerchantTransfersShowsACustomerItsOwnSide(t *testing.T) {
	t.Parallel()
	shop := start(t).merchant(t)
	ada, eve := newEndUser(t, shop, "10.00"), newEndUser(t, shop, "77.00")
	shop.pay(t, eve.account, "", "3.00")
	merchants := shop.inner(t, "MERCHANT_AVAILABLE")
	bonus := shop.make(t, "transferFunds", transferring(merchants, ada.account, usd("2.00")))
	reversal := shop.make(t, "reverseTransfer", reversing(bonus))
	topUp := shop.make(t, "transferFunds", transferring(ada.account, merchants, usd("1.00")))
	for _, id := range []string{bonus, reversal, topUp} {
		const document = `query ($id: ID!) { transaction(id: $id) { kind amount { amount } entries ` + aroundEntry + ` } }`
		got := ada.must(t, document, vars{"id": id})
		ada.sees(t, "a transfer", got, list(got, "transaction", "entries"), eve)
		if whole := list(shop.must(t, document, vars{"id": id}), "transaction", "entries"); len(whole) != 2 {
			t.Errorf("the merchant sees the entries %v", whole)
		}
		if got := eve.must(t, document, vars{"id": id}); at(got, "transaction") != nil {
			t.Errorf("another customer sees %v", got)
		}
	}
	if got := ada.must(t, `query ($id: ID!) { account(id: $id) { id } }`, vars{"id": merchants}); at(got, "account") != nil {
		t.Errorf("the merchant's account is answered %v", got)
	}
	if got, its := shop.balance(t, ada.account), shop.balance(t, merchants); got != "9.00" || its != "4.00" {
		t.Errorf("they have %s and %s", got, its)
	}
}
