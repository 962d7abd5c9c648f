package transport

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/gorilla/websocket"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/auth/httpsig"
	"github.com/paygraph/paygraph/quota"
)

// challenge is the WWW-Authenticate header for who sent no credentials (RFC 6750, section 3).
const challenge = `Bearer realm="paygraph"`

const (
	allMethods = "GET, HEAD, POST, OPTIONS"
	postOnly   = "POST"
)

// Handler answers GraphQL over HTTP, over WebSocket and as Server-Sent Events.
type Handler struct {
	engine   *engine
	upgrader websocket.Upgrader
	open     *connections
	writers  *writers
	times    times
}

// times are how long a client may take nothing, how long a stream of events says nothing, and how long a WebSocket waits to begin.
type times struct{ write, keepAlive, begin time.Duration }

var defaultTimes = times{write: 10 * time.Second, keepAlive: 15 * time.Second, begin: quota.HandshakeWait}

// New returns the handler for /graphql: queries by GET, queries and mutations by POST, subscriptions as Server-Sent Events by both, and
// everything over WebSocket (graphql-transport-ws). Stop ends what stays open.
//
// Where the client accepts application/graphql-response+json, a request that was refused before execution is answered with 4xx
// or 5xx, and one that was executed with 200. Where it accepts application/json, every well-formed GraphQL request is answered
// with 200, also one that lacks a permission. With both, what is no well-formed request gets 4xx, and credentials that are
// present and wrong get 401.
//
// It bounds the time of reading a body and of executing an operation; the times for headers, idle connections and writing are
// the http.Server's.
func New(c Config) *Handler {
	open := newConnections()
	e := newEngine(open.stopping, c)
	return &Handler{
		engine: e, upgrader: upgrader(e.config.Origins), open: open, writers: newWriters(), times: defaultTimes,
	}
}

// Values of headers that answers share; they are never changed.
var (
	noStore      = []string{"no-store"}
	contentTypes = map[string][]string{legacyJSON: {legacyJSON}, graphqlJSON: {graphqlJSON}, eventStream: {eventStream}}
)

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if websocket.IsWebSocketUpgrade(r) {
		h.serveSocket(w, r)
		return
	}
	header := w.Header()
	id := SetRequestID(header, r.Header)
	header["Cache-Control"] = noStore
	if r.Method == http.MethodOptions {
		header.Set("Allow", allMethods)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	ctx := context.WithValue(r.Context(), requestIDKey{}, id)
	ctx, seen := h.engine.watch(ctx, r.Header)
	media := negotiate(r.Header["Accept"])
	if media == (accepted{}) {
		refused := malformed(http.StatusNotAcceptable, "acceptable is application/graphql-response+json, application/json or text/event-stream")
		seen.answered(refused.errors)
		writeRefusal(w, refused, legacyJSON, id)
		return
	}
	op, refused := h.prepare(ctx, w, r, media, &seen)
	if refused != nil {
		seen.answered(refused.errors)
	} else {
		setRateLimit(header, &op.charge)
	}
	switch {
	case refused != nil && media.json == "" && refused.status == 0: // a well-formed request, and the client reads nothing but a stream
		h.refuseStream(w, refused, id)
	case refused != nil:
		writeRefusal(w, refused, cmp.Or(media.json, legacyJSON), id)
	case op.plan.kind() == ast.Subscription || media.json == "":
		h.serveStream(ctx, w, r, op, &seen)
	default:
		response, refused := h.execute(ctx, op, &seen)
		if refused != nil {
			writeRefusal(w, refused, media.json, id)
			return
		}
		write(w, http.StatusOK, media.json, response, &op.charge)
	}
}

// caught makes INTERNAL of a panic outside of resolvers, which gqlgen does not catch.
func (e *engine) caught(ctx context.Context, refused **requestError) {
	if cause := recover(); cause != nil {
		e.panicked(ctx, cause)
		*refused = refuse(newError(Internal, internalMessage))
		(*refused).status = http.StatusInternalServerError
	}
}

func (e *engine) panicked(ctx context.Context, cause any) {
	e.config.Log.ErrorContext(ctx, "panic in the transport", "requestId", RequestID(ctx), "panic", cause, "stack", string(debug.Stack()))
}

// prepare makes an operation of a request.
func (h *Handler) prepare(ctx context.Context, w http.ResponseWriter, r *http.Request, media accepted, seen *watched) (op *operation, refused *requestError) {
	defer func() {
		if refused != nil && op != nil {
			op.place.Leave()
		}
	}()
	defer h.engine.caught(ctx, &refused)
	ctx, cancel := context.WithTimeout(ctx, h.engine.config.Limits.Deadline)
	defer cancel()
	from := h.engine.config.Address(r)
	principal, refused := h.authenticate(ctx, r.Header, from)
	if refused != nil {
		return nil, refused
	}
	seen.by(principal)
	var use func(context.Context) error // of a signature that is there and good
	asked, refused := h.read(w, r, func(body []byte) (refused *requestError) {
		if httpsig.Signed(r.Header) {
			use, refused = h.engine.checkSignature(ctx, principal, r, body)
		}
		return refused
	})
	if refused != nil {
		return nil, refused
	}
	asked.signed, asked.address, asked.alone = use != nil, from, true
	plan, refused := h.engine.find(ctx, &principal, &asked)
	if refused != nil {
		return nil, refused
	}
	seen.plan = plan
	switch {
	case plan.kind() == ast.Subscription && !media.stream:
		return nil, refuse(newError(BadUserInput, "a subscription is answered as text/event-stream, or over WebSocket"))
	case plan.kind() == ast.Mutation && r.Method != http.MethodPost:
		refused = malformed(http.StatusMethodNotAllowed, "a mutation needs POST")
		refused.allow = postOnly
		return nil, refused
	}
	op, refused = h.engine.prepare(plan, principal, &asked, r.Header)
	if refused == nil && use != nil && plan.kind() == ast.Mutation {
		if err := use(ctx); err != nil {
			return op, h.engine.refuseSignature(ctx, err)
		}
	}
	return op, refused
}

// execute runs a query or mutation, whatever transport brought it.
func (h *Handler) execute(ctx context.Context, op *operation, seen *watched) (response *graphql.Response, refused *requestError) {
	defer op.place.Leave()
	defer func() {
		if refused != nil {
			seen.answered(refused.errors)
		} else {
			seen.answered(response.Errors)
		}
	}()
	defer h.engine.caught(ctx, &refused)
	ctx, cancel := context.WithTimeout(ctx, h.engine.config.Limits.Deadline)
	defer cancel()
	response = h.engine.run(seen.executes(ctx), op)
	if response.Data == nil { // nothing was executed
		return nil, &requestError{errors: response.Errors}
	}
	return response, nil
}

// checkSignature checks a request's signature. A client that signs finds out what is wrong with it: it has shown a good token already.
func (e *engine) checkSignature(ctx context.Context, p auth.Principal, r *http.Request, body []byte) (use func(context.Context) error, refused *requestError) {
	if p.Kind == auth.Anonymous {
		return nil, wrongCredentials()
	}
	use, err := e.config.CheckSignature(ctx, p, r, body)
	if err != nil {
		return nil, e.refuseSignature(ctx, err)
	}
	return use, nil
}

func (e *engine) refuseSignature(ctx context.Context, err error) *requestError {
	if errors.Is(err, auth.ErrSignature) {
		return &requestError{errors: gqlerror.List{newError(SignatureWrong, "%s", err)}, status: http.StatusUnauthorized, challenge: challenge}
	}
	return e.refuseUnknown(ctx, err)
}

// refuseUnknown is for what could not be found out.
func (e *engine) refuseUnknown(ctx context.Context, err error) *requestError {
	if shown := e.present(ctx, err); shown != nil {
		return refuse(shown)
	}
	return refuse(newError(unavailable, "the credentials could not be checked: try again"))
}

// read takes the request from where the method has it.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, check func(body []byte) *requestError) (request, *requestError) {
	switch r.Method {
	case http.MethodPost:
		if refused := checkContentType(r.Header); refused != nil {
			return request{}, refused
		}
		return readBody(w, r, &h.engine.config.Limits, check)
	case http.MethodGet, http.MethodHead:
		if refused := check(nil); refused != nil {
			return request{}, refused
		}
		return readURL(r.URL)
	}
	refused := malformed(http.StatusMethodNotAllowed, "the method must be GET or POST")
	refused.allow = allMethods
	return request{}, refused
}

// authenticate finds the principal. A header that is there must be right, also where anybody could run the operation.
func (h *Handler) authenticate(ctx context.Context, header http.Header, from netip.Addr) (auth.Principal, *requestError) {
	switch sent := header["Authorization"]; len(sent) {
	case 0:
		return auth.Nobody, nil
	case 1:
		return h.engine.authenticate(ctx, sent[0], from)
	}
	return auth.Nobody, wrongCredentials()
}

// authenticate finds the principal of "Bearer <token>". Where too many who come from the same address have failed, only a token is looked at that was good before.
func (e *engine) authenticate(ctx context.Context, credential string, from netip.Addr) (auth.Principal, *requestError) {
	scheme, token, _ := strings.Cut(credential, " ")
	if wait := e.config.Strangers.Blocked(from, ""); wait > 0 && !e.config.Remembers(token) {
		refused := refuse(newError(rateLimited, "too many failures to authenticate from this address")).after(wait)
		refused.status = http.StatusTooManyRequests
		return auth.Nobody, refused
	}
	if !strings.EqualFold(scheme, "Bearer") || !isToken(token) {
		e.config.Strangers.Failed(from, "")
		return auth.Nobody, wrongCredentials()
	}
	principal, err := e.config.Authenticate(ctx, token)
	if err == nil {
		return principal, nil
	}
	if shown := e.present(ctx, err); shown != nil {
		if code := shown.Extensions["code"]; code == unavailable || code == notReady { // the token may be right
			return auth.Nobody, &requestError{errors: gqlerror.List{shown}, status: http.StatusServiceUnavailable}
		}
	}
	if !errors.Is(err, auth.ErrEnded) {
		e.config.Strangers.Failed(from, "")
	}
	return auth.Nobody, wrongCredentials()
}

// authenticateSafely is authenticate where net/http catches no panic.
func (e *engine) authenticateSafely(ctx context.Context, credential string, from netip.Addr) (_ auth.Principal, refused *requestError) {
	defer e.caught(ctx, &refused)
	return e.authenticate(ctx, credential, from)
}

// still is a principal as it may act now. Errors: auth.ErrUnauthenticated, also where it may do other things than before, so that its client comes back as what
// it is now; any other one says that this cannot be found out.
func (e *engine) still(ctx context.Context, p auth.Principal) (auth.Principal, error) {
	now, err := e.config.InForce(ctx, p)
	if err == nil && !slices.Equal(now.Scopes, p.Scopes) {
		err = fmt.Errorf("%w: its scopes have changed", auth.ErrUnauthenticated)
	}
	return now, err
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
	refused.complete(id)
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		if seconds := retryAfterHeader(refused.errors); seconds != "" {
			header.Set("Retry-After", seconds)
		}
	}
	if refused.charge != nil {
		setRateLimit(header, refused.charge)
	}
	write(w, status, media, &graphql.Response{Errors: refused.errors}, refused.charge)
}

// write sends a response, with what it has cost.
func write(w http.ResponseWriter, status int, media string, response *graphql.Response, charge *quota.Charge) {
	body := buffers.Get().(*bytes.Buffer)
	defer release(body)
	encodeResponse(body, response, charge)
	header := w.Header()
	header["Content-Type"] = contentTypes[media]
	header["Content-Length"] = []string{strconv.Itoa(body.Len())}
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}

// encodeResponse writes a response as JSON, with what it has cost, if anything. The data are taken as gqlgen wrote them.
func encodeResponse(body *bytes.Buffer, response *graphql.Response, charge *quota.Charge) {
	begin := body.Len()
	body.WriteByte('{')
	if len(response.Errors) > 0 {
		writeJSON(body, "errors", response.Errors, unspeakable)
	}
	if response.Data != nil {
		if body.Len() > begin+1 {
			body.WriteByte(',')
		}
		body.WriteString(`"data":`)
		body.Write(response.Data)
	}
	writeExtensions(body, response, charge) // with data or errors before it
	body.WriteByte('}')
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
