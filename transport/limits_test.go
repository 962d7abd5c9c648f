package transport_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/transport"
)

// doubling is a chain of n fragments, each of which spreads the next twice, so that fields are selected 2^n times.
func doubling(n int, last string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "fragment f%d on Payment { ...f%d ...f%d } ", i, i+1, i+1)
	}
	fmt.Fprintf(&b, "fragment f%d on Payment { %s }", n, last)
	return b.String()
}

// chain is n fragments, each of which spreads the next.
func chain(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "fragment f%d on Payment { ...f%d } ", i, i+1)
	}
	fmt.Fprintf(&b, "fragment f%d on Payment { id }", n)
	return b.String()
}

// clashes is n fragments of which each selects the same name otherwise.
func clashes(n int) string {
	var spreads, fragments strings.Builder
	for i := range n {
		fmt.Fprintf(&spreads, "...f%d ", i)
		fmt.Fprintf(&fragments, "fragment f%d on Payment { children(first: %d) { id } } ", i, i)
	}
	return `{ payment(id: "1") { ` + spreads.String() + "} } " + fragments.String()
}

func nested(n int) string {
	return `{ payment(id: "1") ` + strings.Repeat("{ parent ", n-2) + "{ id }" + strings.Repeat(" }", n-2) + " }"
}

func aliases(n int, field string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a%d: %s ", i, field)
	}
	return b.String()
}

func TestLimits(t *testing.T) {
	t.Parallel()
	g := start(t, func(c *transport.Config) {
		c.Limits = transport.Limits{Tokens: 600, Depth: 6, Fields: 60, RootFields: 10, Aliases: 20, Directives: 8, ListNesting: 2,
			InputNesting: 4, AnswerFields: 500, PageSize: 50}
	})
	const complexity = "QUERY_TOO_COMPLEX"
	for name, c := range map[string]struct{ document, variables, code, message string }{
		"tokens":                         {`{ hello(name: "` + strings.Repeat("a", 5000) + `") }`, "", "", ""},
		"too many tokens":                {`{ numbers(ns: [` + strings.Repeat("1 ", 600) + `]) }`, "", complexity, "exceeded token limit of 600"},
		"comments are tokens":            {strings.Repeat("# a\n", 601) + `{ hello }`, "", complexity, "exceeded token limit of 600"},
		"depth":                          {nested(6), "", "", ""},
		"too deep":                       {nested(7), "", complexity, "the operation has more than 6 levels of fields"},
		"too deep through fragments":     {`{ payment(id: "1") { ...a } } fragment a on Payment { parent { ...b } } fragment b on Payment { parent { ...c } } fragment c on Payment { parent { parent { parent { id } } } }`, "", complexity, "the operation has more than 6 levels of fields"},
		"too deep in inline fragments":   {`{ payment(id: "1") { ... { parent { ... on Payment { parent { parent { parent { parent { id } } } } } } } } }`, "", complexity, "the operation has more than 6 levels of fields"},
		"a fragment that nobody spreads": {`{ hello } fragment f on Payment ` + strings.Repeat("{ parent ", 7) + "{ id }" + strings.Repeat(" }", 7), "", complexity, "a fragment is larger than the limits allow"},
		"fields":                         {`{ payment(id: "1") { ` + strings.Repeat("id ", 59) + `} }`, "", "", ""},
		"too many fields":                {`{ payment(id: "1") { ` + strings.Repeat("id ", 60) + `} }`, "", complexity, "the operation has more than 60 fields"},
		"fields that double":             {`{ payment(id: "1") { ...f0 } } ` + doubling(5, "id"), "", "", ""},
		"fields that double too often":   {`{ payment(id: "1") { ...f0 } } ` + doubling(30, "id"), "", complexity, "the operation has more than 60 fields"},
		"root fields":                    {`{ ` + aliases(10, "hello") + `}`, "", "", ""},
		"too many root fields":           {`{ ` + aliases(11, "hello") + `}`, "", complexity, "the operation has more than 10 root fields"},
		"the same root field":            {`mutation { ` + strings.Repeat("ping ", 11) + `}`, "", complexity, "the operation has more than 10 root fields"},
		"root fields in fragments":       {`{ ...f ...f ...f ... { ...f } } fragment f on Query { a: hello b: hello c: hello }`, "", complexity, "the operation has more than 10 root fields"},
		"aliases":                        {`{ payment(id: "1") { ` + aliases(20, "id") + `} }`, "", "", ""},
		"too many aliases":               {`{ payment(id: "1") { ` + aliases(21, "id") + `} }`, "", complexity, "the operation has more than 20 aliases"},
		"aliases in fragments":           {`{ payment(id: "1") { ...f0 } } ` + doubling(5, "x: id"), "", complexity, "the operation has more than 20 aliases"},
		"directives":                     {`{ ` + strings.Repeat("... @include(if: true) { hello } ", 8) + `}`, "", "", ""},
		"too many directives":            {`{ ` + strings.Repeat("... @include(if: true) { hello } ", 9) + `}`, "", complexity, "the operation has more than 8 directives"},
		"the same directive":             {`{ hello ` + strings.Repeat("@skip(if: false) ", 9) + `}`, "", complexity, "the operation has more than 8 directives"},
		"lists in lists":                 {`{ payments(first: 2) { children(first: 2) { id } } }`, "", "", ""},
		"too many lists in lists":        {`{ payments(first: 2) { ...f } } fragment f on Payment { children(first: 2) { parent { children(first: 2) { id } } } }`, "", complexity, "the operation has more than 2 lists inside each other"},
		"inputs in inputs":               {`{ search(filter: { and: [{ text: "a" }] }) }`, "", "", ""},
		"too many inputs in inputs":      {`{ search(filter: { and: [{ and: [{ text: "a" }] }] }) }`, "", complexity, "the operation has more than 4 levels of lists and objects in an argument"},
		"in a directive":                 {`{ hello @skip(if: [[[[[true]]]]]) }`, "", complexity, "the operation has more than 4 levels of lists and objects in an argument"},
		"in a default":                   {`query($f: Filter = { and: [{ and: [{ text: "a" }] }] }) { search(filter: $f) }`, "", complexity, "the operation has more than 4 levels of lists and objects in an argument"},
		"in a fragment nobody spreads":   {`{ hello } fragment f on Query { numbers(ns: [[[[[1]]]]]) }`, "", complexity, "a fragment is larger than the limits allow"},
		"a long list":                    {`{ payments(first: 50) { id amount reference parent { id } } }`, "", "", ""},
		"too long lists":                 {`{ payments(first: 20) { children(first: 20) { id amount } } }`, "", complexity, ""},
		"the default length":             {`{ payments { children { id amount } } }`, "", complexity, ""},
		"a variable length":              {`query($n: Int!) { payments(first: $n) { children(first: 10) { id } } }`, `{"n":20}`, "", ""},
		"a variable length, too long":    {`query($n: Int!) { payments(first: $n) { children(first: 10) { id } } }`, `{"n":50}`, complexity, ""},
		"a variable's default, too long": {`query($n: Int! = 50) { payments(first: $n) { children(first: 10) { id } } }`, "", complexity, ""},
		"a variable length within":       {`query($n: Int!) { payments(first: 10) { children(first: $n) { id } } }`, `{"n":20}`, "", ""},
		"a variable length within, both": {`query($n: Int!) { payments(first: $n) { children(first: $n) { id } } }`, `{"n":25}`, complexity, ""},
		"the greater of two lengths":     {`query($n: Int) { payments(first: 5, last: $n) { children(first: 10) { id } } }`, `{"n":50}`, complexity, ""},
		"a value without a name":         {`query($n: Int) { payments(first: 50, last: $n) { children(first: 10) { id } } }`, `{"n":1,"":1}`, complexity, ""},
		"more than a page is a page":     {`query($n: Int!) { payments(first: $n) { id } }`, `{"n":2000000000}`, "", ""},
		"less than nothing":              {`query($n: Int!) { payments(first: $n) { id amount } }`, `{"n":0}`, "", ""},
		"many ids":                       {`query($i: [ID!]!) { nodes(ids: $i) { id } }`, `{"i":[1` + strings.Repeat(",1", 499) + `]}`, complexity, ""},
		"a few ids":                      {`query($i: [ID!]!) { nodes(ids: $i) { id } }`, `{"i":["1"]}`, "", ""},
		"one id":                         {`query($i: [ID!]!) { nodes(ids: $i) { id } }`, `{"i":"1"}`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := g.query(t, c.document, c.variables, "Authorization: Bearer all")
			if a.code() != c.code || c.message != "" && a.message() != c.message {
				t.Errorf("%d %s, want %s %s", a.status, a.text, c.code, c.message)
			}
			if want := map[bool]int{true: 200, false: 400}[c.code == ""]; a.status != want {
				t.Errorf("status %d, want %d", a.status, want)
			}
		})
	}
}

// TestAttacks sends what is meant to take long, with the default limits, and wants an answer soon.
func TestAttacks(t *testing.T) {
	t.Parallel()
	g := start(t)
	const soon = 3 * time.Second // a machine of two busy cores, and the race detector
	for name, document := range map[string]string{
		"10,000 aliases":                  `{ ` + aliases(10_000, "hello") + `}`,
		"2,000 aliases below the root":    `{ payment(id: "1") { ` + aliases(1_000, "id") + `} }`,
		"the same field again and again":  `{ payment(id: "1") { ` + strings.Repeat("id ", 4_900) + `} }`,
		"10,000 levels":                   nested(5_000),
		"6,000 levels without an end":     strings.Repeat("{ payment ", 6_000),
		"60,000 lists":                    `{ numbers(ns: ` + strings.Repeat("[", 60_000) + `) }`,
		"60,000 list types":               `query($a: ` + strings.Repeat("[", 60_000) + `Int`,
		"a fragment that spreads itself":  `{ payment(id: "1") { ...f } } fragment f on Payment { ...f }`,
		"a fragment that nests itself":    `{ payment(id: "1") { ...f } } fragment f on Payment { parent { ...f } }`,
		"a cycle at the root":             `{ ...f } fragment f on Query { ...g } fragment g on Query { ...f }`,
		"a cycle that doubles":            `{ payment(id: "1") { ...f0 } } ` + doubling(300, "id parent { ...f0 ...f1 }"),
		"a cycle of introspection":        `{ __schema { types { ...t } } } fragment t on __Type { ofType { ...t } fields { type { ...t } } }`,
		"fragments that double":           `{ payment(id: "1") { ...f0 } } ` + doubling(400, "id"),
		"fragments that double, unspread": `{ hello } ` + doubling(400, "id"),
		"introspection that doubles":      `{ __schema { types ` + strings.Repeat(`{ fields { type `, 50) + `{ name }` + strings.Repeat(` } }`, 50) + ` } }`,
		"fragments in a chain":            `{ payment(id: "1") { ...f0 x: nothing } } ` + chain(700),
		"fragments in a chain, unspread":  `{ hello } ` + chain(700),
		"conflicts of many fragments":     clashes(330),
		"conflicts of many fields":        `{ payment(id: "1") { ` + strings.Repeat("children(first: 1) { id } ", 498) + "children(first: 2) { id } } }",
		"a field name of 60,000 letters":  `{ ` + strings.Repeat("a", 60_000) + ` }`,
		"field names of 60,000 letters":   `{ payment(id: "1") { ` + strings.Repeat(strings.Repeat("a", 128)+" ", 450) + ` } }`,
		"argument names of 60,000":        `{ hello(` + strings.Repeat(strings.Repeat("a", 128)+": 1 ", 450) + `) }`,
		"a string of 500,000 letters":     `{ hello(name: "` + strings.Repeat("a", 500_000) + `", b: 1) }`,
		"a string of 60,000 letters":      `{ hello(name: "` + strings.Repeat("a", 60_000) + `", b: 1) }`,
		"a string of 30,000 escapes":      `{ hello(name: "` + strings.Repeat(`\n`, 30_000) + `", b: 1) }`,
		"30,000 comments":                 strings.Repeat("#\n", 30_000),
		"60,000 blanks":                   strings.Repeat(" ", 60_000),
		"variables that nobody uses":      `query(` + strings.Repeat("$a: Int ", 1_000) + `) { hello }`,
		"variables with defaults":         `query($a: Filter = { by: [` + strings.Repeat("{ id: 1 } ", 900) + `] }) { search(filter: $a) hello(nothing: 1) }`,
		"900 operations":                  strings.Repeat("query a { hello } ", 900),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			a := g.query(t, document, "", "Authorization: Bearer all")
			took := time.Since(began)
			t.Logf("%d %s after %v", a.status, a.code(), took)
			if a.status != 400 || a.body.Data != nil || a.code() == "INTERNAL" {
				t.Errorf("%d %.200s", a.status, a.text)
			}
			if took > soon {
				t.Errorf("took %v", took)
			}
			if len(a.text) > 20_000 {
				t.Errorf("an answer of %d bytes", len(a.text))
			}
		})
	}
	if n := g.resolver.Calls.Load(); n != 0 {
		t.Errorf("%d resolvers ran", n)
	}
}

// TestIntrospectionOfGraphiQL is within the default limits.
func TestIntrospectionOfGraphiQL(t *testing.T) {
	t.Parallel()
	a := start(t).query(t, introspection, "")
	if a.status != 200 || len(a.body.Errors) > 0 || !strings.Contains(a.text, "CreatePaymentInput") {
		t.Errorf("%d %.300s", a.status, a.text)
	}
}

// introspection is what graphql-js's getIntrospectionQuery gives with all its options.
var introspection = `query IntrospectionQuery { __schema { description
  queryType { name kind } mutationType { name kind } subscriptionType { name kind } types { ...FullType }
  directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } } } }
fragment FullType on __Type { kind name description specifiedByURL isOneOf
  fields(includeDeprecated: true) { name description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef }
    isDeprecated deprecationReason }
  inputFields(includeDeprecated: true) { ...InputValue } interfaces { ...TypeRef }
  enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } possibleTypes { ...TypeRef } }
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
fragment TypeRef on __Type { kind name ` + strings.Repeat("ofType { kind name ", 9) + strings.Repeat("} ", 9) + `}`
