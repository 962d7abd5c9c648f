package transport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/paygraph/paygraph/quota"
)

// The codes that the transport itself gives, in extensions.code of an error.
const (
	ParseFailed      = "GRAPHQL_PARSE_FAILED"      // the document's syntax
	ValidationFailed = "GRAPHQL_VALIDATION_FAILED" // the document does not fit the schema
	BadUserInput     = "BAD_USER_INPUT"            // the HTTP request, a variable or a literal
	Unauthenticated  = "UNAUTHENTICATED"           // the credentials, or their absence
	Forbidden        = "FORBIDDEN"                 // a scope that the principal lacks
	SignatureWrong   = "SIGNATURE_INVALID"         // a request's signature
	SignatureMissing = "SIGNATURE_REQUIRED"        // a mutation that the credential runs by signed requests only
	DocumentNotFound = "PERSISTED_QUERY_NOT_FOUND" // no document has this identifier
	DocumentMismatch = "PERSISTED_QUERY_MISMATCH"  // the document has another identifier
	TooComplex       = "QUERY_TOO_COMPLEX"         // one of Limits
	Internal         = "INTERNAL"                  // a panic, or an error that has no place in the table
)

// Codes that resolvers give and that the transport treats in a way of their own.
const (
	rateLimited    = "RATE_LIMITED"
	unavailable    = "UNAVAILABLE"
	notReady       = "NOT_READY"
	outcomeUnknown = "OUTCOME_UNKNOWN"
)

const (
	maxErrors       = 20  // of one answer to a document or request that is refused
	maxMessage      = 500 // bytes of a validation error's message
	internalMessage = "internal error"

	// A client that is to come back waits for this time and up to as long again, so that those who were sent away together do not come
	// back together.
	retryAfter = time.Second
)

var errNoTokens = errors.New("transport: no tokens are accepted here")

// requestError is the answer to a request of which nothing was executed: errors, and no data entry.
type requestError struct {
	errors    gqlerror.List
	status    int           // of HTTP, whatever media type is accepted; 0: statusOf
	allow     string        // the Allow header of a 405
	challenge string        // the WWW-Authenticate header of a 401 or 403
	cause     error         // of a subscription that did not begin
	charge    *quota.Charge // where it was refused for want of points or of a place; else nil
}

// complete gives each error the extensions that every error has.
func (r *requestError) complete(requestID string) {
	for _, err := range r.errors {
		complete(err, requestID)
	}
}

// refuse makes a requestError of one error.
func refuse(err *gqlerror.Error) *requestError { return &requestError{errors: gqlerror.List{err}} }

// malformed is the answer to what is no well-formed GraphQL request.
func malformed(status int, format string, args ...any) *requestError {
	return &requestError{status: status, errors: gqlerror.List{newError(BadUserInput, format, args...)}}
}

// newError makes an error with a code. The message must not hold anything of the request's body or variables.
func newError(code, format string, args ...any) *gqlerror.Error {
	return &gqlerror.Error{Message: fmt.Sprintf(format, args...), Extensions: map[string]any{"code": code}}
}

// at adds the place in the document.
func at(err *gqlerror.Error, p *ast.Position) *gqlerror.Error {
	if p != nil {
		err.Locations = []gqlerror.Location{{Line: p.Line, Column: p.Column}}
	}
	return err
}

// statusOf is the HTTP status of a well-formed request that was refused, by the code of its first error. It holds where
// application/graphql-response+json is accepted; application/json gets 200 (GraphQL over HTTP, section 6.4).
func statusOf(errs gqlerror.List) int {
	if len(errs) == 0 {
		return http.StatusInternalServerError
	}
	switch errs[0].Extensions["code"] {
	case Unauthenticated, SignatureWrong:
		return http.StatusUnauthorized
	case Forbidden, SignatureMissing:
		return http.StatusForbidden
	case rateLimited:
		return http.StatusTooManyRequests
	case unavailable, notReady:
		return http.StatusServiceUnavailable
	case Internal:
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

// isRetryable says whether the same may yet succeed.
func isRetryable(err *gqlerror.Error) bool {
	retryable, _ := err.Extensions["retryable"].(bool)
	return retryable
}

// complete gives an error the extensions that every error has, code, requestId and retryable, and one that was caused by too much work
// or by something that is away, when to come back: retryAfterMs.
func complete(err *gqlerror.Error, requestID string) {
	if err.Extensions == nil {
		err.Extensions = make(map[string]any, 3)
	}
	code, ok := err.Extensions["code"].(string)
	if !ok {
		code = Internal
		err.Extensions["code"] = code
	}
	err.Extensions["requestId"] = requestID
	comesBack := code == rateLimited || code == unavailable || code == notReady
	retryable, ok := err.Extensions["retryable"].(bool)
	if !ok {
		retryable = comesBack || code == outcomeUnknown
		err.Extensions["retryable"] = retryable
	}
	if _, ok := err.Extensions["retryAfterMs"].(int); !ok && comesBack && retryable {
		err.Extensions["retryAfterMs"] = int((retryAfter + rand.N(retryAfter)).Milliseconds())
	}
}

// retryAfterHeader is when to come back in whole seconds (RFC 9110, section 10.2.3), by the first error; empty: it does not say.
func retryAfterHeader(errs gqlerror.List) string {
	if len(errs) == 0 {
		return ""
	}
	ms, ok := errs[0].Extensions["retryAfterMs"].(int)
	if !ok {
		return ""
	}
	return strconv.Itoa((ms + 999) / 1000)
}

// panicked is what a panic in a resolver becomes on its way to present.
type panicked struct{}

func (panicked) Error() string { return internalMessage }

// recovered is gqlgen's RecoverFunc: it logs the panic and where it came from.
func (e *engine) recovered(ctx context.Context, cause any) error {
	e.config.Log.ErrorContext(ctx, "panic in an operation", "requestId", RequestID(ctx), "panic", fmt.Sprint(cause),
		"stack", string(debug.Stack()))
	return panicked{}
}

// present is gqlgen's ErrorPresenterFunc: Config.PresentError, between the path and locations that gqlgen knows.
func (e *engine) present(ctx context.Context, err error) *gqlerror.Error {
	var shown *gqlerror.Error
	if _, ok := errors.AsType[panicked](err); ok {
		shown = newError(Internal, internalMessage)
	} else if shown = e.config.PresentError(ctx, err); shown == nil {
		return nil
	}
	answer := *shown // what PresentError returned may be shared
	answer.Extensions = make(map[string]any, len(shown.Extensions)+2)
	for name, value := range shown.Extensions {
		answer.Extensions[name] = value
	}
	if known, ok := errors.AsType[*gqlerror.Error](err); ok {
		if answer.Path == nil {
			answer.Path = known.Path
		}
		if answer.Locations == nil {
			answer.Locations = known.Locations
		}
	}
	if answer.Path == nil {
		answer.Path = graphql.GetPath(ctx)
	}
	if field := graphql.GetFieldContext(ctx); answer.Locations == nil && field != nil && field.Field.Field != nil { // a panic
		_ = at(&answer, field.Field.Position)
	}
	complete(&answer, RequestID(ctx))
	return &answer
}
