package transport_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/transport"
)

func TestCredentials(t *testing.T) {
	t.Parallel()
	g := start(t)
	for name, c := range map[string]struct {
		headers []string
		want    int
	}{
		"none":                        {nil, 200},
		"a token":                     {[]string{"Bearer reader"}, 200},
		"the scheme in small letters": {[]string{"bearer reader"}, 200},
		"a token that is not known":   {[]string{"Bearer " + cardNumber}, 401},
		"another scheme":              {[]string{"Basic ZGVtbzpkZW1v"}, 401},
		"no scheme":                   {[]string{"reader"}, 401},
		"no token":                    {[]string{"Bearer"}, 401},
		"an empty token":              {[]string{"Bearer "}, 401},
		"an empty header":             {[]string{""}, 401},
		"two tokens":                  {[]string{"Bearer reader reader"}, 401},
		"a list":                      {[]string{"Bearer reader, Bearer writer"}, 401},
		"two headers":                 {[]string{"Bearer reader", "Bearer reader"}, 401},
		"only equals signs":           {[]string{"Bearer =="}, 401},
		"keys that cannot be read":    {[]string{"Bearer down"}, 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, accept := range []string{legacyJSON, graphqlJSON} {
				r, _ := http.NewRequest(http.MethodPost, g.URL, strings.NewReader(`{"query":"{ __typename }"}`))
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Accept", accept)
				r.Header["Authorization"] = c.headers
				a := g.do(t, r)
				if a.status != c.want {
					t.Errorf("%d %s, want %d", a.status, a.text, c.want)
				}
				wantChallenge, wantCode := "", ""
				switch c.want {
				case 401:
					wantChallenge, wantCode = `Bearer realm="paygraph", error="invalid_token"`, "UNAUTHENTICATED"
				case 503:
					wantCode = "UNAVAILABLE"
				}
				if (a.header.Get("Retry-After") != "") != (c.want == 503) {
					t.Errorf("%d with Retry-After %q", c.want, a.header.Get("Retry-After"))
				}
				if a.header.Get("WWW-Authenticate") != wantChallenge || a.code() != wantCode {
					t.Errorf("%q %s", a.header.Get("WWW-Authenticate"), a.text)
				}
			}
		})
	}
	if n := g.resolver.Calls.Load(); n != 0 {
		t.Errorf("%d resolvers ran", n)
	}
}

func TestWrongCredentialsGoBeforeEverythingElse(t *testing.T) {
	t.Parallel()
	g := start(t)
	a := g.post(t, `{"query":"{ broken`, "Authorization: Bearer nobody")
	if a.status != 401 {
		t.Errorf("%d %s", a.status, a.text)
	}
	get, _ := http.NewRequest(http.MethodGet, g.URL+"?query=%7Bhello%7D", nil)
	get.Header.Set("Authorization", "Bearer nobody")
	if a := g.do(t, get); a.status != 401 {
		t.Errorf("GET: %d %s", a.status, a.text)
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	const payment, create = `payment(id: "1") { id }`, `createPayment(input: { idempotencyKey: "k", amount: { amount: "1", currency: "USD" } }) { id }`
	for name, c := range map[string]struct {
		token, document string
		want            string // the code; "" for an answer
		scope           string // that the challenge names
	}{
		"nobody, a public field":                    {"", `{ hello }`, "", ""},
		"nobody, a type's name":                     {"", `{ __typename }`, "", ""},
		"nobody, a field with a scope":              {"", `{ ` + payment + ` }`, "UNAUTHENTICATED", ""},
		"nobody, beside a public field":             {"", `{ hello ` + payment + ` }`, "UNAUTHENTICATED", ""},
		"nobody, a field that says nothing":         {"", `{ locked }`, "UNAUTHENTICATED", ""},
		"nobody, a mutation":                        {"", `mutation { ` + create + ` }`, "UNAUTHENTICATED", ""},
		"a reader reads":                            {"reader", `{ ` + payment + ` }`, "", ""},
		"a reader writes":                           {"reader", `mutation { ` + create + ` }`, "FORBIDDEN", "payments:write"},
		"a writer writes":                           {"writer", `mutation { ` + create + ` }`, "", ""},
		"a writer reads":                            {"writer", `{ ` + payment + ` }`, "FORBIDDEN", "payments:read"},
		"all scopes, a field that says nothing":     {"all", `{ locked }`, "FORBIDDEN", ""},
		"an alias hides nothing":                    {"writer", `{ hello: ` + payment + ` }`, "FORBIDDEN", "payments:read"},
		"a fragment hides nothing":                  {"writer", `{ ...f } fragment f on Query { ...g } fragment g on Query { ` + payment + ` }`, "FORBIDDEN", "payments:read"},
		"an inline fragment hides nothing":          {"writer", `{ ... on Query { ... { ` + payment + ` } } }`, "FORBIDDEN", "payments:read"},
		"a field that is skipped counts":            {"writer", `{ hello ` + `payment(id: "1") @skip(if: true) { id }` + ` }`, "FORBIDDEN", "payments:read"},
		"a fragment that is not included counts":    {"writer", `{ hello ... @include(if: false) { ` + payment + ` } }`, "FORBIDDEN", "payments:read"},
		"a spread that is skipped counts":           {"writer", `{ hello ...f @skip(if: true) } fragment f on Query { ` + payment + ` }`, "FORBIDDEN", "payments:read"},
		"a field below the root":                    {"reader", `{ payment(id: "1") { id parent { secret } } }`, "FORBIDDEN", "ledger:adjust"},
		"a field below the root, in a fragment":     {"reader", `{ nodes(ids: ["1"]) { ... on Payment { secret } } }`, "FORBIDDEN", "ledger:adjust"},
		"a field below the root, with its scope":    {"all", `{ payment(id: "1") { secret } }`, "", ""},
		"a field of an interface":                   {"reader", `{ fee { price } }`, "FORBIDDEN", "ledger:adjust"},
		"a field of an interface, with scopes":      {"all", `{ fee { price } }`, "", ""},
		"two scopes are named at once":              {"writer", `{ payment(id: "1") { secret } }`, "FORBIDDEN", "payments:read ledger:adjust"},
		"the operation that is not asked for":       {"", `query A { hello } query B { ` + payment + ` }`, "", ""},
		"introspection, for who may":                {"all", `{ __schema { queryType { name } } }`, "", ""},
		"introspection of one type, for who may":    {"all", `{ __type(name: "Query") { name } }`, "", ""},
		"introspection, for nobody":                 {"", `{ __schema { queryType { name } } }`, "UNAUTHENTICATED", ""},
		"introspection, for who may not":            {"reader", `{ hello __type(name: "Query") { name } }`, "FORBIDDEN", ""},
		"introspection in a fragment":               {"reader", `{ ...f } fragment f on Query { __schema { queryType { name } } }`, "FORBIDDEN", ""},
		"authorisation goes before wrong variables": {"reader", `mutation($i: CreatePaymentInput!) { createPayment(input: $i) { id } }`, "FORBIDDEN", "payments:write"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, func(c *transport.Config) {
				c.Introspection = func(p auth.Principal) bool { return p.Subject == "all" }
			})
			body := operation(c.document, "")
			if strings.Contains(c.document, "query A") {
				body = strings.TrimSuffix(body, "}") + `,"operationName":"A"}`
			}
			var headers []string
			if c.token != "" {
				headers = []string{"Authorization: Bearer " + c.token}
			}
			a := g.post(t, body, headers...)
			legacy := g.post(t, body, append(headers, "Accept: application/json")...)
			wantStatus, wantChallenge := map[string]int{"": 200, "UNAUTHENTICATED": 401, "FORBIDDEN": 403}[c.want], ""
			switch {
			case c.want == "UNAUTHENTICATED":
				wantChallenge = `Bearer realm="paygraph"`
			case c.scope != "":
				wantChallenge = `Bearer realm="paygraph", error="insufficient_scope", scope="` + c.scope + `"`
			}
			if a.status != wantStatus || a.code() != c.want || a.header.Get("WWW-Authenticate") != wantChallenge {
				t.Errorf("%d %q %s, want %d %q %s", a.status, a.header.Get("WWW-Authenticate"), a.text, wantStatus, wantChallenge, c.want)
			}
			if legacy.status != 200 || legacy.code() != c.want || legacy.header.Get("WWW-Authenticate") != "" {
				t.Errorf("as application/json: %d %s", legacy.status, legacy.text)
			}
			if calls := g.resolver.Calls.Load(); c.want != "" && calls != 0 {
				t.Errorf("%d resolvers ran", calls)
			}
		})
	}
}

func TestNobodyMayIntrospectUnlessToldSo(t *testing.T) {
	t.Parallel()
	g := start(t, func(c *transport.Config) { c.Introspection = nil; c.Authenticate = nil })
	if a := g.query(t, `{ __schema { queryType { name } } }`, ""); a.code() != "UNAUTHENTICATED" {
		t.Error(a.text)
	}
	if a := g.query(t, `{ hello }`, "", "Authorization: Bearer all"); a.status != 401 {
		t.Error("a token was accepted without Authenticate")
	}
}
