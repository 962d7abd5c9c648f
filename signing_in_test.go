package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/paygraph/paygraph/store/storetest"
)

// backend is a merchant's server with a key of its own.
type backend struct {
	key      *ecdsa.PrivateKey
	file     string // of its public half, in PEM
	clientID string
}

func newBackend(t *testing.T, dir, name string) *backend {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{key: key, file: filepath.Join(dir, name)}
	if err := os.WriteFile(b.file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

// assertion is what it shows, once.
func (b *backend) assertion(t *testing.T, audience string) string {
	t.Helper()
	claims, err := jwt.NewBuilder().Issuer(b.clientID).Subject(b.clientID).Audience([]string{audience}).JwtID(rand.Text()).
		Expiration(time.Now().Add(time.Minute)).Build()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := jwt.Sign(claims, jwt.WithKey(jwa.ES256(), b.key))
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

// nodeAt is a node of a gateway that clients reach under another name.
func nodeAt(t *testing.T, variables []string) *program {
	t.Helper()
	n := &node{port: freePort(t), variables: variables}
	n.begin(t)
	n.ready()
	return n.program
}

func tokenOf(t *testing.T, p *program, assertion string) (token string, status int) {
	t.Helper()
	return tokenBy(t, p, url.Values{
		"client_assertion": {assertion}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	})
}

// TestABackendSignsIn with a key of its own, and changes it, at two nodes.
func TestABackendSignsIn(t *testing.T) {
	t.Parallel()
	database := []string{"DATABASE_URL=" + storetest.Empty(t)}
	output(t, database, "migrate")
	variables := append(database, "PUBLIC_URL=http://127.0.0.1:1")
	const audience = "http://127.0.0.1:1"
	first, second := nodeAt(t, variables), nodeAt(t, variables)
	withSecret := makeMerchant(t, database)

	dir := t.TempDir()
	b, next := newBackend(t, dir, "old.pem"), newBackend(t, dir, "new.pem")
	var made struct {
		ClientID, ClientSecret string
		KeyIDs                 []string
	}
	decode(t, output(t, database, "credential", "create", "--merchant", withSecret.MerchantID, "--keys", b.file, "--json"), &made)
	if made.ClientSecret != "" || len(made.KeyIDs) != 1 {
		t.Errorf("%+v", made)
	}
	b.clientID, next.clientID = made.ClientID, made.ClientID

	assertion := b.assertion(t, audience)
	token, status := tokenOf(t, first, assertion)
	if status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	var data struct {
		Viewer struct{ Merchant struct{ ID string } }
	}
	clientAt(second.url, token).must(t, `{ viewer { merchant { id } } }`, nil, &data)
	if data.Viewer.Merchant.ID != withSecret.MerchantID {
		t.Errorf("%+v", data)
	}
	if _, status := tokenOf(t, second, assertion); status != http.StatusUnauthorized {
		t.Errorf("the same again, at another node: %d", status)
	}
	if _, status := tokenOf(t, first, next.assertion(t, audience)); status != http.StatusUnauthorized {
		t.Errorf("a key that is not known yet: %d", status)
	}

	wantContains(t, output(t, database, "credential", "keys", made.ClientID, next.file), made.ClientID)
	if _, status := tokenOf(t, second, next.assertion(t, audience)); status != http.StatusOK {
		t.Errorf("the new key: %d", status)
	}
	if _, status := tokenOf(t, first, b.assertion(t, audience)); status != http.StatusUnauthorized {
		t.Errorf("the old key: %d", status)
	}
	wantContains(t, refusal(t, database, "credential", "keys", withSecret.ClientID, next.file), "has a secret")
	wantContains(t, refusal(t, database, "credential", "keys", "nobody", next.file), "no credential nobody")
	none := filepath.Join(dir, "none.pem")
	if err := os.WriteFile(none, []byte("-----BEGIN"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantContains(t, refusal(t, database, "credential", "create", "--merchant", withSecret.MerchantID, "--keys", none), "PEM")

	output(t, database, "credential", "revoke", made.ClientID)
	if _, status := tokenOf(t, first, next.assertion(t, audience)); status != http.StatusUnauthorized {
		t.Errorf("after the revocation: %d", status)
	}
	wantContains(t, output(t, database, "verify"), withSecret.MerchantID)
}

// TestSigningKeysAreRotated by the command: a node that starts then publishes both.
func TestSigningKeysAreRotated(t *testing.T) {
	t.Parallel()
	variables := []string{"DATABASE_URL=" + storetest.Empty(t), "PUBLIC_URL=http://127.0.0.1:1"}
	output(t, variables, "migrate")
	first := nodeAt(t, variables)
	made := makeMerchant(t, variables)
	c := clientOf(t, first, made.ClientID, made.ClientSecret)
	wantContains(t, output(t, variables, "signing-key", "rotate"), "new key")
	second := nodeAt(t, variables)
	var data struct {
		Viewer struct{ Merchant struct{ ID string } }
	}
	clientAt(second.url, c.token).must(t, `{ viewer { merchant { id } } }`, nil, &data)
	response, err := http.Get(second.url + "/.well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var set struct{ Keys []struct{ Kid string } }
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil || len(set.Keys) != 2 {
		t.Errorf("%+v, %v", set, err)
	}
}

// TestACustomerSeesWhatIsItsOwn by a token that its merchant's server has asked for, at another node.
func TestACustomerSeesWhatIsItsOwn(t *testing.T) {
	t.Parallel()
	variables := []string{"DATABASE_URL=" + storetest.Empty(t), "PUBLIC_URL=http://127.0.0.1:1"}
	output(t, variables, "migrate")
	first, second := nodeAt(t, variables), nodeAt(t, variables)
	made := makeMerchant(t, variables)
	shop := clientOf(t, first, made.ClientID, made.ClientSecret)
	own, others := shop.newWallet(t, "10.00"), shop.newWallet(t, "20.00")
	var data struct {
		Account               struct{ Customer struct{ ID string } }
		CreateCustomerSession struct {
			AccessToken string
			ExpiresAt   time.Time
		}
	}
	shop.must(t, `query ($id: ID!) { account(id: $id) { customer { id } } }`, map[string]any{"id": own}, &data)
	customer := data.Account.Customer.ID
	shop.must(t, `mutation ($id: ID!) { createCustomerSession(input: { customerId: $id, lifetimeSeconds: 120 }) {
		... on CreateCustomerSessionSuccess { accessToken expiresAt } } }`, map[string]any{"id": customer}, &data)
	if lasts := time.Until(data.CreateCustomerSession.ExpiresAt); lasts < time.Minute || lasts > 2*time.Minute {
		t.Errorf("it lasts %v", lasts)
	}
	page := clientAt(second.url, data.CreateCustomerSession.AccessToken)
	var seen struct {
		Viewer struct {
			Kind      string
			Customer  struct{ ID string }
			ExpiresAt time.Time
		}
		Accounts     struct{ Nodes []struct{ ID string } }
		Mine, Theirs *struct{ ID string }
	}
	page.must(t, `query ($mine: ID!, $theirs: ID!) { viewer { kind customer { id } expiresAt } accounts { nodes { id } }
		mine: account(id: $mine) { id } theirs: account(id: $theirs) { id } }`, map[string]any{"mine": own, "theirs": others}, &seen)
	if seen.Viewer.Kind != "CUSTOMER" || seen.Viewer.Customer.ID != customer || !seen.Viewer.ExpiresAt.Equal(data.CreateCustomerSession.ExpiresAt) ||
		len(seen.Accounts.Nodes) != 1 || seen.Accounts.Nodes[0].ID != own || seen.Mine == nil || seen.Theirs != nil {
		t.Errorf("%+v", seen)
	}
}

// TestAnOutsideIssuerIsAway: a token of its may be good, so that nobody is to throw it away; and all others are taken.
func TestAnOutsideIssuerIsAway(t *testing.T) {
	t.Parallel()
	database := []string{"DATABASE_URL=" + storetest.Empty(t)}
	output(t, database, "migrate")
	made := makeMerchant(t, database)
	dir, issuer := t.TempDir(), fmt.Sprintf("http://127.0.0.1:%d", freePort(t)) // where nobody listens
	file := filepath.Join(dir, "issuers.json")
	text, err := json.Marshal([]map[string]any{{
		"name": "away", "issuer": issuer, "audience": "api", "algorithms": []string{"ES256"}, "merchant": made.MerchantID,
		"roleClaim": []string{"roles"}, "roles": map[string][]string{"clerk": {"payments:read"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	p := nodeAt(t, append(database, "OUTSIDE_ISSUERS="+file))
	for typ, want := range map[string]int{"at+jwt": http.StatusServiceUnavailable, "JWT": http.StatusUnauthorized} {
		token := newBackend(t, dir, "key.pem").staffToken(t, issuer, typ)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/graphql", strings.NewReader(`{"query":"{ viewer { kind } }"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != want || want == http.StatusServiceUnavailable && !strings.Contains(string(answer), `"UNAVAILABLE"`) {
			t.Errorf("%s: %d %s, %v; want %d", typ, response.StatusCode, answer, err, want)
		}
	}
	clientOf(t, p, made.ClientID, made.ClientSecret).must(t, `{ viewer { kind } }`, nil, nil)
}

// staffToken is an access token as an outside issuer would make it.
func (b *backend) staffToken(t *testing.T, issuer, typ string) string {
	t.Helper()
	claims, err := jwt.NewBuilder().Issuer(issuer).Subject("248289761001").Audience([]string{"api"}).IssuedAt(time.Now()).
		Expiration(time.Now().Add(time.Minute)).Claim("roles", []string{"clerk"}).Build()
	if err != nil {
		t.Fatal(err)
	}
	headers := jws.NewHeaders()
	if err := errors.Join(headers.Set(jws.TypeKey, typ), headers.Set(jws.KeyIDKey, "one")); err != nil {
		t.Fatal(err)
	}
	signed, err := jwt.Sign(claims, jwt.WithKey(jwa.ES256(), b.key, jws.WithProtectedHeaders(headers)))
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}
