package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/paygraph/paygraph/auth"
)

// challenge is the WWW-Authenticate header for who sent no credentials (RFC 6750, section 3).
const challenge = `Bearer realm="paygraph"`

const (
	allMethods = "GET, HEAD, POST, OPTIONS"
	postOnly   = "POST"
)

// httpHandler answers queries and mutations.
type httpHandler struct{ engine *engine }

// NewHTTP returns the handler for /graphql: queries by GET, queries and mutations by POST.
//
// Where the client accepts application/graphql-response+json, a request that was refused before execution is answered with 4xx
// or 5xx, and one that was executed with 200. Where it accepts application/json, every well-formed GraphQL request is answered
// with 200, also one that lacks a permission. With both, what is no well-formed request gets 4xx, and credentials that are
// present and wrong get 401.
//
// It bounds the time of reading a body and of executing an operation; the times for headers, idle connections and writing are
// the http.Server's.
func NewHTTP(c Config) http.Handler { return &httpHandler{engine: newEngine(c)} }

// Values of headers that answers share; they are never changed.
var (
	noStore      = []string{"no-store"}
	noSniff      = []string{"nosniff"}
	contentTypes = map[string][]string{legacyJSON: {legacyJSON}, graphqlJSON: {graphqlJSON}}
)

// ServeHTTP answers one request.
func (h *httpHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	id := SetRequestID(header, r.Header)
	header["Cache-Control"] = noStore
	header["X-Content-Type-Options"] = noSniff
	if r.Method == http.MethodOptions {
		header.Set("Allow", allMethods)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	media, acceptable := negotiate(r.Header["Accept"])
	ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), requestIDKey{}, id), h.engine.config.Limits.Deadline)
	defer cancel()
	var response *graphql.Response
	var refused *requestError
	if acceptable {
		response, refused = h.safely(ctx, w, r)
	} else {
		refused = malformed(http.StatusNotAcceptable, "acceptable is application/graphql-response+json or application/json")
	}
	if refused != nil {
		writeRefusal(w, refused, media, id)
		return
	}
	write(w, http.StatusOK, media, response)
}

// safely serves the request, and turns a panic outside of resolvers, which gqlgen does not catch, into INTERNAL.
func (h *httpHandler) safely(ctx context.Context, w http.ResponseWriter, r *http.Request) (_ *graphql.Response, refused *requestError) {
	defer func() {
		if cause := recover(); cause != nil {
			h.engine.config.Log.ErrorContext(ctx, "panic in the transport", "requestId", RequestID(ctx), "panic", cause,
				"stack", string(debug.Stack()))
			refused = refuse(newError(Internal, internalMessage))
			refused.status = http.StatusInternalServerError
		}
	}()
	return h.serve(ctx, w, r)
}

func (h *httpHandler) serve(ctx context.Context, w http.ResponseWriter, r *http.Request) (*graphql.Response, *requestError) {
	principal, refused := h.authenticate(ctx, r.Header)
	if refused != nil {
		return nil, refused
	}
	asked, refused := h.read(w, r)
	if refused != nil {
		return nil, refused
	}
	plan, refused := h.engine.plan(&asked)
	if refused != nil {
		return nil, refused
	}
	switch {
	case plan.kind() == ast.Subscription:
		return nil, refuse(newError(BadUserInput, "a subscription is not answered over plain HTTP: it needs a stream"))
	case plan.kind() == ast.Mutation && r.Method != http.MethodPost:
		refused = malformed(http.StatusMethodNotAllowed, "a mutation needs POST")
		refused.allow = postOnly
		return nil, refused
	}
	op, refused := h.engine.prepare(plan, principal, &asked, r.Header)
	if refused != nil {
		return nil, refused
	}
	response := h.engine.run(ctx, op)
	if response.Data == nil { // nothing was executed
		return nil, &requestError{errors: response.Errors}
	}
	return response, nil
}

// read takes the request from where the method has it.
func (h *httpHandler) read(w http.ResponseWriter, r *http.Request) (request, *requestError) {
	switch r.Method {
	case http.MethodPost:
		if refused := checkContentType(r.Header); refused != nil {
			return request{}, refused
		}
		return readBody(w, r, &h.engine.config.Limits)
	case http.MethodGet, http.MethodHead:
		return readURL(r.URL)
	}
	refused := malformed(http.StatusMethodNotAllowed, "the method must be GET or POST")
	refused.allow = allMethods
	return request{}, refused
}

// authenticate finds the principal. A header that is there must be right, also where anybody could run the operation.
func (h *httpHandler) authenticate(ctx context.Context, header http.Header) (auth.Principal, *requestError) {
	sent := header["Authorization"]
	if len(sent) == 0 {
		return auth.Nobody, nil
	}
	scheme, token, _ := strings.Cut(sent[0], " ")
	if len(sent) > 1 || !strings.EqualFold(scheme, "Bearer") || !isToken(token) {
		return auth.Nobody, wrongCredentials()
	}
	principal, err := h.engine.config.Authenticate(ctx, token)
	if err == nil {
		return principal, nil
	}
	if shown := h.engine.present(ctx, err); shown != nil {
		if code := shown.Extensions["code"]; code == unavailable || code == notReady { // the token may be right
			return auth.Nobody, &requestError{errors: gqlerror.List{shown}, status: http.StatusServiceUnavailable}
		}
	}
	return auth.Nobody, wrongCredentials()
}

// wrongCredentials does not say what is wrong with them.
func wrongCredentials() *requestError {
	return &requestError{
		errors: gqlerror.List{newError(Unauthenticated, "the credentials are not accepted")},
		status: http.StatusUnauthorized, challenge: challenge + `, error="invalid_token"`,
	}
}

// isToken accepts the b64token of RFC 6750, section 2.1.
func isToken(s string) bool {
	s = strings.TrimRight(s, "=")
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// writeRefusal answers a request of which nothing was executed.
func writeRefusal(w http.ResponseWriter, refused *requestError, media, id string) {
	status := refused.status
	if status == 0 && media == graphqlJSON {
		status = statusOf(refused.errors)
	} else if status == 0 {
		status = http.StatusOK
	}
	header := w.Header()
	if refused.allow != "" {
		header.Set("Allow", refused.allow)
	}
	if refused.challenge != "" && (status == http.StatusUnauthorized || status == http.StatusForbidden) {
		header.Set("Www-Authenticate", refused.challenge)
	}
	for _, err := range refused.errors {
		complete(err, id)
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		if seconds := retryAfterHeader(refused.errors); seconds != "" {
			header.Set("Retry-After", seconds)
		}
	}
	write(w, status, media, &graphql.Response{Errors: refused.errors})
}

// write sends a response. The data are taken as gqlgen wrote them.
func write(w http.ResponseWriter, status int, media string, response *graphql.Response) {
	body := buffers.Get().(*bytes.Buffer)
	defer release(body)
	body.WriteByte('{')
	if len(response.Errors) > 0 {
		writeJSON(body, "errors", response.Errors, unspeakable)
	}
	if response.Data != nil {
		if body.Len() > 1 {
			body.WriteByte(',')
		}
		body.WriteString(`"data":`)
		body.Write(response.Data)
	}
	if len(response.Extensions) > 0 { // only with data or errors before it
		body.WriteByte(',')
		writeJSON(body, "extensions", response.Extensions, "{}")
	}
	body.WriteByte('}')
	header := w.Header()
	header["Content-Type"] = contentTypes[media]
	header["Content-Length"] = []string{strconv.Itoa(body.Len())}
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}

// unspeakable stands for errors that JSON cannot say.
const unspeakable = `[{"message":"internal error","extensions":{"code":"INTERNAL","retryable":false}}]`

// writeJSON adds a member to an object. Encoding fails only where a resolver put into extensions what JSON cannot say.
func writeJSON(body *bytes.Buffer, name string, value any, otherwise string) {
	body.WriteByte('"')
	body.WriteString(name)
	body.WriteString(`":`)
	text, err := json.Marshal(value)
	if err != nil {
		text = []byte(otherwise)
	}
	body.Write(text)
}
