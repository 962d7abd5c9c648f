package resolvers_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth"
)

const makesSession = `mutation ($input: CreateCustomerSessionInput!) { createCustomerSession(input: $input) { __typename
	... on CreateCustomerSessionSuccess { accessToken expiresAt scopes customer { id } }
	... on ValidationFailed { violations { path code message } } ... on NotFound { resourceId path } } }`

// session is what the backend gets for a customer.
func (c *client) session(t *testing.T, input vars) map[string]any {
	t.Helper()
	return at(c.must(t, makesSession, vars{"input": input}), "createCustomerSession").(map[string]any)
}

// asCustomer asks with a session's token.
func (c *client) asCustomer(t *testing.T, input vars) *client {
	t.Helper()
	made := c.session(t, input)
	if text(made, "accessToken") == "" {
		t.Fatalf("no session: %v", made)
	}
	return &client{gateway: c.gateway, token: text(made, "accessToken")}
}

func TestACustomersSession(t *testing.T) {
	t.Parallel()
	shop := start(t).merchant(t)
	customer := shop.customer(t)
	begin := time.Now()
	made := shop.session(t, vars{"customerId": customer})
	ends, err := time.Parse(time.RFC3339, text(made, "expiresAt"))
	if err != nil || ends.Before(begin.Add(9*time.Minute)) || ends.After(begin.Add(11*time.Minute)) || text(made, "customer", "id") != customer {
		t.Errorf("%v", made)
	}
	const who = `{ viewer { kind scopes merchant { id } customer { id } payment { id } } }`
	viewer := at(shop.asCustomer(t, vars{"customerId": customer}).must(t, who, nil), "viewer")
	if text(viewer, "kind") != "CUSTOMER" || text(viewer, "customer", "id") != customer || at(viewer, "payment") != nil ||
		text(viewer, "merchant", "id") != string(shop.principal.Merchant) || len(list(viewer, "scopes")) != 3 {
		t.Errorf("%v", viewer)
	}
	narrow := vars{"customerId": customer, "scopes": []string{"PAYMENTS_READ"}, "lifetimeSeconds": 60}
	viewer = at(shop.asCustomer(t, narrow).must(t, who, nil), "viewer")
	if len(list(viewer, "scopes")) != 1 || at(viewer, "customer") != nil || at(viewer, "merchant") != nil {
		t.Errorf("%v", viewer)
	}
	if viewer := at(shop.must(t, who, nil), "viewer"); at(viewer, "customer") != nil || at(viewer, "payment") != nil {
		t.Errorf("the backend is %v", viewer)
	}
	blind := shop.with(auth.SessionsWrite, auth.AccountsRead)
	made = blind.session(t, vars{"customerId": customer})
	if scopes := list(made, "scopes"); len(scopes) != 1 || scopes[0] != "ACCOUNTS_READ" || at(made, "customer") != nil {
		t.Errorf("who may see accounts gives %v", made)
	}
	staff := shop.principal
	staff.Kind, staff.Subject = auth.Staff, "acme:248289761001"
	for _, c := range []*client{shop.asCustomer(t, vars{"customerId": customer}), shop.without(auth.SessionsWrite), shop.as(staff)} {
		if code := c.ask(t, makesSession, vars{"input": vars{"customerId": customer}}).code(); code != "FORBIDDEN" {
			t.Errorf("who may not is answered %s", code)
		}
	}
}

func TestASessionThatIsRefused(t *testing.T) {
	t.Parallel()
	g := start(t)
	shop, other := g.merchant(t), g.merchant(t)
	customer, foreign := shop.customer(t), other.customer(t)
	payment := other.make(t, "createPayment", vars{"amount": usd("1.00")})
	for name, c := range map[string]struct {
		by    *client
		input vars
		want  string // in the answer
	}{
		"another merchant's customer":  {shop, vars{"customerId": foreign}, foreign},
		"a customer that never was":    {shop, vars{"customerId": unknown("cus")}, "NotFound"},
		"an account":                   {shop, vars{"customerId": unknown("acc")}, "NotFound"},
		"nonsense":                     {shop, vars{"customerId": "x"}, "NotFound"},
		"another merchant's payment":   {shop, vars{"customerId": customer, "paymentId": payment}, payment},
		"a payment that never was":     {shop, vars{"customerId": customer, "paymentId": unknown("pay")}, "NotFound"},
		"a scope to write":             {shop, vars{"customerId": customer, "scopes": []string{"PAYMENTS_WRITE"}}, `"OUT_OF_RANGE"`},
		"a scope that it lacks":        {shop.without(auth.PaymentsRead), vars{"customerId": customer, "scopes": []string{"PAYMENTS_READ"}}, `"OUT_OF_RANGE"`},
		"no scope":                     {shop, vars{"customerId": customer, "scopes": []string{}}, `"REQUIRED"`},
		"no sight of the payment":      {shop.with(auth.SessionsWrite, auth.AccountsRead), vars{"customerId": customer, "paymentId": payment}, "has PAYMENTS_READ, which your token lacks"},
		"none to give":                 {shop.with(auth.SessionsWrite), vars{"customerId": customer}, `"OUT_OF_RANGE"`},
		"59 seconds":                   {shop, vars{"customerId": customer, "lifetimeSeconds": 59}, `"lifetimeSeconds"`},
		"an hour and a second":         {shop, vars{"customerId": customer, "lifetimeSeconds": 3601}, `"lifetimeSeconds"`},
		"a lifetime before it":         {shop, vars{"customerId": customer, "lifetimeSeconds": -600}, `"lifetimeSeconds"`},
		"everything wrong, said once":  {shop, vars{"customerId": customer, "scopes": []string{"EVENTS_READ", "LEDGER_ADJUST"}, "lifetimeSeconds": 0}, `"lifetimeSeconds"`},
		"the largest of all lifetimes": {shop, vars{"customerId": customer, "lifetimeSeconds": 2147483647}, `"lifetimeSeconds"`},
	} {
		got := c.by.session(t, c.input)
		answer, _ := json.Marshal(got)
		if at(got, "accessToken") != nil || !strings.Contains(string(answer), c.want) {
			t.Errorf("%s: %s", name, answer)
		}
	}
}

// TestASessionForOnePayment sees this one alone, also where it is between others' accounts, and follows it to its end.
func TestASessionForOnePayment(t *testing.T) {
	t.Parallel()
	shop := start(t).merchant(t)
	ada, eve := newEndUser(t, shop, "10.00"), newEndUser(t, shop, "10.00")
	waits := shop.make(t, "createPayment", vars{"amount": usd("1.00"), "destinationAccountId": eve.account, "captureMethod": "MANUAL"})
	own := shop.pay(t, ada.account, "", "1.00")
	paid := text(shop.must(t, `query ($id: ID!) { payment(id: $id) { captures { nodes { id } } } }`, vars{"id": own}), "payment", "captures", "nodes", 0, "id")
	page := shop.asCustomer(t, vars{"customerId": ada.customer, "paymentId": waits})

	if v := at(page.must(t, `{ viewer { scopes payment { id } } }`, nil), "viewer"); text(v, "payment", "id") != waits || len(list(v, "scopes")) != 1 {
		t.Errorf("the viewer is %v", v)
	}
	page = shop.asCustomer(t, vars{"customerId": ada.customer, "paymentId": waits, "scopes": []string{"ACCOUNTS_READ", "PAYMENTS_READ"}})
	seen := page.must(t, `query ($one: ID!, $other: ID!) { one: payment(id: $one) { id source { __typename } destination { __typename ... on Node { id } }
		transactions { nodes { id } } } other: payment(id: $other) { id } node(id: $other) { id } nodes(ids: [$one, $other]) { id } }`,
		vars{"one": waits, "other": own})
	if text(seen, "one", "id") != waits || at(seen, "one", "destination") != nil || at(seen, "other") != nil || at(seen, "node") != nil ||
		text(seen, "nodes", 0, "id") != waits || at(seen, "nodes", 1) != nil {
		t.Errorf("%v", seen)
	}
	if got := page.must(t, `query ($id: ID!) { node(id: $id) { id } }`, vars{"id": paid}); at(got, "node") != nil {
		t.Errorf("the capture of another payment: %v", got)
	}
	if code := page.ask(t, `{ payments { nodes { id } } }`, nil).code(); code != "FORBIDDEN" {
		t.Errorf("the list is answered %s", code)
	}
	if r := page.hear(t, statusOf, vars{"id": own}, "").refusal(); r.Extensions.Code != "NOT_FOUND" {
		t.Errorf("another payment is answered %+v", r)
	}

	status := page.hear(t, statusOf, vars{"id": waits}, "")
	first := status.next()
	shop.make(t, "confirmPayment", vars{"paymentId": waits, "source": vars{"accountId": shop.wallet(t, "5.00")}}) // another's
	status.run(2, 2)
	shop.make(t, "capturePayment", vars{"paymentId": waits, "amount": usd("1.00")})
	status.run(3, 3)
	status.complete()
	resumed := page.hear(t, statusOf, vars{"id": waits}, first.id)
	resumed.run(2, 3)
	resumed.complete()

	transactions := page.must(t, `query ($id: ID!) { payment(id: $id) { status source { __typename } transactions { nodes { id } } captures { nodes { id } } } }`,
		vars{"id": waits})
	if text(transactions, "payment", "status") != "SUCCEEDED" || at(transactions, "payment", "source") != nil ||
		len(list(transactions, "payment", "transactions", "nodes")) != 0 || len(list(transactions, "payment", "captures", "nodes")) != 1 {
		t.Errorf("of the money between others it sees %v", transactions)
	}

	// Nobody else's session is helped by it.
	if got := shop.asCustomer(t, vars{"customerId": ada.customer}).must(t, `query ($id: ID!) { payment(id: $id) { id } }`, vars{"id": waits}); at(got, "payment") != nil {
		t.Errorf("a session for all that is its own sees %v", got)
	}
	ids := []string{}
	all := shop.asCustomer(t, vars{"customerId": ada.customer}).must(t, `{ payments { nodes { id } } }`, nil)
	for _, p := range list(all, "payments", "nodes") {
		ids = append(ids, text(p, "id"))
	}
	if !slices.Equal(ids, []string{own}) {
		t.Errorf("its own are %v", ids)
	}
}
