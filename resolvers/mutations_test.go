package resolvers_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
)

// userError selects what every refusal has.
const userError = `... on UserError { code message path retryable }`

// refusalFields selects what single refusals have beyond that. Two unions may not have all of them, so they are taken by name.
var refusalFields = map[string]string{
	"ValidationFailed":        `violations { path code message }`,
	"NotFound":                `notFound: resourceId`,
	"InvalidState":            `payment: resourceId paymentStatus: status`,
	"InsufficientFunds":       `source: resourceId available { amount currency } required { amount currency }`,
	"AccountNotActive":        `account: resourceId accountStatus: status`,
	"AccountNotEmpty":         `full: resourceId posted { amount currency } held { amount currency }`,
	"BalanceOutOfRange":       `range: resourceId`,
	"VersionConflict":         `changed: resourceId expectedVersion currentVersion`,
	"AmountExceedsCapturable": `payment: resourceId capturable { amount currency } asked: requested { amount currency }`,
	"AmountExceedsRefundable": `payment: resourceId refundable { amount currency } asked: requested { amount currency }`,
	"NotReversible":           `transfer: resourceId transactionKind: kind reversedBy`,
	"HoldNotOpen":             `hold: resourceId holdStatus: status`,
	"HoldOfPayment":           `hold: resourceId holdPayment: paymentId`,
	"CurrencyMismatch":        `mismatched: resourceId expected actual`,
	"IdempotencyKeyReused":    `conflictingPaths originalOperation firstSeenAt`,
	"IdempotencyKeyExpired":   `firstSeenAt`,
}

// keyless is the one mutation that changes nothing, and has no key.
const keyless = "createCustomerSession"

// objects are what the other mutations' successes hold.
var objects = map[string]string{
	"createCustomer": "customer", "openAccount": "account", "setAccountStatus": "account", "depositFunds": "transaction",
	"transferFunds": "transaction", "placeHold": "transaction", "releaseHold": "transaction", "createPayment": "payment", "confirmPayment": "payment",
	"capturePayment": "capture", "cancelPayment": "payment", "refundPayment": "refund", "reverseTransfer": "transaction",
}

// document runs one mutation, and selects everything of refusals and enough of successes.
func document(mutation string) string {
	field := contract.Mutation.Fields.ForName(mutation)
	var b strings.Builder
	b.WriteString("mutation ($input: " + field.Arguments[0].Type.String() + ") { " + mutation + "(input: $input) { __typename ")
	b.WriteString(userError)
	for _, member := range contract.Types[field.Type.Name()].Types {
		if fields, ok := refusalFields[member]; ok {
			b.WriteString(" ... on " + member + " { " + fields + " }")
		}
		if strings.HasSuffix(member, "Success") {
			b.WriteString(" ... on " + member + " { replayed object: " + objects[mutation] + " { " + idOf(member, mutation) + " } }")
		}
	}
	return b.String() + " } }"
}

func idOf(success, mutation string) string {
	object := contract.Types[contract.Types[success].Fields.ForName(objects[mutation]).Type.Name()]
	if object.Fields.ForName("status") != nil {
		return "id status"
	}
	return "id"
}

// do runs a mutation with an input, which gets a key where it has none, and returns the member of the union.
func (c *client) do(t *testing.T, mutation string, input vars) map[string]any {
	t.Helper()
	input = maps.Clone(input)
	if _, ok := input["idempotencyKey"]; !ok {
		input["idempotencyKey"] = key()
	}
	member, _ := at(c.must(t, document(mutation), vars{"input": input}), mutation).(map[string]any)
	return member
}

// make runs a mutation that has to succeed, and returns the identifier of its object.
func (c *client) make(t *testing.T, mutation string, input vars) string {
	t.Helper()
	member := c.do(t, mutation, input)
	id := text(member, "object", "id")
	if id == "" {
		t.Fatalf("%s of %v was answered %v", mutation, input, member)
	}
	return id
}

func usd(amount string) vars { return vars{"amount": amount, "currency": "USD"} }

func (c *client) customer(t *testing.T) string {
	t.Helper()
	return c.make(t, "createCustomer", vars{"name": "Ada"})
}

// wallet opens a wallet of a new customer's; amount is what is paid in, "" for nothing.
func (c *client) wallet(t *testing.T, amount string) string {
	t.Helper()
	return c.walletIn(t, "USD", amount)
}

func (c *client) walletIn(t *testing.T, currency, amount string) string {
	t.Helper()
	id := c.make(t, "openAccount", vars{"customerId": c.customer(t), "currency": currency, "name": "Everyday"})
	if amount != "" {
		c.deposit(t, id, vars{"amount": amount, "currency": currency})
	}
	return id
}

func (c *client) deposit(t *testing.T, account string, amount vars) string {
	t.Helper()
	return c.make(t, "depositFunds", vars{"accountId": account, "amount": amount, "reason": "opening balance"})
}

// pay makes a payment that is confirmed at once; to "" is the merchant.
func (c *client) pay(t *testing.T, from, to, amount string) string {
	t.Helper()
	return c.make(t, "createPayment", paying(from, to, amount))
}

func paying(from, to, amount string) vars {
	input := vars{"amount": usd(amount), "source": vars{"accountId": from}, "confirm": true}
	if to != "" {
		input["destinationAccountId"] = to
	}
	return input
}

// authorize makes a payment that is to be captured later.
func (c *client) authorize(t *testing.T, from, to, amount string) string {
	t.Helper()
	input := paying(from, to, amount)
	input["captureMethod"] = "MANUAL"
	return c.make(t, "createPayment", input)
}

func (c *client) setStatus(t *testing.T, account, status string) {
	t.Helper()
	c.make(t, "setAccountStatus", vars{"accountId": account, "status": status, "reason": "a test"})
}

// balance is what an account holds.
func (c *client) balance(t *testing.T, account string) string {
	t.Helper()
	return text(c.must(t, `query ($id: ID!) { account(id: $id) { balance { posted { amount } } } }`, vars{"id": account}),
		"account", "balance", "posted", "amount")
}

// hold sets money of a wallet aside, and returns the hold's identifier.
func (c *client) hold(t *testing.T, account, amount string) string {
	t.Helper()
	return holdMadeBy(c.make(t, "placeHold", vars{"accountId": account, "amount": usd(amount), "reference": "a bicycle"}))
}

// holdMadeBy is the hold that a transaction made: it has the same UUID.
func holdMadeBy(transaction string) string { return "hol" + strings.TrimPrefix(transaction, "txn") }

// inner is the merchant's own account of a kind in USD.
func (c *client) inner(t *testing.T, kind string) string {
	t.Helper()
	id := text(c.must(t, `query ($kind: AccountKind!) { accounts(filter: { kind: [$kind], currency: "USD" }) { nodes { id } } }`,
		vars{"kind": kind}), "accounts", "nodes", 0, "id")
	if id == "" {
		t.Fatalf("there is no %s", kind)
	}
	return id
}

// everything selects every field of a type, as deep as is said; below that only fields without selections.
func everything(name string, depth int) string {
	def := contract.Types[name]
	var b strings.Builder
	b.WriteString("{ __typename")
	if def.IsAbstractType() {
		for _, member := range contract.GetPossibleTypes(def) {
			b.WriteString(" ... on " + member.Name + " " + aliased(member, depth))
		}
		return b.String() + " }"
	}
	for _, f := range def.Fields {
		if selection, ok := selectionOf(f, depth); ok {
			b.WriteString(" " + f.Name + selection)
		}
	}
	return b.String() + " }"
}

// aliased is everything of a member of a union or interface, whose fields may have other types than those of the other members.
func aliased(def *ast.Definition, depth int) string {
	var b strings.Builder
	b.WriteString("{")
	for _, f := range def.Fields {
		if selection, ok := selectionOf(f, depth); ok {
			b.WriteString(" " + def.Name + "_" + f.Name + ": " + f.Name + selection)
		}
	}
	return b.String() + " __typename }"
}

func selectionOf(f *ast.FieldDefinition, depth int) (string, bool) {
	if strings.HasPrefix(f.Name, "__") {
		return "", false
	}
	def := contract.Types[f.Type.Name()]
	switch {
	case !def.IsCompositeType():
		return "", true
	case def.Name == "UserError":
		return " { __typename " + userError + " }", true
	case def.IsAbstractType(): // its members are for others to ask for: there is a limit to aliases
		return " { __typename ... on Node { id } }", true
	}
	if len(f.Arguments) > 0 && f.Arguments.ForName("first") != nil {
		if depth > 0 {
			return "(first: 2) " + everything(def.Name, depth-1), true
		}
		return "", false
	}
	if depth <= 0 && def.Name != "Money" && def.Name != "Balance" && def.Name != "PageInfo" {
		return "", false
	}
	return " " + everything(def.Name, depth-1), true
}

func TestTwoMutationsInOneDocumentSeeEachOther(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	from, to := c.wallet(t, "10.00"), c.wallet(t, "1.00")
	one := func(alias, key string) string {
		return fmt.Sprintf(`%s: createPayment(input: { idempotencyKey: %q, amount: { amount: "1.00", currency: "USD" },
			source: { accountId: %q }, destinationAccountId: %q, confirm: true }) {
			... on CreatePaymentSuccess { payment { source { ... on Account { balance { posted { amount } } } } } } }`, alias, key, from, to)
	}
	answer := c.must(t, `mutation { `+one("a", key())+` `+one("b", key())+` }`, nil)
	for alias, want := range map[string]string{"a": "9.00", "b": "8.00"} {
		if got := text(answer, alias, "payment", "source", "balance", "posted", "amount"); got != want {
			t.Errorf("the balance after %s is %s, want %s", alias, got, want)
		}
	}
}
