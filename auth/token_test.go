package auth_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth"
)

type object = map[string]any

// with is an object with something else in it; nil takes a member away.
func with(o object, name string, value any) object {
	changed := maps.Clone(o)
	changed[name] = value
	if value == nil {
		delete(changed, name)
	}
	return changed
}

func goodHeader() object { return object{"alg": "RS256", "typ": "at+jwt", "kid": firstKey().ID} }

func goodClaims() object {
	return object{
		"iss": issuerURL, "aud": audience, "sub": clientID, "client_id": clientID, "jti": "1", "scope": "payments:read",
		"iat": start.Unix(), "exp": start.Add(time.Minute).Unix(), "https://github.com/paygraph/paygraph/merchant": tenant,
	}
}

// forge makes a compact JWS by hand; its header and claims are an object or a text.
func forge(t testing.TB, header, claims any, sign func(input []byte) []byte) string {
	t.Helper()
	part := func(v any) string {
		text, isText := v.(string)
		if !isText {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
		return base64.RawURLEncoding.EncodeToString([]byte(text))
	}
	input := part(header) + "." + part(claims)
	return input + "." + base64.RawURLEncoding.EncodeToString(sign([]byte(input)))
}

func byRSA(t testing.TB, key *rsa.PrivateKey) func([]byte) []byte {
	return func(input []byte) []byte {
		sum := sha256.Sum256(input)
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
}

func byHMAC(secret []byte) func([]byte) []byte {
	return func(input []byte) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write(input)
		return mac.Sum(nil)
	}
}

func unsigned([]byte) []byte { return nil }

// TestTokensThatAreNotOurs has the attacks of RFC 8725, section 2, and each claim that RFC 9068, section 4, wants checked.
func TestTokensThatAreNotOurs(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	private := privateOf(t, firstKey())
	ours := byRSA(t, private)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	theirs := byRSA(t, stranger)
	strangersKey := object{
		"kty": "RSA", "e": "AQAB", "n": base64.RawURLEncoding.EncodeToString(stranger.N.Bytes()), "kid": firstKey().ID, "alg": "RS256",
	}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	header, claims := goodHeader(), goodClaims()
	good := forge(t, header, claims, ours)
	if _, err := n.Authenticate(t.Context(), "Bearer "+good); err != nil {
		t.Fatalf("the token that the others differ from: %v", err)
	}
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"alg none":                        forge(t, with(header, "alg", "none"), claims, unsigned),
		"alg nOnE":                        forge(t, with(header, "alg", "nOnE"), claims, unsigned),
		"alg none, our signature":         forge(t, with(header, "alg", "none"), claims, ours),
		"no alg":                          forge(t, with(header, "alg", nil), claims, ours),
		"no signature":                    parts[0] + "." + parts[1] + ".",
		"HS256 with the public key":       forge(t, with(header, "alg", "HS256"), claims, byHMAC(der)),
		"HS256 with the public key's PEM": forge(t, with(header, "alg", "HS256"), claims, byHMAC(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))),
		"HS256 with the modulus":          forge(t, with(header, "alg", "HS256"), claims, byHMAC(private.N.Bytes())),
		"RS256 said, HMAC made":           forge(t, header, claims, byHMAC(der)),
		"another RSA algorithm":           forge(t, with(header, "alg", "PS256"), claims, ours),
		"a stranger's key":                forge(t, header, claims, theirs),
		"a stranger's key in jwk":         forge(t, with(header, "jwk", strangersKey), claims, theirs),
		"a stranger's key in jwk, no kid": forge(t, with(with(header, "kid", nil), "jwk", strangersKey), claims, theirs),
		"a stranger's jku":                forge(t, with(header, "jku", n.url+"/jwks.json"), claims, theirs),
		"a stranger's x5u":                forge(t, with(header, "x5u", n.url+"/cert.pem"), claims, theirs),
		"an unknown kid":                  forge(t, with(header, "kid", "other"), claims, ours),
		"a kid for SQL":                   forge(t, with(header, "kid", "' or 1=1 --"), claims, theirs),
		"a kid that is no text":           forge(t, with(header, "kid", 1), claims, ours),
		"no kid":                          forge(t, with(header, "kid", nil), claims, ours),
		"an ID token":                     forge(t, with(header, "typ", "JWT"), claims, ours),
		"no typ":                          forge(t, with(header, "typ", nil), claims, ours),
		"a critical extension":            forge(t, with(with(header, "crit", []string{"x"}), "x", 1), claims, ours),
		"payload not in base64":           forge(t, with(with(header, "crit", []string{"b64"}), "b64", false), claims, ours),
		"another header":                  base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"at+jwt","kid":"`+firstKey().ID+`" }`)) + "." + parts[1] + "." + parts[2],
		"other claims":                    parts[0] + "." + strings.Split(forge(t, header, with(claims, "sub", "admin"), unsigned), ".")[1] + "." + parts[2],
		"another issuer":                  forge(t, header, with(claims, "iss", "https://evil.example"), ours),
		"the issuer with a slash":         forge(t, header, with(claims, "iss", issuerURL+"/"), ours),
		"no issuer":                       forge(t, header, with(claims, "iss", nil), ours),
		"another audience":                forge(t, header, with(claims, "aud", "https://other.example"), ours),
		"no audience":                     forge(t, header, with(claims, "aud", nil), ours),
		"ended":                           forge(t, header, with(claims, "exp", start.Unix()), ours),
		"no end":                          forge(t, header, with(claims, "exp", nil), ours),
		"an end that is no number":        forge(t, header, with(claims, "exp", "never"), ours),
		"not valid yet":                   forge(t, header, with(claims, "nbf", start.Add(time.Minute).Unix()), ours),
		"issued in the future":            forge(t, header, with(claims, "iat", start.Add(time.Minute).Unix()), ours),
		"no iat":                          forge(t, header, with(claims, "iat", nil), ours),
		"no jti":                          forge(t, header, with(claims, "jti", nil), ours),
		"no sub":                          forge(t, header, with(claims, "sub", nil), ours),
		"empty client and sub":            forge(t, header, with(with(claims, "sub", ""), "client_id", ""), ours),
		"no client":                       forge(t, header, with(claims, "client_id", nil), ours),
		"sub is not the client":           forge(t, header, with(claims, "sub", "admin"), ours),
		"no scope":                        forge(t, header, with(claims, "scope", nil), ours),
		"scope is a list":                 forge(t, header, with(claims, "scope", []string{"payments:read"}), ours),
		"no merchant":                     forge(t, header, with(claims, "https://github.com/paygraph/paygraph/merchant", nil), ours),
		"claims that are no object":       forge(t, header, "[]", ours),
		"claims that are no JSON":         forge(t, header, "x", ours),
		"nothing":                         "..",
		"text":                            "abc",
		"two parts":                       parts[0] + "." + parts[1],
		"five parts, as encrypted":        good + "." + parts[1] + "." + parts[2],
		"JSON instead of compact":         `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"huge":                            forge(t, header, with(claims, "x", strings.Repeat("x", auth.MaxToken)), ours),
		"huge and hollow":                 strings.Repeat(".", 1<<20),
		"deep":                            forge(t, strings.Repeat("[", 2000), claims, ours),
	} {
		if p, err := n.Authenticate(t.Context(), "Bearer "+token); !errors.Is(err, auth.ErrUnauthenticated) || p.Kind != "" {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func TestTokensThatAreOurs(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	ours := byRSA(t, privateOf(t, firstKey()))
	header, claims := goodHeader(), goodClaims()
	for name, c := range map[string]struct {
		token   string
		subject string
		scope   string
	}{
		"typ as a full media type": {forge(t, with(header, "typ", "application/AT+JWT"), claims, ours), clientID, "payments:read"},
		"several audiences":        {forge(t, header, with(claims, "aud", []string{"x", audience}), ours), clientID, "payments:read"},
		"from a clock that is ahead": {
			forge(t, header, with(with(claims, "iat", start.Add(4*time.Second).Unix()), "nbf", start.Add(4*time.Second).Unix()), ours),
			clientID, "payments:read",
		},
		"a scope of a newer version allows nothing here": {
			forge(t, header, with(claims, "scope", "spells:cast payments:read"), ours), clientID, "payments:read",
		},
		// RFC 7519, section 4: refuse claims that come twice, or take the last; nobody but the issuer can write such a token.
		"claims twice": {
			forge(t, header, `{"iss":"x","sub":"admin","client_id":"admin",`+strings.TrimPrefix(mustJSON(t, claims), "{"), ours),
			clientID, "payments:read",
		},
	} {
		p, err := n.Authenticate(t.Context(), "Bearer "+c.token)
		if err != nil || p.Subject != c.subject || p.Scopes.String() != c.scope || p.Merchant != tenant || p.Kind != auth.Backend {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func mustJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAuthorizationHeaders(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	token := n.token(t)
	for header, good := range map[string]bool{
		"Bearer " + token:                       true,
		"bearer " + token:                       true,
		"BEARER   " + token + " ":               true,
		"Bearer":                                false,
		"Bearer ":                               false,
		" ":                                     false,
		token:                                   false,
		"Basic " + token:                        false,
		"Bearer\t" + token:                      false,
		"Bearer " + token + " " + token:         false,
		"Bearer " + token + ", Bearer " + token: false,
		"Bearer " + token + ",":                 false,
		"Bearer \"" + token + "\"":              false,
		"Bearer " + token + "\n":                false,
	} {
		p, err := n.Authenticate(t.Context(), header)
		if good && (err != nil || p.Subject != clientID) || !good && !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("%.20q: %+v, %v", header, p, err)
		}
	}
	if p, err := n.Authenticate(t.Context(), ""); err != nil || p.Kind != auth.Anonymous {
		t.Errorf("no header: %+v, %v", p, err)
	}
}

func TestATokenEndsWhenItSays(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	remembered, fresh := n.token(t), n.token(t)
	if remembered == fresh {
		t.Fatal("two tokens are the same")
	}
	if _, err := n.Authenticate(t.Context(), "Bearer "+remembered); err != nil {
		t.Fatal(err)
	}
	n.Advance(auth.DefaultTTL - time.Second)
	if _, err := n.Authenticate(t.Context(), "Bearer "+remembered); err != nil {
		t.Errorf("ended too early: %v", err)
	}
	n.Advance(time.Second)
	for _, token := range []string{remembered, fresh} {
		if _, err := n.Authenticate(t.Context(), "Bearer "+token); !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("did not end: %v", err)
		}
	}
}

// FuzzAuthenticate holds that no header but one with a token of ours is anybody.
func FuzzAuthenticate(f *testing.F) {
	n := newNode(f)
	good := forge(f, goodHeader(), goodClaims(), byRSA(f, privateOf(f, firstKey())))
	f.Add("Bearer " + good)
	f.Add("Bearer " + strings.Replace(good, ".", ".A", 1))
	f.Add("Bearer a.b.c")
	f.Add("Basic YTpi")
	f.Fuzz(func(t *testing.T, header string) {
		p, err := n.Authenticate(t.Context(), header)
		switch {
		case errors.Is(err, auth.ErrUnauthenticated) && p.Kind == "":
		case err == nil && p.Kind == auth.Anonymous && header == "":
		case err == nil && p.Kind == auth.Backend && strings.Contains(header, good[:len(good)-2]):
		default:
			t.Fatalf("%q is %+v, %v", header, p, err)
		}
	})
}

// BenchmarkRemembered is the path of nearly every request: a token that was seen before.
func BenchmarkRemembered(b *testing.B) {
	n := newNode(b)
	header := "Bearer " + n.token(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := n.Authenticate(b.Context(), header); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkFirstUse is the first request with a token, at a node that remembers none.
func BenchmarkFirstUse(b *testing.B) {
	n := newNode(b)
	tokens := make([]string, 64)
	for i := range tokens {
		tokens[i] = "Bearer " + n.token(b)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%len(tokens) == 0 {
			b.StopTimer()
			var err error
			if n.Issuer, err = auth.New(b.Context(), n.db.config(n.clock)); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		if _, err := n.Authenticate(b.Context(), tokens[i%len(tokens)]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkToken is one request to the token endpoint, over HTTP.
func BenchmarkToken(b *testing.B) {
	n := newNode(b)
	for b.Loop() {
		n.token(b)
	}
}
