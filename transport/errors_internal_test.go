package transport

import (
	"testing"

	"github.com/vektah/gqlparser/v2/gqlerror"
)

func TestStatusAndRetryOfCodes(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]struct {
		status    int
		retryable bool
	}{
		ParseFailed: {400, false}, ValidationFailed: {400, false}, BadUserInput: {400, false}, TooComplex: {400, false},
		Unauthenticated: {401, false}, Forbidden: {403, false}, Internal: {500, false},
		rateLimited: {429, true}, unavailable: {503, true}, notReady: {503, true}, outcomeUnknown: {400, true},
		"CURSOR_INVALID": {400, false},
	} {
		err := newError(code, "x")
		complete(err, "id")
		if got := statusOf(gqlerror.List{err}); got != want.status || err.Extensions["retryable"] != want.retryable {
			t.Errorf("%s: %d, retryable %v, want %+v", code, got, err.Extensions["retryable"], want)
		}
	}
	if statusOf(nil) != 500 {
		t.Error("no error is no success")
	}
}

func TestCompleteKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	err := &gqlerror.Error{Extensions: map[string]any{"code": outcomeUnknown, "retryable": false, "key": "k"}}
	complete(err, "id")
	if err.Extensions["retryable"] != false || err.Extensions["key"] != "k" || err.Extensions["requestId"] != "id" {
		t.Error(err.Extensions)
	}
	bare := &gqlerror.Error{}
	if complete(bare, "id"); bare.Extensions["code"] != Internal {
		t.Error(bare.Extensions)
	}
}
