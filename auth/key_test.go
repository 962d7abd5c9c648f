package auth_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth"
)

// kidOf is the key that a token names.
func kidOf(t testing.TB, token string) string {
	t.Helper()
	header, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	if err != nil {
		t.Fatal(err)
	}
	var fields struct{ Alg, Typ, Kid string }
	if err := json.Unmarshal(header, &fields); err != nil || fields.Alg != "RS256" || fields.Typ != "at+jwt" {
		t.Fatalf("%s, %v", header, err)
	}
	return fields.Kid
}

func TestNodesThatStartAtOnceShareOneKey(t *testing.T) {
	t.Parallel()
	db, c := newDatabase(), &clock{now: start}
	db.keys = nil
	nodes := make([]*node, 4)
	var started sync.WaitGroup
	for i := range nodes {
		started.Go(func() { nodes[i] = startNode(t, db, c) })
	}
	started.Wait()
	if len(db.keys) != 1 {
		t.Fatalf("%d keys", len(db.keys))
	}
	for _, issuer := range nodes {
		for _, other := range nodes {
			if _, err := other.Authenticate(t.Context(), "Bearer "+issuer.token(t)); err != nil {
				t.Error(err)
			}
		}
	}
}

// A new key is known everywhere before it signs, and an old one is believed until its last token has ended.
func TestRotation(t *testing.T) {
	t.Parallel()
	db, c := newDatabase(), &clock{now: start}
	one, two := startNode(t, db, c), startNode(t, db, c)
	var rotated, both sync.WaitGroup
	both.Add(2)
	db.beforeAdd = func() { both.Done(); both.Wait() } // neither adds before the other has read
	for range 2 {                                      // both at once: one new key
		rotated.Go(func() {
			if err := auth.RotateKeys(t.Context(), db, c.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	rotated.Wait()
	if len(db.keys) != 2 || db.keys[0].Previous != db.keys[1].ID {
		t.Fatalf("%d keys", len(db.keys))
	}
	newID, oldID := db.keys[0].ID, db.keys[1].ID
	old := one.token(t)
	for _, step := range []struct {
		after time.Duration
		kid   string // who signs
		keys  int    // how many are published
	}{
		{time.Minute, oldID, 2},
		{9 * time.Minute, oldID, 2},
		{10 * time.Minute, newID, 2},
		{24 * time.Hour, newID, 2},
		{25 * time.Hour, newID, 1},
	} {
		c.Advance(start.Add(step.after).Sub(c.Now()))
		token := one.token(t)
		if kid := kidOf(t, token); kid != step.kid {
			t.Errorf("after %s %s signs, want %s", step.after, kid, step.kid)
		}
		if _, err := two.Authenticate(t.Context(), "Bearer "+token); err != nil {
			t.Errorf("after %s: %v", step.after, err)
		}
		if keys := keySet(t, two); len(keys) != step.keys {
			t.Errorf("after %s %d keys are published, want %d", step.after, len(keys), step.keys)
		}
		if step.after == 10*time.Minute {
			if _, err := two.Authenticate(t.Context(), "Bearer "+old); err != nil {
				t.Errorf("a token of the old key: %v", err)
			}
		}
	}
}

func TestAnUnknownKeyIsLookedForNowAndThen(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	added := secondKey()
	n.db.change(func() { n.db.keys = slices.Insert(n.db.keys, 0, added) })
	token := func(kid string) string {
		return "Bearer " + forge(t, with(goodHeader(), "kid", kid), goodClaims(), byRSA(t, privateOf(t, added)))
	}
	n.Advance(3 * time.Second)
	gone, leave := context.WithCancel(t.Context()) // a client that is gone must not spoil the reading for others
	leave()
	if _, err := n.Authenticate(gone, token(added.ID)); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("who is gone: %v", err)
	}
	if _, err := n.Authenticate(t.Context(), token(added.ID)); err != nil {
		t.Errorf("a key that another node has added: %v", err)
	}
	before := n.db.reads
	for range 100 {
		if _, err := n.Authenticate(t.Context(), token("invented")); !errors.Is(err, auth.ErrUnauthenticated) {
			t.Fatal(err)
		}
	}
	n.Advance(3 * time.Second)
	for range 100 {
		if _, err := n.Authenticate(t.Context(), token("invented")); !errors.Is(err, auth.ErrUnauthenticated) {
			t.Fatal(err)
		}
	}
	if reads := n.db.reads - before; reads != 1 {
		t.Errorf("200 tokens with an invented kid in 3 seconds made %d reads", reads)
	}
}

// secondKey follows the first.
var secondKey = sync.OnceValue(func() auth.SigningKey {
	db := &database{keys: []auth.SigningKey{firstKey()}}
	if err := auth.RotateKeys(context.Background(), db, start); err != nil {
		panic(err)
	}
	return db.keys[0]
})

func TestOldKeysServeWhileTheDatabaseIsDown(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	token := n.token(t)
	if _, err := n.Authenticate(t.Context(), "Bearer "+token); err != nil {
		t.Fatal(err)
	}
	n.db.change(func() { n.db.down = errors.New("down") })
	n.Advance(2 * time.Minute)
	if _, err := n.Authenticate(t.Context(), "Bearer "+token); err != nil {
		t.Errorf("a key that is known: %v", err)
	}
	unknown := forge(t, with(goodHeader(), "kid", "other"), goodClaims(), byRSA(t, privateOf(t, firstKey())))
	if _, err := n.Authenticate(t.Context(), "Bearer "+unknown); err == nil || errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("a key that may be new cannot be judged now, but: %v", err)
	}
}

func TestKeysThatCannotBeUsedAreLeftOut(t *testing.T) {
	t.Parallel()
	db, c := newDatabase(), &clock{now: start}
	future, broken := secondKey(), secondKey()
	future.Format = "pkcs8+kms"
	broken.Private = []byte("x")
	for name, key := range map[string]auth.SigningKey{"another format": future, "broken": broken} {
		db.keys = []auth.SigningKey{key, firstKey()}
		n := startNode(t, db, c)
		if kid := kidOf(t, n.token(t)); kid != firstKey().ID {
			t.Errorf("%s: %s signs", name, kid)
		}
		db.keys = []auth.SigningKey{key}
		if _, err := auth.New(t.Context(), db.config(c)); err == nil {
			t.Errorf("%s: started without a key", name)
		}
	}
}

func TestNewChecksTheConfiguration(t *testing.T) {
	t.Parallel()
	db := newDatabase()
	for name, change := range map[string]func(*auth.Config){
		"no issuer":            func(c *auth.Config) { c.Issuer = "" },
		"issuer without host":  func(c *auth.Config) { c.Issuer = "https://" },
		"issuer with slash":    func(c *auth.Config) { c.Issuer += "/" },
		"issuer with path":     func(c *auth.Config) { c.Issuer += "/a" },
		"issuer with query":    func(c *auth.Config) { c.Issuer += "?a" },
		"issuer with fragment": func(c *auth.Config) { c.Issuer += "#a" },
		"issuer with user":     func(c *auth.Config) { c.Issuer = "https://u:p@pay.example" },
		"issuer of no web":     func(c *auth.Config) { c.Issuer = "ftp://pay.example" },
		"no audience":          func(c *auth.Config) { c.Audience = "" },
		"negative TTL":         func(c *auth.Config) { c.TTL = -time.Second },
		"short TTL":            func(c *auth.Config) { c.TTL = time.Millisecond },
		"broken TTL":           func(c *auth.Config) { c.TTL = 1500 * time.Millisecond },
		"long TTL":             func(c *auth.Config) { c.TTL = auth.MaxTTL + time.Second },
		"no keys":              func(c *auth.Config) { c.Keys = nil },
		"no credentials":       func(c *auth.Config) { c.Credentials = nil },
		"no database":          func(c *auth.Config) { c.Keys = &database{down: errors.New("down")} },
	} {
		config := db.config(&clock{now: start})
		change(&config)
		if _, err := auth.New(t.Context(), config); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// keySet is the published keys.
func keySet(t testing.TB, n *node) []map[string]string {
	t.Helper()
	got := get(t, n, auth.KeySetPath)
	if got.header.Get("Content-Type") != "application/jwk-set+json" {
		t.Errorf("the key set is %s", got.header.Get("Content-Type"))
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal([]byte(got.body), &set); err != nil {
		t.Fatal(err)
	}
	return set.Keys
}

func get(t testing.TB, n *node, path string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "evil.example"
	r.Header.Set("X-Forwarded-Host", "evil.example")
	got := do(t, r)
	if got.status != http.StatusOK || got.header.Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("%s: %d %v", path, got.status, got.header)
	}
	return got
}

// Anyone can check a token with the published key and Go's own RSA.
func TestThePublishedKeyVerifiesTokensAndIsPublicOnly(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	keys := keySet(t, n)
	if len(keys) != 1 || len(keys[0]) != 6 {
		t.Fatalf("want kty, kid, use, alg, n and e only: %v", keys)
	}
	key := keys[0]
	if key["kty"] != "RSA" || key["use"] != "sig" || key["alg"] != "RS256" || key["e"] != "AQAB" {
		t.Errorf("%v", key)
	}
	token := n.token(t)
	if kidOf(t, token) != key["kid"] {
		t.Error("the token names another key")
	}
	modulus, err := base64.RawURLEncoding.DecodeString(key["n"])
	if err != nil {
		t.Fatal(err)
	}
	end := strings.LastIndex(token, ".")
	signature, err := base64.RawURLEncoding.DecodeString(token[end+1:])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(token[:end]))
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: 65537}
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature); err != nil {
		t.Error(err)
	}
	if public.N.BitLen() < 2048 {
		t.Errorf("%d bits", public.N.BitLen())
	}
	if len(token) > 1200 {
		t.Errorf("a token has %d bytes", len(token))
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	const want = `{
		"issuer": "https://pay.example",
		"token_endpoint": "https://pay.example/oauth2/token",
		"jwks_uri": "https://pay.example/.well-known/jwks.json",
		"scopes_supported": ["accounts:read", "accounts:write", "customers:read", "customers:write", "events:read", "ledger:adjust",
			"payments:read", "payments:write", "sessions:write", "transfers:write"],
		"response_types_supported": [],
		"grant_types_supported": ["client_credentials"],
		"token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt"],
		"token_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
	}`
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(want)); err != nil {
		t.Fatal(err)
	}
	if got := get(t, n, auth.MetadataPath).body; strings.TrimSpace(got) != compact.String() {
		t.Errorf("got  %s\nwant %s", got, compact.String())
	}
	for _, path := range []string{auth.MetadataPath, auth.KeySetPath} {
		response, err := http.Post(n.url+path, "text/plain", nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", path, response.StatusCode)
		}
	}
}
