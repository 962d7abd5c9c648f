package transport_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	answers "github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/transport"
)

const (
	trustedText = `query Trusted { hello }`
	otherText   = `query Other { hello }`
)

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// documents are what merchants trust: mer_1 a text, by its hash and two identifiers.
type documents struct {
	asked atomic.Int64
	mu    sync.Mutex
	err   error
}

func (d *documents) find(_ context.Context, m string, id string) (string, error) {
	d.asked.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	if m == "mer_1" && (id == "sha256:"+hashOf(trustedText) || id == "d41d8cd98f00b204e9800998ecf8427e" || id == "x-ours:1") {
		return trustedText, d.err
	}
	return "", d.err
}

// startTrusting knows tokens by what their credential may run, and "other", another merchant's.
func startTrusting(t *testing.T, d *documents) *gateway {
	t.Helper()
	return start(t, func(c *transport.Config) {
		c.Documents = func(ctx context.Context, m answers.MerchantID, id string) (string, error) {
			return d.find(ctx, string(m), id)
		}
		c.Authenticate = func(_ context.Context, token string) (auth.Principal, error) {
			p := auth.Principal{Kind: auth.Backend, Merchant: "mer_1", Subject: token, Scopes: auth.AllScopes, Documents: auth.Documents(token)}
			if token == "other" {
				p.Merchant, p.Documents = "mer_2", auth.AnyDocument
			}
			return p, nil
		}
	})
}

// asks sends a body by POST, or its members in a URL by GET, and returns the code of the error, or empty.
func asks(t *testing.T, g *gateway, method, token string, body map[string]any) (code string) {
	t.Helper()
	text, _ := json.Marshal(body)
	r, _ := http.NewRequest(method, g.URL+"/graphql", strings.NewReader(string(text)))
	r.Header.Set("Content-Type", "application/json")
	if method == http.MethodGet {
		values := url.Values{}
		for name, value := range body {
			if s, is := value.(string); is {
				values.Set(name, s)
				continue
			}
			text, _ := json.Marshal(value)
			values.Set(name, string(text))
		}
		r, _ = http.NewRequest(method, g.URL+"/graphql?"+values.Encode(), nil)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r.Header.Set("Accept", "application/json")
	a := g.do(t, r)
	if a.code() == "" && string(a.body.Data) != `{"hello":"hello"}` {
		t.Errorf("it says %s", a.text)
	}
	if a.code() == "PERSISTED_QUERY_NOT_FOUND" && a.message() != "PersistedQueryNotFound" {
		t.Errorf("clients do not know this by its message: %s", a.text)
	}
	return a.code()
}

// wantStreamed has a document run as a stream of events.
func wantStreamed(t *testing.T, g *gateway, body map[string]any, want string) {
	t.Helper()
	text, _ := json.Marshal(body)
	r, _ := http.NewRequest(http.MethodPost, g.URL+"/graphql", strings.NewReader(string(text)))
	r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"text/event-stream"}, "Authorization": {"Bearer only"}}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(said), cmp.Or(want, `data: {"data":{"hello":"hello"}`)) {
		t.Errorf("as a stream: %s, %v", said, err)
	}
}

func apollo(hash string) map[string]any {
	return map[string]any{"persistedQuery": map[string]any{"version": 1, "sha256Hash": hash}}
}

// TestDocumentsByTheirNames has each form in which clients name a document, over each way there is.
func TestDocumentsByTheirNames(t *testing.T) {
	t.Parallel()
	g := startTrusting(t, &documents{})
	hash := hashOf(trustedText)
	for name, row := range map[string]struct {
		body map[string]any
		want string
	}{
		"documentId":                             {map[string]any{"documentId": "sha256:" + hash}, ""},
		"documentId of a manifest's own":         {map[string]any{"documentId": "x-ours:1"}, ""},
		"documentId without its prefix":          {map[string]any{"documentId": hash}, ""},
		"documentId that nobody knows":           {map[string]any{"documentId": "sha256:" + hashOf(otherText)}, "PERSISTED_QUERY_NOT_FOUND"},
		"documentId with a space":                {map[string]any{"documentId": "a b"}, "BAD_USER_INPUT"},
		"documentId that is too long":            {map[string]any{"documentId": strings.Repeat("a", 257)}, "BAD_USER_INPUT"},
		"Apollo's":                               {map[string]any{"extensions": apollo(hash)}, ""},
		"Apollo's of a manifest's own":           {map[string]any{"extensions": apollo("x-ours:1")}, ""},
		"Apollo's that nobody knows":             {map[string]any{"extensions": apollo(hashOf(otherText))}, "PERSISTED_QUERY_NOT_FOUND"},
		"Apollo's of another version":            {map[string]any{"extensions": map[string]any{"persistedQuery": map[string]any{"version": 2, "sha256Hash": hash}}}, "BAD_USER_INPUT"},
		"Apollo's without a hash":                {map[string]any{"extensions": map[string]any{"persistedQuery": map[string]any{"version": 1}}}, "BAD_USER_INPUT"},
		"Apollo's that is no object":             {map[string]any{"extensions": map[string]any{"persistedQuery": "x"}}, "BAD_USER_INPUT"},
		"Relay's doc_id":                         {map[string]any{"doc_id": "d41d8cd98f00b204e9800998ecf8427e"}, ""},
		"Relay's id":                             {map[string]any{"id": "d41d8cd98f00b204e9800998ecf8427e"}, ""},
		"two names of one":                       {map[string]any{"documentId": "sha256:" + hash, "extensions": apollo(hash)}, ""},
		"two names of two":                       {map[string]any{"documentId": "x-ours:1", "doc_id": "x-ours:2"}, "BAD_USER_INPUT"},
		"a name and its document":                {map[string]any{"documentId": "sha256:" + hash, "query": trustedText}, ""},
		"a name and another document":            {map[string]any{"documentId": "sha256:" + hash, "query": otherText}, "PERSISTED_QUERY_MISMATCH"},
		"a name that is no hash, and a document": {map[string]any{"id": "x-ours:2", "query": trustedText}, ""},
		"a name with a space, and a document":    {map[string]any{"id": "a b", "query": trustedText}, ""},
		"nothing":                                {map[string]any{"variables": map[string]any{}}, "BAD_USER_INPUT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, method := range []string{http.MethodPost, http.MethodGet} {
				if code := asks(t, g, method, "only", row.body); code != row.want {
					t.Errorf("%s: %q, want %q", method, code, row.want)
				}
			}
			if row.want == "BAD_USER_INPUT" {
				return // which closes a socket
			}
			wantStreamed(t, g, row.body, row.want)
			s := g.connect(t, "only")
			text, _ := json.Marshal(row.body)
			s.send(fmt.Sprintf(`{"id":"1","type":"subscribe","payload":%s}`, text))
			if row.want == "" {
				s.want(`{"id":"1","type":"next","payload":{"data":{"hello":"hello"}}}`, `{"id":"1","type":"complete"}`)
				return
			}
			if code := s.wantError("1"); code != row.want {
				t.Errorf("over a socket: %q, want %q", code, row.want)
			}
		})
	}
	if code := asks(t, g, http.MethodPost, "other", map[string]any{"documentId": "sha256:" + hash}); code != "PERSISTED_QUERY_NOT_FOUND" {
		t.Errorf("another merchant's document: %q", code)
	}
	if code := asks(t, g, http.MethodPost, "", map[string]any{"documentId": "sha256:" + hash}); code != "PERSISTED_QUERY_NOT_FOUND" {
		t.Errorf("a stranger: %q", code)
	}
}

// TestWhichDocumentsMayBeRun has credentials that run any, tell of those that are not trusted, and run no others.
func TestWhichDocumentsMayBeRun(t *testing.T) {
	t.Parallel()
	d := &documents{}
	g := startTrusting(t, d)
	for token, want := range map[string]string{"any": "", "log": "", "only": "FORBIDDEN"} {
		for range 3 {
			if code := asks(t, g, http.MethodPost, token, map[string]any{"query": otherText}); code != want {
				t.Errorf("%s: %q, want %q", token, code, want)
			}
			if code := asks(t, g, http.MethodPost, token, map[string]any{"query": trustedText}); code != "" {
				t.Errorf("%s: the text of one that is trusted: %q", token, code)
			}
		}
	}
	if code := asks(t, g, http.MethodPost, "only", map[string]any{"query": "{ nonsense"}); code != "FORBIDDEN" {
		t.Errorf("what cannot be parsed: %q", code)
	}
	if said := g.log.String(); strings.Count(said, "not trusted") != 1 || !g.log.has("clientId=log", "sha256:"+hashOf(otherText), "operation=Other") {
		t.Errorf("the log says %s", said)
	}
	if n := d.asked.Load(); n != 3 {
		t.Errorf("the store was asked %d times for three documents", n)
	}
}

// TestWhatIsRegisteredIsTold has a client do as Apollo's and urql's do: a digest, which nobody knows, then the digest and the text, and from then on the digest.
func TestWhatIsRegisteredIsTold(t *testing.T) {
	t.Parallel()
	g := startTrusting(t, &documents{})
	digest := map[string]any{"extensions": apollo(hashOf(otherText))}
	both := map[string]any{"extensions": apollo(hashOf(otherText)), "query": otherText}
	if code := asks(t, g, http.MethodPost, "any", both); code != "" {
		t.Error(code)
	}
	if code := asks(t, g, http.MethodPost, "log", digest); code != "" {
		t.Error(code)
	}
	if code := asks(t, g, http.MethodPost, "log", both); code != "" {
		t.Error(code)
	}
	if said := g.log.String(); strings.Count(said, "not trusted") != 1 || !g.log.has("clientId=log", "sha256:"+hashOf(otherText)) {
		t.Errorf("the log says %s", said)
	}
}

// TestTrustWhileTheStoreIsAway: what is known counts on, and what is not is no refusal for good.
func TestTrustWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	d := &documents{}
	g := startTrusting(t, d)
	d.err = errDown
	if code := asks(t, g, http.MethodPost, "only", map[string]any{"query": trustedText}); code != "UNAVAILABLE" {
		t.Errorf("while the store is away: %q", code)
	}
	d.mu.Lock()
	d.err = nil
	d.mu.Unlock()
	if code := asks(t, g, http.MethodPost, "only", map[string]any{"query": trustedText}); code != "" {
		t.Errorf("when it is back: %q", code)
	}
	d.mu.Lock()
	d.err = errors.New("it is away again")
	d.mu.Unlock()
	if code := asks(t, g, http.MethodPost, "only", map[string]any{"query": trustedText}); code != "" {
		t.Errorf("what is known: %q", code)
	}
}

// TestDocumentsThatClientsRegister themselves are their merchant's alone, and only good ones are kept.
func TestDocumentsThatClientsRegister(t *testing.T) {
	t.Parallel()
	g := startTrusting(t, &documents{})
	named := map[string]any{"extensions": apollo(hashOf(otherText))}
	both := map[string]any{"extensions": apollo(hashOf(otherText)), "query": otherText}
	ask := func(token string, body map[string]any, want string) {
		t.Helper()
		if code := asks(t, g, http.MethodPost, token, body); code != want {
			t.Errorf("%s: %q, want %q", token, code, want)
		}
	}
	ask("", both, "") // a stranger's is run, and not kept
	ask("", named, "PERSISTED_QUERY_NOT_FOUND")
	ask("any", named, "PERSISTED_QUERY_NOT_FOUND")
	ask("only", both, "FORBIDDEN")
	ask("any", named, "PERSISTED_QUERY_NOT_FOUND")
	ask("any", map[string]any{"extensions": apollo(hashOf(otherText)), "query": trustedText}, "PERSISTED_QUERY_MISMATCH")
	ask("any", named, "PERSISTED_QUERY_NOT_FOUND")
	ask("any", both, "")
	ask("any", named, "")
	ask("log", named, "")
	ask("only", named, "PERSISTED_QUERY_NOT_FOUND")
	ask("other", named, "PERSISTED_QUERY_NOT_FOUND")
	if code := asks(t, g, http.MethodGet, "any", named); code != "" {
		t.Errorf("by GET: %q", code)
	}
	for _, bad := range []string{"{ nothing }", "{ hello"} {
		body := map[string]any{"extensions": apollo(hashOf(bad)), "query": bad}
		if code := asks(t, g, http.MethodPost, "any", body); !strings.HasPrefix(code, "GRAPHQL_") {
			t.Errorf("%s: %q", bad, code)
		}
		delete(body, "query")
		ask("any", body, "PERSISTED_QUERY_NOT_FOUND")
	}
}
