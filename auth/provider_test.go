package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/paygraph/paygraph/auth"
)

// Of the provider's one user, and of the application by which it signs in.
const (
	userName     = "test-user@127.0.0.1"
	userPassword = "verysecure"
	application  = "office"
	callback     = "http://127.0.0.1/signed-in"
)

// withJWTs is the provider's storage, with applications whose access tokens are JWTs, as a resource server that knows no introspection needs them.
type withJWTs struct{ *storage.Storage }

type jwtClient struct{ op.Client }

func (jwtClient) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

// GetClientByClientID implements [op.Storage].
func (s withJWTs) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := s.Storage.GetClientByClientID(ctx, id)
	return jwtClient{c}, err
}

// TestARealProvider has a person sign in at an OpenID provider that others use, in the way of a browser, and come with the token that it gave; and
// goes on while the provider is down.
func TestARealProvider(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(nil)
	issuer := "http://" + server.Listener.Addr().String()
	clients := map[string]*storage.Client{application: storage.WebClient(application, "s3cret", callback)}
	server.Config.Handler = exampleop.SetupServer(issuer, withJWTs{storage.NewStorageWithClients(storage.NewUserStore(issuer), clients)}, nil, false)
	server.Start()
	t.Cleanup(server.Close)

	of := auth.Outside{
		Name: "office", Issuer: issuer, Audience: application, TokenType: "JWT", Merchant: tenant,
		RoleClaim: []string{"custom_claim"}, Roles: map[string]auth.Scopes{"other": {auth.AccountsRead, auth.PaymentsRead}},
	}
	c := &clock{now: time.Now()}
	config := newDatabase().config(c)
	config.Outside = []auth.Outside{of}
	gateway, err := auth.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	tokens := signIn(t, issuer)
	p, err := gateway.Authenticate(t.Context(), "Bearer "+tokens.Access)
	if err != nil || p.Kind != auth.Staff || p.Subject != "office:id1" || p.Merchant != tenant || p.Scopes.String() != "accounts:read payments:read" {
		t.Errorf("the access token is %+v, %v", p, err)
	}
	if left := p.Expires.Sub(c.Now()); left < time.Minute || left > time.Hour {
		t.Errorf("it ends in %v", left)
	}
	second := signIn(t, issuer)
	server.Close()
	if p, err := gateway.Authenticate(t.Context(), "Bearer "+second.Access); err != nil || p.Kind != auth.Staff {
		t.Errorf("while the provider is down: %+v, %v", p, err)
	}
	if _, err := gateway.Authenticate(t.Context(), "Bearer "+second.Access[:len(second.Access)-8]+"AAAAAAAA"); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("with another signature: %v", err)
	}
	config.Outside[0].Audience = "https://pay.example/graphql" // what the token is not for
	elsewhere, err := auth.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := elsewhere.Authenticate(t.Context(), "Bearer "+tokens.Access); err == nil || errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("at a gateway that has never read the provider's keys: %v", err)
	}
}

type signedIn struct {
	Access string `json:"access_token"`
	ID     string `json:"id_token"`
}

// signIn is what a browser and an application do: the authorization code flow (OpenID Connect Core, section 3.1).
func signIn(t *testing.T, issuer string) (tokens signedIn) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	page, err := browser.Get(issuer + "/auth?" + url.Values{
		"client_id": {application}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid custom_scope"}, "state": {"x"},
	}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	_ = page.Body.Close()
	request := page.Request.URL.Query().Get("authRequestID")
	if request == "" {
		t.Fatalf("no page to sign in at: %s %s", page.Status, page.Request.URL)
	}
	back, err := browser.PostForm(issuer+"/login/username", url.Values{"id": {request}, "username": {userName}, "password": {userPassword}})
	if err != nil {
		t.Fatal(err)
	}
	_ = back.Body.Close()
	to, err := back.Location()
	if err != nil {
		t.Fatalf("the browser was not sent back: %s: %v", back.Status, err)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "redirect_uri": {callback}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(application, "s3cret")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&tokens); err != nil || tokens.Access == "" || tokens.ID == "" {
		t.Fatalf("no tokens: %s, %v", answer.Status, err)
	}
	return tokens
}
