package transport_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	legacyJSON  = "application/json"
	graphqlJSON = "application/graphql-response+json"
)

// statuses is a range of HTTP statuses.
type statuses struct{ from, to int }

var (
	ok          = statuses{200, 200}
	bad         = statuses{400, 400}
	clientError = statuses{400, 499}
	anyError    = statuses{400, 599}
	noRedirect  = statuses{200, 599}
	anyStatus   = statuses{100, 599}
)

// audits are those of the npm package graphql-http 1.23, in its order and words, so that they run without Node. Their original
// runs in audit_node_test.go.
var audits = []struct {
	id, name    string
	accept      string     // "" for no header
	contentType string     // of a POST; application/json where it is ""
	body        string     // of a POST
	query       url.Values // of a GET, where it is not nil
	want        statuses
	wantType    string // in Content-Type
	wantNo      string // a member that the answer must not have
}{
	{id: "22EB", name: "SHOULD accept application/graphql-response+json and match the content-type",
		accept: graphqlJSON, body: `{"query": "{ __typename }"}`, want: ok, wantType: graphqlJSON},
	{id: "4655", name: "MUST accept application/json and match the content-type",
		accept: legacyJSON, body: `{"query": "{ __typename }"}`, want: ok, wantType: legacyJSON},
	{id: "47DE", name: "SHOULD accept */* and use application/json for the content-type",
		accept: "*/*", body: `{"query": "{ __typename }"}`, want: ok, wantType: legacyJSON},
	{id: "80D8", name: "SHOULD assume application/json content-type when accept is missing",
		body: `{"query": "{ __typename }"}`, want: ok, wantType: legacyJSON},
	{id: "82A3", name: "MUST use utf-8 encoding when responding",
		body: `{"query": "{ __typename }"}`, want: ok},
	{id: "BF61", name: "MUST accept utf-8 encoded request",
		contentType: "application/json; charset=utf-8", body: `{"query": "{ __type(name: \"Run🏃Swim🏊\") { name } }"}`, want: ok},
	{id: "78D5", name: "MUST assume utf-8 in request if encoding is unspecified",
		body: `{"query": "{ __typename }"}`, want: ok},
	{id: "2C94", name: "MUST accept POST requests",
		body: `{"query": "{ __typename }"}`, want: ok},
	{id: "5A70", name: "MAY accept application/x-www-form-urlencoded formatted GET requests",
		query: url.Values{"query": {`{ __typename }`}}, want: ok},
	{id: "9C48", name: "MAY NOT allow executing mutations on GET requests",
		accept: graphqlJSON, query: url.Values{"query": {`mutation { __typename }`}}, want: clientError},
	{id: "9ABE", name: "SHOULD respond with 4xx status code if content-type is not supplied on POST requests",
		contentType: "none", body: `{"query": "{ __typename }"}`, want: clientError},
	{id: "03D4", name: "MUST accept application/json POST requests",
		body: `{"query": "{ __typename }"}`, want: ok},
	{id: "A5BF", name: "MAY use 400 status code when request body is missing on POST",
		body: ``, want: bad},
	{id: "423L", name: "MAY use 400 status code on missing {query} parameter",
		accept: graphqlJSON, body: `{"notquery": "{ __typename }"}`, want: bad},
	{id: "LKJ0", name: "MAY use 400 status code on object {query} parameter",
		body: `{"query": {"obj": "ect"}}`, want: bad},
	{id: "LKJ1", name: "MAY use 400 status code on number {query} parameter",
		body: `{"query": 0}`, want: bad},
	{id: "LKJ2", name: "MAY use 400 status code on boolean {query} parameter",
		body: `{"query": false}`, want: bad},
	{id: "LKJ3", name: "MAY use 400 status code on array {query} parameter",
		body: `{"query": ["array"]}`, want: bad},
	{id: "34A2", name: "SHOULD allow string {query} parameter when accepting application/graphql-response+json",
		accept: graphqlJSON, body: `{"query": "{ __typename }"}`, want: ok},
	{id: "13EE", name: "MUST allow string {query} parameter when accepting application/json",
		accept: legacyJSON, body: `{"query": "{ __typename }"}`, want: ok, wantNo: "errors"},
	{id: "6C00", name: "MAY use 400 status code on object {operationName} parameter",
		body: `{"operationName": {"obj": "ect"}, "query": "{ __typename }"}`, want: bad},
	{id: "6C01", name: "MAY use 400 status code on number {operationName} parameter",
		body: `{"operationName": 0, "query": "{ __typename }"}`, want: bad},
	{id: "6C02", name: "MAY use 400 status code on boolean {operationName} parameter",
		body: `{"operationName": false, "query": "{ __typename }"}`, want: bad},
	{id: "6C03", name: "MAY use 400 status code on array {operationName} parameter",
		body: `{"operationName": ["array"], "query": "{ __typename }"}`, want: bad},
	{id: "8161", name: "SHOULD allow string {operationName} parameter when accepting application/graphql-response+json",
		accept: graphqlJSON, body: `{"operationName": "Query", "query": "query Query { __typename }"}`, want: ok},
	{id: "B8B3", name: "MUST allow string {operationName} parameter when accepting application/json",
		accept: legacyJSON, body: `{"operationName": "Query", "query": "query Query { __typename }"}`, want: ok, wantNo: "errors"},
	{id: "94B0", name: "SHOULD allow null {variables} parameter when accepting application/graphql-response+json",
		accept: graphqlJSON, body: `{"query": "{ __typename }", "variables": null}`, want: ok, wantNo: "errors"},
	{id: "0220", name: "MUST allow null {variables} parameter when accepting application/json",
		accept: legacyJSON, body: `{"query": "{ __typename }", "variables": null}`, want: ok, wantNo: "errors"},
	{id: "94B1", name: "SHOULD allow null {operationName} parameter when accepting application/graphql-response+json",
		accept: graphqlJSON, body: `{"query": "{ __typename }", "operationName": null}`, want: ok, wantNo: "errors"},
	{id: "0221", name: "MUST allow null {operationName} parameter when accepting application/json",
		accept: legacyJSON, body: `{"query": "{ __typename }", "operationName": null}`, want: ok, wantNo: "errors"},
	{id: "94B2", name: "SHOULD allow null {extensions} parameter when accepting application/graphql-response+json",
		accept: graphqlJSON, body: `{"query": "{ __typename }", "extensions": null}`, want: ok, wantNo: "errors"},
	{id: "0222", name: "MUST allow null {extensions} parameter when accepting application/json",
		accept: legacyJSON, body: `{"query": "{ __typename }", "extensions": null}`, want: ok, wantNo: "errors"},
	{id: "4760", name: "MAY use 400 status code on string {variables} parameter",
		body: `{"query": "{ __typename }", "variables": "string"}`, want: bad},
	{id: "4761", name: "MAY use 400 status code on number {variables} parameter",
		body: `{"query": "{ __typename }", "variables": 0}`, want: bad},
	{id: "4762", name: "MAY use 400 status code on boolean {variables} parameter",
		body: `{"query": "{ __typename }", "variables": false}`, want: bad},
	{id: "4763", name: "MAY use 400 status code on array {variables} parameter",
		body: `{"query": "{ __typename }", "variables": ["array"]}`, want: bad},
	{id: "2EA1", name: "SHOULD allow map {variables} parameter when accepting application/graphql-response+json",
		accept: graphqlJSON, body: `{"query": "query Type($name: String!) { __type(name: $name) { name } }", "variables": {"name": "sometype"}}`, want: ok},
	{id: "28B9", name: "MUST allow map {variables} parameter when accepting application/json",
		accept: legacyJSON, body: `{"query": "query Type($name: String!) { __type(name: $name) { name } }", "variables": {"name": "sometype"}}`, want: ok, wantNo: "errors"},
	{id: "D6D5", name: "MAY allow URL-encoded JSON string {variables} parameter in GETs when accepting application/graphql-response+json",
		accept: graphqlJSON, query: url.Values{"query": {`query Type($name: String!) { __type(name: $name) { name } }`}, "variables": {`{"name": "sometype"}`}}, want: ok, wantNo: "errors"},
	{id: "6A70", name: "MAY allow URL-encoded JSON string {variables} parameter in GETs when accepting application/json",
		accept: legacyJSON, query: url.Values{"query": {`query Type($name: String!) { __type(name: $name) { name } }`}, "variables": {`{"name": "sometype"}`}}, want: ok, wantNo: "errors"},
	{id: "58B0", name: "MAY use 400 status code on string {extensions} parameter",
		body: `{"query": "{ __typename }", "extensions": "string"}`, want: bad},
	{id: "58B1", name: "MAY use 400 status code on number {extensions} parameter",
		body: `{"query": "{ __typename }", "extensions": 0}`, want: bad},
	{id: "58B2", name: "MAY use 400 status code on boolean {extensions} parameter",
		body: `{"query": "{ __typename }", "extensions": false}`, want: bad},
	{id: "58B3", name: "MAY use 400 status code on array {extensions} parameter",
		body: `{"query": "{ __typename }", "extensions": ["array"]}`, want: bad},
	{id: "428F", name: "SHOULD allow map {extensions} parameter when accepting application/graphql-response+json",
		accept: graphqlJSON, body: `{"query": "{ __typename }", "extensions": {"some": "value"}}`, want: ok},
	{id: "1B7A", name: "MUST allow map {extensions} parameter when accepting application/json",
		accept: legacyJSON, body: `{"query": "{ __typename }", "extensions": {"some": "value"}}`, want: ok, wantNo: "errors"},
	{id: "B6DC", name: "MAY use 2xx, 4xx, or 5xx status codes on JSON parsing failure when accepting application/json",
		accept: legacyJSON, body: `{ "not a JSON`, want: noRedirect},
	{id: "BCF8", name: "SHOULD use 400 status code on JSON parsing failure when accepting application/json",
		accept: legacyJSON, body: `{ "not a JSON`, want: bad},
	{id: "B7N8", name: "SHOULD use 400 status code on JSON parsing failure when accepting application/graphql-response+json",
		accept: graphqlJSON, body: `{ "not a JSON`, want: bad},
	{id: "8764", name: "MAY use 4xx or 5xx status codes if parameters are invalid",
		body: `{"qeury": "{ __typename }"}`, want: anyError},
	{id: "3E3A", name: "MAY use 400 status code if parameters are invalid",
		body: `{"qeury": "{ __typename }"}`, want: bad},
	{id: "572B", name: "SHOULD use 200 status code on document parsing failure when accepting application/json",
		accept: legacyJSON, body: `{"query": "{"}`, want: ok},
	{id: "FDE2", name: "SHOULD use 200 status code on document validation failure when accepting application/json",
		accept: legacyJSON, body: `{"query": "{ 8f31403dfe404bccbb0e835f2629c6a7 }"}`, want: ok},
	{id: "7B9B", name: "SHOULD use a status code of 200 on variable coercion failure when accepting application/json",
		accept: legacyJSON, body: `{"query": "query CoerceFailure($id: ID!){ __typename }", "variables": {"id": null}}`, want: ok},
	{id: "865D", name: "SHOULD use 4xx or 5xx status codes on document parsing failure when accepting application/graphql-response+json",
		accept: graphqlJSON, body: `{"query": "{"}`, want: anyError},
	{id: "556A", name: "SHOULD use 400 status code on document parsing failure when accepting application/graphql-response+json",
		accept: graphqlJSON, body: `{"query": "{"}`, want: bad},
	{id: "D586", name: "SHOULD not contain the data entry on document parsing failure when accepting application/graphql-response+json",
		accept: graphqlJSON, body: `{"query": "{"}`, want: anyStatus, wantNo: "data"},
	{id: "51FE", name: "SHOULD use 4xx or 5xx status codes on document validation failure when accepting application/graphql-response+json",
		accept: graphqlJSON, body: `{"query": "{ 8f31403dfe404bccbb0e835f2629c6a7 }"}`, want: anyError},
	{id: "74FF", name: "SHOULD use 400 status code on document validation failure when accepting application/graphql-response+json",
		accept: graphqlJSON, body: `{"query": "{ 8f31403dfe404bccbb0e835f2629c6a7 }"}`, want: bad},
	{id: "5E5B", name: "SHOULD not contain the data entry on document validation failure when accepting application/graphql-response+json",
		accept: graphqlJSON, body: `{"query": "{ 8f31403dfe404bccbb0e835f2629c6a7 }"}`, want: anyStatus, wantNo: "data"},
	{id: "86EE", name: "SHOULD use a status code of 400 on variable coercion failure when accepting application/graphql-response+json",
		accept: graphqlJSON, body: `{"query": "query CoerceFailure($id: ID!){ __typename }", "variables": {"id": null}}`, want: bad},
}

func TestAuditsOfGraphQLHTTP(t *testing.T) {
	t.Parallel()
	if len(audits) != 61 {
		t.Fatalf("%d audits instead of 61", len(audits))
	}
	g := start(t)
	for _, audit := range audits {
		t.Run(audit.id+" "+audit.name, func(t *testing.T) {
			t.Parallel()
			r, err := http.NewRequest(http.MethodPost, g.URL+"/graphql", strings.NewReader(audit.body))
			if audit.query != nil {
				r, err = http.NewRequest(http.MethodGet, g.URL+"/graphql?"+audit.query.Encode(), nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			if audit.accept != "" {
				r.Header.Set("Accept", audit.accept)
			}
			switch {
			case audit.contentType == "" && audit.query == nil:
				r.Header.Set("Content-Type", "application/json")
			case audit.contentType != "none" && audit.query == nil:
				r.Header.Set("Content-Type", audit.contentType)
			}
			a := g.do(t, r)
			if a.status < audit.want.from || a.status > audit.want.to {
				t.Errorf("status %d, want %d to %d: %s", a.status, audit.want.from, audit.want.to, a.text)
			}
			if !strings.Contains(a.header.Get("Content-Type"), audit.wantType) {
				t.Errorf("Content-Type %q, want %s", a.header.Get("Content-Type"), audit.wantType)
			}
			var members map[string]json.RawMessage
			if err := json.Unmarshal([]byte(a.text), &members); err != nil || !utf8.ValidString(a.text) {
				t.Fatalf("no JSON in UTF-8: %s", a.text)
			}
			if _, has := members[audit.wantNo]; has {
				t.Errorf("the answer has %q: %s", audit.wantNo, a.text)
			}
		})
	}
}
