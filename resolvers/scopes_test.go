package resolvers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/paygraph/paygraph/auth"
)

func TestWhatAPrincipalMayNotSeeIsNull(t *testing.T) {
	t.Parallel()
	s := newScene(t, start(t).merchant(t))
	id := vars{"id": s.from}
	blind := s.without(auth.CustomersRead)
	const account = `query ($id: ID!) { account(id: $id) { id customer { id } } }`
	if got := blind.must(t, account, id); text(got, "account", "id") != s.from || at(got, "account", "customer") != nil {
		t.Errorf("without customers:read the account is %v", got)
	}
	if got := s.must(t, account, id); text(got, "account", "customer", "id") != s.customer {
		t.Errorf("with customers:read the account is %v", got)
	}
	const paid = `query ($id: ID!) { payment(id: $id) { id source { __typename } destination { __typename }
		transactions { nodes { id } } } }`
	got := at(s.with(auth.PaymentsRead).must(t, paid, vars{"id": s.payment}), "payment")
	if text(got, "id") == "" || at(got, "source") != nil || at(got, "destination") != nil || at(got, "transactions") != nil {
		t.Errorf("without accounts:read the payment is %v", got)
	}
	transaction := s.without(auth.PaymentsRead).must(t, `query ($id: ID!) { transactions(filter: { paymentId: $id }) { nodes { id
		payment { id } } } }`, vars{"id": s.payment})
	if text(transaction, "transactions", "nodes", 0, "id") == "" || at(transaction, "transactions", "nodes", 0, "payment") != nil {
		t.Errorf("without payments:read the transaction is %v", transaction)
	}
	events := s.with(auth.EventsRead).must(t, `{ events(first: 100) { nodes { type object { id } } } }`, nil)
	for i, event := range list(events, "events", "nodes") {
		if at(event, "object") != nil {
			t.Errorf("the object of event %d is %v", i, event)
		}
	}
	accounts := s.with(auth.CustomersRead).must(t, `{ customers { nodes { id accounts { nodes { id } } } } }`, nil)
	if text(accounts, "customers", "nodes", 0, "id") == "" || at(accounts, "customers", "nodes", 0, "accounts") != nil {
		t.Errorf("without accounts:read the customers are %v", accounts)
	}
	viewer := s.with(auth.PaymentsRead).must(t, `{ viewer { kind scopes merchant { id } } }`, nil)
	if text(viewer, "viewer", "kind") != "BACKEND" || at(viewer, "viewer", "merchant") != nil ||
		text(viewer, "viewer", "scopes", 0) != "PAYMENTS_READ" {
		t.Errorf("without accounts:read the viewer is %v", viewer)
	}
}

func TestAMutationSucceedsWithoutTheScopeToSee(t *testing.T) {
	t.Parallel()
	s := newScene(t, start(t).merchant(t)).captured(t)
	inputs := map[string]vars{
		"createCustomer": {"name": "Grace"}, "openAccount": {"customerId": s.customer, "currency": "USD"},
		"setAccountStatus": {"accountId": s.to, "status": "ACTIVE", "reason": "why"},
		"depositFunds":     {"accountId": s.from, "amount": usd("1.00"), "reason": "why"},
		"transferFunds":    {"fromAccountId": s.from, "toAccountId": s.to, "amount": usd("1.00")},
		"placeHold":        holding(s.from, "0.10"), "releaseHold": releasing(s.hold),
		"reverseTransfer": {"transactionId": s.transfer, "reason": "why"},
		"capturePayment":  {"paymentId": s.authorized, "amount": usd("0.25"), "final": false},
		"refundPayment":   {"paymentId": s.payment, "amount": usd("0.25")}, "cancelPayment": {"paymentId": s.authorize(t, s.from, s.to, "0.10")},
		"createPayment": paying(s.from, "", "1.00"), "confirmPayment": {"paymentId": s.waiting, "source": vars{"accountId": s.from}},
	}
	blind := s.with(auth.CustomersWrite, auth.AccountsWrite, auth.LedgerAdjust, auth.TransfersWrite, auth.PaymentsWrite)
	for mutation := range objects {
		input := inputs[mutation]
		input["idempotencyKey"] = key()
		for _, replayed := range []bool{false, true} {
			got := blind.do(t, mutation, input)
			if !strings.HasSuffix(text(got, "__typename"), "Success") || at(got, "object") != nil || at(got, "replayed") != replayed {
				t.Errorf("%s was answered %v, want success without the object", mutation, got)
			}
		}
		if got := s.do(t, mutation, input); text(got, "object", "id") == "" {
			t.Errorf("who may see gets %v of %s", got, mutation)
		}
	}
}

func TestNodesOfATypeWhoseScopeIsLackingAreNull(t *testing.T) {
	t.Parallel()
	s := newScene(t, start(t).merchant(t)).captured(t)
	event := text(s.must(t, `{ events(first: 1) { nodes { id } } }`, nil), "events", "nodes", 0, "id")
	entry := text(s.must(t, `query ($id: ID!) { transaction(id: $id) { entries { id } } }`, vars{"id": s.transaction}),
		"transaction", "entries", 0, "id")
	ids := map[string]string{
		"Merchant": string(s.principal.Merchant), "Customer": s.customer, "Account": s.from, "Entry": entry, "Event": event,
		"Transaction": s.transaction, "Payment": s.payment, "Hold": s.hold,
		"Capture": s.capture, "Refund": s.refund,
	}
	for _, def := range contract.GetPossibleTypes(contract.Types["Node"]) {
		scope := auth.ScopeOfEnum(def.Directives.ForName("requiresScope").Arguments.ForName("scope").Value.Raw)
		document := `query ($id: ID!) { node(id: $id) { __typename } nodes(ids: [$id]) { __typename } }`
		seen := s.with(scope).must(t, document, vars{"id": ids[def.Name]})
		if text(seen, "node", "__typename") != def.Name || text(seen, "nodes", 0, "__typename") != def.Name {
			t.Errorf("with %s alone the %s is %v", scope, def.Name, seen)
		}
		for name, c := range map[string]*client{"without the scope": s.without(scope), "anonymous": {gateway: s.gateway}} {
			if got := c.must(t, document, vars{"id": ids[def.Name]}); at(got, "node") != nil || at(got, "nodes", 0) != nil {
				t.Errorf("%s the %s is %v", name, def.Name, got)
			}
		}
	}
}

func TestAnonymousMaySeeWhatIsPublic(t *testing.T) {
	t.Parallel()
	anonymous := &client{gateway: start(t)}
	if got := anonymous.must(t, `{ __typename }`, nil); text(got, "__typename") != "Query" {
		t.Errorf("got %v", got)
	}
	limits := anonymous.must(t, `{ viewer { limits { pointsPerSecond burst } } }`, nil)
	if got := fmt.Sprint(at(limits, "viewer", "limits", "burst")); got != fmt.Sprint(auth.DefaultLimits[auth.Anonymous].Burst) {
		t.Errorf("the limits of nobody are %v", limits)
	}
	got := at(anonymous.must(t, `{ viewer { kind scopes expiresAt merchant { id } } }`, nil), "viewer")
	if text(got, "kind") != "ANONYMOUS" || len(list(got, "scopes")) != 0 || at(got, "merchant") != nil || at(got, "expiresAt") != nil {
		t.Errorf("the viewer is %v", got)
	}
}

func TestRootFieldsNeedTheirScope(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	anonymous := &client{gateway: c.gateway}
	checked := 0
	for operation, root := range map[string]*ast.Definition{"query": contract.Query, "mutation": contract.Mutation} {
		for _, f := range root.Fields {
			scope := f.Directives.ForName("requiresScope")
			if scope == nil {
				continue
			}
			checked++
			document, variables := minimal(operation, f)
			lacking := auth.ScopeOfEnum(scope.Arguments.ForName("scope").Value.Raw)
			if r := c.without(lacking).ask(t, document, variables); r.status != 403 || r.code() != "FORBIDDEN" || r.Data != nil {
				t.Errorf("%s without %s was answered %d %s", f.Name, lacking, r.status, r.text)
			}
			if r := anonymous.ask(t, document, variables); r.status != 401 || r.code() != "UNAUTHENTICATED" || r.Data != nil {
				t.Errorf("%s of nobody was answered %d %s", f.Name, r.status, r.text)
			}
			if r := c.with(lacking).ask(t, document, variables); r.code() == "FORBIDDEN" {
				t.Errorf("%s with %s alone was answered %s", f.Name, lacking, r.text)
			}
		}
	}
	if checked < 15 {
		t.Errorf("only %d fields require a scope", checked)
	}
	if r := (&client{gateway: c.gateway, token: "wrong"}).ask(t, `{ __typename }`, nil); r.status != 401 || r.code() != "UNAUTHENTICATED" {
		t.Errorf("a wrong token was answered %d %s", r.status, r.text)
	}
}

// minimal is an operation of one field. Its input need not be good: it is refused, or not, before that.
func minimal(operation string, f *ast.FieldDefinition) (string, vars) {
	for _, a := range f.Arguments {
		if a.Type.NonNull && a.DefaultValue == nil {
			value := any("sixteen-characters")
			if contract.Types[a.Type.Name()].Kind == ast.InputObject {
				value = smallest(a.Type.Name())
			}
			return operation + " ($v: " + a.Type.String() + ") { " + f.Name + "(" + a.Name + ": $v) { __typename } }", vars{"v": value}
		}
	}
	return operation + " { " + f.Name + " { __typename } }", nil
}

// smallest is an input object with what is required.
func smallest(name string) vars {
	input := vars{}
	for _, f := range contract.Types[name].Fields {
		if !f.Type.NonNull || f.DefaultValue != nil {
			continue
		}
		switch def := contract.Types[f.Type.Name()]; {
		case def.Kind == ast.InputObject:
			input[f.Name] = smallest(def.Name)
		case def.Kind == ast.Enum:
			input[f.Name] = def.EnumValues[0].Name
		case def.Name == "Decimal":
			input[f.Name] = "1.00"
		case def.Name == "CurrencyCode":
			input[f.Name] = "USD"
		default:
			input[f.Name] = key()
		}
	}
	return input
}
