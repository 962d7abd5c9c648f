package auth_test

import (
	"crypto/ed25519"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/auth/httpsig"
)

const requestBody = `{"query":"mutation { pay }"}`

var covered = []string{"@method", "@authority", "@path", "content-digest", "authorization"}

// requestSigner has a credential whose client signs requests with a secret and with a private key.
func requestSigner(t testing.TB) (db *database, secret, private httpsig.Key) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	shared := auth.NewRequestSecret("shared")
	var s auth.Signing
	for _, k := range []auth.RequestKey{shared, {ID: "pair", Public: public}} {
		if err := s.Add(k); err != nil {
			t.Fatal(err)
		}
	}
	db = newDatabase()
	for _, id := range []string{clientID, "revoked"} {
		c := db.credentials[id]
		c.Signing = s
		db.credentials[id] = c
	}
	return db, httpsig.NewHMAC("shared", shared.Secret), httpsig.NewPrivate("pair", key)
}

func by(client string) auth.Principal {
	return auth.Principal{Kind: auth.Backend, Merchant: tenant, Subject: client}
}

// newRequest is one that is to be signed.
func newRequest(t testing.TB) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, audience, strings.NewReader(requestBody))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer x")
	return r
}

// signedBy is a request with a signature that is good but for what is changed of it.
func signedBy(t testing.TB, key httpsig.Key, change func(*httpsig.Signature)) *http.Request {
	t.Helper()
	r := newRequest(t)
	s := httpsig.Signature{Components: slices.Clone(covered), Created: start, Nonce: "nonce of " + t.Name()}
	if change != nil {
		change(&s)
	}
	if err := httpsig.Sign(r, httpsig.Target{Scheme: "https"}, []byte(requestBody), key, s); err != nil {
		t.Fatal(err)
	}
	return r
}

// useSignature checks a request's signature and uses it up.
func (n *node) useSignature(t testing.TB, p auth.Principal, r *http.Request, body []byte) error {
	t.Helper()
	use, err := n.CheckSignature(t.Context(), p, r, body)
	if err != nil {
		return err
	}
	return use(t.Context())
}

func TestASignedRequest(t *testing.T) {
	t.Parallel()
	db, secret, private := requestSigner(t)
	c := &clock{now: start}
	n, other := startNode(t, db, c), startNode(t, db, c)
	for name, key := range map[string]httpsig.Key{"a secret": secret, "a pair of keys": private} {
		r := signedBy(t, key, func(s *httpsig.Signature) { s.Nonce = name })
		if err := n.useSignature(t, by(clientID), r, []byte(requestBody)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for where, again := range map[string]*node{"here": n, "at another node": other} {
			if err := again.useSignature(t, by(clientID), r, []byte(requestBody)); !errors.Is(err, auth.ErrSignature) || !strings.Contains(err.Error(), "nonce") {
				t.Errorf("%s, again, %s: %v", name, where, err)
			}
		}
	}
	for name, change := range map[string]func(*httpsig.Signature){
		"the whole address": func(s *httpsig.Signature) {
			s.Components = []string{"@target-uri", "@method", "content-digest", "authorization"}
		},
		"a slow network":  func(s *httpsig.Signature) { s.Created = start.Add(-auth.RequestAge) },
		"a clock ahead":   func(s *httpsig.Signature) { s.Created = start.Add(auth.RequestAhead) },
		"a longest nonce": func(s *httpsig.Signature) { s.Nonce = strings.Repeat("n", 128) },
		"an end":          func(s *httpsig.Signature) { s.Expires = start.Add(time.Second) },
	} {
		r := signedBy(t, private, func(s *httpsig.Signature) { s.Nonce = name; change(s) })
		if err := n.useSignature(t, by(clientID), r, []byte(requestBody)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRequestsThatAreRefused none of which uses its nonce up.
func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	db, secret, private := requestSigner(t)
	n := startNode(t, db, &clock{now: start})
	_, strange, _ := ed25519.GenerateKey(nil)
	for name, c := range map[string]struct {
		key   httpsig.Key
		sign  func(*httpsig.Signature)
		alter func(*http.Request)
		by    string
		body  string
		host  string // where it was to go
	}{
		"another key by its name":  {key: httpsig.NewPrivate("pair", strange)},
		"a key that is not there":  {key: httpsig.NewPrivate("strange", strange)},
		"a secret by another name": {key: httpsig.NewHMAC("pair", make([]byte, 64))},
		"another client":           {by: "reader"},
		"nobody's credential":      {by: "nobody"},
		"a revoked credential":     {by: "revoked"},
		"another body":             {body: requestBody + " "},
		"another method":           {alter: func(r *http.Request) { r.Method = http.MethodPut }},
		"another path":             {alter: func(r *http.Request) { r.URL.Path = "/other" }},
		"another host":             {host: "pay.example.org"},
		"by GET":                   {alter: func(r *http.Request) { r.Method = http.MethodGet }},
		"another token":            {alter: func(r *http.Request) { r.Header.Set("Authorization", "Bearer y") }},
		"no digest":                {alter: func(r *http.Request) { r.Header.Del("Content-Digest") }},
		"no signature":             {alter: func(r *http.Request) { r.Header.Del("Signature") }},
		"no input":                 {alter: func(r *http.Request) { r.Header.Del("Signature-Input") }},
		"the method is not covered": {sign: func(s *httpsig.Signature) {
			s.Components = []string{"@authority", "@path", "content-digest", "authorization"}
		}},
		"the token is not covered": {sign: func(s *httpsig.Signature) { s.Components = covered[:4] }},
		"the host is not covered": {sign: func(s *httpsig.Signature) {
			s.Components = []string{"@method", "@path", "content-digest", "authorization"}
		}},
		"the path is not covered": {sign: func(s *httpsig.Signature) {
			s.Components = []string{"@method", "@authority", "content-digest", "authorization"}
		}},
		"the body is not covered":  {sign: func(s *httpsig.Signature) { s.Components = []string{"@method", "@target-uri", "authorization"} }},
		"too old":                  {sign: func(s *httpsig.Signature) { s.Created = start.Add(-auth.RequestAge - time.Second) }},
		"from the future":          {sign: func(s *httpsig.Signature) { s.Created = start.Add(auth.RequestAhead + time.Second) }},
		"of no time":               {sign: func(s *httpsig.Signature) { s.Created = time.Time{} }},
		"ended":                    {sign: func(s *httpsig.Signature) { s.Expires = start }},
		"ended before all time":    {sign: func(s *httpsig.Signature) { s.Expires = time.Unix(-62135596799, 0) }},
		"without a nonce":          {sign: func(s *httpsig.Signature) { s.Nonce = "" }},
		"with a nonce without end": {sign: func(s *httpsig.Signature) { s.Nonce = strings.Repeat("n", 129) }},
	} {
		for _, key := range []httpsig.Key{secret, private} {
			if c.key.ID != "" {
				key = c.key
			}
			r := signedBy(t, key, c.sign)
			if c.host != "" {
				r.Host = c.host
				s := httpsig.Signature{Components: covered, Created: start, Nonce: "nonce"}
				if err := httpsig.Sign(r, httpsig.Target{Scheme: "https"}, []byte(requestBody), key, s); err != nil {
					t.Fatal(err)
				}
			}
			if c.alter != nil {
				c.alter(r)
			}
			p, body := by(clientID), requestBody
			if c.by != "" {
				p = by(c.by)
			}
			if c.body != "" {
				body = c.body
			}
			if err := n.useSignature(t, p, r, []byte(body)); !errors.Is(err, auth.ErrSignature) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if len(db.used) > 0 {
		t.Errorf("%d nonces were used up by requests that were refused", len(db.used))
	}
	elsewhere := by(clientID)
	elsewhere.Merchant = "mer_02"
	staff := by(clientID)
	staff.Kind = auth.Staff
	for _, p := range []auth.Principal{elsewhere, staff, auth.Nobody} {
		if err := n.useSignature(t, p, signedBy(t, private, nil), []byte(requestBody)); !errors.Is(err, auth.ErrSignature) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

// TestTheStoreIsAwayForSignatures: that a request could not be checked is not told as a signature that is wrong.
func TestTheStoreIsAwayForSignatures(t *testing.T) {
	t.Parallel()
	db, _, private := requestSigner(t)
	n := startNode(t, db, &clock{now: start})
	away := errors.New("away")
	db.change(func() { db.down = away })
	if err := n.useSignature(t, by(clientID), signedBy(t, private, nil), []byte(requestBody)); !errors.Is(err, away) {
		t.Error(err)
	}
	db.change(func() { db.down = nil; clear(db.used) })
	n.Advance(time.Second)
	if err := n.useSignature(t, by(clientID), signedBy(t, private, nil), []byte(requestBody)); err != nil {
		t.Error(err)
	}
	db.change(func() { db.down = away })
	again := signedBy(t, private, func(s *httpsig.Signature) { s.Nonce = "another" })
	if err := n.useSignature(t, by(clientID), again, []byte(requestBody)); !errors.Is(err, away) {
		t.Errorf("that a nonce is new is not known: %v", err)
	}
}

// TestAProxyMayCallTheGatewayByAnotherName: what counts is where the client meant to send the request.
func TestAProxyMayCallTheGatewayByAnotherName(t *testing.T) {
	t.Parallel()
	db, secret, _ := requestSigner(t)
	n := startNode(t, db, &clock{now: start})
	r := signedBy(t, secret, nil)
	r.Host = "10.0.0.7:8080"
	if err := n.useSignature(t, by(clientID), r, []byte(requestBody)); err != nil {
		t.Error(err)
	}
}

// TestKeysChange: one that was taken away counts for a while, and one that was added does at once.
func TestKeysChange(t *testing.T) {
	t.Parallel()
	db, shared, private := requestSigner(t)
	n := startNode(t, db, &clock{now: start})
	signed := func(key httpsig.Key, nonce string) error {
		r := signedBy(t, key, func(s *httpsig.Signature) { s.Nonce, s.Created = nonce, n.Now() })
		return n.useSignature(t, by(clientID), r, []byte(requestBody))
	}
	if err := signed(private, "1"); err != nil {
		t.Error(err)
	}
	added := auth.NewRequestSecret("added")
	changeSigning(t, db, func(s *auth.Signing) error { return errors.Join(s.Remove("pair"), s.Add(added)) })
	n.Advance(2 * time.Second)
	if err := signed(httpsig.NewHMAC("added", added.Secret), "2"); err != nil {
		t.Errorf("a key that was just added: %v", err)
	}
	if err := signed(shared, "3"); err != nil {
		t.Error(err)
	}
	n.Advance(auth.CredentialAge)
	if err := signed(private, "4"); !errors.Is(err, auth.ErrSignature) {
		t.Errorf("a key that was taken away: %v", err)
	}
}

func changeSigning(t *testing.T, db *database, change func(*auth.Signing) error) {
	t.Helper()
	db.change(func() {
		c := db.credentials[clientID]
		c.Signing.Keys = slices.Clone(c.Signing.Keys)
		if err := change(&c.Signing); err != nil {
			t.Error(err)
		}
		db.credentials[clientID] = c
	})
}

// TestATokenIsHeldAgainstItsCredential as that is now, not as it was when the token was issued.
func TestATokenIsHeldAgainstItsCredential(t *testing.T) {
	t.Parallel()
	db, _, _ := requestSigner(t)
	n := startNode(t, db, &clock{now: start})
	token := "Bearer " + n.token(t)
	expect := func(when string, scopes auth.Scopes, signs ...string) {
		t.Helper()
		p, err := n.Authenticate(t.Context(), token)
		if err != nil || p.Scopes.String() != scopes.String() || !slices.Equal(p.MustSign, signs) {
			t.Errorf("%s: %+v, %v", when, p, err)
		}
	}
	expect("as it was issued", auth.AllScopes)
	changeSigning(t, db, func(s *auth.Signing) error { return s.Require([]string{"createPayment", "refundPayment"}) })
	n.Advance(auth.CredentialAge - time.Second)
	expect("shortly after a change", auth.AllScopes)
	n.Advance(time.Second)
	expect("after a change", auth.AllScopes, "createPayment", "refundPayment")
	p, err := n.Authenticate(t.Context(), token)
	if err != nil || !p.MustSignFor("createPayment") || p.MustSignFor("capturePayment") {
		t.Errorf("%+v, %v", p, err)
	}
	p.MustSign = []string{auth.AllMutations}
	if !p.MustSignFor("anything") {
		t.Error("all is not everything")
	}
	session, err := n.Session(t.Context(), p, "cus_01", "", auth.CustomersScopes, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	db.change(func() {
		c := db.credentials[clientID]
		c.Scopes = auth.Scopes{auth.PaymentsRead}
		db.credentials[clientID] = c
	})
	n.Advance(auth.CredentialAge)
	expect("with fewer scopes", auth.Scopes{auth.PaymentsRead}, "createPayment", "refundPayment")
	if p, err := n.Authenticate(t.Context(), "Bearer "+session.Token); err != nil || p.Scopes.String() != "payments:read" || len(p.MustSign) > 0 {
		t.Errorf("its customer's: %+v, %v", p, err)
	}
	db.change(func() { db.down = errors.New("away") })
	n.Advance(4 * time.Minute)
	expect("while the store is away", auth.Scopes{auth.PaymentsRead}, "createPayment", "refundPayment")
	n.Advance(2 * time.Minute)
	if _, err := n.Authenticate(t.Context(), token); !errors.Is(err, db.down) || errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("after six minutes: %v", err)
	}
	for what, change := range map[string]func(){
		"revoked": func() { c := db.credentials[clientID]; c.RevokedAt = &start; db.credentials[clientID] = c },
		"deleted": func() { delete(db.credentials, clientID) },
	} {
		db.change(func() { db.down = nil; db.credentials[clientID] = newDatabase().credentials[clientID] })
		n.Advance(auth.CredentialAge)
		if _, err := n.Authenticate(t.Context(), token); err != nil {
			t.Errorf("before it is %s: %v", what, err)
		}
		db.change(change)
		n.Advance(auth.CredentialAge)
		for _, token := range []string{token, "Bearer " + session.Token} {
			if _, err := n.Authenticate(t.Context(), token); !errors.Is(err, auth.ErrUnauthenticated) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// TestNoneOfManyAtOncePasses whose credential was revoked while nobody used it, whoever of them it is that asks the store.
func TestNoneOfManyAtOncePasses(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	token := "Bearer " + n.token(t)
	if _, err := n.Authenticate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	n.db.change(func() {
		c := n.db.credentials[clientID]
		c.RevokedAt, n.db.slow = &start, 100*time.Millisecond
		n.db.credentials[clientID] = c
	})
	n.Advance(4 * time.Minute)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if p, err := n.Authenticate(t.Context(), token); !errors.Is(err, auth.ErrUnauthenticated) {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
	all.Wait()
}

func TestSigningIsChanged(t *testing.T) {
	t.Parallel()
	var s auth.Signing
	if err := s.Require([]string{"createPayment"}); !errors.Is(err, auth.ErrNoKeyToSign) {
		t.Error(err)
	}
	for _, id := range []string{"a", "b"} {
		if err := s.Add(auth.NewRequestSecret(id)); err != nil {
			t.Error(err)
		}
	}
	for _, id := range []string{"a", "", "ü", strings.Repeat("a", auth.MaxClientID+1)} {
		if err := s.Add(auth.NewRequestSecret(id)); !errors.Is(err, auth.ErrRequestKeys) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if err := s.Require([]string{"createPayment"}); err != nil {
		t.Error(err)
	}
	for _, step := range []struct {
		id   string
		want error
	}{{"c", auth.ErrNoSuchKey}, {"a", nil}, {"b", auth.ErrNoKeyToSign}} {
		if err := s.Remove(step.id); !errors.Is(err, step.want) {
			t.Errorf("remove %s: %v", step.id, err)
		}
	}
	if err := errors.Join(s.Require(nil), s.Remove("b")); err != nil || len(s.Keys) > 0 {
		t.Error(err)
	}
	for n := range auth.MaxRequestKeys {
		if err := s.Add(auth.NewRequestSecret(strings.Repeat("k", n+1))); err != nil {
			t.Error(err)
		}
	}
	if err := s.Add(auth.NewRequestSecret("one more")); !errors.Is(err, auth.ErrRequestKeys) {
		t.Error(err)
	}
}

func TestARequestKeyIsRead(t *testing.T) {
	t.Parallel()
	k, err := auth.ParseRequestKey([]byte(newEd().public(t, "mine", "")))
	if err != nil || k.ID != "mine" || len(k.Public) != ed25519.PublicKeySize {
		t.Errorf("%+v, %v", k, err)
	}
	for name, text := range map[string]string{
		"RSA": rsaSigner().public(t, "", ""), "EC": ecSigner().public(t, "", ""), "nothing": "",
		"two": setOf(newEd().public(t, "a", ""), newEd().public(t, "b", "")),
	} {
		if k, err := auth.ParseRequestKey([]byte(text)); !errors.Is(err, auth.ErrClientKeys) {
			t.Errorf("%s: %+v, %v", name, k, err)
		}
	}
}
