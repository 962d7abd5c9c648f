package transport_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/transport"
)

const typename = `{"query":"{ __typename }"}`

func TestAccept(t *testing.T) {
	t.Parallel()
	g := start(t)
	for name, c := range map[string]struct {
		accept []string
		want   string // "" for 406
	}{
		"no header":                            {nil, legacyJSON},
		"an empty header":                      {[]string{""}, legacyJSON},
		"anything":                             {[]string{"*/*"}, legacyJSON},
		"any application":                      {[]string{"application/*"}, legacyJSON},
		"a browser":                            {[]string{"text/html,application/xhtml+xml,*/*;q=0.8"}, legacyJSON},
		"Apollo Client 4":                      {[]string{"application/graphql-response+json,application/json;q=0.9"}, graphqlJSON},
		"urql":                                 {[]string{"application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed"}, graphqlJSON},
		"the greater weight, not the first":    {[]string{"application/json;q=0.1, application/graphql-response+json;q=0.2"}, graphqlJSON},
		"equal weights: the first":             {[]string{"application/json, application/graphql-response+json"}, legacyJSON},
		"two headers":                          {[]string{"text/html", "application/graphql-response+json"}, graphqlJSON},
		"a named type goes before a wildcard":  {[]string{"*/*;q=1, application/json;q=0"}, graphqlJSON},
		"weight 0 for one and a wildcard":      {[]string{"application/graphql-response+json;q=0, */*"}, legacyJSON},
		"capitals":                             {[]string{"Application/GraphQL-Response+JSON ; Q=0.5"}, graphqlJSON},
		"charset utf-8":                        {[]string{`application/graphql-response+json; charset="UTF-8"`}, graphqlJSON},
		"a comma in quotes":                    {[]string{`text/plain; x="a,application/json", application/graphql-response+json`}, graphqlJSON},
		"a weight with four digits is ignored": {[]string{"application/json;q=0.1234, application/graphql-response+json;q=0.1"}, graphqlJSON},
		"another charset":                      {[]string{"application/json; charset=utf-16"}, ""},
		"another type":                         {[]string{"text/html"}, ""},
		"weight 0":                             {[]string{"application/json;q=0"}, ""},
		"weight 0.000":                         {[]string{"*/*;q=0.000"}, ""},
		"a weight above 1":                     {[]string{"application/json;q=1.5"}, ""},
		"no type at all":                       {[]string{"json"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := http.NewRequest(http.MethodPost, g.URL, strings.NewReader(typename))
			r.Header["Accept"] = c.accept
			r.Header.Set("Content-Type", "application/json")
			a := g.do(t, r)
			if c.want == "" {
				if a.status != http.StatusNotAcceptable || a.code() != "BAD_USER_INPUT" {
					t.Errorf("%d %s, want 406", a.status, a.text)
				}
				return
			}
			if a.status != 200 || a.header.Get("Content-Type") != c.want+"; charset=utf-8" {
				t.Errorf("%d %s, want %s", a.status, a.header.Get("Content-Type"), c.want)
			}
		})
	}
}

func TestContentType(t *testing.T) {
	t.Parallel()
	g := start(t)
	for name, c := range map[string]struct {
		headers []string
		want    int
	}{
		"JSON":                       {[]string{"Content-Type: application/json"}, 200},
		"capitals":                   {[]string{"Content-Type: Application/JSON"}, 200},
		"charset":                    {[]string{`Content-Type: application/json; charset="UTF-8"`}, 200},
		"another parameter":          {[]string{"Content-Type: application/json; profile=x"}, 200},
		"identity":                   {[]string{"Content-Type: application/json", "Content-Encoding: identity"}, 200},
		"another charset":            {[]string{"Content-Type: application/json; charset=iso-8859-1"}, 415},
		"a text":                     {[]string{"Content-Type: text/plain"}, 415},
		"a form":                     {[]string{"Content-Type: application/x-www-form-urlencoded"}, 415},
		"an upload":                  {[]string{"Content-Type: multipart/form-data; boundary=x"}, 415},
		"application/graphql":        {[]string{"Content-Type: application/graphql"}, 415},
		"JSON with a suffix":         {[]string{"Content-Type: application/json-patch"}, 415},
		"a parameter that is broken": {[]string{"Content-Type: application/json; charset"}, 415},
		"two headers":                {[]string{"Content-Type: application/json", "Content-Type: application/json"}, 415},
		"gzip":                       {[]string{"Content-Type: application/json", "Content-Encoding: gzip"}, 415},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if a := g.post(t, typename, c.headers...); a.status != c.want {
				t.Errorf("status %d, want %d: %s", a.status, c.want, a.text)
			}
		})
	}
	t.Run("gzip that is not declared", func(t *testing.T) {
		t.Parallel()
		var body bytes.Buffer
		z := gzip.NewWriter(&body)
		_, _ = z.Write([]byte(typename))
		_ = z.Close()
		if a := g.post(t, body.String()); a.status != 400 {
			t.Errorf("status %d, want 400: %s", a.status, a.text)
		}
	})
}

func TestMethods(t *testing.T) {
	t.Parallel()
	g := start(t)
	get := "?query=" + url.QueryEscape("{ hello }")
	for name, c := range map[string]struct {
		method, url string
		want        int
		allow       string
	}{
		"GET":                    {http.MethodGet, get, 200, ""},
		"HEAD is GET":            {http.MethodHead, get, 200, ""},
		"OPTIONS":                {http.MethodOptions, "", 204, "GET, HEAD, POST, OPTIONS"},
		"PUT":                    {http.MethodPut, get, 405, "GET, HEAD, POST, OPTIONS"},
		"DELETE":                 {http.MethodDelete, get, 405, "GET, HEAD, POST, OPTIONS"},
		"PATCH":                  {http.MethodPatch, get, 405, "GET, HEAD, POST, OPTIONS"},
		"one nobody knows":       {"PAY", get, 405, "GET, HEAD, POST, OPTIONS"},
		"a mutation by GET":      {http.MethodGet, "?query=mutation%7Bping%7D", 405, "POST"},
		"a mutation by HEAD":     {http.MethodHead, "?query=mutation%7Bping%7D", 405, "POST"},
		"one of two is mutation": {http.MethodGet, "?query=query+A%7Bhello%7D+mutation+B%7Bping%7D&operationName=B", 405, "POST"},
		"the query of these two": {http.MethodGet, "?query=query+A%7Bhello%7D+mutation+B%7Bping%7D&operationName=A", 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := http.NewRequest(c.method, g.URL+"/graphql"+c.url, nil)
			a := g.do(t, r)
			if a.status != c.want || a.header.Get("Allow") != c.allow {
				t.Errorf("%d with Allow %q, want %d with %q: %s", a.status, a.header.Get("Allow"), c.want, c.allow, a.text)
			}
			if c.method == http.MethodHead && (a.text != "" || a.header.Get("Content-Length") == "") {
				t.Errorf("HEAD: body %q, Content-Length %q", a.text, a.header.Get("Content-Length"))
			}
		})
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	g := start(t)
	for name, c := range map[string]struct {
		sent []string
		kept bool
	}{
		"none":            {nil, false},
		"a UUID":          {[]string{"01979f9e-3c1e-7a44-8b2e-2b1f2d1a0c55"}, true},
		"128 characters":  {[]string{strings.Repeat("a", 128)}, true},
		"129 characters":  {[]string{strings.Repeat("a", 129)}, false},
		"empty":           {[]string{""}, false},
		"a blank":         {[]string{"a b"}, false},
		"a quote":         {[]string{`a"b`}, false},
		"an encoded line": {[]string{"a%0d%0aSet-Cookie: x"}, false},
		"HTML":            {[]string{"<script>"}, false},
		"not ASCII":       {[]string{"é"}, false},
		"two":             {[]string{"a", "b"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := http.NewRequest(http.MethodPost, g.URL, strings.NewReader(`{"query":"{ hello }"}`))
			r.Header.Set("Content-Type", "application/json")
			r.Header["X-Request-Id"] = c.sent
			a := g.do(t, r)
			if id := a.header.Get("X-Request-Id"); c.kept != (len(c.sent) == 1 && id == c.sent[0]) {
				t.Errorf("%q became %q", c.sent, id)
			}
			if len(a.header["Set-Cookie"]) > 0 {
				t.Error("a header was injected")
			}
		})
	}
}

func TestExecution(t *testing.T) {
	t.Parallel()
	g := start(t, func(c *transport.Config) { c.Limits.Deadline = 200 * time.Millisecond })
	for name, c := range map[string]struct {
		document, path, code, data string
	}{
		"an answer":                         {`{ hello(name: "Ada") }`, "", "", `{"hello":"hello Ada"}`},
		"a resolver's error":                {`{ hello fails }`, `["fails"]`, "INTERNAL", `{"hello":"hello","fails":null}`},
		"a panic":                           {`{ a: panics }`, `["a"]`, "INTERNAL", `{"a":null}`},
		"a field that must not be null":     {`{ hello strict }`, `["strict"]`, "INTERNAL", `null`},
		"the deadline":                      {`{ slow }`, `["slow"]`, "OUTCOME_UNKNOWN", `{"slow":null}`},
		"the root's name":                   {`mutation { __typename }`, "", "", `{"__typename":"Mutation"}`},
		"a field skipped by a variable":     {`query($no: Boolean = true) { hello @skip(if: $no) __typename }`, "", "", `{"__typename":"Query"}`},
		"a fragment":                        {`{ ...f } fragment f on Query { hello }`, "", "", `{"hello":"hello"}`},
		"an operation of several, by order": {`query A { hello } `, "", "", `{"hello":"hello"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, accept := range []string{legacyJSON, graphqlJSON} {
				a := g.query(t, c.document, "", "Accept: "+accept)
				if a.status != 200 || a.code() != c.code || string(a.body.Data) != c.data {
					t.Errorf("%d %s, want 200 %s %s", a.status, a.text, c.code, c.data)
				}
				if c.code != "" && (a.path() != c.path || len(a.body.Errors[0].Locations) != 1) {
					t.Errorf("path %s, want %s, and one location: %s", a.path(), c.path, a.text)
				}
			}
		})
	}
	t.Run("a panic is logged with the request's id, and its text is not answered", func(t *testing.T) {
		t.Parallel()
		a := g.query(t, `{ panics }`, "", "X-Request-Id: panicking-1")
		if !strings.Contains(g.log.String(), "panicking-1") || !strings.Contains(g.log.String(), "goroutine") {
			t.Errorf("log: %s", g.log)
		}
		if a.message() != "internal error" {
			t.Error(a.message())
		}
	})
	t.Run("OUTCOME_UNKNOWN may be tried again, INTERNAL not", func(t *testing.T) {
		t.Parallel()
		if a := g.query(t, `{ slow }`, ""); !*a.body.Errors[0].Extensions.Retryable {
			t.Error(a.text)
		}
		if a := g.query(t, `{ fails }`, ""); *a.body.Errors[0].Extensions.Retryable {
			t.Error(a.text)
		}
	})
}

func TestPanicOutsideOfResolvers(t *testing.T) {
	t.Parallel()
	g := start(t, func(c *transport.Config) {
		c.Authenticate = func(context.Context, string) (auth.Principal, error) { panic("no keys") }
	})
	a := g.post(t, typename, "Authorization: Bearer x", "Accept: application/json", "X-Request-Id: broken-2")
	if a.status != 500 || a.code() != "INTERNAL" || !strings.Contains(g.log.String(), "broken-2") {
		t.Errorf("%d %s", a.status, a.text)
	}
}

func TestOperationsThatHTTPDoesNotRun(t *testing.T) {
	t.Parallel()
	g := start(t)
	for name, c := range map[string]struct{ body, code string }{
		"a subscription":            {`{"query":"subscription { ticks }"}`, "BAD_USER_INPUT"},
		"no name, two operations":   {`{"query":"query A { hello } query B { hello }"}`, "BAD_USER_INPUT"},
		"a name that is not there":  {`{"query":"query A { hello }","operationName":"4111111111111111"}`, "BAD_USER_INPUT"},
		"a name for a nameless one": {`{"query":"{ hello }","operationName":"A"}`, "BAD_USER_INPUT"},
		"an empty document":         {`{"query":""}`, "GRAPHQL_VALIDATION_FAILED"},
		"only a fragment":           {`{"query":"fragment f on Query { hello }"}`, "GRAPHQL_VALIDATION_FAILED"},
		"@defer":                    {`{"query":"{ ... @defer { hello } }"}`, "GRAPHQL_VALIDATION_FAILED"},
		"@stream":                   {`{"query":"{ hello @stream }"}`, "GRAPHQL_VALIDATION_FAILED"},
		"an unknown field":          {`{"query":"{ helo }"}`, "GRAPHQL_VALIDATION_FAILED"},
		"a syntax error":            {`{"query":"{ hello"}`, "GRAPHQL_PARSE_FAILED"},
		"a type system document":    {`{"query":"type Query { a: Int }"}`, "GRAPHQL_PARSE_FAILED"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := g.post(t, c.body)
			if a.status != 400 || a.code() != c.code || a.body.Data != nil {
				t.Errorf("%d %s, want 400 %s and no data", a.status, a.text, c.code)
			}
			if a := g.post(t, c.body, "Accept: application/json"); a.status != 200 || a.code() != c.code || a.body.Data != nil {
				t.Errorf("as application/json: %d %s, want 200", a.status, a.text)
			}
		})
	}
	if n := g.resolver.Calls.Load(); n != 0 {
		t.Errorf("%d resolvers ran", n)
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	g := start(t, func(c *transport.Config) { c.Limits.CachedDocuments = 3 })
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 50 {
				name := fmt.Sprintf("%d-%d", worker, i)
				a := g.query(t, fmt.Sprintf("query Q%d($n: String) { hello(name: $n) }", i%5), `{"n":"`+name+`"}`, "X-Request-Id: "+name)
				if want := `{"hello":"hello ` + name + `"}`; string(a.body.Data) != want || a.header.Get("X-Request-Id") != name {
					t.Errorf("%s, want %s", a.text, want)
				}
			}
		})
	}
	wg.Wait()
}
