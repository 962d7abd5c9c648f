package transport_test

import (
	"strings"
	"testing"

	"github.com/paygraph/paygraph/transport"
)

func TestVariables(t *testing.T) {
	t.Parallel()
	g := start(t)
	const pick, search = `query($v: By) { pick(by: $v) }`, `query($v: Filter) { search(filter: $v) }`
	for name, c := range map[string]struct {
		document, variables string
		path, message       string // of the error; "" for an answer
	}{
		"oneOf with one member":             {pick, `{"v":{"id":"1"}}`, "", ""},
		"oneOf null":                        {pick, `{"v":null}`, "", ""},
		"oneOf absent":                      {pick, `{}`, "", ""},
		"oneOf with none":                   {pick, `{"v":{}}`, `["variable","v"]`, "$v must have exactly one member, which is not null"},
		"oneOf with two":                    {pick, `{"v":{"id":"1","index":2}}`, `["variable","v"]`, "$v must have exactly one member, which is not null"},
		"oneOf with a null one":             {pick, `{"v":{"id":null}}`, `["variable","v"]`, "$v must have exactly one member, which is not null"},
		"oneOf with one and a null one":     {pick, `{"v":{"id":"1","index":null}}`, `["variable","v"]`, "$v must have exactly one member, which is not null"},
		"oneOf with an unknown member":      {pick, `{"v":{"name":"1"}}`, `["variable","v","name"]`, "$v.name is no member of By"},
		"oneOf in a list":                   {search, `{"v":{"by":[{"id":"1"},{"id":"1","index":1}]}}`, `["variable","v","by",1]`, "$v.by[1] must have exactly one member, which is not null"},
		"oneOf in a list, null elements":    {search, `{"v":{"by":[null,{"id":"1"}]}}`, "", ""},
		"oneOf as a single element":         {search, `{"v":{"by":{}}}`, `["variable","v","by"]`, "$v.by must have exactly one member, which is not null"},
		"oneOf deep in inputs":              {search, `{"v":{"and":[{"and":[{"by":[{"index":null}]}]}]}}`, `["variable","v","and",0,"and",0,"by",0]`, "$v.and[0].and[0].by[0] must have exactly one member, which is not null"},
		"oneOf as a member's variable":      {`query($v: ID!) { pick(by: { id: $v }) }`, `{"v":"1"}`, "", ""},
		"Int of 32 bits":                    {`query($n: Int!) { number(n: $n) }`, `{"n":-2147483648}`, "", ""},
		"Int too large":                     {`query($n: Int!) { number(n: $n) }`, `{"n":2147483648}`, `["variable","n"]`, "$n must be an Int, a whole number of 32 bits"},
		"Int with a fraction":               {`query($n: Int!) { number(n: $n) }`, `{"n":1.5}`, `["variable","n"]`, "$n must be an Int, a whole number of 32 bits"},
		"Int as a string":                   {`query($n: Int!) { number(n: $n) }`, `{"n":"` + cardNumber + `"}`, `["variable","n"]`, "$n must be an Int, a whole number of 32 bits"},
		"Int null":                          {`query($n: Int!) { number(n: $n) }`, `{"n":null}`, `["variable","n"]`, "$n must not be null"},
		"Int absent":                        {`query($n: Int!) { number(n: $n) }`, ``, `["variable","n"]`, "$n is required"},
		"Int by default":                    {`query($n: Int! = 7) { number(n: $n) }`, ``, "", ""},
		"Int by default, null":              {`query($n: Int! = 7) { number(n: $n) }`, `{"n":null}`, `["variable","n"]`, "$n must not be null"},
		"a list":                            {`query($n: [Int!]) { numbers(ns: $n) }`, `{"n":[1,2]}`, "", ""},
		"a single value as a list":          {`query($n: [Int!]) { numbers(ns: $n) }`, `{"n":1}`, "", ""},
		"a list with null":                  {`query($n: [Int!]) { numbers(ns: $n) }`, `{"n":[1,null]}`, `["variable","n",1]`, "$n[1] must not be null"},
		"a list in a list":                  {`query($n: [Int!]) { numbers(ns: $n) }`, `{"n":[[1]]}`, `["variable","n",0]`, "$n[0] must be an Int, a whole number of 32 bits"},
		"an enum's value":                   {`query($s: Status) { status(status: $s) }`, `{"s":"OPEN"}`, "", ""},
		"an enum's value in small letters":  {`query($s: Status) { status(status: $s) }`, `{"s":"open"}`, `["variable","s"]`, "$s must be one of the values of Status"},
		"no value of the enum":              {`query($s: Status) { status(status: $s) }`, `{"s":"` + cardNumber + `"}`, `["variable","s"]`, "$s must be one of the values of Status"},
		"an enum as a number":               {`query($s: Status) { status(status: $s) }`, `{"s":0}`, `["variable","s"]`, "$s must be one of the values of Status"},
		"an ID as a string":                 {`query($v: ID!) { pick(by: { id: $v }) }`, `{"v":"a"}`, "", ""},
		"an ID as a number":                 {`query($v: ID!) { pick(by: { id: $v }) }`, `{"v":12}`, "", ""},
		"an ID with a fraction":             {`query($v: ID!) { pick(by: { id: $v }) }`, `{"v":1.5}`, `["variable","v"]`, "$v must be an ID, a string or a whole number"},
		"a String as a number":              {`query($n: String) { hello(name: $n) }`, `{"n":` + cardNumber + `}`, `["variable","n"]`, "$n must be a String"},
		"a String as an object":             {`query($n: String) { hello(name: $n) }`, `{"n":{}}`, `["variable","n"]`, "$n must be a String"},
		"a Float":                           {search, `{"v":{"rate":1e10}}`, "", ""},
		"a Float as Int":                    {search, `{"v":{"rate":1}}`, "", ""},
		"a Float beyond measure":            {search, `{"v":{"rate":1e999}}`, `["variable","v","rate"]`, "$v.rate must be a Float, a finite number"},
		"a scalar of the schema's own":      {search, `{"v":{"metadata":{"a":[[[{"b":1}]]]}}}`, "", ""},
		"a Boolean as a string":             {`query($b: Boolean!) { hello @skip(if: $b) }`, `{"b":"true"}`, `["variable","b"]`, "$b must be a Boolean"},
		"an object as a list":               {pick, `{"v":[]}`, `["variable","v"]`, "$v must be an object of type By"},
		"an object as a string":             {pick, `{"v":"` + cardNumber + `"}`, `["variable","v"]`, "$v must be an object of type By"},
		"a member that is no name":          {pick, `{"v":{"id":"1","` + cardNumber + `":1}}`, `["variable","v"]`, "$v has a member that By does not have"},
		"a variable that is not declared":   {pick, `{"w":"` + cardNumber + `","v":null}`, "", ""},
		"a required member that is absent":  {`query($i: CardInput) { pick } `, ``, "", "unused"},
		"objects in objects beyond measure": {search, `{"v":` + strings.Repeat(`{"and":[`, 40) + strings.Repeat(`]}`, 40) + `}`, "", "nested"},
		"objects in lists through coercion": {search, `{"v":` + strings.Repeat(`{"and":`, 4) + `{"text":"a"}` + strings.Repeat(`}`, 4) + `}`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := g.query(t, c.document, c.variables)
			switch c.message {
			case "":
				if a.status != 200 || len(a.body.Errors) > 0 {
					t.Errorf("%d %s", a.status, a.text)
				}
				return
			case "unused":
				if a.code() != "GRAPHQL_VALIDATION_FAILED" {
					t.Error(a.text)
				}
				return
			case "nested":
				if a.code() != "BAD_USER_INPUT" || !strings.HasSuffix(a.message(), "is nested too deep") {
					t.Error(a.text)
				}
				return
			}
			if a.status != 400 || a.code() != "BAD_USER_INPUT" || a.path() != c.path || a.message() != c.message || a.body.Data != nil {
				t.Errorf("%d %s, want %s %s", a.status, a.text, c.path, c.message)
			}
		})
	}
}

func TestVariablesOfAMutation(t *testing.T) {
	t.Parallel()
	g := start(t)
	for name, c := range map[string]struct{ input, path string }{
		"complete":                {`{"idempotencyKey":"k","amount":{"amount":"1","currency":"USD"},"source":{"accountId":"a"}}`, ""},
		"a oneOf in a oneOf":      {`{"idempotencyKey":"k","amount":{"amount":"1","currency":"USD"},"source":{"card":{"number":"` + cardNumber + `","network":{"visa":true,"other":"x"}}}}`, `["variable","input","source","card","network"]`},
		"two sources":             {`{"idempotencyKey":"k","amount":{"amount":"1","currency":"USD"},"source":{"accountId":"a","paymentMethodId":"` + cardNumber + `"}}`, `["variable","input","source"]`},
		"two sources in a list":   {`{"idempotencyKey":"k","amount":{"amount":"1","currency":"USD"},"sources":[{"accountId":"a"},{}]}`, `["variable","input","sources",1]`},
		"no amount":               {`{"idempotencyKey":"k"}`, `["variable","input","amount"]`},
		"no currency":             {`{"idempotencyKey":"k","amount":{"amount":"1"}}`, `["variable","input","amount","currency"]`},
		"null for a default":      {`{"idempotencyKey":"k","amount":{"amount":"1","currency":"USD"},"final":null}`, `["variable","input","final"]`},
		"a name that is not his":  {`{"idempotencyKey":"k","amount":{"amount":"1","currency":"USD","__typename":"AmountInput"}}`, `["variable","input","amount","__typename"]`},
		"an amount that is a sum": {`{"idempotencyKey":"k","amount":{"amount":` + cardNumber + `,"currency":"USD"}}`, `["variable","input","amount","amount"]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := g.query(t, createPayment, `{"input":`+c.input+`}`, "Authorization: Bearer all")
			if a.path() != c.path || (c.path == "") != (a.status == 200) {
				t.Errorf("%d %s, want %s", a.status, a.text, c.path)
			}
		})
	}
}

func TestLiterals(t *testing.T) {
	t.Parallel()
	g := start(t)
	for name, c := range map[string]struct{ document, code, path, message string }{
		"oneOf with one member":                  {`{ pick(by: { id: 1 }) }`, "", "", ""},
		"oneOf with none":                        {`{ pick(by: {}) }`, "BAD_USER_INPUT", `["pick","by"]`, "the value of by must have exactly one member, which is not null"},
		"oneOf with two":                         {`{ a: pick(by: { id: "` + cardNumber + `", index: 1 }) }`, "BAD_USER_INPUT", `["a","by"]`, "the value of by must have exactly one member, which is not null"},
		"oneOf with a null one":                  {`{ pick(by: { id: null }) }`, "BAD_USER_INPUT", `["pick","by"]`, "the value of by must have exactly one member, which is not null"},
		"oneOf in lists and inputs":              {`{ search(filter: { and: [{ by: { id: 1, index: 1 } }] }) }`, "BAD_USER_INPUT", `["search","filter","and",0,"by"]`, "the value of filter.and[0].by must have exactly one member, which is not null"},
		"oneOf in a variable's default":          {`query($b: By = { id: 1, index: 2 }) { pick(by: $b) }`, "BAD_USER_INPUT", `["variable","b"]`, "the value of b must have exactly one member, which is not null"},
		"oneOf in a fragment":                    {`{ ...f } fragment f on Query { pick(by: {}) }`, "BAD_USER_INPUT", `["pick","by"]`, "the value of by must have exactly one member, which is not null"},
		"oneOf with a variable that may be null": {`query($i: ID) { pick(by: { id: $i }) }`, "GRAPHQL_VALIDATION_FAILED", `null`, `Variable "$i" is of type "ID" but must be non-nullable to be used for OneOf Input Object "By".`},
		"Int of 32 bits":                         {`{ number(n: 2147483647) }`, "", "", ""},
		"Int too large":                          {`{ number(n: 2147483648) }`, "BAD_USER_INPUT", `["number","n"]`, "the value of n must be an Int, a whole number of 32 bits"},
		"Int in a list":                          {`{ numbers(ns: [1, ` + cardNumber + `]) }`, "BAD_USER_INPUT", `["numbers","ns",1]`, "the value of ns[1] must be an Int, a whole number of 32 bits"},
		"a single value as a list":               {`{ numbers(ns: 1) }`, "", "", ""},
		"a String for Int":                       {`{ number(n: "` + cardNumber + `") }`, "BAD_USER_INPUT", `["number","n"]`, "the value of n must be an Int, a whole number of 32 bits"},
		"an Int for String":                      {`{ hello(name: ` + cardNumber + `) }`, "BAD_USER_INPUT", `["hello","name"]`, "the value of name must be a String"},
		"null for what must not be":              {`{ number(n: null) }`, "BAD_USER_INPUT", `["number","n"]`, "the value of n must not be null"},
		"a string for an enum":                   {`{ status(status: "` + cardNumber + `") }`, "BAD_USER_INPUT", `["status","status"]`, "the value of status must be one of the values of Status"},
		"another enum's value":                   {`{ status(status: PAID) }`, "BAD_USER_INPUT", `["status","status"]`, "the value of status must be one of the values of Status"},
		"an unknown member":                      {`{ pick(by: { name: "` + cardNumber + `" }) }`, "BAD_USER_INPUT", `["pick","by","name"]`, "the value of by.name is no member of By"},
		"a required member that is gone":         {`mutation { createPayment(input: { idempotencyKey: "k" }) { id } }`, "BAD_USER_INPUT", `["createPayment","input","amount"]`, "the value of input.amount is required"},
		"a directive's argument":                 {`{ hello @skip(if: "` + cardNumber + `") }`, "BAD_USER_INPUT", `["@skip","if"]`, "the value of if must be a Boolean"},
		"a Float":                                {`{ search(filter: { rate: 1.5 }) }`, "", "", ""},
		"a Float as Int":                         {`{ search(filter: { rate: 1 }) }`, "", "", ""},
		"a Float as a string":                    {`{ search(filter: { rate: "1" }) }`, "BAD_USER_INPUT", `["search","filter","rate"]`, "the value of filter.rate must be a Float, a finite number"},
		"a Float beyond measure":                 {`{ search(filter: { rate: 1e999 }) }`, "BAD_USER_INPUT", `["search","filter","rate"]`, "the value of filter.rate must be a Float, a finite number"},
		"a scalar of the schema's own":           {`{ search(filter: { metadata: { a: [1, { b: "c" }] } }) }`, "", "", ""},
		"a number in it beyond measure":          {`{ search(filter: { metadata: { a: [1, { b: 99999999999999999999 }] } }) }`, "BAD_USER_INPUT", `["search","filter","metadata"]`, "the value of filter.metadata must be a Metadata"},
		"a member twice":                         {`{ pick(by: { id: 1, id: 2 }) }`, "GRAPHQL_VALIDATION_FAILED", `null`, `There can be only one input field named "id".`},
		"a token that is a card number":          {cardNumber, "GRAPHQL_PARSE_FAILED", `null`, "Unexpected Int"},
		"a string where a name belongs":          {`{ "` + cardNumber + `" }`, "GRAPHQL_PARSE_FAILED", `null`, "Expected Name, found String"},
		"a string where nothing belongs":         {`{ hello } "` + cardNumber + `" 1`, "GRAPHQL_PARSE_FAILED", `null`, "Unexpected Int"},
		"a string with a bad escape":             {`{ hello(name: "\x` + cardNumber + `") }`, "GRAPHQL_PARSE_FAILED", `null`, "Unexpected character, or a string that is malformed"},
		"a string with a bad Unicode one":        {`{ hello(name: "\u` + "{zz" + cardNumber + `") }`, "GRAPHQL_PARSE_FAILED", `null`, "Unexpected character, or a string that is malformed"},
		"a string without an end":                {`{ hello(name: "` + cardNumber, "GRAPHQL_PARSE_FAILED", `null`, "Unexpected character, or a string that is malformed"},
		"a block string in a wrong place":        {`{ hello } """` + cardNumber + `""" {`, "GRAPHQL_PARSE_FAILED", `null`, ""},
		"a string for a fragment's type":         {`fragment f "` + cardNumber + `"`, "GRAPHQL_PARSE_FAILED", `null`, `Expected "on", found String`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := g.query(t, c.document, "", "Authorization: Bearer all")
			if a.code() != c.code || a.path() != c.path || c.message != "" && a.message() != c.message {
				t.Errorf("%d %s, want %s %s %s", a.status, a.text, c.code, c.path, c.message)
			}
			if c.code != "" && len(a.body.Errors[0].Locations) == 0 {
				t.Errorf("no location: %s", a.text)
			}
		})
	}
}

func TestErrorsOfOneDocumentAreBounded(t *testing.T) {
	t.Parallel()
	g := start(t, func(c *transport.Config) { c.Limits.RootFields = 1000; c.Limits.Aliases = 1000 })
	for _, field := range []string{"nothing ", "x: number(n: 3000000000) "} {
		a := g.query(t, "{ "+strings.Repeat(field, 500)+"}", "")
		if n := len(a.body.Errors); n == 0 || n > 20 {
			t.Errorf("%d errors", n)
		}
	}
}
