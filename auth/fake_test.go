package auth_test

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
)

const (
	issuerURL = "https://pay.example"
	audience  = "https://pay.example/graphql"
	clientID  = "shop"
	secret    = "pgs_c2VjcmV0"
	tenant    = answer.MerchantID("mer_01")
)

// database is the tables of keys and credentials, shared by nodes.
type database struct {
	mu          sync.Mutex
	keys        []auth.SigningKey // newest first
	credentials map[string]auth.Credential
	used        map[string]bool // what clients have used once
	reads       int             // of the keys
	down        error           // what every call returns
	silent      bool            // a credential is not found before the caller gives up
	slow        time.Duration   // how long it takes to find one
	beforeAdd   func()          // is called before a key is added, if it is not nil
}

func (d *database) SigningKeys(ctx context.Context) ([]auth.SigningKey, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reads++
	return slices.Clone(d.keys), errors.Join(d.down, ctx.Err())
}

func (d *database) AddSigningKey(_ context.Context, k auth.SigningKey) error {
	if d.beforeAdd != nil {
		d.beforeAdd()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down != nil || slices.ContainsFunc(d.keys, func(other auth.SigningKey) bool { return other.Previous == k.Previous }) {
		return d.down
	}
	d.keys = slices.Insert(d.keys, 0, k)
	return nil
}

func (d *database) Credential(ctx context.Context, clientID string) (auth.Credential, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.silent {
		<-ctx.Done()
		return auth.Credential{}, ctx.Err()
	}
	time.Sleep(d.slow)
	if c, ok := d.credentials[clientID]; ok || d.down != nil {
		return c, d.down
	}
	return auth.Credential{}, auth.ErrUnknownCredential
}

func (d *database) UseOnce(_ context.Context, clientID string, value []byte, _ time.Time) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	used := clientID + " " + string(value)
	first := !d.used[used] && d.down == nil
	d.used[used] = true
	return first, d.down
}

// change does something to the tables.
func (d *database) change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// firstKey is made once, since making one takes long.
var firstKey = sync.OnceValue(func() auth.SigningKey {
	d := &database{}
	if _, err := auth.New(context.Background(), d.config(&clock{now: start})); err != nil {
		panic(err)
	}
	return d.keys[0]
})

func newDatabase() *database {
	revoked := start
	return &database{
		keys: []auth.SigningKey{firstKey()}, used: map[string]bool{},
		credentials: map[string]auth.Credential{
			clientID: {ClientID: clientID, Merchant: tenant, SecretHash: auth.HashSecret(secret), Scopes: auth.AllScopes},
			"reader": {
				ClientID: "reader", Merchant: tenant, SecretHash: auth.HashSecret(secret),
				Scopes: auth.Scopes{auth.PaymentsRead, auth.AccountsRead, "spells:cast"},
			},
			"powerless": {ClientID: "powerless", Merchant: tenant, SecretHash: auth.HashSecret(secret)},
			"revoked":   {ClientID: "revoked", Merchant: tenant, SecretHash: auth.HashSecret(secret), RevokedAt: &revoked},
			"a b:ü%":    {ClientID: "never found, since ü is not allowed", SecretHash: auth.HashSecret(secret)},
			"a b:c%+/":  {ClientID: "a b:c%+/", Merchant: tenant, SecretHash: auth.HashSecret("x :%+&="), Scopes: auth.AllScopes},
		},
	}
}

func (d *database) config(c *clock) auth.Config {
	return auth.Config{
		Issuer: issuerURL, Audience: audience, Keys: d, Credentials: d, Address: addresses(), Now: c.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// fromHeader says in a test where a request comes from.
const fromHeader = "Test-From"

// addresses are those that the header says, and without it one of its own for each request.
func addresses() func(*http.Request) netip.Addr {
	last := netip.MustParseAddr("10.0.0.0")
	var mu sync.Mutex
	return func(r *http.Request) netip.Addr {
		if from, err := netip.ParseAddr(r.Header.Get(fromHeader)); err == nil {
			return from
		}
		mu.Lock()
		defer mu.Unlock()
		last = last.Next()
		return last
	}
}

// node is a gateway: an issuer that serves over HTTP.
type node struct {
	*auth.Issuer
	url string
	db  *database
	*clock
}

func startNode(t testing.TB, db *database, c *clock) *node {
	t.Helper()
	issuer, err := auth.New(t.Context(), db.config(c))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(issuer.Handler())
	t.Cleanup(server.Close)
	return &node{issuer, server.URL, db, c}
}

func newNode(t testing.TB) *node { return startNode(t, newDatabase(), &clock{now: start}) }

// reply is what the token endpoint said.
type reply struct {
	status int
	header http.Header
	body   string

	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	Scope       string `json:"scope"`
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

func do(t testing.TB, r *http.Request) reply {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := reply{status: response.StatusCode, header: response.Header, body: string(body)}
	if err := json.Unmarshal(body, &got); err != nil && r.URL.Path == auth.TokenPath {
		t.Fatalf("not JSON: %q", body)
	}
	return got
}

// ask posts a form to the token endpoint.
func (n *node) ask(t testing.TB, form string, change func(*http.Request)) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.url+auth.TokenPath, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if change != nil {
		change(r)
	}
	return do(t, r)
}

// token gets an access token with all that the credential allows.
func (n *node) token(t testing.TB) string {
	t.Helper()
	got := n.ask(t, "grant_type=client_credentials", basic(clientID, secret))
	if got.status != http.StatusOK {
		t.Fatalf("no token: %d %s", got.status, got.body)
	}
	return got.AccessToken
}

// basic authenticates as RFC 6749, section 2.3.1, has it.
func basic(id, secret string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) }
}

// privateOf opens a stored key.
func privateOf(t testing.TB, k auth.SigningKey) *rsa.PrivateKey {
	t.Helper()
	private, err := x509.ParsePKCS8PrivateKey(k.Private)
	if err != nil {
		t.Fatal(err)
	}
	return private.(*rsa.PrivateKey)
}
