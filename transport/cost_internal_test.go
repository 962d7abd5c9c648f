package transport

import (
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

// weighed is a schema in which each way to say what something costs occurs.
var weighed = gqlparser.MustLoadSchema(&ast.Source{Input: `
directive @cost(weight: String!) on ARGUMENT_DEFINITION | ENUM | FIELD_DEFINITION | OBJECT | SCALAR
directive @listSize(assumedSize: Int, slicingArguments: [String!], sizedFields: [String!], requireOneSlicingArgument: Boolean = true) on FIELD_DEFINITION
scalar Photo @cost(weight: "7")
type Heavy @cost(weight: "3") { name: String }
type Shop { name: String photo: Photo heavy: Heavy tags: [String!] @listSize(assumedSize: 5) parts: [Shop!] @listSize(assumedSize: 4) more: [Shop!] }
type Page { shops: [Shop!] others: [Shop!] count: Int total: Shop }
type Query {
  shop: Shop
  bought(late: Int, here: Int): Shop @cost(weight: "20")
  waits(ms: Int = 0 @cost(weight: "6")): String
  some(first: Int! = 10): [Shop!] @listSize(slicingArguments: ["first"])
  one(first: Int, last: Int): [Shop!] @listSize(slicingArguments: ["first", "last"])
  either(first: Int, last: Int): [Shop!] @listSize(assumedSize: 30, slicingArguments: ["first", "last"], requireOneSlicingArgument: false)
  named(ids: [ID!]!): [Shop!] @listSize(slicingArguments: ["ids"])
  page(first: Int! = 10): Page @listSize(slicingArguments: ["first"], sizedFields: ["shops", "others"])
}`})

func TestWhatOperationsCost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		document, variables string
		points, fields      int
	}{
		"an object":                           {`{ shop { name } }`, "", 1, 2},
		"the weight of a field":               {`{ bought(here: 1) { name } }`, "", 20, 2},
		"each alias costs":                    {`{ a: bought { name } b: bought { name } }`, "", 40, 4},
		"the weight of a scalar":              {`{ shop { photo } }`, "", 8, 2},
		"the weight of a type":                {`{ shop { heavy { name } } }`, "", 4, 3},
		"an argument that is there":           {`{ waits(ms: 1) }`, "", 6, 1},
		"an argument that is not":             {`{ waits }`, "", 0, 1},
		"a list of scalars":                   {`{ shop { tags } }`, "", 1, 2},
		"an assumed size":                     {`{ shop { parts { heavy { name } } } }`, "", 1 + 4*(1+3), 2 + 4*2},
		"a list of no size":                   {`{ shop { more { name } } }`, "", 2, 3},
		"a default":                           {`{ some { name } }`, "", 10, 11},
		"a literal":                           {`{ some(first: 3) { name } }`, "", 3, 4},
		"a literal beyond a page":             {`{ some(first: 3000) { name } }`, "", 50, 51},
		"a variable":                          {`query ($n: Int!) { some(first: $n) { name } }`, `{"n":7}`, 7, 8},
		"lists in lists":                      {`{ some(first: 3) { parts { name } } }`, "", 3 * (1 + 4), 1 + 3*(1+4)},
		"variables in lists":                  {`query ($n: Int!) { some(first: $n) { parts { name } } }`, `{"n":3}`, 3 * (1 + 4), 1 + 3*(1+4)},
		"the greater of two":                  {`{ either(first: 3, last: 5) { name } }`, "", 5, 6},
		"neither of two":                      {`{ either { name } }`, "", 30, 31},
		"a list of one's own":                 {`{ named(ids: ["a", "b"]) { name } }`, "", 2, 3},
		"a list of one's own, in variables":   {`query ($i: [ID!]!) { named(ids: $i) { name } }`, `{"i":["a","b","c"]}`, 3, 4},
		"lists below":                         {`{ page(first: 3) { shops { name } count total { name } } }`, "", 1 + 3 + 1, 2 + 3 + 1 + 2},
		"lists below, by another name":        {`{ page(first: 3) { x: shops { name } others { name } } }`, "", 1 + 3 + 3, 1 + 4 + 4},
		"lists below, by a variable":          {`query ($n: Int!) { page(first: $n) { shops { name } } }`, `{"n":4}`, 1 + 4, 2 + 4},
		"lists below, in fragments":           {`{ page(first: 3) { ...f } } fragment f on Page { ... { shops { name } } }`, "", 1 + 3, 2 + 3},
		"a fragment as often as it is spread": {`{ a: shop { ...f } b: shop { ...f } } fragment f on Shop { photo }`, "", 16, 4},
		"introspection":                       {`{ __schema { types { name } } }`, "", weightOfIntrospection + 1, 3},
		"the name of a type":                  {`{ __typename }`, "", 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const page = 50
			doc, errs := gqlparser.LoadQueryWithRules(weighed, c.document, nil)
			if errs != nil {
				t.Fatal(errs)
			}
			e := estimator{types: weighed.Types, page: page}
			estimated, _ := e.selections(doc.Operations[0].SelectionSet, sizing{})
			var variables map[string]any
			if c.variables != "" {
				var err error
				if variables, err = decodeMap(c.variables); err != nil {
					t.Fatal(err)
				}
			}
			if got := estimated.of(variables, page); got != (amount{c.fields, c.points}) || e.wrong != nil {
				t.Errorf("%+v, %v, want %d points for %d fields", got, e.wrong, c.points, c.fields)
			}
		})
	}
}

// TestOneArgumentSaysHowLongAListIs where the schema asks for just one.
func TestOneArgumentSaysHowLongAListIs(t *testing.T) {
	t.Parallel()
	for document, good := range map[string]bool{
		`{ one(first: 1) { name } }`:                                           true,
		`query ($n: Int) { one(last: $n) { name } }`:                           true,
		`{ one { name } }`:                                                     false,
		`{ one(first: 1, last: 1) { name } }`:                                  false,
		`{ shop { name } ...f } fragment f on Query { x: one { name } }`:       false,
		`{ some { name } either(first: 1, last: 1) { name } }`:                 true,
		`query ($n: Int, $m: Int) { one(first: $n, last: $m) { __typename } }`: false,
	} {
		limits := DefaultLimits
		_, refused := newLibrary(weighed, &limits, &inputs{types: weighed.Types, nesting: limits.InputNesting}).document(document)
		if (refused == nil) != good {
			t.Errorf("%s: %v", document, refused)
		}
		if refused != nil && refused.errors[0].Extensions["code"] != ValidationFailed {
			t.Errorf("%s: %v", document, refused.errors)
		}
	}
}
