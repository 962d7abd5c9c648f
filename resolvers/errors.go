package resolvers

import (
	"context"
	"errors"
	"log/slog"
	"strconv"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/resolvers/scalar"
	"github.com/paygraph/paygraph/session"
	"github.com/paygraph/paygraph/transport"
)

// errTimeUp is what a client sees when the operation's time was up.
var errTimeUp = errors.New("the time for this operation was up: try again")

// table maps every error that the domain exports, and that is no refusal, to its code. The message is the error's own.
var table = []struct {
	err  error
	code string
}{
	{auth.ErrUnauthenticated, transport.Unauthenticated},
	{auth.ErrAway, "UNAVAILABLE"},
	{auth.ErrCursorInvalid, "CURSOR_INVALID"},
	{auth.ErrCursorExpired, "CURSOR_EXPIRED"},
	{ErrNotFound, "NOT_FOUND"},
	{ErrForbidden, transport.Forbidden},
	{session.ErrNotABackend, transport.Forbidden},
	{event.ErrStopping, "UNAVAILABLE"},
	{ErrBadUserInput, transport.BadUserInput},
	{command.ErrOutcomeUnknown, "OUTCOME_UNKNOWN"},
	{command.ErrUnavailable, "UNAVAILABLE"},
	{command.ErrRateLimited, "RATE_LIMITED"},
	{command.ErrInternal, transport.Internal},
	{errTimeUp, "UNAVAILABLE"},
}

// PresentError is what a client sees of an error. What is not in the table is logged with the request's id, and shown as INTERNAL.
func PresentError(ctx context.Context, err error) *gqlerror.Error {
	var form scalar.FormError
	if errors.As(err, &form) {
		return shown(transport.BadUserInput, form.Error())
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = errTimeUp
	}
	for _, row := range table {
		if !errors.Is(err, row.err) {
			continue
		}
		if errors.Is(row.err, ErrBadUserInput) {
			return shown(row.code, said(err)) // made for the client
		}
		known := shown(row.code, row.err.Error())
		var elsewhere cursorElsewhere
		if errors.As(err, &elsewhere) {
			known.Extensions["lastSequence"] = strconv.FormatInt(elsewhere.last, 10)
		}
		return known
	}
	slog.ErrorContext(ctx, "a resolver failed", "requestId", transport.RequestID(ctx), "error", err)
	return shown(transport.Internal, "internal error")
}

// said is the text of an error without the place in the document that gqlgen puts before it: the transport shows that by itself.
func said(err error) string {
	if pinned, ok := errors.AsType[*gqlerror.Error](err); ok {
		return pinned.Message
	}
	return err.Error()
}

func shown(code, message string) *gqlerror.Error {
	return &gqlerror.Error{Message: message, Extensions: map[string]any{"code": code}}
}
