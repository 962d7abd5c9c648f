package transport

import (
	"fmt"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/gqlerror"
)

// TestStatusAndRetryOfCodes also compares with the table that clients read.
func TestStatusAndRetryOfCodes(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[bool]string{true: "yes", false: "no"}
	for code, want := range map[string]struct {
		status    int
		retryable bool
	}{
		ParseFailed: {400, false}, ValidationFailed: {400, false}, BadUserInput: {400, false}, TooComplex: {400, false},
		Unauthenticated: {401, false}, Forbidden: {403, false}, Internal: {500, false},
		rateLimited: {429, true}, unavailable: {503, true}, notReady: {503, true}, outcomeUnknown: {400, true},
		"CURSOR_INVALID": {400, false}, "CURSOR_EXPIRED": {400, false}, "NOT_FOUND": {400, false},
	} {
		err := newError(code, "x")
		complete(err, "id")
		if got := statusOf(gqlerror.List{err}); got != want.status || err.Extensions["retryable"] != want.retryable {
			t.Errorf("%s: %d, retryable %v, want %+v", code, got, err.Extensions["retryable"], want)
		}
		if row := fmt.Sprintf("| `%s` | %d | %s |", code, want.status, documented[want.retryable]); !strings.Contains(string(page), row) {
			t.Errorf("docs/errors.md has no row %s", row)
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
	own := &gqlerror.Error{Extensions: map[string]any{"code": rateLimited, "retryAfterMs": 60_000}}
	if complete(own, "id"); own.Extensions["retryAfterMs"] != 60_000 {
		t.Error(own.Extensions)
	}
	bare := &gqlerror.Error{}
	if complete(bare, "id"); bare.Extensions["code"] != Internal {
		t.Error(bare.Extensions)
	}
}

// TestWhenToComeBack refuses whole requests: the error and the header say the same, and nobody else is told to come back.
func TestWhenToComeBack(t *testing.T) {
	t.Parallel()
	seen := map[any]bool{}
	for range 20 {
		for code, comesBack := range map[string]bool{rateLimited: true, unavailable: true, notReady: true, outcomeUnknown: false, Internal: false} {
			w := httptest.NewRecorder()
			refused := refuse(newError(code, "x"))
			writeRefusal(w, refused, graphqlJSON, "id")
			ms, ok := refused.errors[0].Extensions["retryAfterMs"].(int)
			header := w.Header().Get("Retry-After")
			if ok != comesBack || ok && (ms < 1000 || ms >= 2000 || header != strconv.Itoa((ms+999)/1000)) || !ok && header != "" {
				t.Errorf("%s: %d, Retry-After %q, %v", code, w.Code, header, refused.errors[0].Extensions)
			}
			seen[ms] = true
		}
	}
	if len(seen) < 10 {
		t.Errorf("all come back at the same time: %v", seen)
	}
	w := httptest.NewRecorder()
	if writeRefusal(w, refuse(newError(unavailable, "x")), legacyJSON, "id"); w.Code != 200 || w.Header().Get("Retry-After") != "" {
		t.Errorf("an answer with status 200: %d %v", w.Code, w.Header())
	}
}
