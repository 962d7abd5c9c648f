package httpsig_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth/httpsig"
)

const testBody = `{"hello": "world"}`

// testRequest is that of RFC 9421, appendix B.2.
func testRequest(t *testing.T) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://example.com/foo?param=Value&Pet=dog", strings.NewReader(testBody))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Date": "Tue, 20 Apr 2021 02:07:55 GMT", "Content-Type": "application/json", "Content-Length": "18",
		"Content-Digest": "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
	} {
		r.Header.Set(name, value)
	}
	return r
}

// The keys of RFC 9421, appendix B.1.
func sharedSecret(t *testing.T) httpsig.Key {
	t.Helper()
	secret, err := base64.StdEncoding.DecodeString("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
	if err != nil {
		t.Fatal(err)
	}
	return httpsig.NewHMAC("test-shared-secret", secret)
}

func keyEd25519(t *testing.T) httpsig.Key {
	t.Helper()
	block, _ := pem.Decode([]byte("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n-----END PUBLIC KEY-----\n"))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return httpsig.NewPublic("test-key-ed25519", key.(ed25519.PublicKey))
}

// vectors are those of RFC 9421, appendix B.2, whose algorithms are known here.
var vectors = []struct {
	name, input, signature string
	key                    func(*testing.T) httpsig.Key
}{
	{
		"B.2.5", `sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`,
		"sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:", sharedSecret,
	},
	{
		"B.2.6", `sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`,
		"sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:", keyEd25519,
	},
}

var web = httpsig.Target{Scheme: "https"}

func verify(r *http.Request, key httpsig.Key) error {
	s, err := httpsig.Parse(r.Header)
	if err != nil {
		return err
	}
	return s.Verify(r, web, key)
}

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		r := testRequest(t)
		r.Header.Set("Signature-Input", v.input)
		r.Header.Set("Signature", v.signature)
		s, err := httpsig.Parse(r.Header)
		if err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		if err := s.Verify(r, web, v.key(t)); err != nil {
			t.Errorf("%s: %v", v.name, err)
		}
		if s.Created != time.Unix(1618884473, 0) || !s.Covers("date") || s.Covers("content-digest") {
			t.Errorf("%s says %+v", v.name, s)
		}
		if err := httpsig.CheckDigest(r.Header, []byte(testBody)); err != nil {
			t.Errorf("%s: %v", v.name, err)
		}
	}
}

// TestEveryByteCounts changes each byte of what the vectors' signatures cover, and of themselves.
func TestEveryByteCounts(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		tried := 0
		try := func(what string, change func(r *http.Request) bool) {
			r := testRequest(t)
			r.Header.Set("Signature-Input", v.input)
			r.Header.Set("Signature", v.signature)
			if !change(r) {
				return
			}
			tried++
			if err := verify(r, v.key(t)); !errors.Is(err, httpsig.ErrSignature) {
				t.Errorf("%s with another %s: %v", v.name, what, err)
			}
		}
		for _, field := range []string{"Signature-Input", "Signature", "Date", "Content-Type"} {
			value := testRequest(t).Header.Get(field)
			switch field {
			case "Signature":
				value = v.signature
			case "Signature-Input":
				value = v.input
			}
			for i := range len(value) {
				try(field, func(r *http.Request) bool {
					changed := []byte(value)
					changed[i] ^= 1
					r.Header.Set(field, string(changed))
					return true
				})
			}
		}
		try("host", func(r *http.Request) bool { r.Host = "example.org"; return true })
		if strings.Contains(v.input, "@method") {
			try("method", func(r *http.Request) bool { r.Method = http.MethodPut; return true })
			try("path", func(r *http.Request) bool { r.URL.Path = "/fo"; return true })
		}
		if tried < 150 {
			t.Errorf("%d were tried", tried)
		}
	}
}

var everything = []string{"@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query", "host", "content-type", "content-digest", "x-list"}

func signed(t *testing.T, key httpsig.Key) *http.Request {
	t.Helper()
	r := testRequest(t)
	r.Header["X-List"] = []string{" one", "two\t"}
	err := httpsig.Sign(r, web, []byte(testBody), key, httpsig.Signature{
		Components: everything, Created: time.Unix(1800000000, 0), Expires: time.Unix(1800000060, 0), Nonce: `a "nonce" \ of mine`,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestWhatIsSigned has each component stand for what it says, and each key for its own signatures.
func TestWhatIsSigned(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, another, _ := ed25519.GenerateKey(nil)
	secret := []byte(strings.Repeat("s", httpsig.MinSecret))
	for name, keys := range map[string][]httpsig.Key{ // what signs, what checks, and another one
		"ed25519": {httpsig.NewPrivate("k", private), httpsig.NewPublic("k", public), httpsig.NewPrivate("k", another)},
		"hmac":    {httpsig.NewHMAC("k", secret), httpsig.NewHMAC("k", secret), httpsig.NewHMAC("k", append(slices.Clone(secret), 's'))},
	} {
		if err := verify(signed(t, keys[0]), keys[1]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := verify(signed(t, keys[2]), keys[1]); !errors.Is(err, httpsig.ErrSignature) {
			t.Errorf("%s: another key's: %v", name, err)
		}
		r := signed(t, keys[0])
		s, err := httpsig.Parse(r.Header)
		if err != nil || s.Nonce != `a "nonce" \ of mine` || !s.Created.Equal(time.Unix(1800000000, 0)) || !s.Expires.Equal(time.Unix(1800000060, 0)) ||
			s.KeyID != "k" || !slices.Equal(s.Components, everything) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		for what, change := range map[string]func(*http.Request){
			"method": func(r *http.Request) { r.Method = http.MethodPut }, "path": func(r *http.Request) { r.URL.Path = "/" },
			"query": func(r *http.Request) { r.URL.RawQuery = "" }, "host": func(r *http.Request) { r.Host = "example.org" },
			"port":       func(r *http.Request) { r.Host = "example.com:444" },
			"type":       func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
			"digest":     func(r *http.Request) { r.Header.Del("Content-Digest") },
			"order":      func(r *http.Request) { slices.Reverse(r.Header["X-List"]) },
			"third line": func(r *http.Request) { r.Header.Add("X-List", "three") },
		} {
			r := signed(t, keys[0])
			change(r)
			if err := verify(r, keys[1]); !errors.Is(err, httpsig.ErrSignature) {
				t.Errorf("%s with another %s: %v", name, what, err)
			}
		}
		same := signed(t, keys[0])
		same.Host = "EXAMPLE.com:443" // the scheme's own port
		if err := verify(same, keys[1]); err == nil {
			t.Error(`"host" is the field as it was sent`)
		}
	}
}

func TestKeysThatAreNone(t *testing.T) {
	t.Parallel()
	short := httpsig.NewHMAC("k", []byte("short"))
	if err := httpsig.Sign(testRequest(t), web, nil, short, httpsig.Signature{Components: []string{"@method"}}); err == nil {
		t.Error("a short secret signs")
	}
	long := httpsig.NewHMAC("k", make([]byte, httpsig.MinSecret))
	for _, key := range []httpsig.Key{short, {ID: "k"}, httpsig.NewPublic("k", ed25519.PublicKey{}), httpsig.NewPublic("k", make([]byte, 31))} {
		if err := verify(signed(t, long), key); !errors.Is(err, httpsig.ErrSignature) {
			t.Errorf("%+v: %v", key, err)
		}
	}
}

// TestAnotherAlgorithm has a public key taken for a secret that both sides have.
func TestAnotherAlgorithm(t *testing.T) {
	t.Parallel()
	public, private, _ := ed25519.GenerateKey(nil)
	r := signed(t, httpsig.NewHMAC("k", public))
	if err := verify(r, httpsig.NewPublic("k", public)); !errors.Is(err, httpsig.ErrSignature) {
		t.Error(err)
	}
	named := signed(t, httpsig.NewPrivate("k", private))
	named.Header.Set("Signature-Input", strings.Replace(named.Header.Get("Signature-Input"), `keyid="k"`, `keyid="k";alg="hmac-sha256"`, 1))
	if err := verify(named, httpsig.NewPublic("k", public)); err == nil || !strings.Contains(err.Error(), "alg") {
		t.Error(err)
	}
}

// TestMalformed is what is refused before any key is looked for.
func TestMalformed(t *testing.T) {
	t.Parallel()
	good := [2]string{`sig=("@method");created=1;keyid="k"`, `sig=:AAAA:`}
	for name, fields := range map[string][2]string{
		"no input":            {"", good[1]},
		"no signature":        {good[0], ""},
		"another label":       {good[0], "gis=:AAAA:"},
		"two signatures":      {good[0] + `, b=("@path")`, good[1] + ", b=:AAAA:"},
		"two inputs":          {good[0] + `, b=("@path")`, good[1]},
		"no list":             {`sig="@method"`, good[1]},
		"no dictionary":       {`("@method"`, good[1]},
		"no bytes":            {good[0], `sig="AAAA"`},
		"bytes with a word":   {good[0], `sig=:AAAA:;a=1`},
		"a list of bytes":     {good[0], `sig=(:AAAA:)`},
		"a token":             {`sig=(method);created=1`, good[1]},
		"an empty name":       {`sig=("");created=1`, good[1]},
		"a component twice":   {`sig=("@method" "@method")`, good[1]},
		"a component's word":  {`sig=("content-type";sf)`, good[1]},
		"of the request":      {`sig=("@method";req)`, good[1]},
		"an unknown word":     {`sig=("@method");created=1;more=1`, good[1]},
		"created as a text":   {`sig=("@method");created="1"`, good[1]},
		"expires as a word":   {`sig=("@method");expires`, good[1]},
		"a number as nonce":   {`sig=("@method");nonce=1`, good[1]},
		"alg as a token":      {`sig=("@method");alg=ed25519`, good[1]},
		"too long":            {`sig=("` + strings.Repeat("a", httpsig.MaxField) + `")`, good[1]},
		"a long signature":    {good[0], "sig=:" + strings.Repeat("A", httpsig.MaxField) + ":"},
		"too many components": {"sig=(" + manyComponents() + ")", good[1]},
	} {
		h := http.Header{"Signature-Input": {fields[0]}, "Signature": {fields[1]}}
		if s, err := httpsig.Parse(h); !errors.Is(err, httpsig.ErrSignature) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	if _, err := httpsig.Parse(http.Header{"Signature-Input": good[:1], "Signature": good[1:]}); err != nil {
		t.Error(err)
	}
	if httpsig.Signed(http.Header{}) || !httpsig.Signed(http.Header{"Signature": {""}}) || !httpsig.Signed(http.Header{"Signature-Input": {""}}) {
		t.Error("what is half signed is not unsigned")
	}
}

func manyComponents() string {
	var all []string
	for i := range httpsig.MaxComponents + 1 {
		all = append(all, `"x-`+strings.Repeat("a", i)+`"`)
	}
	return strings.Join(all, " ")
}

// TestComponentsThatAreNone are found when the base is made.
func TestComponentsThatAreNone(t *testing.T) {
	t.Parallel()
	key := httpsig.NewHMAC("k", make([]byte, httpsig.MinSecret))
	for _, name := range []string{"@status", "@query-param", "@signature-params", "@nothing", "Content-Type", "x-missing"} {
		r := testRequest(t)
		r.Header.Set("Signature-Input", `sig=("`+name+`");keyid="k"`)
		r.Header.Set("Signature", "sig=:AAAA:")
		if err := verify(r, key); !errors.Is(err, httpsig.ErrSignature) || !strings.Contains(err.Error(), name) && !strings.Contains(err.Error(), strings.ToLower(name)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDigests(t *testing.T) {
	t.Parallel()
	const (
		of256 = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"
		of512 = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
	)
	for value, good := range map[string]bool{
		of256: true, of512: true, of256 + ", " + of512: true, "md5=:AAAA:, " + of256: true, of256 + ";a=1": true,
		"": false, "md5=:AAAA:": false, of256 + ", sha-512=:AAAA:": false, "sha-256=:AAAA:": false, `sha-256="X48E"`: false, "sha-256": false, ",": false,
		strings.Replace(of256, "X48", "Y48", 1): false,
	} {
		if err := httpsig.CheckDigest(http.Header{"Content-Digest": {value}}, []byte(testBody)); (err == nil) != good || err != nil && !errors.Is(err, httpsig.ErrSignature) {
			t.Errorf("%q: %v", value, err)
		}
	}
	if err := httpsig.CheckDigest(http.Header{"Content-Digest": {of256}}, []byte(testBody+" ")); err == nil {
		t.Error("another body")
	}
}
