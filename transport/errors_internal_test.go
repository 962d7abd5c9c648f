package transport

import (
	"fmt"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/quota"
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
		DocumentNotFound: {400, false}, DocumentMismatch: {400, false},
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

// TestLimitsAreAsDocumented compares the limits with the table that clients read.
func TestLimitsAreAsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.ReplaceAll(string(page), ",", "")
	l := DefaultLimits
	if l.Body != maxMessageSize {
		t.Error("a body and a message have one row, and two limits")
	}
	for what, most := range map[string]string{
		"a body or a message on a WebSocket": fmt.Sprintf("%d MiB", l.Body>>20), "a document": fmt.Sprintf("%d KiB", l.Text>>10),
		"tokens of a document": strconv.Itoa(l.Tokens), "levels of fields": strconv.Itoa(l.Depth),
		"fields of an operation those of a fragment as often as it is spread": strconv.Itoa(l.Fields),
		"fields on the first level": strconv.Itoa(l.RootFields), "aliases": strconv.Itoa(l.Aliases), "directives": strconv.Itoa(l.Directives),
		"lists inside each other in the answer":                            strconv.Itoa(l.ListNesting),
		"levels of lists and objects in an argument":                       strconv.Itoa(l.InputNesting),
		"fields in the answer those below a list as often as `first` says": strconv.Itoa(l.AnswerFields), "objects of a page": strconv.Itoa(l.PageSize),
		"messages a second from one socket for long; what comes faster is read later": strconv.Itoa(messageRate),
		"subscriptions a second that begin on one socket for long; more begin later":  strconv.Itoa(beginRate),
		"operations at once on one socket":                                            strconv.Itoa(maxOperations), "all that they ask for": fmt.Sprintf("%d MiB", maxHeld>>20),
		"their documents the same one once":                 fmt.Sprintf("%d KiB", maxDocuments>>10),
		"time for an operation or for one item of a stream": fmt.Sprintf("%.0f s", l.Deadline.Seconds()),
	} {
		if row := fmt.Sprintf("| %s | %s |", what, most); !strings.Contains(rows, row) {
			t.Errorf("docs/errors.md has no row %s", row)
		}
	}
}

// TestDefaultsOfPrincipalsAreAsDocumented compares them with the table that clients read.
func TestDefaultsOfPrincipalsAreAsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.ReplaceAll(string(page), ",", "")
	for what, most := range map[string]int{
		"failures one after the other": quota.Failures, "failures that are forgiven a second": quota.FailuresBack,
		"WebSockets that begin at once and that are not acknowledged": quota.Handshakes,
		"WebSockets a second that begin for long; more wait":          quota.HandshakesBack,
	} {
		if row := fmt.Sprintf("| %s | %d |", what, most); !strings.Contains(rows, row) {
			t.Errorf("docs/errors.md has no row %s", row)
		}
	}
	names := map[auth.Kind]string{auth.Backend: "a backend", auth.Staff: "who works for a merchant", auth.Customer: "a customer", auth.Anonymous: "an address"}
	for kind, l := range auth.DefaultLimits {
		row := fmt.Sprintf("| %s | %d | %d | %d | %d |", names[kind], l.PointsPerSecond, l.Burst, l.AtOnce, l.Sockets)
		if !strings.Contains(rows, row) {
			t.Errorf("docs/errors.md has no row %s", row)
		}
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
