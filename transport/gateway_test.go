package transport_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/transport"
	"github.com/paygraph/paygraph/transport/internal/testschema"
)

// errDown is what Authenticate returns for the token "down".
var errDown = errors.New("the keys cannot be read")

// gateway is a server on loopback with the test's schema.
type gateway struct {
	*httptest.Server
	resolver *testschema.Resolver
	events   *testschema.Log
	handler  *transport.Handler
	log      *logged
}

// logged is a log that tests read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}
func (l *logged) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.text.String() }

func (l *logged) has(words ...string) bool {
	for _, word := range words {
		if !strings.Contains(l.String(), word) {
			return false
		}
	}
	return true
}

// start runs a gateway; changes are made to its configuration before.
func start(t *testing.T, changes ...func(*transport.Config)) *gateway {
	t.Helper()
	g := &gateway{resolver: &testschema.Resolver{}, log: &logged{}}
	leaves := watchGoroutines(t, func() { g.events = testschema.NewLog() })
	g.resolver.Log = g.events
	config := transport.Config{
		Schema: testschema.New(g.resolver), Authenticate: authenticate, PresentError: presentError,
		Introspection: func(auth.Principal) bool { return true },
		Log:           slog.New(slog.NewTextHandler(g.log, nil)),
	}
	for _, change := range changes {
		change(&config)
	}
	g.handler = transport.New(config)
	leaves(func() { g.Server = httptest.NewServer(g.handler) })
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		g.handler.Stop(ctx)
		if ctx.Err() != nil {
			t.Error("after 5 s sockets are still open")
		}
		g.Close()
		g.events.Hub.Close()
	})
	return g
}

// authenticate knows the tokens reader, writer and all.
func authenticate(_ context.Context, token string) (auth.Principal, error) {
	principal := auth.Principal{Kind: auth.Backend, Merchant: "mer_1", Subject: token}
	switch token {
	case "reader":
		principal.Scopes = auth.Scopes{auth.PaymentsRead}
	case "writer":
		principal.Scopes = auth.Scopes{auth.PaymentsWrite}
	case "all":
		principal.Scopes = auth.AllScopes
	case "down":
		return auth.Nobody, errDown
	default:
		return auth.Nobody, errors.New("no such token: " + token)
	}
	return principal, nil
}

func presentError(_ context.Context, err error) *gqlerror.Error {
	code, message := "INTERNAL", "internal error"
	switch {
	case errors.Is(err, errDown), errors.Is(err, event.ErrStopping):
		code, message = "UNAVAILABLE", "try again"
	case errors.Is(err, context.DeadlineExceeded):
		code, message = "OUTCOME_UNKNOWN", "ask again"
	case errors.Is(err, testschema.ErrCursor):
		code, message = "CURSOR_INVALID", "no such place"
	}
	return &gqlerror.Error{Message: message, Extensions: map[string]any{"code": code}}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
	body   struct {
		Errors []struct {
			Message    string
			Path       []any
			Locations  []struct{ Line, Column int }
			Extensions struct {
				Code      string
				RequestID string
				Retryable *bool
			}
		}
		Data       json.RawMessage
		Extensions map[string]any
	}
}

func (a *answer) code() string {
	if len(a.body.Errors) == 0 {
		return ""
	}
	return a.body.Errors[0].Extensions.Code
}

func (a *answer) message() string {
	if len(a.body.Errors) == 0 {
		return ""
	}
	return a.body.Errors[0].Message
}

// path is the first error's, as JSON.
func (a *answer) path() string {
	if len(a.body.Errors) == 0 {
		return ""
	}
	text, _ := json.Marshal(a.body.Errors[0].Path)
	return string(text)
}

// setHeaders adds headers as a test writes them: "Name: value".
func setHeaders(r *http.Request, headers []string) {
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
}

// do sends a request and checks what holds for every answer.
func (g *gateway) do(t *testing.T, r *http.Request) *answer {
	t.Helper()
	response, err := g.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := &answer{status: response.StatusCode, header: response.Header, text: string(text)}
	if a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("the header for caches is missing: %v", a.header)
	}
	if a.header.Get("X-Request-Id") == "" {
		t.Error("the answer has no X-Request-Id")
	}
	if len(text) == 0 {
		return a
	}
	if err := json.Unmarshal(text, &a.body); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	for _, e := range a.body.Errors {
		if e.Extensions.Code == "" || e.Extensions.Retryable == nil || e.Extensions.RequestID != a.header.Get("X-Request-Id") {
			t.Errorf("an error lacks code, retryable or this request's id: %s", text)
		}
	}
	if strings.Contains(a.text, cardNumber) {
		t.Errorf("the answer repeats what was sent: %s", text)
	}
	return a
}

// cardNumber is in what tests send, and must not come back in an error.
const cardNumber = "4111111111111111"

// post sends JSON and accepts application/graphql-response+json, unless the headers say otherwise.
func (g *gateway) post(t *testing.T, body string, headers ...string) *answer {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, g.URL+"/graphql", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	setHeaders(r, headers)
	if r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if r.Header.Get("Accept") == "" {
		r.Header.Set("Accept", "application/graphql-response+json")
	}
	return g.do(t, r)
}

// query posts a document with variables in JSON ("" for none).
func (g *gateway) query(t *testing.T, document, variables string, headers ...string) *answer {
	t.Helper()
	return g.post(t, operation(document, variables), headers...)
}

func operation(document, variables string) string {
	text, _ := json.Marshal(document)
	if variables == "" {
		variables = "null"
	}
	return `{"query":` + string(text) + `,"variables":` + variables + `}`
}
