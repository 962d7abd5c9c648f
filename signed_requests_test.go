package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/auth/httpsig"
	"github.com/paygraph/paygraph/store/storetest"
)

// signingClient is a merchant's backend that signs its requests.
type signingClient struct {
	*client
	key httpsig.Key
	to  httpsig.Target // the gateway's public URL
}

// request is a signed one with an operation.
func (c signingClient) request(t *testing.T, query string, variables map[string]any) *http.Request {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+"/graphql", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+c.token)
	err = httpsig.Sign(r, c.to, body, c.key, httpsig.Signature{
		Components: []string{"@method", "@target-uri", "content-digest", "content-type", "authorization"}, Created: time.Now(), Nonce: rand.Text(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// code sends a request, and returns the code of the first error or of the refusal, "" where there is none.
func (c signingClient) code(t *testing.T, r *http.Request) string {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Errors []graphQLError
		Data   struct{ Made struct{ Code string } }
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if len(answer.Errors) > 0 {
		return answer.Errors[0].Extensions.Code
	}
	return answer.Data.Made.Code
}

const createSigned = `mutation ($input: CreateCustomerInput!) { made: createCustomer(input: $input) { ... on UserError { code } } }`

func newCustomer(key string) map[string]any {
	return map[string]any{"input": map[string]any{"idempotencyKey": "signed-requests-" + key, "name": "Ada"}}
}

// TestRequestsAreSigned with a secret and with a private key, at two nodes, where the credential asks for it.
func TestRequestsAreSigned(t *testing.T) {
	t.Parallel()
	database := []string{"DATABASE_URL=" + storetest.Empty(t)}
	output(t, database, "migrate")
	variables := append(database, "PUBLIC_URL=http://127.0.0.1:1") // one token for both
	first, second := nodeAt(t, variables), nodeAt(t, variables)
	made := makeMerchant(t, database)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	var secret, pair struct {
		KeyID  string
		Secret []byte
	}
	decode(t, output(t, database, "credential", "sign", "add", made.ClientID, "--json"), &secret)
	decode(t, output(t, database, "credential", "sign", "add", made.ClientID, "--public", file, "--json"), &pair)
	stolen := clientOf(t, second, made.ClientID, made.ClientSecret)
	if errs, err := stolen.ask(createSigned, newCustomer("before"), nil); err != nil || len(errs) > 0 {
		t.Errorf("before anything has to be signed: %v, %v", errs, err)
	}
	wantContains(t, output(t, database, "credential", "sign", "require", made.ClientID, "createCustomer"), "createCustomer")

	for name, key := range map[string]httpsig.Key{
		"a secret": httpsig.NewHMAC(secret.KeyID, secret.Secret), "a pair of keys": httpsig.NewPrivate(pair.KeyID, private),
	} {
		c := signingClient{clientOf(t, first, made.ClientID, made.ClientSecret), key, httpsig.Target{Scheme: "http", Authority: "127.0.0.1:1"}}
		if errs, err := c.ask(createSigned, newCustomer("unsigned"), nil); err != nil || len(errs) == 0 || errs[0].Extensions.Code != "SIGNATURE_REQUIRED" {
			t.Errorf("%s: not signed: %v, %v", name, errs, err)
		}
		r := c.request(t, createSigned, newCustomer("by-"+key.ID))
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		again := func(url string) *http.Request {
			r := r.Clone(t.Context())
			r.Body = io.NopCloser(bytes.NewReader(body))
			r.URL.Host = strings.TrimPrefix(url, "http://")
			return r
		}
		if code := c.code(t, again(first.url)); code != "" {
			t.Errorf("%s: signed: %s", name, code)
		}
		for _, url := range []string{first.url, second.url} {
			if code := c.code(t, again(url)); code != "SIGNATURE_INVALID" {
				t.Errorf("%s: again: %q", name, code)
			}
		}
		if errs, err := c.ask(`{ viewer { merchant { id } } }`, nil, nil); err != nil || len(errs) > 0 {
			t.Errorf("%s: a query: %v, %v", name, errs, err)
		}
	}

	for what, args := range map[string][]string{
		"there is no mutation":   {"require", made.ClientID, "createCustomers"},
		"there is no credential": {"require", "pgc_none", "createCustomer"},
		"there is no key":        {"remove", made.ClientID, "none"},
	} {
		p := run(t, database, append([]string{"credential", "sign"}, args...)...)
		if status := p.wait(); status == 0 || !strings.Contains(p.log.String(), what) {
			t.Errorf("%v: %d %s", args, status, p.log)
		}
	}
	awaitCode(t, stolen, "an old token", "SIGNATURE_REQUIRED")
	output(t, database, "credential", "sign", "remove", made.ClientID, pair.KeyID)
	if p := run(t, database, "credential", "sign", "remove", made.ClientID, secret.KeyID); p.wait() == 0 {
		t.Error("the last key was taken away from a credential that has to sign")
	}
	output(t, database, "credential", "sign", "require", made.ClientID)
	awaitCode(t, stolen, "nothing takes a signature", "")
	output(t, database, "credential", "revoke", made.ClientID)
	awaitCode(t, stolen, "a credential that was revoked", "UNAUTHENTICATED")
}

// awaitCode asks until the answer has a code: a node sees changes of a credential within auth.CredentialAge.
func awaitCode(t *testing.T, c *client, what, code string) {
	t.Helper()
	var last string
	for end := time.Now().Add(auth.CredentialAge + 10*time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		errs, err := c.ask(createSigned, newCustomer(rand.Text()), nil)
		if last = ""; err != nil {
			last = err.Error()
		} else if len(errs) > 0 {
			last = errs[0].Extensions.Code
		}
		if last == code || err != nil && code != "" && strings.Contains(last, code) {
			return
		}
	}
	t.Errorf("%s: %q, want %q", what, last, code)
}
