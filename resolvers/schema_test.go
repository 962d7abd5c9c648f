package resolvers

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/graph"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
)

// own are the types that the schema's file defines.
func own() []*ast.Definition {
	var types []*ast.Definition
	for _, def := range schema.Types {
		if !def.BuiltIn {
			types = append(types, def)
		}
	}
	slices.SortFunc(types, func(a, b *ast.Definition) int { return strings.Compare(a.Name, b.Name) })
	return types
}

func isNode(def *ast.Definition) bool {
	return def.Kind == ast.Object && slices.Contains(def.Interfaces, "Node")
}

// scopeIn is the scope of @requiresScope, or "".
func scopeIn(directives ast.DirectiveList) auth.Scope {
	if d := directives.ForName("requiresScope"); d != nil {
		return auth.ScopeOfEnum(d.Arguments.ForName("scope").Value.Raw)
	}
	return ""
}

func TestEveryRootFieldSaysWhoMayAskForIt(t *testing.T) {
	t.Parallel()
	for _, root := range []*ast.Definition{schema.Query, schema.Mutation} {
		for _, f := range root.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			public, scope := f.Directives.ForName("public") != nil, scopeIn(f.Directives)
			if public == (scope != "") {
				t.Errorf("%s.%s needs either @public or @requiresScope", root.Name, f.Name)
			}
			if scope != "" && !auth.AllScopes.Has(scope) {
				t.Errorf("%s.%s requires %s, which no token can have", root.Name, f.Name, scope)
			}
			if root == schema.Mutation && public {
				t.Errorf("everybody may run %s", f.Name)
			}
			if f.Type.NonNull {
				t.Errorf("%s.%s is not nullable: where it fails its neighbours' answers are lost", root.Name, f.Name)
			}
		}
	}
}

func TestNodesAskForTheScopeThatTheSchemaSays(t *testing.T) {
	t.Parallel()
	structs := map[string]any{
		"Merchant": &merchant.Merchant{}, "Customer": &merchant.Customer{}, "Account": &ledger.Account{}, "Entry": &ledger.Entry{},
		"Hold": &ledger.Hold{}, "Transaction": &ledger.Transaction{}, "Payment": &payment.Payment{},
		"Capture": &payment.Capture{}, "Refund": &payment.Refund{}, "Event": &event.Event{},
	}
	for _, def := range own() {
		if !isNode(def) {
			if scopeIn(def.Directives) != "" {
				t.Errorf("%s requires a scope and is no Node: nothing checks it", def.Name)
			}
			continue
		}
		object, ok := structs[def.Name]
		if !ok {
			t.Errorf("the test does not know the struct of the Node %s", def.Name)
			continue
		}
		delete(structs, def.Name)
		if scope := scopeIn(def.Directives); scope == "" || scope != scopeOf(object) {
			t.Errorf("%s requires %q in the schema and %q in scopeOf", def.Name, scope, scopeOf(object))
		}
	}
	if len(structs) > 0 {
		t.Errorf("no Nodes any more: %v", structs)
	}
	if scope := scopeOf(struct{}{}); scope != "" {
		t.Errorf("an object of an unknown type asks for %q", scope)
	}
}

// The resolvers that there are. gqlgen makes one of each field whose Go type does not fit, without a word: a new line here has to be
// meant.
var wantedResolvers = map[string]string{
	"Account":               "Customer Entries Holds Transactions",
	"AccountActivityEvent":  "Account Cursor",
	"Capture":               "Payment Transaction",
	"CapturePaymentSuccess": "Payment",
	"Refund":                "Payment Transaction",
	"RefundPaymentSuccess":  "Payment",
	"Customer":              "Accounts",
	"Entry":                 "Account Hold Transaction",
	"Event":                 "Cursor Object",
	"EventHead":             "Cursor",
	"Hold":                  "Account EndTransaction Payment Transaction",
	"IdempotentRequest":     "Object",
	"Mutation": "CancelPayment CapturePayment ConfirmPayment CreateCustomer CreateCustomerSession CreatePayment DepositFunds OpenAccount PlaceHold RefundPayment ReleaseHold " +
		"ReverseTransfer SetAccountStatus " +
		"TransferFunds",
	"Payment":            "Captures Destination Events Fee Net Refunds Source Transactions",
	"PaymentStatusEvent": "Cursor Payment PreviousStatus",
	"PlaceHoldSuccess":   "Hold",
	"Query": "Account Accounts Customer Customers EventHead Events IdempotentRequest Node Nodes Payment Payments Transaction Transactions " +
		"Viewer",
	"ReleaseHoldSuccess": "Hold",
	"Subscription":       "AccountActivity Events PaymentStatus",
	"Transaction":        "Payment ReversedBy Reverses",
	"Viewer":             "Customer Merchant Payment Scopes",
}

func TestNoFieldBecameAResolverUnnoticed(t *testing.T) {
	t.Parallel()
	root := reflect.TypeFor[graph.ResolverRoot]()
	found := map[string]string{}
	for i := range root.NumMethod() {
		method := root.Method(i)
		found[method.Name] = strings.Join(methods(method.Type.Out(0)), " ")
	}
	if !reflect.DeepEqual(found, wantedResolvers) {
		t.Errorf("resolvers are\n%v, want\n%v", found, wantedResolvers)
	}
}

func methods(of reflect.Type) []string {
	var names []string
	for i := range of.NumMethod() {
		names = append(names, of.Method(i).Name)
	}
	return names
}

func TestEverythingInTheSchemaIsDescribed(t *testing.T) {
	t.Parallel()
	describe := func(description string, name ...string) {
		if len(strings.TrimSpace(description)) < 3 {
			t.Errorf("%s has no description", strings.Join(name, "."))
		}
	}
	for _, def := range own() {
		describe(def.Description, def.Name)
		for _, f := range def.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			describe(f.Description, def.Name, f.Name)
			for _, a := range f.Arguments {
				describe(a.Description, def.Name, f.Name, a.Name)
			}
		}
		for _, v := range def.EnumValues {
			describe(v.Description, def.Name, v.Name)
		}
	}
}

func TestOnlyNodesHaveAnID(t *testing.T) {
	t.Parallel()
	for _, def := range own() {
		if def.Kind != ast.Object && def.Kind != ast.Interface {
			continue
		}
		id := def.Fields.ForName("id")
		if has, may := id != nil, isNode(def) || def.Name == "Node"; has != may {
			t.Errorf("%s has an id: %t; it is a Node: %t", def.Name, has, may)
		}
		if id != nil && id.Type.String() != "ID!" {
			t.Errorf("%s.id is a %s", def.Name, id.Type)
		}
	}
}

func TestConnectionsAreRelays(t *testing.T) {
	t.Parallel()
	connections := 0
	for _, def := range own() {
		name, ok := strings.CutSuffix(def.Name, "Connection")
		if !ok {
			continue
		}
		connections++
		fields := map[string]string{"edges": "[" + name + "Edge!]!", "nodes": "[" + name + "!]!", "pageInfo": "PageInfo!"}
		for field, want := range fields {
			if f := def.Fields.ForName(field); f == nil || f.Type.String() != want {
				t.Errorf("%s.%s is not a %s", def.Name, field, want)
			}
		}
		edge := schema.Types[name+"Edge"]
		if edge == nil || edge.Fields.ForName("cursor") == nil || edge.Fields.ForName("cursor").Type.String() != "Cursor!" ||
			edge.Fields.ForName("node") == nil || edge.Fields.ForName("node").Type.Name() != name {
			t.Errorf("%sEdge is not an edge", name)
		}
	}
	if connections == 0 {
		t.Error("there is no connection")
	}
	for _, def := range own() {
		for _, f := range def.Fields {
			if !strings.HasSuffix(f.Type.Name(), "Connection") {
				continue
			}
			first, after := f.Arguments.ForName("first"), f.Arguments.ForName("after")
			if first == nil || first.Type.String() != "Int!" || first.DefaultValue == nil || first.DefaultValue.Raw != "20" ||
				after == nil || after.Type.String() != "Cursor" {
				t.Errorf("%s.%s does not take first: Int! = 20 and after: Cursor", def.Name, f.Name)
			}
		}
	}
}

// TestEachListSaysHowLongItCanBe, by @listSize of the field itself, or of each field whose type has the list.
func TestEachListSaysHowLongItCanBe(t *testing.T) {
	t.Parallel()
	sizes := func(f *ast.FieldDefinition, argument string) []any {
		d := f.Directives.ForName("listSize")
		if d == nil {
			return nil
		}
		list, _ := d.ArgumentMap(nil)[argument].([]any)
		return list
	}
	above := map[string][]*ast.FieldDefinition{} // by the type that they have
	for _, def := range own() {
		for _, f := range def.Fields {
			above[f.Type.Name()] = append(above[f.Type.Name()], f)
		}
	}
	lists := 0
	for _, def := range own() {
		if def.Kind != ast.Object && def.Kind != ast.Interface {
			continue
		}
		for _, f := range def.Fields {
			for _, name := range sizes(f, "slicingArguments") {
				if f.Arguments.ForName(name.(string)) == nil {
					t.Errorf("%s.%s has no argument %s", def.Name, f.Name, name)
				}
			}
			for _, name := range sizes(f, "sizedFields") {
				if list := schema.Types[f.Type.Name()].Fields.ForName(name.(string)); list == nil || list.Type.Elem == nil {
					t.Errorf("%s.%s has no list %s", def.Name, f.Name, name)
				}
			}
			if f.Type.Elem == nil {
				continue
			}
			lists++
			if f.Directives.ForName("listSize") != nil {
				continue
			}
			for _, parent := range above[def.Name] {
				if !slices.Contains(sizes(parent, "sizedFields"), any(f.Name)) {
					t.Errorf("nobody says how long %s.%s is below %s", def.Name, f.Name, parent.Name)
				}
			}
		}
	}
	if lists == 0 {
		t.Error("there is no list")
	}
}

// TestWhatCommitsWeighsMore than what only reads, and each weight is a whole number.
func TestWhatCommitsWeighsMore(t *testing.T) {
	t.Parallel()
	weight := func(f *ast.FieldDefinition) int {
		d := f.Directives.ForName("cost")
		if d == nil {
			return 1
		}
		n, err := strconv.Atoi(d.Arguments.ForName("weight").Value.Raw)
		if err != nil || n < 1 {
			t.Errorf("%s weighs %s", f.Name, d.Arguments.ForName("weight").Value.Raw)
		}
		return n
	}
	most := 0
	for _, def := range own() {
		for _, f := range def.Fields {
			if def != schema.Mutation {
				most = max(most, weight(f))
			}
		}
	}
	for _, f := range schema.Mutation.Fields {
		if strings.HasPrefix(f.Name, "__") || f.Name == "createCustomerSession" { // it changes nothing
			continue
		}
		if w := weight(f); w <= most {
			t.Errorf("%s weighs %d, and something that only reads %d", f.Name, w, most)
		}
	}
}

func TestMutationsHaveOneShape(t *testing.T) {
	t.Parallel()
	for _, f := range schema.Mutation.Fields {
		if strings.HasPrefix(f.Name, "__") {
			continue
		}
		title := strings.ToUpper(f.Name[:1]) + f.Name[1:]
		if len(f.Arguments) != 1 || f.Arguments[0].Name != "input" || f.Arguments[0].Type.String() != title+"Input!" ||
			f.Type.String() != title+"Result" {
			t.Errorf("%s is not %s(input: %sInput!): %sResult", f.Name, f.Name, title, title)
			continue
		}
		if f.Name == "createCustomerSession" { // it changes nothing
			continue
		}
		if key := schema.Types[title+"Input"].Fields.ForName("idempotencyKey"); key == nil || key.Type.String() != "IdempotencyKey!" {
			t.Errorf("%sInput has no idempotencyKey", title)
		}
		for _, refusal := range []string{"IdempotencyKeyReused", "IdempotencyKeyExpired", "IdempotencyInProgress"} {
			if !slices.Contains(members(title+"Result"), refusal) {
				t.Errorf("%sResult has no %s", title, refusal)
			}
		}
		for _, member := range members(title + "Result") {
			def := schema.Types[member]
			success := member == title+"Success"
			if success == slices.Contains(def.Interfaces, "UserError") {
				t.Errorf("%s in %s has to be %sSuccess or a UserError", member, f.Type, title)
			}
			if success && (def.Fields.ForName("replayed") == nil || def.Fields.ForName("replayed").Type.String() != "Boolean!") {
				t.Errorf("%s has no replayed", member)
			}
		}
	}
}
