package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/paygraph/paygraph/auth"
)

// signer is a client's key.
type signer struct {
	private   any
	algorithm jwa.SignatureAlgorithm
}

var (
	rsaSigner = sync.OnceValue(func() signer {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		return signer{key, jwa.RS256()}
	})
	ecSigner = sync.OnceValue(func() signer { return newEC(elliptic.P256(), jwa.ES256()) })
)

func newEC(curve elliptic.Curve, algorithm jwa.SignatureAlgorithm) signer {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return signer{key, algorithm}
}

func newEd() signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return signer{key, jwa.EdDSA()}
}

// public is the key as a client registers it: a JSON Web Key, with a kid and an algorithm where they are not "".
func (s signer) public(t testing.TB, kid, algorithm string) string {
	t.Helper()
	key, err := jwk.PublicKeyOf(s.private)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{jwk.KeyIDKey: kid, jwk.AlgorithmKey: algorithm} {
		if value != "" {
			if err := key.Set(name, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	text, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func mustKeys(t testing.TB, text string) auth.ClientKeys {
	t.Helper()
	keys, err := auth.ParseClientKeys([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func setOf(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

const signs = "signer" // the client id of one who signs

// claims are those of an assertion that is good.
func claims(jti string) map[string]any {
	return map[string]any{
		"iss": signs, "sub": signs, "aud": issuerURL, "jti": jti, "iat": start.Unix(), "exp": start.Add(time.Minute).Unix(),
	}
}

// sign makes an assertion with claims, and with a header that is changed.
func (s signer) sign(t testing.TB, claims, header map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	headers := jws.NewHeaders()
	for name, value := range header {
		if err := headers.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	signed, err := jws.Sign(payload, jws.WithKey(s.algorithm, s.private, jws.WithProtectedHeaders(headers)))
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

func asserting(assertion string, more ...string) string {
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}
	for n := 0; n < len(more); n += 2 {
		form.Set(more[n], more[n+1])
	}
	return form.Encode()
}

// signing is a node with a client that signs with some keys.
func signing(t testing.TB, keys string) *node {
	t.Helper()
	n := newNode(t)
	n.db.change(func() {
		n.db.credentials[signs] = auth.Credential{ClientID: signs, Merchant: tenant, Keys: mustKeys(t, keys), Scopes: auth.AllScopes}
	})
	return n
}

func TestAClientSignsIn(t *testing.T) {
	t.Parallel()
	ps := signer{rsaSigner().private, jwa.PS256()}
	for _, c := range []struct {
		name           string
		by             signer
		kid, algorithm string // as registered
		header         map[string]any
		change         map[string]any
		form           []string
	}{
		{name: "RS256", by: rsaSigner()},
		{name: "PS256", by: ps, algorithm: "PS256"},
		{name: "ES256", by: ecSigner()},
		{name: "ES384", by: newEC(elliptic.P384(), jwa.ES384())},
		{name: "ES512", by: newEC(elliptic.P521(), jwa.ES512())},
		{name: "EdDSA", by: newEd()},
		{name: "Ed25519", by: signer{newEd().private, jwa.EdDSAEd25519()}},
		{name: "EdDSA, registered as Ed25519", by: newEd(), algorithm: "Ed25519"},
		{name: "named", by: ecSigner(), kid: "2026", header: map[string]any{"kid": "2026", "typ": "JWT"}},
		{name: "typed", by: ecSigner(), header: map[string]any{"typ": "client-authentication+jwt"}},
		{name: "for the token endpoint", by: ecSigner(), change: map[string]any{"aud": []string{issuerURL + auth.TokenPath}}},
		{name: "for both", by: ecSigner(), change: map[string]any{"aud": []string{issuerURL, issuerURL + auth.TokenPath}}},
		{name: "with client_id", by: ecSigner(), form: []string{"client_id", signs}},
		{name: "narrowed", by: ecSigner(), form: []string{"scope", "payments:read"}},
		{name: "without iat", by: ecSigner(), change: map[string]any{"iat": nil}},
		{name: "a clock that is ahead", by: ecSigner(), change: map[string]any{"iat": start.Unix() + 4, "nbf": start.Unix() + 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := signing(t, c.by.public(t, c.kid, c.algorithm))
			got := n.ask(t, asserting(c.by.sign(t, changed(claims("1"), c.change), c.header), c.form...), nil)
			if got.status != http.StatusOK || got.Scope == "" {
				t.Fatalf("%d %s", got.status, got.body)
			}
			p, err := n.Authenticate(t.Context(), "Bearer "+got.AccessToken)
			if err != nil || p.Kind != auth.Backend || p.Merchant != tenant || p.Subject != signs {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
}

// changed is claims with others; nil takes one away.
func changed(claims, change map[string]any) map[string]any {
	for name, value := range change {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return claims
}

// TestAnAssertionIsRefused for everything that RFC 7523, section 3, and RFC 8725 name.
func TestAnAssertionIsRefused(t *testing.T) {
	t.Parallel()
	ec, stranger := ecSigner(), newEC(elliptic.P256(), jwa.ES256())
	der, err := x509.MarshalPKIXPublicKey(rsaSigner().private.(*rsa.PrivateKey).Public())
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	n := signing(t, setOf(ec.public(t, "ec", ""), rsaSigner().public(t, "rsa", "")))
	n.db.change(func() {
		revoked := start
		n.db.credentials["gone"] = auth.Credential{ClientID: "gone", Keys: mustKeys(t, ec.public(t, "ec", "")), Scopes: auth.AllScopes, RevokedAt: &revoked}
	})
	strangersKey, err := jwk.PublicKeyOf(stranger.private)
	if err != nil {
		t.Fatal(err)
	}
	named := func(more ...any) map[string]any {
		header := map[string]any{"kid": "ec"}
		for i := 0; i < len(more); i += 2 {
			header[more[i].(string)] = more[i+1]
		}
		return header
	}
	with := func(more ...any) map[string]any {
		change := map[string]any{}
		for i := 0; i < len(more); i += 2 {
			change[more[i].(string)] = more[i+1]
		}
		return changed(claims(rand.Text()), change)
	}
	good := ec.sign(t, with(), named())
	parts := strings.Split(good, ".")
	raw := base64.RawURLEncoding
	for name, assertion := range map[string]string{
		"nothing of the kind":       "x",
		"empty parts":               "..",
		"alg none":                  raw.EncodeToString([]byte(`{"alg":"none","kid":"ec"}`)) + "." + parts[1] + ".",
		"without a signature":       parts[0] + "." + parts[1] + ".",
		"another payload":           parts[0] + "." + raw.EncodeToString([]byte(`{"iss":"signer","sub":"signer"}`)) + "." + parts[2],
		"a signature of zeros":      parts[0] + "." + parts[1] + "." + raw.EncodeToString(make([]byte, 64)),
		"an end that is cut":        good[:len(good)-4],
		"white space":               good + "\n",
		"the public key as secret":  signer{publicPEM, jwa.HS256()}.sign(t, with(), map[string]any{"kid": "rsa"}),
		"another algorithm":         signer{rsaSigner().private, jwa.PS256()}.sign(t, with(), map[string]any{"kid": "rsa"}),
		"a stranger's key":          stranger.sign(t, with(), named()),
		"a stranger's key, shown":   stranger.sign(t, with(), named("jwk", strangersKey)),
		"a stranger's key, linked":  stranger.sign(t, with(), named("jku", "http://127.0.0.1:1/keys")),
		"another key's name":        ec.sign(t, with(), map[string]any{"kid": "rsa"}),
		"no key's name":             ec.sign(t, with(), nil),
		"a name that is no key's":   ec.sign(t, with(), map[string]any{"kid": "../ec"}),
		"an access token's type":    ec.sign(t, with(), named("typ", "at+jwt")),
		"an extension":              ec.sign(t, with(), named("crit", []string{"exp"}, "exp", 1)),
		"of another":                ec.sign(t, with("iss", "shop", "sub", "shop"), named()),
		"about another":             ec.sign(t, with("sub", "shop"), named()),
		"by another":                ec.sign(t, with("iss", "shop"), named()),
		"by nobody":                 ec.sign(t, with("iss", nil), named()),
		"about nobody":              ec.sign(t, with("sub", nil), named()),
		"by one who is not known":   ec.sign(t, with("iss", "nobody", "sub", "nobody"), named()),
		"by one who is revoked":     ec.sign(t, with("iss", "gone", "sub", "gone"), named()),
		"for nobody":                ec.sign(t, with("aud", nil), named()),
		"for an empty list":         ec.sign(t, with("aud", []string{}), named()),
		"for another":               ec.sign(t, with("aud", "https://other.example"), named()),
		"for another, too":          ec.sign(t, with("aud", []string{issuerURL, "https://other.example"}), named()),
		"for the API":               ec.sign(t, with("aud", audience), named()),
		"for one of a longer name":  ec.sign(t, with("aud", issuerURL+"/"), named()),
		"without an end":            ec.sign(t, with("exp", nil), named()),
		"ended":                     ec.sign(t, with("exp", start.Unix()), named()),
		"ends in six minutes":       ec.sign(t, with("exp", start.Unix()+360), named()),
		"an end that is a text":     ec.sign(t, with("exp", "never"), named()),
		"made tomorrow":             ec.sign(t, with("iat", start.Unix()+86400), named()),
		"good from tomorrow on":     ec.sign(t, with("nbf", start.Unix()+86400), named()),
		"without a name of its own": ec.sign(t, with("jti", nil), named()),
		"an empty name":             ec.sign(t, with("jti", ""), named()),
		"too long":                  ec.sign(t, with("x", strings.Repeat("x", auth.MaxToken)), named()),
	} {
		t.Run(name, func(t *testing.T) {
			got := n.ask(t, asserting(assertion), nil)
			if got.status != http.StatusUnauthorized || got.Error != "invalid_client" || got.AccessToken != "" {
				t.Errorf("%d %s", got.status, got.body)
			}
			if strings.Contains(got.body, signs) {
				t.Errorf("it tells what was sent: %s", got.body)
			}
		})
	}
	if got := n.ask(t, asserting(good), nil); got.status != http.StatusOK {
		t.Errorf("the one that is good: %d %s", got.status, got.body)
	}
	if _, err := n.Authenticate(t.Context(), "Bearer "+ec.sign(t, with("aud", audience), named("typ", "JWT"))); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("an assertion as an access token: %v", err)
	}
	if got := n.ask(t, asserting(n.token(t)), nil); got.status != http.StatusUnauthorized {
		t.Errorf("an access token as an assertion: %d %s", got.status, got.body)
	}
}

func TestARequestWithAnAssertionIsMalformed(t *testing.T) {
	t.Parallel()
	n := signing(t, ecSigner().public(t, "", ""))
	good := func() string { return ecSigner().sign(t, claims(rand.Text()), nil) }
	for name, c := range map[string]struct {
		form   string
		change func(*http.Request)
	}{
		"without a type":      {asserting(good(), "client_assertion_type", ""), nil},
		"SAML":                {asserting(good(), "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), nil},
		"with a secret":       {asserting(good(), "client_secret", secret), nil},
		"with HTTP Basic":     {asserting(good()), basic(clientID, secret)},
		"of another client":   {asserting(good(), "client_id", clientID), nil},
		"twice":               {asserting(good()) + "&client_assertion=x", nil},
		"in the URL":          {"grant_type=client_credentials", func(r *http.Request) { r.URL.RawQuery = asserting(good()) }},
		"of none, client_id":  {asserting("x", "client_id", signs), nil},
		"all three in a form": {asserting(good(), "client_id", signs, "client_secret", secret), nil},
	} {
		if got := n.ask(t, c.form, c.change); got.status != http.StatusBadRequest || got.Error != "invalid_request" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	for name, change := range map[string]func(*http.Request){
		"a credential with keys has no secret":         basic(signs, secret),
		"a credential with keys has no empty secret":   basic(signs, ""),
		"a credential with keys has no secret of zero": basic(signs, "\x00"),
	} {
		if got := n.ask(t, "grant_type=client_credentials", change); got.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	shop := changed(claims("1"), map[string]any{"iss": clientID, "sub": clientID})
	if got := n.ask(t, asserting(ecSigner().sign(t, shop, nil)), nil); got.status != http.StatusUnauthorized {
		t.Errorf("a credential with a secret has no keys: %d %s", got.status, got.body)
	}
}

// TestAnAssertionIsGoodOnce, at all nodes.
func TestAnAssertionIsGoodOnce(t *testing.T) {
	t.Parallel()
	first := signing(t, ecSigner().public(t, "", ""))
	second := startNode(t, first.db, first.clock)
	assertion := ecSigner().sign(t, claims("1"), nil)
	statuses := make([]int, 16)
	var all sync.WaitGroup
	for i := range statuses {
		all.Go(func() { statuses[i] = []*node{first, second}[i%2].ask(t, asserting(assertion), nil).status })
	}
	all.Wait()
	slices.Sort(statuses)
	if statuses[0] != http.StatusOK || statuses[1] != http.StatusUnauthorized {
		t.Errorf("%v", statuses)
	}
	same := ecSigner().sign(t, changed(claims("1"), map[string]any{"exp": start.Add(4 * time.Minute).Unix()}), nil)
	if got := first.ask(t, asserting(same), nil); got.status != http.StatusUnauthorized {
		t.Errorf("another of the same name: %d %s", got.status, got.body)
	}
	first.db.change(func() { first.db.down = errors.New("down") })
	if got := first.ask(t, asserting(ecSigner().sign(t, claims("2"), nil)), nil); got.status != http.StatusServiceUnavailable {
		t.Errorf("while nobody knows whether it was used: %d %s", got.status, got.body)
	}
}

// TestKeysAreChanged without a pause: both are good for a while.
func TestKeysAreChanged(t *testing.T) {
	t.Parallel()
	old, recent := ecSigner(), newEd()
	n := signing(t, old.public(t, "old", ""))
	good := func(by signer, kid string) bool {
		return n.ask(t, asserting(by.sign(t, claims(rand.Text()), map[string]any{"kid": kid})), nil).status == http.StatusOK
	}
	set := func(keys ...string) {
		n.db.change(func() {
			c := n.db.credentials[signs]
			c.Keys = mustKeys(t, setOf(keys...))
			n.db.credentials[signs] = c
		})
	}
	before := good(old, "old") && !good(recent, "new")
	set(old.public(t, "old", ""), recent.public(t, "new", ""))
	both := good(old, "old") && good(recent, "new")
	set(recent.public(t, "new", ""))
	after := !good(old, "old") && good(recent, "new")
	if !before || !both || !after {
		t.Errorf("before %v, both %v, after %v", before, both, after)
	}
}

func TestClientKeysAreRead(t *testing.T) {
	t.Parallel()
	private := rsaSigner().private.(*rsa.PrivateKey)
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	inPEM := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	keys := mustKeys(t, inPEM)
	if ids := keys.IDs(); len(ids) != 1 || len(ids[0]) != 43 {
		t.Errorf("a key in PEM has the identifiers %q", ids)
	}
	text, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	if again := mustKeys(t, string(text)); !slices.Equal(again.IDs(), keys.IDs()) || !strings.Contains(string(text), `"RS256"`) {
		t.Errorf("read again: %s", text)
	}
	if text, err := json.Marshal(auth.ClientKeys{}); err != nil || string(text) != "null" || !(auth.ClientKeys{}).Empty() {
		t.Errorf("no keys: %s, %v", text, err)
	}

	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	ec := ecSigner()
	secretKey, err := json.Marshal(mustImport(t, ec.private))
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	many := make([]string, auth.MaxClientKeys+1)
	for i := range many {
		many[i] = newEd().public(t, "", "")
	}
	for name, text := range map[string]string{
		"nothing":                  "",
		"no keys":                  setOf(),
		"a text":                   "ssh-ed25519 AAAA me@here",
		"a private key":            string(secretKey),
		"a private key in PEM":     string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})),
		"a secret":                 `{"kty":"oct","k":"c2VjcmV0"}`,
		"1024 bits":                signer{weak, jwa.RS256()}.publicPEM(t),
		"another curve":            newEC(elliptic.P224(), jwa.ES256()).publicPEM(t),
		"an algorithm of another":  ec.public(t, "", "RS256"),
		"HS256":                    rsaSigner().public(t, "", "HS256"),
		"none":                     rsaSigner().public(t, "", "none"),
		"for encryption":           strings.Replace(ec.public(t, "", ""), "{", `{"use":"enc",`, 1),
		"two of a name":            setOf(ec.public(t, "a", ""), newEd().public(t, "a", "")),
		"an identifier of letters": ec.public(t, "schlüssel", ""),
		"too many":                 setOf(many...),
	} {
		if keys, err := auth.ParseClientKeys([]byte(text)); !errors.Is(err, auth.ErrClientKeys) {
			t.Errorf("%s: %v, %v", name, keys.IDs(), err)
		} else if strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: it is told to the log: %v", name, err)
		}
	}
}

func (s signer) publicPEM(t testing.TB) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(s.private.(crypto.Signer).Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func mustImport(t testing.TB, raw any) jwk.Key {
	t.Helper()
	key, err := jwk.Import(raw)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
