// Package transport serves GraphQL over HTTP, after the GraphQL over HTTP specification (graphql.github.io/graphql-over-http),
// on top of the code that gqlgen generates. It reads and answers requests, keeps parsed documents, and refuses an operation as a
// whole, before any resolver runs, where it is malformed, too large, or not allowed.
//
// A request passes these stations: request.go reads it, document.go finds or makes the plan of its text, operation.go
// authorises the plan, binds variables to it and executes it, and http.go answers. A plan holds whatever can be known from the
// text alone, so that the thousandth request with the same text is neither parsed nor walked again.
package transport

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/quota"
)

// Config is what a transport needs to know.
type Config struct {
	// Schema is what gqlgen generated, with its resolvers.
	Schema graphql.ExecutableSchema

	// Authenticate turns the token of "Authorization: Bearer <token>" into a principal. It is not called for a request without
	// the header, which is made by auth.Nobody. An error is answered with HTTP 401, or with 503 where PresentError says that it
	// is UNAVAILABLE or NOT_READY. Where it is nil no token is accepted.
	Authenticate func(ctx context.Context, token string) (auth.Principal, error)

	// InForce is the principal as it may act now, once its token has been accepted. It is asked for each operation on a WebSocket, and now and then while a
	// stream is open. An error that wraps auth.ErrUnauthenticated, and other scopes than before, end both as the end of the token does. After any other error
	// the operation is refused as one whose token cannot be checked, and streams go on. Where it is nil a token counts until it ends.
	InForce func(ctx context.Context, p auth.Principal) (auth.Principal, error)

	// CheckSignature checks a request that has a signature (RFC 9421), with its body. Before a mutation is executed, use uses the signature up. An error of
	// either that wraps auth.ErrSignature is shown as it is, with HTTP 401; any other one is the client's to try again later. Where it is nil no
	// signature is accepted.
	CheckSignature func(ctx context.Context, p auth.Principal, r *http.Request, body []byte) (use func(context.Context) error, err error)

	// Documents is the text of a document that a merchant trusts, by its identifier; empty: there is none. What it says is remembered for TrustedAge. Where it is nil
	// nobody trusts any.
	Documents func(ctx context.Context, m answer.MerchantID, id string) (text string, err error)

	// Quota bounds how much each principal asks for. Where it is nil the handler has one of its own.
	Quota *quota.Buckets

	// Strangers bounds failures to authenticate, and WebSockets that are not acknowledged, by address; Remembers says of a token that it was good before, and is
	// looked at in any case. Where they are nil the handler has one of its own, and no token was.
	Strangers *quota.Strangers
	Remembers func(token string) bool

	// Address says where a request comes from: whose bucket nobody draws on, and whose failures count. Where it is nil it is the connection's other end.
	Address func(*http.Request) netip.Addr

	// Limits bound every request; the zero value of each means its default.
	Limits Limits

	// Introspection says who may select __schema and __type. Where it is nil nobody may.
	Introspection func(auth.Principal) bool

	// PresentError maps what a resolver returned to what the client sees: the message and extensions.code, and
	// extensions.retryable and retryAfterMs (an int) where the defaults of the code are wrong. The transport adds path, locations and
	// requestId. Where it is nil every error is logged and shown as INTERNAL.
	PresentError func(ctx context.Context, err error) *gqlerror.Error

	// Begin prepares the context of one query or mutation, or of one item of a subscription; done is called when it has been answered. It
	// may be nil.
	Begin func(ctx context.Context) (_ context.Context, done func())

	// Origins are the pages, besides those of the host itself, whose scripts may open a WebSocket: "https://shop.example".
	Origins []string

	// Sockets says how WebSockets are kept; the zero value of each of its fields means its default.
	Sockets Sockets

	// Watcher is told of each operation. Where it is nil nobody is.
	Watcher Watcher

	// Tracer follows requests. Where it is nil nobody does.
	Tracer Tracer

	// Log gets panics, with the request's id. Where it is nil slog.Default is used.
	Log *slog.Logger
}

// Sockets says how long a WebSocket may be silent.
type Sockets struct {
	InitTimeout  time.Duration // until connection_init has come (10 s)
	PingInterval time.Duration // between two pings of ours (15 s)
	PongTimeout  time.Duration // until the client's pong has come (10 s)
}

// DefaultSockets are those of a gateway that was not told others.
var DefaultSockets = Sockets{InitTimeout: 10 * time.Second, PingInterval: 15 * time.Second, PongTimeout: 10 * time.Second}

func (s Sockets) withDefaults() Sockets {
	d := DefaultSockets
	return Sockets{cmp.Or(s.InitTimeout, d.InitTimeout), cmp.Or(s.PingInterval, d.PingInterval), cmp.Or(s.PongTimeout, d.PongTimeout)}
}

// Limits bound what one request may ask for. A field that is zero means the default.
type Limits struct {
	Body     int64         // bytes of a request's body (1 MiB)
	BodyTime time.Duration // until the last byte of the body has come (10 s)
	Deadline time.Duration // for the execution of one operation, by its context (30 s)

	Text         int // bytes of the document (64 KiB)
	Tokens       int // of the document, as the lexer counts them (5,000)
	Depth        int // levels of fields (20; the introspection of GraphiQL has 15)
	Fields       int // in an operation, those of a fragment as often as it is spread (1,000)
	RootFields   int // on the first level of an operation (50)
	Aliases      int // in an operation (100)
	Directives   int // in an operation (50)
	ListNesting  int // lists inside lists in the answer (6)
	InputNesting int // lists and objects inside each other in a literal or variable of a known type (12)
	AnswerFields int // in an answer, those below a list as often as the list is long (20,000)
	PageSize     int // the longest page that resolvers give, whatever "first" says (100)

	CachedDocuments int // number of plans kept (2,000)
	CachedBytes     int // memory of the plans kept, as estimated, which is too much rather than too little (64 MiB)
	CachedText      int // bytes of a text that is kept at all (16 KiB)
}

// DefaultLimits are the limits of a gateway that was not told others.
var DefaultLimits = Limits{
	Body: 1 << 20, BodyTime: 10 * time.Second, Deadline: 30 * time.Second,
	Text: 64 << 10, Tokens: 5000, Depth: 20, Fields: 1000, RootFields: 50, Aliases: 100, Directives: 50,
	ListNesting: 6, InputNesting: 12, AnswerFields: 20_000, PageSize: 100,
	CachedDocuments: 2000, CachedBytes: 64 << 20, CachedText: 16 << 10,
}

// withDefaults fills in the default of each limit that is zero.
func (l Limits) withDefaults() Limits {
	d := DefaultLimits
	return Limits{
		Body: cmp.Or(l.Body, d.Body), BodyTime: cmp.Or(l.BodyTime, d.BodyTime), Deadline: cmp.Or(l.Deadline, d.Deadline),
		Text: cmp.Or(l.Text, d.Text), Tokens: cmp.Or(l.Tokens, d.Tokens), Depth: cmp.Or(l.Depth, d.Depth),
		Fields: cmp.Or(l.Fields, d.Fields), RootFields: cmp.Or(l.RootFields, d.RootFields),
		Aliases: cmp.Or(l.Aliases, d.Aliases), Directives: cmp.Or(l.Directives, d.Directives),
		ListNesting: cmp.Or(l.ListNesting, d.ListNesting), InputNesting: cmp.Or(l.InputNesting, d.InputNesting),
		AnswerFields: cmp.Or(l.AnswerFields, d.AnswerFields), PageSize: cmp.Or(l.PageSize, d.PageSize),
		CachedDocuments: cmp.Or(l.CachedDocuments, d.CachedDocuments), CachedBytes: cmp.Or(l.CachedBytes, d.CachedBytes),
		CachedText: cmp.Or(l.CachedText, d.CachedText),
	}
}

// withDefaults replaces what is nil or zero.
func (c Config) withDefaults() Config {
	c.Limits = c.Limits.withDefaults()
	c.Sockets = c.Sockets.withDefaults()
	if c.Quota == nil {
		c.Quota = quota.New(time.Now)
	}
	if c.Strangers == nil {
		c.Strangers = quota.NewStrangers(time.Now)
	}
	if c.Remembers == nil {
		c.Remembers = func(string) bool { return false }
	}
	if c.Address == nil {
		c.Address = quota.Proxies(nil).Client
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Authenticate == nil {
		c.Authenticate = func(context.Context, string) (auth.Principal, error) { return auth.Nobody, errNoTokens }
	}
	if c.InForce == nil {
		c.InForce = func(_ context.Context, p auth.Principal) (auth.Principal, error) { return p, nil }
	}
	if c.CheckSignature == nil {
		c.CheckSignature = func(context.Context, auth.Principal, *http.Request, []byte) (func(context.Context) error, error) {
			return nil, auth.ErrSignature
		}
	}
	if c.Documents == nil {
		c.Documents = func(context.Context, answer.MerchantID, string) (string, error) { return "", nil }
	}
	if c.Introspection == nil {
		c.Introspection = func(auth.Principal) bool { return false }
	}
	if c.PresentError == nil {
		c.PresentError = func(ctx context.Context, err error) *gqlerror.Error {
			c.Log.ErrorContext(ctx, "resolver failed", "requestId", RequestID(ctx), "error", err)
			return newError(Internal, internalMessage)
		}
	}
	return c
}
