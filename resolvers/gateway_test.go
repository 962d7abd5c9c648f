package resolvers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/graph"
	"github.com/paygraph/paygraph/quota"
	"github.com/paygraph/paygraph/resolvers"
	"github.com/paygraph/paygraph/session"
	"github.com/paygraph/paygraph/store/storetest"
	"github.com/paygraph/paygraph/transport"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// contract is the public schema as it stands in its file.
var contract = func() *ast.Schema {
	text, err := os.ReadFile("../schema.graphqls")
	if err != nil {
		panic(err)
	}
	return gqlparser.MustLoadSchema(&ast.Source{Name: "schema.graphqls", Input: string(text)})
}()

// gateway is the server that serve.go wires, on a database of its own. A token of its names a principal that the test has made.
type gateway struct {
	*httptest.Server
	house      *storetest.House
	operations resolvers.Operations
	principals sync.Map // by token
	tokens     atomic.Int64
}

// start runs a gateway; changes are made before.
func start(t *testing.T, changes ...func(*gateway)) *gateway {
	t.Helper()
	return startAt(t, storetest.New(t), changes...)
}

func startAt(t *testing.T, house *storetest.House, changes ...func(*gateway)) *gateway {
	t.Helper()
	g := &gateway{house: house}
	g.operations = resolvers.Operations{Now: house.Store, Snapshot: func() resolvers.Snapshot { return house.Store.Snapshot() }}
	for _, change := range changes {
		change(g)
	}
	secret, err := house.Store.Secret(t.Context(), "cursor")
	if err != nil {
		t.Fatal(err)
	}
	cursors, err := auth.NewSealer(secret)
	if err != nil {
		t.Fatal(err)
	}
	g.Server = httptest.NewServer(transport.New(transport.Config{
		Schema: graph.NewExecutableSchema(graph.Config{Resolvers: &resolvers.Resolver{
			Merchants: house.Merchants, Ledger: house.Ledger, Payments: house.Payments, Cursors: cursors,
			Sessions: &session.Service{Tokens: g, Customers: house.Store, Payments: house.Store},
			Hub:      house.Store.Hub, Now: resolvers.Gathered(g.operations.Now),
		}}),
		Authenticate: g.authenticate,
		PresentError: resolvers.PresentError,
		Begin:        g.operations.Begin,
	}))
	t.Cleanup(g.Close)
	return g
}

// Session makes a token of which the test knows the principal: what the issuer makes of one is package auth's.
func (g *gateway) Session(
	_ context.Context, by auth.Principal, customer, payment string, scopes auth.Scopes, lasts time.Duration,
) (auth.Session, error) {
	p := by
	p.Kind, p.Customer, p.Payment, p.Scopes, p.Expires = auth.Customer, customer, payment, scopes, time.Now().Add(lasts)
	return auth.Session{Token: g.as(p).token, Expires: p.Expires, Scopes: scopes}, nil
}

func (g *gateway) authenticate(_ context.Context, token string) (auth.Principal, error) {
	if p, ok := g.principals.Load(token); ok {
		principal := p.(auth.Principal)
		principal.Quota = quota.Plenty // package transport tries what happens without
		return principal, nil
	}
	return auth.Nobody, auth.ErrUnauthenticated
}

// client asks the gateway with one token.
type client struct {
	*gateway
	principal auth.Principal
	token     string // "": anonymous
}

// as is a client for a principal.
func (g *gateway) as(p auth.Principal) *client {
	token := fmt.Sprintf("token-%d", g.tokens.Add(1))
	g.principals.Store(token, p)
	return &client{g, p, token}
}

// merchant is a client of a new merchant, which may do everything.
func (g *gateway) merchant(t *testing.T) *client {
	t.Helper()
	return g.as(g.house.Merchant(t))
}

// with is a client of the same merchant with these scopes alone.
func (c *client) with(scopes ...auth.Scope) *client {
	p := c.principal
	p.Scopes = scopes
	return c.as(p)
}

// without is a client of the same merchant with all scopes but these.
func (c *client) without(lacking ...auth.Scope) *client {
	var scopes auth.Scopes
	for _, scope := range auth.AllScopes {
		if !auth.Scopes(lacking).Has(scope) {
			scopes = append(scopes, scope)
		}
	}
	return c.with(scopes...)
}

// reply is what came back.
type reply struct {
	status int
	text   string
	Data   map[string]any
	Errors []problem
}

type problem struct {
	Message    string
	Path       []any
	Extensions struct {
		Code         string
		RequestID    string
		Retryable    *bool
		LastSequence string
	}
}

// post sends a body.
func (c *client) post(ctx context.Context, body []byte) (*reply, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+"/graphql", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/graphql-response+json")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.Client().Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	r := &reply{status: response.StatusCode, text: string(text)}
	if name := nameTwice(json.NewDecoder(bytes.NewReader(text))); name != "" {
		return nil, fmt.Errorf("%q stands twice in an object of %s", name, text)
	}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%w in %s", err, text)
	}
	for _, e := range r.Errors {
		if e.Extensions.Code == "" || e.Extensions.RequestID == "" || e.Extensions.Retryable == nil {
			return nil, fmt.Errorf("an error lacks code, requestId or retryable: %s", text)
		}
	}
	return r, nil
}

type vars map[string]any

// ask runs a document; errors are for the caller to judge.
func (c *client) ask(t *testing.T, document string, variables vars) *reply {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.post(context.WithoutCancel(t.Context()), body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// must runs a document that has to succeed without errors.
func (c *client) must(t *testing.T, document string, variables vars) map[string]any {
	t.Helper()
	r := c.ask(t, document, variables)
	if len(r.Errors) > 0 {
		t.Fatalf("%s\nwith %v was answered %s", document, variables, r.text)
	}
	return r.Data
}

// code is the code of the only error, or "".
func (r *reply) code() string {
	if len(r.Errors) != 1 {
		return ""
	}
	return r.Errors[0].Extensions.Code
}

// path is the path of the only error, with dots.
func (r *reply) path() string {
	if len(r.Errors) != 1 {
		return ""
	}
	return dotted(r.Errors[0].Path)
}

func dotted(path any) string {
	elements, _ := path.([]any)
	texts := make([]string, len(elements))
	for i, e := range elements {
		texts[i] = fmt.Sprint(e)
	}
	return strings.Join(texts, ".")
}

// at goes down into an answer: names of members, and numbers of elements.
func at(value any, steps ...any) any {
	for _, step := range steps {
		switch step := step.(type) {
		case string:
			object, _ := value.(map[string]any)
			value = object[step]
		case int:
			list, _ := value.([]any)
			if step >= len(list) {
				return nil
			}
			value = list[step]
		}
	}
	return value
}

func text(value any, steps ...any) string {
	s, _ := at(value, steps...).(string)
	return s
}

func list(value any, steps ...any) []any {
	l, _ := at(value, steps...).([]any)
	return l
}

var keys atomic.Int64

// key is an idempotency key that no other call of the test run gets.
func key() string { return fmt.Sprintf("resolvers-test-%016d", keys.Add(1)) }

// nameTwice reads one value, and finds a name that an object in it has twice.
func nameTwice(d *json.Decoder) (name string) {
	open, _ := d.Token()
	names := map[string]bool{}
	for (open == json.Delim('{') || open == json.Delim('[')) && d.More() {
		if open == json.Delim('{') {
			token, _ := d.Token()
			if own := token.(string); names[own] {
				return own
			} else {
				names[own] = true
			}
		}
		if inner := nameTwice(d); inner != "" {
			return inner
		}
	}
	if open == json.Delim('{') || open == json.Delim('[') {
		_, _ = d.Token()
	}
	return ""
}
