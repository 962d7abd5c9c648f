package auth

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// maxTokenRequest is the largest body that the token endpoint reads, in bytes.
const maxTokenRequest = 16 << 10

// refusal is an error answer of the token endpoint (RFC 6749, section 5.2). The description is constant text: what the client sent
// never comes back.
type refusal struct {
	status      int
	code        string
	description string
	retryAfter  time.Duration // 0: it does not say
}

func (r *refusal) Error() string { return r.code + ": " + r.description }

func invalidRequest(description string) error {
	return &refusal{status: http.StatusBadRequest, code: "invalid_request", description: description}
}

var (
	errInvalidClient = &refusal{http.StatusUnauthorized, "invalid_client", "client authentication failed", 0}
	errGrantType     = &refusal{http.StatusBadRequest, "unsupported_grant_type", "grant_type must be client_credentials", 0}
	errInvalidScope  = &refusal{http.StatusBadRequest, "invalid_scope", "a scope is unknown or was not granted to this client", 0}
	errMethod        = &refusal{http.StatusMethodNotAllowed, "invalid_request", "the method must be POST", 0}
	errTooLarge      = &refusal{http.StatusRequestEntityTooLarge, "invalid_request", "the body is too large", 0}
	errUnavailable   = &refusal{http.StatusServiceUnavailable, "temporarily_unavailable", "try again soon", time.Second}
)

// tokenAnswer is the answer of the token endpoint (RFC 6749, section 5.1).
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
	Scope       string `json:"scope"`
}

// serveToken is the token endpoint: the client credentials grant (RFC 6749, section 4.4).
func (i *Issuer) serveToken(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache") // RFC 6749, section 5.1, asks for both
	answer, err := i.grant(w, r)
	if err == nil {
		writeJSON(w, http.StatusOK, answer)
		return
	}
	var no *refusal
	if !errors.As(err, &no) {
		i.config.Log.ErrorContext(r.Context(), "no token could be issued", "error", err)
		no = errUnavailable
	}
	switch no.status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="paygraph", charset="UTF-8"`)
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	}
	if no.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((no.retryAfter+time.Second-1)/time.Second)))
	}
	writeJSON(w, no.status, map[string]string{"error": no.code, "error_description": no.description})
}

// grant answers a token request. Errors: a *refusal, or a store's.
func (i *Issuer) grant(w http.ResponseWriter, r *http.Request) (tokenAnswer, error) {
	form, err := readForm(w, r)
	if err != nil {
		return tokenAnswer{}, err
	}
	client, err := clientOf(r.Header.Values("Authorization"), form)
	if err != nil {
		return tokenAnswer{}, err
	}
	switch form.Get("grant_type") {
	case "client_credentials":
	case "":
		return tokenAnswer{}, invalidRequest("grant_type is missing")
	default:
		return tokenAnswer{}, errGrantType
	}
	credential, err := i.admit(r, client)
	if err != nil {
		return tokenAnswer{}, err
	}
	scopes := AllScopes.and(credential.Scopes)
	if wish := form.Get("scope"); wish != "" {
		wanted, known := ParseScopes(wish)
		if !known || !wanted.within(scopes) {
			return tokenAnswer{}, errInvalidScope
		}
		scopes = wanted
	}
	if len(scopes) == 0 {
		return tokenAnswer{}, errInvalidScope
	}
	token, err := i.sign(r.Context(), Principal{
		Kind: Backend, Merchant: credential.Merchant, Subject: credential.ClientID, Scopes: scopes, Expires: i.config.Now().Add(i.config.TTL),
	})
	if err != nil {
		return tokenAnswer{}, err
	}
	return tokenAnswer{token, "Bearer", int64(i.config.TTL.Seconds()), scopes.String()}, nil
}

// admit looks at what a client shows, unless too many who come from there have failed.
func (i *Issuer) admit(r *http.Request, by client) (Credential, error) {
	from := i.config.Address(r)
	if wait := i.config.Strangers.Blocked(from, by.id); wait > 0 {
		return Credential{}, &refusal{http.StatusTooManyRequests, "temporarily_unavailable", "too many failures to sign in", wait}
	}
	credential, err := i.authenticateClient(r.Context(), by)
	switch {
	case errors.Is(err, errInvalidClient):
		i.config.Strangers.Failed(from, by.id)
	case err == nil:
		i.config.Strangers.SignedIn(from, by.id)
	}
	return credential, err
}

// readForm reads a body of parameters, none of them twice (RFC 6749, section 3.2). Parameters in the URL, where logs would keep a
// secret, are refused (section 2.3.1).
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		return nil, errMethod
	}
	if r.URL.RawQuery != "" {
		return nil, invalidRequest("parameters belong in the body")
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, invalidRequest("the content type must be application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxTokenRequest))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, invalidRequest("the body could not be read")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, invalidRequest("the body is not a form")
	}
	for _, values := range form {
		if len(values) > 1 {
			return nil, invalidRequest("a parameter is there twice")
		}
	}
	return form, nil
}

// clientOf finds the client's id with its secret, in the Authorization header or in the form, or with its assertion, and not with two of them
// (RFC 6749, section 2.3). A client_id in the form besides the header or the assertion is common and harmless, as long as it is the same.
func clientOf(authorization []string, form url.Values) (client, error) {
	by := client{form.Get("client_id"), form.Get("client_secret"), form.Get("client_assertion")}
	ways := len(authorization)
	for _, shown := range []string{by.secret, by.assertion} {
		if shown != "" {
			ways++
		}
	}
	switch {
	case len(authorization) > 1:
		return client{}, invalidRequest("there are two Authorization headers")
	case ways > 1:
		return client{}, invalidRequest("the client authenticates in two ways")
	case ways == 0:
		return client{}, errInvalidClient
	case by.assertion != "" && form.Get("client_assertion_type") != assertionType:
		return client{}, invalidRequest("client_assertion_type must be " + assertionType)
	}
	id := by.id
	switch {
	case len(authorization) == 1:
		var ok bool
		if id, by.secret, ok = parseBasic(authorization[0]); !ok {
			return client{}, errInvalidClient
		}
	case by.assertion != "":
		id = issuerOf(by.assertion)
	}
	if by.id != "" && by.id != id {
		return client{}, invalidRequest("client_id is not the client that authenticates")
	}
	by.id = id
	return by, nil
}

// parseBasic reads HTTP Basic as RFC 6749, section 2.3.1, has it: id and secret are form-encoded before they are put together.
func parseBasic(authorization string) (clientID, secret string, ok bool) {
	r := http.Request{Header: http.Header{"Authorization": {authorization}}}
	user, password, ok := r.BasicAuth()
	if !ok {
		return "", "", false
	}
	clientID, err1 := url.QueryUnescape(user)
	secret, err2 := url.QueryUnescape(password)
	return clientID, secret, err1 == nil && err2 == nil
}

func writeJSON(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the client may be gone
}
