package resolvers_test

import (
	"strings"
	"testing"

	"github.com/paygraph/paygraph/answer"
)

// scene is a merchant of whom every kind of object exists, and every list has something.
type scene struct {
	*client
	customer, from, to, transaction, payment, waiting, hold, key string
	authorized, capture, refund, transfer                        string // made by captured
}

func newScene(t *testing.T, c *client) *scene {
	t.Helper()
	s := &scene{client: c, key: key()}
	s.customer = c.make(t, "createCustomer", vars{
		"idempotencyKey": s.key, "name": "Ada Lovelace", "reference": "ada-1", "metadata": vars{"tier": "gold"},
	})
	s.from = c.make(t, "openAccount", vars{"customerId": s.customer, "currency": "USD", "name": "Everyday"})
	s.to = c.make(t, "openAccount", vars{"customerId": s.customer, "currency": "USD", "name": "Savings"})
	c.deposit(t, s.from, usd("100.00"))
	s.transaction = c.make(t, "transferFunds", vars{
		"fromAccountId": s.from, "toAccountId": s.to, "amount": usd("1.00"), "reference": "rent",
	})
	s.payment = c.make(t, "createPayment", vars{
		"amount": usd("2.50"), "source": vars{"accountId": s.from}, "confirm": true, "captureMethod": "AUTOMATIC",
		"reference": "order-7", "metadata": vars{"order": "7"},
	})
	s.hold = c.hold(t, s.from, "0.75")
	s.waiting = c.make(t, "createPayment", vars{"amount": usd("3.00"), "destinationAccountId": s.to})
	return s
}

// captured adds, between other wallets, a payment of which a part was captured and given back in part, and a transfer.
func (s *scene) captured(t *testing.T) *scene {
	t.Helper()
	from, to := s.wallet(t, "10.00"), s.wallet(t, "")
	s.authorized = s.authorize(t, from, to, "4.00")
	s.capture = s.make(t, "capturePayment", vars{"paymentId": s.authorized, "amount": usd("1.00"), "final": false})
	s.refund = s.make(t, "refundPayment", vars{"paymentId": s.authorized, "amount": usd("0.50"), "reason": "too large"})
	s.transfer = s.make(t, "transferFunds", vars{"fromAccountId": from, "toAccountId": to, "amount": usd("1.00")})
	return s
}

// queries are the arguments with which each root field of Query finds something.
func (s *scene) queries(t *testing.T) map[string]string {
	s.captured(t)
	entry := text(s.must(t, `query ($id: ID!) { transaction(id: $id) { entries { id } } }`, vars{"id": s.transaction}),
		"transaction", "entries", 0, "id")
	event := text(s.must(t, `{ events(first: 1) { nodes { id } } }`, nil), "events", "nodes", 0, "id")
	ids := []string{string(s.principal.Merchant), s.customer, s.from, entry, s.transaction, s.payment, s.hold, s.capture, s.refund, event}
	return map[string]string{
		"viewer": "", "node": `(id: "` + s.payment + `")`, "nodes": `(ids: ["` + strings.Join(ids, `", "`) + `"])`,
		"account": `(id: "` + s.from + `")`, "customer": `(id: "` + s.customer + `")`,
		"payment": `(id: "` + s.payment + `")`, "transaction": `(id: "` + s.transaction + `")`,
		"idempotentRequest": `(key: "` + s.key + `")`, "events": "(first: 5, waitMs: 1)", "eventHead": "",
		"accounts": `(first: 5, filter: { kind: [CUSTOMER_WALLET], status: [ACTIVE], currency: "USD", customerId: "` + s.customer +
			`", createdAt: { from: "2020-01-01T00:00:00Z", to: "2100-01-01T00:00:00Z" } }, orderBy: { direction: ASC })`,
		"customers": `(first: 5, filter: { reference: "ada-1", metadata: { key: "tier", value: "gold" } })`,
		"payments": `(first: 5, filter: { status: [SUCCEEDED], currency: "USD", customerId: "` + s.customer + `", accountId: "` + s.from +
			`", reference: "order-7", amount: { min: "2.50", max: "2.50" }, metadata: { key: "order", value: "7" } })`,
		"transactions": `(first: 5, filter: { kind: [PAYMENT], currency: "USD", accountId: "` + s.from + `", paymentId: "` + s.payment +
			`", amount: { min: "2", max: "3" } })`,
	}
}

func TestEveryQueryAnswersWithEveryField(t *testing.T) {
	t.Parallel()
	s := newScene(t, start(t).merchant(t))
	arguments := s.queries(t)
	for _, f := range contract.Query.Fields {
		if strings.HasPrefix(f.Name, "__") {
			continue
		}
		given, ok := arguments[f.Name]
		if !ok {
			t.Errorf("the test does not ask for %s", f.Name)
			continue
		}
		depth := 2
		if contract.Types[f.Type.Name()].IsAbstractType() {
			depth = 0 // there is a limit to aliases
		}
		got := at(s.must(t, "{ "+f.Name+given+" "+everything(f.Type.Name(), depth)+" }", nil), f.Name)
		if got == nil {
			t.Errorf("%s%s found nothing", f.Name, given)
		}
		if strings.HasSuffix(f.Type.Name(), "Connection") && len(list(got, "nodes")) == 0 {
			t.Errorf("%s%s is empty", f.Name, given)
		}
		if f.Name == "nodes" {
			for i, node := range got.([]any) {
				if node == nil {
					t.Errorf("the node %d of %s was not found", i, given)
				}
			}
		}
	}
}

func TestEveryMutationAnswersWithEveryField(t *testing.T) {
	t.Parallel()
	s := newScene(t, start(t).merchant(t)).captured(t)
	inputs := map[string]vars{
		keyless:            {"customerId": s.customer, "paymentId": s.payment, "scopes": []string{"PAYMENTS_READ"}, "lifetimeSeconds": 60},
		"createCustomer":   {"name": "Grace", "reference": "grace", "metadata": vars{"a": "b"}},
		"openAccount":      {"customerId": s.customer, "currency": "JPY", "name": "Tokyo"},
		"setAccountStatus": {"accountId": s.to, "status": "FROZEN", "reason": "a phone call"},
		"depositFunds":     {"accountId": s.from, "amount": usd("7.00"), "reason": "wire 17"},
		"transferFunds":    {"fromAccountId": s.from, "toAccountId": s.to, "amount": usd("0.01"), "reference": "one cent"},
		"placeHold":        {"accountId": s.from, "amount": usd("0.05"), "reference": "deposit"},
		"releaseHold":      {"holdId": s.hold, "reason": "brought back"},
		"createPayment": {"amount": usd("4.00"), "source": vars{"accountId": s.from}, "destinationAccountId": s.to, "confirm": true,
			"captureMethod": "AUTOMATIC", "reference": "r", "metadata": vars{"k": "v"}},
		"confirmPayment":  {"paymentId": s.waiting, "source": vars{"accountId": s.from}},
		"capturePayment":  {"paymentId": s.authorized, "amount": usd("0.25"), "final": false},
		"cancelPayment":   {"paymentId": s.authorize(t, s.from, s.to, "0.10")},
		"refundPayment":   {"paymentId": s.payment, "amount": usd("0.25"), "reason": "too small"},
		"reverseTransfer": {"transactionId": s.transfer, "reason": "a mistake"},
	}
	for _, f := range contract.Mutation.Fields {
		if strings.HasPrefix(f.Name, "__") {
			continue
		}
		input, ok := inputs[f.Name]
		if !ok {
			t.Errorf("the test does not run %s", f.Name)
			continue
		}
		object, replayed := objects[f.Name], any(false)
		if f.Name == keyless {
			object, replayed = "customer", nil
		} else {
			input["idempotencyKey"] = key()
		}
		success := strings.TrimSuffix(f.Type.Name(), "Result") + "Success"
		document := "mutation ($input: " + f.Arguments[0].Type.String() + ") { " + f.Name + "(input: $input) { __typename ... on " +
			success + " " + everything(success, 2) + " " + userError + " } }"
		got := at(s.must(t, document, vars{"input": input}), f.Name)
		if text(got, "__typename") != success || at(got, "replayed") != replayed || at(got, object) == nil {
			t.Errorf("%s of %v was answered %v", f.Name, input, got)
		}
	}
	got := s.must(t, `query ($id: ID!) { account(id: $id) { status statusReason } }`, vars{"id": s.to})
	if text(got, "account", "status") != "FROZEN" || text(got, "account", "statusReason") != "a phone call" {
		t.Errorf("the account that was frozen is %v", got)
	}
}

func TestAPaymentIsTold(t *testing.T) {
	t.Parallel()
	s := newScene(t, start(t).merchant(t))
	got := at(s.must(t, `query ($id: ID!) { payment(id: $id) { status amount { amount minorUnits currency } captured { amount }
		source { __typename ... on Account { id } } destination { __typename ... on Merchant { id } } reference metadata version
		captureMethod transactions { nodes { kind amount { amount } payment { id } entries { direction runningBalance { amount }
		account { id kind } transaction { id } } } } events { nodes { type objectVersion object { id } } } } }`,
		vars{"id": s.payment}), "payment")
	for _, want := range []struct {
		value string
		steps []any
	}{
		{"SUCCEEDED", []any{"status"}}, {"2.50", []any{"amount", "amount"}}, {"250", []any{"amount", "minorUnits"}},
		{"2.50", []any{"captured", "amount"}}, {s.from, []any{"source", "id"}}, {"order-7", []any{"reference"}},
		{string(s.principal.Merchant), []any{"destination", "id"}}, {"7", []any{"metadata", "order"}},
		{"PAYMENT", []any{"transactions", "nodes", 0, "kind"}}, {s.payment, []any{"transactions", "nodes", 0, "payment", "id"}},
		{"DEBIT", []any{"transactions", "nodes", 0, "entries", 0, "direction"}},
		{s.from, []any{"transactions", "nodes", 0, "entries", 0, "account", "id"}},
		{"96.50", []any{"transactions", "nodes", 0, "entries", 0, "runningBalance", "amount"}},
		{"MERCHANT_AVAILABLE", []any{"transactions", "nodes", 0, "entries", 1, "account", "kind"}},
		{"PAYMENT_SUCCEEDED", []any{"events", "nodes", 0, "type"}}, {s.payment, []any{"events", "nodes", 0, "object", "id"}},
	} {
		if found := text(got, want.steps...); found != want.value {
			t.Errorf("%v is %q, want %q", want.steps, found, want.value)
		}
	}
}

func TestNodesComeInTheOrderOfTheirIdentifiers(t *testing.T) {
	t.Parallel()
	s := newScene(t, start(t).merchant(t))
	unknown := answer.Encode(answer.AccountPrefix, answer.UUID{1})
	ids := []string{s.payment, unknown, s.from, "nonsense", s.payment, s.customer}
	nodes := list(s.must(t, `query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }`, vars{"ids": ids}), "nodes")
	for i, want := range []string{s.payment, "", s.from, "", s.payment, s.customer} {
		if got := text(nodes, i, "id"); got != want {
			t.Errorf("node %d is %q, want %q", i, got, want)
		}
	}
}
