package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
)

// login is an outside issuer: its metadata and its keys over HTTP. What it serves can be changed.
type login struct {
	*httptest.Server
	mu       sync.Mutex
	metadata object
	keys     []object
	down     bool
	asked    int // how often for the metadata
}

func startLogin(t testing.TB) *login {
	l := &login{}
	l.Server = httptest.NewServer(l)
	t.Cleanup(l.Close)
	l.metadata = object{"issuer": l.URL, "jwks_uri": l.URL + "/keys"}
	l.keys = []object{publicKey(t, "rsa", loginKey())}
	return l
}

func (l *login) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var answer any = object{"keys": l.keys}
	switch {
	case l.down:
		http.Error(w, "down", http.StatusBadGateway)
		return
	case r.URL.Path == "/moved/keys":
		http.Redirect(w, r, "/keys", http.StatusFound)
		return
	case r.URL.Path == "/.well-known/openid-configuration":
		l.asked++
		answer = l.metadata
	case r.URL.Path != "/keys":
		http.NotFound(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (l *login) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

var loginKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// publicKey is a key as a provider publishes it.
func publicKey(t testing.TB, kid string, private any) object {
	t.Helper()
	return parsed(t, signer{private: private}.public(t, kid, ""))
}

func parsed(t testing.TB, text string) (o object) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

const api = "https://pay.example/api"

func (l *login) outside() auth.Outside {
	return auth.Outside{
		Name: "acme", Issuer: l.URL, Audience: api, MerchantClaim: []string{"org", "id"},
		Merchants: map[string]answer.MerchantID{"shop": tenant, "other": "mer_02"}, RoleClaim: []string{"roles"},
		Roles: map[string]auth.Scopes{"clerk": {auth.PaymentsRead}, "chief": {auth.PaymentsWrite, auth.AccountsRead}},
	}
}

func (l *login) claims() object {
	return object{
		"iss": l.URL, "aud": api, "sub": "248289761001", "iat": start.Unix(), "exp": start.Add(time.Hour).Unix(),
		"org": object{"id": "shop"}, "roles": []string{"clerk", "cook"},
	}
}

func loginHeader() object { return object{"alg": "RS256", "typ": "at+jwt", "kid": "rsa"} }

// startOutside is a gateway that takes tokens of outside issuers.
func startOutside(t testing.TB, all ...auth.Outside) *node {
	t.Helper()
	db, c := newDatabase(), &clock{now: start}
	config := db.config(c)
	config.Outside = all
	issuer, err := auth.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return &node{Issuer: issuer, db: db, clock: c}
}

func TestTokensOfAnOutsideIssuer(t *testing.T) {
	t.Parallel()
	l := startLogin(t)
	n := startOutside(t, l.outside())
	theirs := byRSA(t, loginKey())
	nested := l.outside()
	nested.RoleClaim = []string{"realm_access", "roles"}
	fixed := l.outside()
	fixed.Merchant, fixed.MerchantClaim, fixed.Merchants = "mer_03", nil, nil
	jwtTyped := l.outside()
	jwtTyped.TokenType = "JWT"
	for name, c := range map[string]struct {
		node     *node
		header   object
		claims   object
		merchant string
		scopes   string
	}{
		"a clerk":             {n, loginHeader(), l.claims(), "mer_01", "payments:read"},
		"another merchant":    {n, loginHeader(), with(l.claims(), "org", object{"id": "other"}), "mer_02", "payments:read"},
		"two roles as words":  {n, loginHeader(), with(l.claims(), "roles", "clerk chief"), "mer_01", "accounts:read payments:read payments:write"},
		"a role as a name":    {n, loginHeader(), with(l.claims(), "roles", object{"chief": object{"since": 1}}), "mer_01", "accounts:read payments:write"},
		"roles taken back":    {n, loginHeader(), with(l.claims(), "roles", object{"chief": false, "clerk": nil}), "mer_01", ""},
		"no roles":            {n, loginHeader(), with(l.claims(), "roles", nil), "mer_01", ""},
		"roles of other kind": {n, loginHeader(), with(l.claims(), "roles", 7), "mer_01", ""},
		"a nonce, as in some": {n, loginHeader(), with(l.claims(), "nonce", "n"), "mer_01", "payments:read"},
		"several audiences":   {n, loginHeader(), with(l.claims(), "aud", []string{"x", api}), "mer_01", "payments:read"},
		"roles that are further in": {
			startOutside(t, nested), loginHeader(), with(l.claims(), "realm_access", object{"roles": []string{"chief"}}), "mer_01", "accounts:read payments:write",
		},
		"one merchant for all": {startOutside(t, fixed), loginHeader(), with(l.claims(), "org", nil), "mer_03", "payments:read"},
		"typ JWT, where told":  {startOutside(t, jwtTyped), with(loginHeader(), "typ", "JWT"), l.claims(), "mer_01", "payments:read"},
	} {
		for range 2 { // verified, and remembered
			p, err := c.node.Authenticate(t.Context(), "Bearer "+forge(t, c.header, c.claims, theirs))
			if err != nil || p.Kind != auth.Staff || p.Subject != "acme:248289761001" || string(p.Merchant) != c.merchant || p.Scopes.String() != c.scopes ||
				!p.Expires.Equal(start.Add(time.Hour)) || p.Customer != "" {
				t.Errorf("%s: %+v, %v", name, p, err)
			}
		}
	}
	if p, err := n.Authenticate(t.Context(), "Bearer "+forge(t, goodHeader(), goodClaims(), byRSA(t, privateOf(t, firstKey())))); err != nil || p.Kind != auth.Backend {
		t.Errorf("the gateway's own token: %+v, %v", p, err)
	}
}

func TestTokensOfAnOutsideIssuerThatAreNot(t *testing.T) {
	t.Parallel()
	l, second := startLogin(t), startLogin(t)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	shared := []byte("a secret of 32 bytes that is a key")
	private := with(parsed(t, mustJSON(t, mustImport(t, stranger))), "kid", "private")
	l.keys = append(
		l.keys, publicKey(t, "ec", curve), with(publicKey(t, "enc", stranger), "use", "enc"), private,
		object{"kty": "oct", "kid": "oct", "k": "YSBzZWNyZXQgb2YgMzIgYnl0ZXMgdGhhdCBpcyBhIGtleQ"}, object{"kty": "spell", "kid": "spell"},
		with(publicKey(t, "pss", stranger), "alg", "PS256"),
	)
	other := second.outside()
	other.Name, other.Algorithms, other.Merchant, other.MerchantClaim, other.Merchants = "other", []string{"ES256"}, "mer_09", nil, nil
	second.keys = []object{publicKey(t, "rsa", curve)} // a key id that the first has, too
	n := startOutside(t, l.outside(), other)
	theirs, strangers := byRSA(t, loginKey()), byRSA(t, stranger)
	h, c := loginHeader(), l.claims()
	es := with(h, "alg", "ES256")
	good := forge(t, h, c, theirs)
	for name, token := range map[string]string{"the first's": good, "the second's": forge(t, es, with(c, "iss", second.URL), byECDSA(t, curve))} {
		if _, err := n.Authenticate(t.Context(), "Bearer "+token); err != nil {
			t.Fatalf("%s token that others differ from: %v", name, err)
		}
	}
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"alg none":                          forge(t, with(h, "alg", "none"), c, unsigned),
		"no signature":                      parts[0] + "." + parts[1] + ".",
		"a shared secret":                   forge(t, with(with(h, "alg", "HS256"), "kid", "oct"), c, byHMAC(shared)),
		"HMAC with the modulus":             forge(t, with(h, "alg", "HS256"), c, byHMAC(loginKey().N.Bytes())),
		"an algorithm that was not said":    forge(t, with(es, "kid", "ec"), c, byECDSA(t, curve)),
		"all zeros with ES256":              forge(t, es, with(c, "iss", second.URL), func([]byte) []byte { return make([]byte, 64) }),
		"RS256 with a key for PS256":        forge(t, with(h, "kid", "pss"), c, strangers),
		"a key for encryption":              forge(t, with(h, "kid", "enc"), c, strangers),
		"a key of which the secret is told": forge(t, with(h, "kid", "private"), c, strangers),
		"a stranger's key":                  forge(t, h, c, strangers),
		"a stranger's key in jwk":           forge(t, with(with(h, "jwk", publicKey(t, "rsa", stranger)), "kid", nil), c, strangers),
		"a stranger's jku":                  forge(t, with(with(h, "jku", second.URL+"/keys"), "kid", "x"), c, strangers),
		"no kid":                            forge(t, with(h, "kid", nil), c, theirs),
		"the gateway's key":                 forge(t, with(h, "kid", firstKey().ID), c, byRSA(t, privateOf(t, firstKey()))),
		"the gateway's key in its name":     forge(t, with(h, "kid", firstKey().ID), goodClaims(), theirs),
		"the first for the second":          forge(t, h, with(c, "iss", second.URL), theirs),
		"the second for the first":          forge(t, es, c, byECDSA(t, curve)),
		"an ID token":                       forge(t, with(h, "typ", "JWT"), c, theirs),
		"no typ":                            forge(t, with(h, "typ", nil), c, theirs),
		"a critical extension":              forge(t, with(with(h, "crit", []string{"x"}), "x", 1), c, theirs),
		"another issuer":                    forge(t, h, with(c, "iss", "https://evil.example"), theirs),
		"its issuer with a slash":           forge(t, h, with(c, "iss", l.URL+"/"), theirs),
		"another audience":                  forge(t, h, with(c, "aud", "https://other.example"), theirs),
		"the gateway's audience":            forge(t, h, with(c, "aud", audience), theirs),
		"no audience":                       forge(t, h, with(c, "aud", nil), theirs),
		"ended":                             forge(t, h, with(c, "exp", start.Unix()), theirs),
		"no end":                            forge(t, h, with(c, "exp", nil), theirs),
		"not valid yet":                     forge(t, h, with(c, "nbf", start.Add(time.Minute).Unix()), theirs),
		"no iat":                            forge(t, h, with(c, "iat", nil), theirs),
		"no sub":                            forge(t, h, with(c, "sub", nil), theirs),
		"a sub with a line break":           forge(t, h, with(c, "sub", "a\nb"), theirs),
		"a sub that is too long":            forge(t, h, with(c, "sub", strings.Repeat("x", 256)), theirs),
		"good for more than a day":          forge(t, h, with(c, "exp", start.Add(24*time.Hour+time.Second).Unix()), theirs),
		"an ID token with at_hash":          forge(t, h, with(c, "at_hash", "x"), theirs),
		"an ID token with c_hash":           forge(t, h, with(c, "c_hash", "x"), theirs),
		"no merchant":                       forge(t, h, with(c, "org", nil), theirs),
		"a merchant that is not known":      forge(t, h, with(c, "org", object{"id": "mer_01"}), theirs),
		"a merchant of another kind":        forge(t, h, with(c, "org", []string{"shop"}), theirs),
		"merchants in an array":             forge(t, h, with(c, "org", object{"id": []string{"shop"}}), theirs),
	} {
		if p, err := n.Authenticate(t.Context(), "Bearer "+token); !errors.Is(err, auth.ErrUnauthenticated) || p.Kind != "" {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

// byECDSA signs as ES256 does (RFC 7518, section 3.4): both numbers in 32 bytes each.
func byECDSA(t testing.TB, key *ecdsa.PrivateKey) func([]byte) []byte {
	return func(input []byte) []byte {
		sum := sha256.Sum256(input)
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return slices.Concat(bytes32(r), bytes32(s))
	}
}

func bytes32(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }

// TestAnOutsideIssuersOutage: what is known goes on to count, for a day; what is not known is nobody's fault and may be tried again.
func TestAnOutsideIssuersOutage(t *testing.T) {
	t.Parallel()
	l := startLogin(t)
	n := startOutside(t, l.outside())
	theirs := byRSA(t, loginKey())
	token := func(kid string) string {
		now := n.Now()
		return "Bearer " + forge(t, with(loginHeader(), "kid", kid), with(with(l.claims(), "iat", now.Unix()), "exp", now.Add(time.Hour).Unix()), theirs)
	}
	try := func(when, token string, want error) {
		t.Helper()
		_, err := n.Authenticate(t.Context(), token)
		unclear := errors.Is(err, auth.ErrAway)
		if want == nil && err != nil || want == auth.ErrUnauthenticated && !errors.Is(err, want) || want == errUnclear && !unclear {
			t.Errorf("%s: %v, want %v", when, err, want)
		}
	}
	l.change(func() { l.down = true })
	try("down from the start", token("rsa"), errUnclear)
	try("the gateway's own tokens meanwhile", "Bearer "+forge(t, goodHeader(), goodClaims(), byRSA(t, privateOf(t, firstKey()))), nil)
	l.change(func() { l.down = false })
	n.Advance(10 * time.Second)
	try("back", token("rsa"), nil)
	l.change(func() { l.down = true })
	n.Advance(23 * time.Hour)
	try("down for 23 hours", token("rsa"), nil)
	n.Advance(10 * time.Second)
	try("an unknown key while it is down", token("new"), errUnclear)
	n.Advance(time.Hour)
	try("down for a day", token("rsa"), errUnclear)
	l.change(func() { l.down, l.keys = false, []object{publicKey(t, "new", loginKey())} })
	n.Advance(10 * time.Second)
	try("back with another key", token("new"), nil)
	try("the key that it has withdrawn", token("rsa"), auth.ErrUnauthenticated)
	known := token("new")
	try("a token that is remembered", known, nil)
	l.change(func() { l.keys = []object{publicKey(t, "newest", loginKey())} })
	n.Advance(5*time.Minute - time.Second)
	try("its key was withdrawn less than five minutes ago", known, nil)
	n.Advance(time.Second)
	try("its key was withdrawn five minutes ago", known, auth.ErrUnauthenticated)
	asked := l.asked
	for range 100 {
		try("an invented key", token("invented"), auth.ErrUnauthenticated)
	}
	if l.asked > asked {
		t.Errorf("for strangers' inventions it was asked %d times within 10 seconds", l.asked-asked)
	}
}

// TestAKeyIsWithdrawn while who came by it is on a socket: that ends, and goes on while the issuer cannot be asked.
func TestAKeyIsWithdrawn(t *testing.T) {
	t.Parallel()
	l := startLogin(t)
	n := startOutside(t, l.outside())
	p, err := n.Authenticate(t.Context(), "Bearer "+forge(t, loginHeader(), l.claims(), byRSA(t, loginKey())))
	if err != nil {
		t.Fatal(err)
	}
	try := func(when string, want error) {
		t.Helper()
		now, err := n.InForce(t.Context(), p)
		if !errors.Is(err, want) || err == nil && (now.Subject != p.Subject || now.Scopes.String() != p.Scopes.String()) {
			t.Errorf("%s: %+v, %v", when, now, err)
		}
	}
	try("at once", nil)
	l.change(func() { l.down = true })
	n.Advance(23 * time.Hour)
	try("down for 23 hours", nil)
	n.Advance(2 * time.Hour)
	try("down for a day", auth.ErrAway)
	l.change(func() { l.down = false })
	n.Advance(10 * time.Second)
	try("back", nil)
	l.change(func() { l.keys = []object{publicKey(t, "new", loginKey())} })
	n.Advance(5 * time.Minute)
	try("its key was withdrawn five minutes ago", auth.ErrUnauthenticated)
}

var errUnclear = errors.New("unclear")

// TestWhatAnOutsideIssuerServesIsNotBelieved: where metadata or keys are not as they must be, no token of its is good.
func TestWhatAnOutsideIssuerServesIsNotBelieved(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*login){
		"metadata of another issuer": func(l *login) { l.metadata["issuer"] = "https://evil.example" },
		"metadata without issuer":    func(l *login) { delete(l.metadata, "issuer") },
		"no address of keys":         func(l *login) { delete(l.metadata, "jwks_uri") },
		"keys over plain HTTP": func(l *login) { // 0.0.0.0 is this machine, by a name that is no loopback's
			l.metadata["jwks_uri"] = strings.Replace(l.URL, "127.0.0.1", "0.0.0.0", 1) + "/keys"
		},
		"keys in a file":          func(l *login) { l.metadata["jwks_uri"] = "file:///etc/passwd" },
		"keys that have moved":    func(l *login) { l.metadata["jwks_uri"] = l.URL + "/moved/keys" },
		"keys that are not there": func(l *login) { l.metadata["jwks_uri"] = l.URL + "/none" },
		"keys within this network": func(l *login) { // over TLS, and so asked for; the address is refused before anybody is spoken to
			l.metadata["jwks_uri"] = "https://192.168.0.1/keys"
		},
		"no keys": func(l *login) { l.keys = nil },
		"too many keys": func(l *login) {
			for n := range 32 {
				l.keys = append(l.keys, with(l.keys[0], "kid", strconv.Itoa(n)))
			}
		},
		"keys that are too short or too long": func(l *login) {
			l.keys = nil
			for _, bits := range []int{1024, 16384} {
				n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
				l.keys = append(l.keys, object{"kty": "RSA", "kid": "rsa", "e": "AQAB", "n": base64.RawURLEncoding.EncodeToString(n.Bytes())})
			}
		},
		"a document that has no end":   func(l *login) { l.metadata["x"] = strings.Repeat("x", 300<<10) },
		"a secret instead of a public": func(l *login) { l.keys = []object{{"kty": "oct", "kid": "rsa", "k": "c2VjcmV0"}} },
	} {
		l := startLogin(t)
		n := startOutside(t, l.outside())
		l.change(func() { spoil(l) })
		if _, err := n.Authenticate(t.Context(), "Bearer "+forge(t, loginHeader(), l.claims(), byRSA(t, loginKey()))); err == nil || errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDescriptionsOfOutsideIssuers(t *testing.T) {
	t.Parallel()
	good := object{
		"name": "acme", "issuer": "https://login.example/realm", "audience": api, "merchant": tenant, "roleClaim": []string{"roles"},
		"roles": object{"clerk": []string{"payments:read"}},
	}
	if all, err := auth.ParseOutside([]byte(mustJSON(t, []object{good}))); err != nil || len(all) != 1 || all[0].Roles["clerk"].String() != "payments:read" {
		t.Fatalf("%+v, %v", all, err)
	}
	for name, text := range map[string]string{
		"no JSON":                  "x",
		"an object":                mustJSON(t, good),
		"something behind":         mustJSON(t, []object{good}) + "x",
		"an unknown member":        mustJSON(t, []object{with(good, "audiance", api)}),
		"no name":                  mustJSON(t, []object{with(good, "name", nil)}),
		"a name with a colon":      mustJSON(t, []object{with(good, "name", "a:b")}),
		"no issuer":                mustJSON(t, []object{with(good, "issuer", nil)}),
		"plain HTTP":               mustJSON(t, []object{with(good, "issuer", "http://login.example")}),
		"an issuer with a query":   mustJSON(t, []object{with(good, "issuer", "https://login.example?x=1")}),
		"no audience":              mustJSON(t, []object{with(good, "audience", nil)}),
		"a shared secret":          mustJSON(t, []object{with(good, "algorithms", []string{"HS256"})}),
		"none":                     mustJSON(t, []object{with(good, "algorithms", []string{"none"})}),
		"no merchant":              mustJSON(t, []object{with(good, "merchant", nil)}),
		"a claim without names":    mustJSON(t, []object{with(with(good, "merchant", nil), "merchantClaim", []string{"org"})}),
		"a merchant and a claim":   mustJSON(t, []object{with(with(good, "merchantClaim", []string{"org"}), "merchants", object{"shop": tenant})}),
		"no roles":                 mustJSON(t, []object{with(good, "roles", nil)}),
		"no claim of roles":        mustJSON(t, []object{with(good, "roleClaim", nil)}),
		"a scope that is none":     mustJSON(t, []object{with(good, "roles", object{"clerk": []string{"payments:steal"}})}),
		"sessions of customers":    mustJSON(t, []object{with(good, "roles", object{"clerk": []string{"sessions:write"}})}),
		"the same twice":           mustJSON(t, []object{good, good}),
		"one name for two issuers": mustJSON(t, []object{good, with(good, "issuer", "https://other.example")}),
	} {
		if _, err := auth.ParseOutside([]byte(text)); !errors.Is(err, auth.ErrOutside) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
