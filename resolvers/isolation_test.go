package resolvers_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/paygraph/paygraph/answer"
)

// slot is a place in the schema where a client names an object: an argument or a member of an input of the type ID.
type slot struct {
	root *ast.Definition
	path string // "payments.filter.accountId"
}

// slots finds all of them.
func slots() []slot {
	var found []slot
	for _, root := range []*ast.Definition{contract.Query, contract.Mutation, contract.Subscription} {
		for _, f := range root.Fields {
			for _, a := range f.Arguments {
				for _, path := range idsIn(a.Type.Name(), f.Name+"."+a.Name) {
					if !strings.HasPrefix(path, "__") {
						found = append(found, slot{root, path})
					}
				}
			}
		}
	}
	return found
}

func idsIn(name, path string) []string {
	if name == "ID" {
		return []string{path}
	}
	def := contract.Types[name]
	if def.Kind != ast.InputObject {
		return nil
	}
	var paths []string
	for _, f := range def.Fields {
		paths = append(paths, idsIn(f.Type.Name(), path+"."+f.Name)...)
	}
	return paths
}

// prefixOf says what kind of object a slot names.
func prefixOf(path string) answer.Prefix {
	switch name := strings.ToLower(path[strings.LastIndex(path, ".")+1:]); {
	case strings.HasSuffix(name, "accountid"):
		return answer.AccountPrefix
	case strings.HasSuffix(name, "customerid"):
		return answer.CustomerPrefix
	case strings.HasSuffix(name, "paymentid"):
		return answer.PaymentPrefix
	case strings.HasSuffix(name, "holdid"):
		return answer.HoldPrefix
	case strings.HasSuffix(name, "transactionid"):
		return answer.TransactionPrefix
	}
	return map[string]answer.Prefix{"account": answer.AccountPrefix, "customer": answer.CustomerPrefix,
		"payment": answer.PaymentPrefix, "transaction": answer.TransactionPrefix}[strings.Split(path, ".")[0]]
}

// request is a whole request that names an object in a slot; everything else in it is good.
func (s *scene) request(t *testing.T, at slot, id string) string {
	t.Helper()
	steps := strings.Split(at.path, ".")
	field := at.root.Fields.ForName(steps[0])
	argument := field.Arguments.ForName(steps[1])
	var value any = id
	if argument.Type.Elem != nil {
		value = []any{id}
	}
	if len(steps) > 2 {
		value = s.input(argument.Type.Name(), steps[2:], id)
	}
	variables := map[string]any{"v": value}
	selection := "{ __typename ... on Node { id } }"
	switch {
	case at.root == contract.Subscription:
		return body(t, "subscription ($v: "+argument.Type.String()+") { field: "+field.Name+"("+argument.Name+": $v) { __typename } }", variables)
	case at.root == contract.Mutation:
		if contract.Types[argument.Type.Name()].Fields.ForName("idempotencyKey") != nil {
			variables["v"].(map[string]any)["idempotencyKey"] = key()
		}
		return body(t, "mutation ($v: "+argument.Type.String()+") { field: "+field.Name+"("+argument.Name+": $v) { __typename "+
			userError+" ... on NotFound { resourceId } ... on UserError { path } } }", variables)
	case strings.HasSuffix(field.Type.Name(), "Connection"):
		selection = "{ edges { cursor } nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }"
	}
	return body(t, "query ($v: "+argument.Type.String()+") { field: "+field.Name+"("+argument.Name+": $v) "+selection+" }", variables)
}

func body(t *testing.T, document string, variables map[string]any) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// input is an input object with an identifier at a path, and its required members.
func (s *scene) input(name string, path []string, id string) map[string]any {
	value := map[string]any{}
	for _, f := range contract.Types[name].Fields {
		if f.Name == path[0] {
			value[f.Name] = id
			if len(path) > 1 {
				value[f.Name] = s.input(f.Type.Name(), path[1:], id)
			}
		} else if f.Type.NonNull && f.DefaultValue == nil {
			value[f.Name] = s.required(f)
		}
	}
	if path[0] == "fromAccountId" {
		value["toAccountId"] = s.to
	}
	return value
}

func (s *scene) required(f *ast.FieldDefinition) any {
	switch f.Type.Name() {
	case "MoneyInput":
		return usd("1.00")
	case "CurrencyCode":
		return "USD"
	case "AccountStatus":
		return "FROZEN"
	case "ID":
		return map[answer.Prefix]string{
			answer.AccountPrefix: s.from, answer.CustomerPrefix: s.customer, answer.PaymentPrefix: s.waiting,
		}[prefixOf(f.Name)]
	}
	return "a test"
}

// differs is what two answers may differ in: the request's id, and how many points are left after it.
var differs = regexp.MustCompile(`"requestId":"[^"]*"|"available":[0-9]*`)

// told is the whole answer to a request about an identifier, with what may differ taken out.
func (s *scene) told(t *testing.T, at slot, id string) string {
	t.Helper()
	if at.root == contract.Subscription {
		l := s.hearBody(t, s.request(t, at, id), "")
		e, _ := l.arrival()
		l.end()
		return differs.ReplaceAllString(strings.ReplaceAll(e.data, id, "<id>"), "")
	}
	r, err := s.post(t.Context(), []byte(s.request(t, at, id)))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(r.text, id, "<id>")
	return fmt.Sprint(r.status, " ", differs.ReplaceAllString(text, ""))
}

func TestAnotherMerchantsObjectsAreUnknown(t *testing.T) {
	t.Parallel()
	g := start(t)
	mine, theirs := newScene(t, g.merchant(t)), newScene(t, g.merchant(t)).captured(t)
	event := text(theirs.must(t, `{ events(first: 1) { nodes { id } } }`, nil), "events", "nodes", 0, "id")
	entry := text(theirs.must(t, `query ($id: ID!) { transaction(id: $id) { entries { id } } }`, vars{"id": theirs.transaction}),
		"transaction", "entries", 0, "id")
	foreign := map[answer.Prefix]string{
		answer.MerchantPrefix: string(theirs.principal.Merchant), answer.CustomerPrefix: theirs.customer, answer.AccountPrefix: theirs.from,
		answer.PaymentPrefix: theirs.waiting, answer.TransactionPrefix: theirs.transaction, answer.EventPrefix: event,
		answer.EntryPrefix: entry, answer.HoldPrefix: theirs.hold, answer.CapturePrefix: theirs.capture, answer.RefundPrefix: theirs.refund,
	}
	found := slots()
	for _, path := range []string{"createPayment.input.source.accountId", "paymentStatus.paymentId", "accountActivity.accountId",
		"placeHold.input.accountId", "releaseHold.input.holdId", "capturePayment.input.paymentId", "reverseTransfer.input.transactionId"} {
		if len(found) < 20 || !slices.ContainsFunc(found, func(s slot) bool { return s.path == path }) {
			t.Fatalf("the schema's places for identifiers are %v", found)
		}
	}
	for _, at := range found {
		prefixes := []answer.Prefix{prefixOf(at.path)}
		if strings.HasPrefix(at.path, "node") {
			prefixes = nil
			for prefix := range foreign {
				prefixes = append(prefixes, prefix)
			}
		}
		for _, prefix := range prefixes {
			want := mine.told(t, at, unknown(prefix))
			if got := mine.told(t, at, foreign[prefix]); foreign[prefix] == "" || got != want {
				t.Errorf("%s: another merchant's %s is answered\n%s\nand an unknown one\n%s", at.path, prefix, got, want)
			}
			for _, malformed := range malformedIDs(foreign[prefix], prefix) {
				if got := mine.told(t, at, malformed); got != want {
					t.Errorf("%s: %q is answered\n%s\nand an unknown one\n%s", at.path, malformed, got, want)
				}
			}
		}
	}
	for _, c := range []*scene{mine, theirs} {
		if got := c.balance(t, c.from); got != "96.50" {
			t.Errorf("the balance has become %s", got)
		}
	}
}

// malformedIDs are texts that are no identifiers of this kind.
func malformedIDs(id string, prefix answer.Prefix) []string {
	other := answer.CustomerPrefix
	if prefix == other {
		other = answer.AccountPrefix
	}
	return []string{
		"nonsense", id + "0", id[:len(id)-1], strings.ToUpper(id), string(prefix) + "_" + strings.Repeat("z", 26),
		"' OR 1=1 --", string(other) + strings.TrimPrefix(id, string(prefix)), strings.Repeat("é", 300), " " + id,
	}
}

// A slot that works for the merchant's own object is what makes the comparison above worth something.
func TestOwnObjectsAreFoundInEveryPlace(t *testing.T) {
	t.Parallel()
	g := start(t)
	for _, at := range slots() {
		s := newScene(t, g.merchant(t))
		id := map[answer.Prefix]string{
			answer.AccountPrefix: s.from, answer.CustomerPrefix: s.customer, answer.PaymentPrefix: s.payment,
			answer.TransactionPrefix: s.transaction, answer.HoldPrefix: s.hold, "": s.payment,
		}[prefixOf(at.path)]
		switch at.path {
		case "confirmPayment.input.paymentId":
			id = s.waiting
		case "transferFunds.input.toAccountId", "createPayment.input.destinationAccountId":
			id = s.to
		}
		if got, missing := s.told(t, at, id), s.told(t, at, unknown(prefixOf(at.path))); got == missing || strings.Contains(got, "NOT_FOUND") {
			t.Errorf("%s: an own object is answered as an unknown one: %s", at.path, got)
		}
	}
}
