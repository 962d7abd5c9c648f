package auth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/quota"
)

func TestTokenEndpointIssuesTokens(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	const all = "accounts:read accounts:write customers:read customers:write events:read ledger:adjust payments:read payments:write " +
		"sessions:write transfers:write"
	for _, c := range []struct {
		name, form string
		change     func(*http.Request)
		scope      string
	}{
		{"secret by HTTP Basic", "grant_type=client_credentials", basic(clientID, secret), all},
		{"secret in the body", "grant_type=client_credentials&client_id=shop&client_secret=" + secret, nil, all},
		{"form-encoded id and secret", "grant_type=client_credentials", basic("a b:c%+/", "x :%+&="), all},
		{"client_id besides HTTP Basic", "grant_type=client_credentials&client_id=shop", basic(clientID, secret), all},
		{"charset in the content type", "grant_type=client_credentials", func(r *http.Request) {
			basic(clientID, secret)(r)
			r.Header.Set("Content-Type", "Application/X-WWW-Form-Urlencoded; charset=UTF-8")
		}, all},
		{"narrowed", "grant_type=client_credentials&scope=payments:write+accounts:read", basic(clientID, secret), "accounts:read payments:write"},
		{"narrowed, a word twice", "grant_type=client_credentials&scope=payments:read+payments:read", basic(clientID, secret), "payments:read"},
		{"what is granted and is a scope", "grant_type=client_credentials", basic("reader", secret), "accounts:read payments:read"},
		{"an empty parameter counts as none", "grant_type=client_credentials&scope=&client_secret=", basic("reader", secret), "accounts:read payments:read"},
		{"an unknown parameter is ignored", "grant_type=client_credentials&resource=x", basic("reader", secret), "accounts:read payments:read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := n.ask(t, c.form, c.change)
			if got.status != http.StatusOK || got.TokenType != "Bearer" || got.ExpiresIn != 900 || got.Scope != c.scope {
				t.Fatalf("%d %s", got.status, got.body)
			}
			checkNotStored(t, got)
			p, err := n.Authenticate(t.Context(), "Bearer "+got.AccessToken)
			if err != nil || p.Kind != auth.Backend || p.Merchant != tenant || p.Scopes.String() != c.scope || !p.Expires.Equal(start.Add(auth.DefaultTTL)) {
				t.Fatalf("%+v, %v", p, err)
			}
		})
	}
}

func TestTokenEndpointRefuses(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	const good = "grant_type=client_credentials"
	header := func(values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Authorization"] = values }
	}
	for _, c := range []struct {
		name, form string
		change     func(*http.Request)
		status     int
		code       string
	}{
		{"no credential", good, nil, 401, "invalid_client"},
		{"no secret", good + "&client_id=shop", nil, 401, "invalid_client"},
		{"wrong secret", good, basic(clientID, "wrong"), 401, "invalid_client"},
		{"empty secret", good, basic(clientID, ""), 401, "invalid_client"},
		{"unknown client", good, basic("nobody", secret), 401, "invalid_client"},
		{"secret with a zero byte", good, basic(clientID, secret+"\x00"), 401, "invalid_client"},
		{"revoked", good, basic("revoked", secret), 401, "invalid_client"},
		{"id that is not ASCII", good, basic("a b:ü%", secret), 401, "invalid_client"},
		{"id with a zero byte", good, basic("shop\x00", secret), 401, "invalid_client"},
		{"id that is not UTF-8", good, basic("shop\xff", secret), 401, "invalid_client"},
		{"long id", good, basic(strings.Repeat("x", auth.MaxClientID+1), secret), 401, "invalid_client"},
		{"long secret", good, basic(clientID, strings.Repeat("x", auth.MaxSecret+1)), 401, "invalid_client"},
		{"Bearer", good, header("Bearer x"), 401, "invalid_client"},
		{"Basic without base64", good, header("Basic !"), 401, "invalid_client"},
		{"Basic without a colon", good, header("Basic c2hvcA=="), 401, "invalid_client"},
		{"Basic with a broken escape", good, header("Basic JTp4"), 401, "invalid_client"}, // "%:x"
		{"two ways", good + "&client_id=shop&client_secret=" + secret, basic(clientID, secret), 400, "invalid_request"},
		{"two headers", good, header("Basic YTpi", "Basic YTpi"), 400, "invalid_request"},
		{"another client_id", good + "&client_id=reader", basic(clientID, secret), 400, "invalid_request"},
		{"a parameter twice", good + "&scope=a&scope=b", basic(clientID, secret), 400, "invalid_request"},
		{"an unknown parameter twice", good + "&x=1&x=1", basic(clientID, secret), 400, "invalid_request"},
		{"no grant type", "scope=payments:read", basic(clientID, secret), 400, "invalid_request"},
		{"another grant type", "grant_type=password&username=a&password=b", basic(clientID, secret), 400, "unsupported_grant_type"},
		{"no form", "%zz", basic(clientID, secret), 400, "invalid_request"},
		{"semicolons", "grant_type=client_credentials;scope=a", basic(clientID, secret), 400, "invalid_request"},
		{"parameters in the URL", good, func(r *http.Request) { r.URL.RawQuery = "client_id=shop&client_secret=" + secret }, 400, "invalid_request"},
		{"JSON", `{"grant_type":"client_credentials"}`, func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, 400, "invalid_request"},
		{"no content type", good, func(r *http.Request) { r.Header.Del("Content-Type") }, 400, "invalid_request"},
		{"a large body", good + "&x=" + strings.Repeat("x", 1<<20), basic(clientID, secret), 413, "invalid_request"},
		{"GET", "", func(r *http.Request) { r.Method = http.MethodGet }, 405, "invalid_request"},
		{"unknown scope", good + "&scope=spells:cast", basic("reader", secret), 400, "invalid_scope"},
		{"a scope that is not granted", good + "&scope=payments:read+payments:write", basic("reader", secret), 400, "invalid_scope"},
		{"scopes parted by two spaces", good + "&scope=payments:read++accounts:read", basic("reader", secret), 400, "invalid_scope"},
		{"scopes parted by commas", good + "&scope=payments:read,accounts:read", basic("reader", secret), 400, "invalid_scope"},
		{"nothing granted", good, basic("powerless", secret), 400, "invalid_scope"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := n.ask(t, c.form, c.change)
			if got.status != c.status || got.Error != c.code || got.AccessToken != "" {
				t.Fatalf("%d %s, want %d %s", got.status, got.body, c.status, c.code)
			}
			checkNotStored(t, got)
			checkRefusal(t, got)
			if c.status == 405 && got.header.Get("Allow") != "POST" {
				t.Error("405 without Allow")
			}
		})
	}
}

func checkNotStored(t *testing.T, got reply) {
	t.Helper()
	if got.header.Get("Cache-Control") != "no-store" || got.header.Get("Pragma") != "no-cache" || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("headers: %v", got.header)
	}
}

// description is RFC 6749's charset for error_description, section 5.2.
var description = regexp.MustCompile(`^[\x20-\x21\x23-\x5B\x5D-\x7E]+$`)

func checkRefusal(t *testing.T, got reply) {
	t.Helper()
	if challenge := got.header.Get("WWW-Authenticate"); (got.status == 401) != strings.HasPrefix(challenge, "Basic realm=") {
		t.Errorf("%d with the challenge %q", got.status, challenge)
	}
	if !description.MatchString(got.Description) {
		t.Errorf("description %q", got.Description)
	}
}

func TestWhatIsWrongWithACredentialIsNotTold(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	const form = "grant_type=client_credentials"
	unknown := n.ask(t, form, basic("nobody", secret))
	for name, other := range map[string]reply{
		"wrong secret": n.ask(t, form, basic(clientID, "wrong")),
		"revoked":      n.ask(t, form, basic("revoked", secret)),
	} {
		if other.body != unknown.body || other.status != unknown.status {
			t.Errorf("%s says %s, an unknown client %s", name, other.body, unknown.body)
		}
	}
}

func TestARevokedCredentialGetsNoTokenAndItsOldOnesEnd(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	token := n.token(t)
	if _, err := n.Authenticate(t.Context(), "Bearer "+token); err != nil {
		t.Error(err)
	}
	n.db.change(func() {
		c, now := n.db.credentials[clientID], n.Now()
		c.RevokedAt = &now
		n.db.credentials[clientID] = c
	})
	if got := n.ask(t, "grant_type=client_credentials", basic(clientID, secret)); got.status != 401 {
		t.Errorf("a revoked credential got %s", got.body)
	}
	n.Advance(auth.CredentialAge)
	if _, err := n.Authenticate(t.Context(), "Bearer "+token); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("the token did not end: %v", err)
	}
}

func TestADatabaseThatIsDownIsNotTheClientsFault(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.db.change(func() { n.db.down = errors.New("connection refused by 10.0.0.7") })
	got := n.ask(t, "grant_type=client_credentials", basic(clientID, secret))
	if got.status != 503 || got.Error != "temporarily_unavailable" || got.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if strings.Contains(got.body, "10.0.0.7") {
		t.Error("the answer tells about the inside")
	}
}

// TestADatabaseThatIsSilent is one whose answer never comes: nobody waits for it for ever.
func TestADatabaseThatIsSilent(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.db.change(func() { n.db.silent = true })
	answered := make(chan reply, 1)
	go func() { answered <- n.ask(t, "grant_type=client_credentials", basic(clientID, secret)) }()
	select {
	case got := <-answered:
		if got.status != 503 {
			t.Errorf("%d %s", got.status, got.body)
		}
	case <-time.After(15 * time.Second):
		t.Error("the token endpoint waits")
	}
}

func TestNewSecretsAreLongAndNeedNoEncoding(t *testing.T) {
	t.Parallel()
	one, hash := auth.NewSecret()
	two, _ := auth.NewSecret()
	if one == two || !regexp.MustCompile(`^pgs_[A-Za-z0-9_-]{43}$`).MatchString(one) || url.QueryEscape(one) != one {
		t.Errorf("%q and %q", one, two)
	}
	if string(hash) != string(auth.HashSecret(one)) || len(hash) != 32 {
		t.Error("the hash is not the secret's")
	}
}

// FuzzTokenRequest sends any header and any body: the answer is always one of the protocol's, and never the server's fault.
func FuzzTokenRequest(f *testing.F) {
	f.Add("Basic c2hvcDpwZ3NfYzJWamNtVjA=", "grant_type=client_credentials")
	f.Add("", "grant_type=client_credentials&client_id=shop&client_secret="+secret)
	f.Add("Basic JTp4", "scope=%zz")
	f.Add("bearer \x00", "grant_type=client_credentials&scope=payments:read&scope=")
	issuer, err := auth.New(f.Context(), newDatabase().config(&clock{now: start}))
	if err != nil {
		f.Fatal(err)
	}
	handler := issuer.Handler()
	f.Fuzz(func(t *testing.T, authorization, body string) {
		r := httptest.NewRequest(http.MethodPost, auth.TokenPath, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		switch w.Code {
		case 200, 400, 401, 413:
		default:
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}

// FuzzBasic holds that any id and secret reach the credential store as they were before they were encoded.
func FuzzBasic(f *testing.F) {
	f.Add("shop", "secret")
	f.Add("a b:c", "x :%+&=")
	base := newDatabase()
	f.Fuzz(func(t *testing.T, id, secret string) {
		for _, text := range []string{id, secret} {
			if !regexp.MustCompile(`^[ -~]{1,128}$`).MatchString(text) {
				t.Skip()
			}
		}
		db := &database{keys: base.keys, credentials: map[string]auth.Credential{
			id: {ClientID: id, Merchant: tenant, SecretHash: auth.HashSecret(secret), Scopes: auth.AllScopes},
		}}
		issuer, err := auth.New(t.Context(), db.config(&clock{now: start}))
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, auth.TokenPath, strings.NewReader("grant_type=client_credentials"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		basic(id, secret)(r)
		w := httptest.NewRecorder()
		issuer.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Fatalf("%q %q: %d %s", id, secret, w.Code, w.Body)
		}
	})
}

// TestFailuresToSignInAreBounded by address: what is shown then is not looked at, and who has signed in from there before has failures of its own.
func TestFailuresToSignInAreBounded(t *testing.T) {
	t.Parallel()
	db, c := newDatabase(), &clock{now: start}
	n := startNode(t, db, c)
	const form = "grant_type=client_credentials"
	from := func(address string, as func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) { as(r); r.Header.Set(fromHeader, address) }
	}
	const here, there = "203.0.113.1", "203.0.113.2"
	if got := n.ask(t, form, from(here, basic(clientID, secret))); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	for range quota.Failures {
		if got := n.ask(t, form, from(here, basic("reader", "wrong"))); got.status != http.StatusUnauthorized {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	db.change(func() { db.down = errors.New("nobody may ask") })
	for _, as := range []func(*http.Request){basic("reader", "wrong"), basic("reader", secret), basic("nobody", "x")} {
		got := n.ask(t, form, from(here, as))
		if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "temporarily_unavailable") {
			t.Errorf("%d %v %s", got.status, got.header, got.body)
		}
	}
	db.change(func() { db.down = nil })
	if got := n.ask(t, form, from(here, basic(clientID, secret))); got.status != http.StatusOK {
		t.Errorf("who has signed in before: %d %s", got.status, got.body)
	}
	if got := n.ask(t, form, from(there, basic("reader", secret))); got.status != http.StatusOK {
		t.Errorf("from elsewhere: %d %s", got.status, got.body)
	}
	c.Advance(2 * time.Second)
	if got := n.ask(t, form, from(here, basic("reader", secret))); got.status != http.StatusOK {
		t.Errorf("after two seconds: %d %s", got.status, got.body)
	}
}
