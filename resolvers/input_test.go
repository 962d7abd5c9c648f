package resolvers_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/paygraph/paygraph/answer"
)

// member or error: what a mutation answers to one input, as "NAME path".
func (c *client) answered(t *testing.T, mutation string, input vars) string {
	t.Helper()
	if _, ok := input["idempotencyKey"]; !ok {
		input["idempotencyKey"] = key()
	}
	r := c.ask(t, document(mutation), vars{"input": input})
	if len(r.Errors) > 0 {
		return r.code() + " " + r.path()
	}
	return text(r.Data, mutation, "__typename") + " " + dotted(at(r.Data, mutation, "path"))
}

func TestAmountsThatCannotBe(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	from, to, yen := c.wallet(t, "50.00"), c.wallet(t, ""), c.walletIn(t, "JPY", "500")
	const invalid, malformed = "ValidationFailed input.amount.amount", "BAD_USER_INPUT"
	for _, bad := range []struct {
		amount, currency any
		want             string
	}{
		{"1.234", "USD", invalid}, {"1.000", "USD", invalid}, {"-1.00", "USD", invalid}, {"0", "USD", invalid}, {"0.00", "USD", invalid},
		{"10000000000000.01", "USD", invalid}, {"99999999999999999999999999999", "USD", invalid}, {"1.5", "JPY", invalid},
		{"1.0", "JPY", invalid}, {"1.2345", "KWD", invalid}, {"1.00", "XXQ", "ValidationFailed input.amount.currency"},
		{"1.00", "usd", "ValidationFailed input.amount.currency"}, {"1.00", "", "ValidationFailed input.amount.currency"},
		{"NaN", "USD", malformed}, {"Infinity", "USD", malformed}, {"1e3", "USD", malformed}, {"+1", "USD", malformed},
		{" 1", "USD", malformed}, {"1 ", "USD", malformed}, {"", "USD", malformed}, {"1,00", "USD", malformed}, {".5", "USD", malformed},
		{"5.", "USD", malformed}, {"0x10", "USD", malformed}, {"٣", "USD", malformed}, {"-0", "USD", malformed}, {1, "USD", malformed},
		{1.5, "USD", malformed}, {true, "USD", malformed}, {nil, "USD", malformed}, {[]int{1}, "USD", malformed}, {"1.00", 840, malformed},
		{strings.Repeat("1", 41), "USD", malformed}, {"1.00\x00", "USD", malformed}, {"1.00", "US\x00", malformed},
	} {
		amount := vars{"amount": bad.amount, "currency": bad.currency}
		for mutation, input := range map[string]vars{
			"depositFunds":  {"accountId": from, "amount": amount, "reason": "why"},
			"transferFunds": {"fromAccountId": from, "toAccountId": to, "amount": amount},
			"createPayment": {"source": vars{"accountId": from}, "destinationAccountId": to, "amount": amount, "confirm": true},
		} {
			got := c.answered(t, mutation, input)
			place := strings.Contains(got, "input.amount.") || bad.amount == nil && strings.Contains(got, "input.amount")
			if !strings.HasPrefix(got, bad.want) || !place {
				t.Errorf("%s of %v is answered %s, want %s", mutation, amount, got, bad.want)
			}
		}
	}
	for _, account := range []string{from, yen} {
		if got := c.balance(t, account); got != "50.00" && got != "500" {
			t.Errorf("a balance has become %s", got)
		}
	}
	if got := c.answered(t, "depositFunds", vars{"accountId": to, "amount": usd("10000000000000.00"), "reason": "r"}); got != "DepositFundsSuccess " {
		t.Errorf("the largest amount is answered %s", got)
	}
}

func TestRequestsThatCannotBe(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	from, to, euro := c.wallet(t, "50.00"), c.wallet(t, ""), c.walletIn(t, "EUR", "5.00")
	customer := c.customer(t)
	c.pay(t, from, "", "1.00") // opens MERCHANT_AVAILABLE
	c.hold(t, from, "1.00")    // opens SUSPENSE
	many := vars{}
	for i := range 51 {
		many[fmt.Sprint("k", i)] = "v"
	}
	long := func(n int) string { return strings.Repeat("é", n) }
	type inputs struct {
		mutation, want string
		input          vars
	}
	cases := []inputs{
		{"transferFunds", "ValidationFailed input.toAccountId", vars{"fromAccountId": from, "toAccountId": from, "amount": usd("1.00")}},
		{"createPayment", "ValidationFailed input.destinationAccountId", paying(from, from, "1.00")},
		{"createPayment", "CurrencyMismatch input.destinationAccountId", paying(from, euro, "1.00")},
		{"createPayment", "CurrencyMismatch input.source.accountId", paying(euro, from, "1.00")},
		{"createCustomer", "ValidationFailed input.name", vars{"name": long(201)}},
		{"createCustomer", "ValidationFailed input.reference", vars{"name": "A", "reference": long(201)}},
		{"createCustomer", "ValidationFailed input.metadata", vars{"name": "A", "metadata": many}},
		{"createCustomer", "ValidationFailed input.metadata", vars{"name": "A", "metadata": vars{long(41): "v"}}},
		{"createCustomer", "ValidationFailed input.metadata", vars{"name": "A", "metadata": vars{"": "v"}}},
		{"createCustomer", "ValidationFailed input.metadata", vars{"name": "A", "metadata": vars{"k": long(501)}}},
		{"createCustomer", "BAD_USER_INPUT createCustomer.input.metadata", vars{"name": "A", "metadata": vars{"k": 1}}},
		{"createCustomer", "BAD_USER_INPUT createCustomer.input.metadata", vars{"name": "A", "metadata": vars{"k": nil}}},
		{"createCustomer", "BAD_USER_INPUT createCustomer.input.metadata", vars{"name": "A", "metadata": []string{"k"}}},
		{"openAccount", "ValidationFailed input.name", vars{"customerId": customer, "currency": "USD", "name": long(201)}},
		{"setAccountStatus", "ValidationFailed input.reason", status(from, "FROZEN", long(501))},
		{"transferFunds", "ValidationFailed input.reference",
			vars{"fromAccountId": from, "toAccountId": to, "amount": usd("1.00"), "reference": long(201)}},
		{"placeHold", "ValidationFailed input.reference", vars{"accountId": from, "amount": usd("1.00"), "reference": long(201)}},
		{"releaseHold", "ValidationFailed input.reason", vars{"holdId": unknown(answer.HoldPrefix), "reason": long(501)}},
		{"createCustomer", "BAD_USER_INPUT createCustomer.input.idempotencyKey", vars{"name": "A", "idempotencyKey": "short"}},
		{"createCustomer", "BAD_USER_INPUT createCustomer.input.idempotencyKey", vars{"name": "A", "idempotencyKey": strings.Repeat("k", 256)}},
		{"createCustomer", "BAD_USER_INPUT createCustomer.input.idempotencyKey", vars{"name": "A", "idempotencyKey": long(20)}},
		{"createCustomer", "CreateCustomerSuccess ", vars{"name": long(200), "reference": long(200), "metadata": vars{long(40): long(500)}}},
	}
	for _, kind := range []string{"BANK_CASH", "MERCHANT_AVAILABLE", "SUSPENSE"} {
		id := c.inner(t, kind)
		cases = append(cases,
			inputs{"depositFunds", "NotFound input.accountId", vars{"accountId": id, "amount": usd("1.00"), "reason": "r"}},
			inputs{"setAccountStatus", "NotFound input.accountId", status(id, "CLOSED", "r")},
			inputs{"placeHold", "NotFound input.accountId", holding(id, "1.00")},
			inputs{"createPayment", "NotFound input.source.accountId", paying(id, to, "1.00")},
			inputs{"createPayment", "NotFound input.destinationAccountId", paying(from, id, "1.00")},
		)
		out, in := transferring(id, to, usd("1.00")), transferring(from, id, usd("1.00"))
		if kind == "MERCHANT_AVAILABLE" {
			cases = append(cases,
				inputs{"transferFunds", "InsufficientFunds input.fromAccountId", transferring(id, to, usd("1.01"))},
				inputs{"transferFunds", "CurrencyMismatch input.fromAccountId", transferring(id, euro, vars{"amount": "1.00", "currency": "EUR"})},
				inputs{"transferFunds", "CurrencyMismatch input.toAccountId", transferring(euro, id, vars{"amount": "1.00", "currency": "EUR"})},
				inputs{"transferFunds", "ValidationFailed input.toAccountId", transferring(id, id, usd("1.00"))},
				inputs{"transferFunds", "TransferFundsSuccess ", in}, inputs{"transferFunds", "TransferFundsSuccess ", out},
			)
			continue
		}
		cases = append(cases,
			inputs{"transferFunds", "NotFound input.fromAccountId", out}, inputs{"transferFunds", "NotFound input.toAccountId", in})
	}
	for _, i := range cases {
		if got := c.answered(t, i.mutation, i.input); got != i.want {
			t.Errorf("%s of %.200v is answered %s, want %s", i.mutation, i.input, got, i.want)
		}
	}
	if got := c.balance(t, from); got != "48.00" {
		t.Errorf("the balance has become %s", got)
	}
}

func transferring(from, to string, amount vars) vars {
	return vars{"fromAccountId": from, "toAccountId": to, "amount": amount}
}

func TestArgumentsThatCannotBe(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	from := c.wallet(t, "5.00")
	many := strings.TrimSuffix(strings.Repeat(`"`+from+`", `, 101), ", ")
	input := `{ idempotencyKey: "` + key() + `", amount: { amount: "1.00", currency: "USD" }, source: `
	for document, want := range map[string]string{
		`{ accounts(first: 0) { nodes { id } } }`:                                                "BAD_USER_INPUT accounts",
		`{ payments(first: -1) { nodes { id } } }`:                                               "BAD_USER_INPUT payments",
		`{ customers(first: 101) { nodes { id } } }`:                                             "BAD_USER_INPUT customers",
		`{ events(first: 101) { nodes { id } } }`:                                                "BAD_USER_INPUT events",
		`{ transactions(first: 2147483648) { nodes { id } } }`:                                   "BAD_USER_INPUT ",
		`{ account(id: "` + from + `") { entries(first: 0) { nodes { id } } } }`:                 "BAD_USER_INPUT account.entries",
		`{ account(id: "` + from + `") { transactions(first: 101) { nodes { id } } } }`:          "BAD_USER_INPUT account.transactions",
		`{ account(id: "` + from + `") { holds(first: 101) { nodes { id } } } }`:                 "BAD_USER_INPUT account.holds",
		`{ nodes(ids: [` + many + `]) { id } }`:                                                  "BAD_USER_INPUT nodes",
		`{ payments(filter: { amount: { min: "1.00" } }) { nodes { id } } }`:                     "BAD_USER_INPUT payments",
		`{ transactions(filter: { currency: "JPY", amount: { max: "1.5" } }) { nodes { id } } }`: "BAD_USER_INPUT transactions",
		`{ payments(filter: { createdAt: { from: "yesterday" } }) { nodes { id } } }`:            "BAD_USER_INPUT payments.filter.createdAt.from",
		`mutation { createPayment(input: ` + input + `{} }) { __typename } }`:                    "BAD_USER_INPUT ",
		`mutation { createPayment(input: ` + input + `{ accountId: null } }) { __typename } }`:   "BAD_USER_INPUT ",
	} {
		r := c.ask(t, document, nil)
		got := r.code() + " " + r.path()
		if !strings.HasPrefix(got, want) || len(r.Errors) != 1 || len(r.Errors[0].Message) < 8 {
			t.Errorf("%.150s is answered %s, want %s", document, r.text, want)
		}
	}
	for _, source := range []any{vars{}, vars{"accountId": nil}, vars{"accountId": from, "paymentMethodId": "x"}, "x"} {
		r := c.ask(t, document("createPayment"), vars{"input": vars{"idempotencyKey": key(), "amount": usd("1.00"), "source": source}})
		if r.code() != "BAD_USER_INPUT" || !strings.HasPrefix(r.path(), "variable.input.source") {
			t.Errorf("the source %v is answered %s", source, r.text)
		}
	}
	if r := c.ask(t, `query ($n: Int!) { accounts(first: $n) { nodes { id } } }`, vars{"n": int64(1) << 31}); r.code() != "BAD_USER_INPUT" ||
		r.path() != "variable.n" {
		t.Errorf("2^31 is answered %s", r.text)
	}
}

// texts are the places in an input where a client writes a text.
func texts(name string) [][]string {
	var paths [][]string
	for _, f := range contract.Types[name].Fields {
		def := contract.Types[f.Type.Name()]
		switch {
		case def.Kind == ast.InputObject:
			for _, path := range texts(def.Name) {
				paths = append(paths, append([]string{f.Name}, path...))
			}
		case def.Name == "Metadata":
			paths = append(paths, []string{f.Name, "a\x00b"}, []string{f.Name, "key"})
		case def.Kind == ast.Scalar && def.Name != "Boolean" && def.Name != "Int":
			paths = append(paths, []string{f.Name})
		}
	}
	return paths
}

// put writes a value at a path, and what is required on the way.
func put(name string, path []string, value any) vars {
	input := smallest(name)
	f := contract.Types[name].Fields.ForName(path[0])
	switch {
	case len(path) == 1:
		input[path[0]] = value
	case f.Type.Name() == "Metadata":
		input[path[0]] = vars{path[1]: value}
	default:
		input[path[0]] = put(f.Type.Name(), path[1:], value)
	}
	return input
}

func TestTheCharacterNULIsRefusedEverywhere(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	checked := 0
	check := func(document, path string, value any) {
		checked++
		r := c.ask(t, document, vars{"v": value})
		if r.code() != "BAD_USER_INPUT" && r.code() != "CURSOR_INVALID" || !strings.HasPrefix(r.path(), path) || path == "" {
			t.Errorf("NUL in %q is answered %s, want an error at %s", value, r.text, path)
		}
	}
	for operation, root := range map[string]*ast.Definition{"query": contract.Query, "mutation": contract.Mutation} {
		for _, f := range root.Fields {
			for _, a := range f.Arguments {
				def := contract.Types[a.Type.Name()]
				document := operation + " ($v: " + a.Type.String() + ") { " + f.Name + "(" + a.Name + ": $v) { __typename } }"
				switch {
				case strings.HasPrefix(f.Name, "__"):
				case def.Kind == ast.InputObject:
					for _, path := range texts(def.Name) {
						bad := "sixteen characters\x00"
						if strings.Contains(path[len(path)-1], "\x00") {
							bad = "a good value under a bad name"
						}
						check(document, f.Name+"."+a.Name+"."+path[0], put(def.Name, path, bad))
					}
				case def.Kind == ast.Scalar && def.Name != "Int":
					check(document, f.Name, "sixteen characters\x00")
				}
			}
		}
	}
	if checked < 50 {
		t.Errorf("only %d places for text were found", checked)
	}
}

func TestABodyThatIsNotUTF8IsRefused(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	for _, bad := range []string{"\xff", "\xc3\x28", "\xed\xa0\x80"} {
		body := `{"query":"mutation ($v: CreateCustomerInput!) { createCustomer(input: $v) { __typename } }","variables":{"v":{"name":"A` +
			bad + `","idempotencyKey":"` + key() + `"}}}`
		r, err := c.post(t.Context(), []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if r.status != http.StatusBadRequest || r.code() != "BAD_USER_INPUT" {
			t.Errorf("a body with %x is answered %d %s", bad, r.status, r.text)
		}
	}
	if n := len(list(c.must(t, `{ customers { nodes { id } } }`, nil), "customers", "nodes")); n > 0 {
		t.Errorf("%d customers were created", n)
	}
}

func TestBadRequestsLeaveTheRestOfTheBatchAlone(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	from, to, euro := c.wallet(t, "100.00"), c.wallet(t, ""), c.walletIn(t, "EUR", "")
	bank := c.inner(t, "BANK_CASH")
	bad := []vars{
		paying(from, euro, "1.00"), paying(from, bank, "1.00"), paying(from, from, "1.00"), paying(from, to, "-1"), paying(from, to, "1e3"),
		paying(from, to, "9999999.00"), paying(unknown(answer.AccountPrefix), to, "1.00"), paying(from, "\x00", "1.00"),
		paying(from, to, "1.001"), paying("", to, "1.00"),
	}
	var lock sync.Mutex
	good := 0
	inParallel(200, func(i int) {
		if i%2 == 1 {
			input := vars{}
			for name, value := range bad[i/2%len(bad)] {
				input[name] = value
			}
			if got := c.answered(t, "createPayment", input); strings.Contains(got, "Success") || strings.HasPrefix(got, "INTERNAL") {
				t.Errorf("%v is answered %s", input, got)
			}
			return
		}
		if got := c.answered(t, "createPayment", paying(from, to, "0.50")); got == "CreatePaymentSuccess " {
			lock.Lock()
			defer lock.Unlock()
			good++
		}
	})
	if a, b := c.balance(t, from), c.balance(t, to); good != 100 || a != "50.00" || b != "50.00" {
		t.Errorf("%d of 100 good payments; balances %s and %s", good, a, b)
	}
}
