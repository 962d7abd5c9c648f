package resolvers

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	gql "github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/resolvers/scalar"
	"github.com/paygraph/paygraph/session"
)

// mapped are the exported errors that stand in the table, by the names that the test finds in the sources.
var mapped = map[string]error{
	"auth.ErrUnauthenticated":   auth.ErrUnauthenticated,
	"auth.ErrAway":              auth.ErrAway,
	"auth.ErrCursorInvalid":     auth.ErrCursorInvalid,
	"auth.ErrCursorExpired":     auth.ErrCursorExpired,
	"event.ErrStopping":         event.ErrStopping,
	"resolvers.ErrNotFound":     ErrNotFound,
	"resolvers.ErrBadUserInput": ErrBadUserInput,
	"command.ErrOutcomeUnknown": command.ErrOutcomeUnknown,
	"command.ErrUnavailable":    command.ErrUnavailable,
	"resolvers.ErrForbidden":    ErrForbidden,
	"session.ErrNotABackend":    session.ErrNotABackend,
	"command.ErrRateLimited":    command.ErrRateLimited,
	"command.ErrInternal":       command.ErrInternal,
}

// unmapped are the exported errors that never reach a client, with the reason.
var unmapped = map[string]string{
	"answer.ErrNotAnID":         "to a client such text is an identifier that never was: nil, or NotFound",
	"auth.ErrEnded":             "it is auth.ErrUnauthenticated, too",
	"auth.ErrClientKeys":        "the commands' for people at a terminal",
	"auth.ErrOutside":           "the start's, before there are clients",
	"auth.ErrRequestKeys":       "the commands' for people at a terminal",
	"auth.ErrNoSuchKey":         "the commands' for people at a terminal",
	"auth.ErrNoKeyToSign":       "the commands' for people at a terminal",
	"auth.ErrSignature":         "the transport's: it refuses the request with SIGNATURE_INVALID",
	"auth/httpsig.ErrSignature": "the transport's: it refuses the request with SIGNATURE_INVALID",
	"quota.ErrProxies":          "the start's, before there are clients",
	"quota.ErrLimits":           "the commands' for people at a terminal",
	"store.ErrHasSecret":        "the commands' for people at a terminal",
	"auth.ErrUnknownCredential": "the token endpoint's own: it answers invalid_client",
	"event.ErrTooSlow":          "the transports': they close what the client then opens again",
	"event.ErrLogChanged":       "the transports': they close what the client then opens again",
	"event.ErrOwnerChanged":     "the transports': they close what the client then opens again",
	"event.ErrOver":             "the transports': they complete the stream",
	"ledger.ErrUnbalanced":      "a defect: the writer makes command.ErrInternal of it",
	"money.ErrCurrency":         "a violation of ValidationFailed, or wrapped in ErrBadUserInput for filters",
	"money.ErrSyntax":           "a violation of ValidationFailed, or wrapped in ErrBadUserInput for filters",
	"money.ErrTooManyDigits":    "a violation of ValidationFailed, or wrapped in ErrBadUserInput for filters",
	"money.ErrRange":            "a violation of ValidationFailed, or wrapped in ErrBadUserInput for filters",
	"money.ErrOverflow":         "arithmetic; the ledger refuses with BalanceOutOfRange before it",
	"money.ErrCurrencyMismatch": "arithmetic; the ledger refuses with CurrencyMismatch before it",
	"soak.ErrFailed":            "a soak's own: the command ends with it",
	"payment.ErrFeePlan":        "an operator's: the command line shows it",
	"money.ErrParts":            "a defect of a caller of Allocate",

	"store.ErrNoMerchant":               "the commands' for people at a terminal",
	"store.ErrDocumentTaken":            "the commands' for people at a terminal",
	"store.ErrNoDocument":               "the commands' for people at a terminal",
	"store.ErrClientIDTaken":            "the commands' for people at a terminal",
	"store/connector.ErrConnect":        "store makes command.ErrUnavailable of it",
	"store/connector.ErrOutcomeUnknown": "store makes command.ErrOutcomeUnknown or command.ErrUnavailable of it",
	"store/embedded.ErrInUse":           "the start's, before there are clients",
	"store/groupcommit.ErrFull":         "store makes command.ErrUnavailable of it",
	"store/groupcommit.ErrKeyFull":      "store makes command.ErrRateLimited of it",
	"store/groupcommit.ErrClosed":       "store makes command.ErrUnavailable of it",
	"store/groupcommit.ErrTimeUp":       "store makes command.ErrOutcomeUnknown of it",
}

func TestEveryExportedErrorHasACode(t *testing.T) {
	t.Parallel()
	var found []string
	for _, pkg := range packages(t) {
		found = append(found, exportedErrors(t, pkg)...)
	}
	if len(found) < 20 {
		t.Fatalf("found only %v", found)
	}
	for _, name := range found {
		err, isMapped := mapped[name]
		_, isUnmapped := unmapped[name]
		if isMapped == isUnmapped {
			t.Errorf("%s has to stand in either mapped or unmapped", name)
		}
		if isMapped && !inTable(err) {
			t.Errorf("%s is not in the table", name)
		}
	}
	for name := range mapped {
		if !slices.Contains(found, name) {
			t.Errorf("%s is no more", name)
		}
	}
	for name := range unmapped {
		if !slices.Contains(found, name) {
			t.Errorf("%s is no more", name)
		}
	}
}

// packages are the folders of the repository with sources of the gateway.
func packages(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		switch name := d.Name(); {
		case path == "..": // main
			return nil
		case name == "internal", name == "node_modules", name == "testdata", name == "graph", len(name) > 2 && name[0] == '.':
			return fs.SkipDir
		}
		if sources, _ := filepath.Glob(filepath.Join(path, "*.go")); len(sources) > 0 {
			found = append(found, strings.TrimPrefix(filepath.ToSlash(path), "../"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func inTable(err error) bool {
	for _, row := range table {
		if row.err == err { //nolint:errorlint // the row itself, not what it wraps
			return true
		}
	}
	return false
}

// exportedErrors finds the package's variables that begin with Err.
func exportedErrors(t *testing.T, pkg string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", pkg, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no sources of %s: %v", pkg, err)
	}
	var names []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, source, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range tree.Decls {
			variables, ok := decl.(*ast.GenDecl)
			if !ok || variables.Tok != token.VAR {
				continue
			}
			for _, spec := range variables.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					if strings.HasPrefix(name.Name, "Err") {
						names = append(names, pkg+"."+name.Name)
					}
				}
			}
		}
	}
	return names
}

func TestWhatAClientSeesOfAnError(t *testing.T) {
	t.Parallel()
	secret := errors.New("pq: password of 10.0.0.7")
	for name, c := range map[string]struct {
		err           error
		code, message string
	}{
		"what is in the table, without what it wraps": {
			fmt.Errorf("%w: %w", command.ErrUnavailable, secret), "UNAVAILABLE", command.ErrUnavailable.Error(),
		},
		"a merchant that floods": {
			fmt.Errorf("%w: %w", command.ErrRateLimited, secret), "RATE_LIMITED", command.ErrRateLimited.Error(),
		},
		"a bad argument, with what is wrong": {fmt.Errorf("%w: first is small", ErrBadUserInput), "BAD_USER_INPUT", "bad input: first is small"},
		"the same, as gqlgen pins it to its field": {
			gqlerror.WrapPath(gql.Path{gql.PathName("accounts")}, fmt.Errorf("%w: first is small", ErrBadUserInput)),
			"BAD_USER_INPUT", "bad input: first is small",
		},
		"a bad scalar":             {fmt.Errorf("input: %w", scalar.FormError("no number")), "BAD_USER_INPUT", "no number"},
		"a context that has ended": {context.DeadlineExceeded, "UNAVAILABLE", ""},
		"a cursor":                 {auth.ErrCursorInvalid, "CURSOR_INVALID", auth.ErrCursorInvalid.Error()},
		"anything else":            {secret, "INTERNAL", "internal error"},
	} {
		shown := PresentError(t.Context(), c.err)
		if shown.Extensions["code"] != c.code || c.message != "" && shown.Message != c.message {
			t.Errorf("%s: got %v %q, want %s %q", name, shown.Extensions["code"], shown.Message, c.code, c.message)
		}
	}
}

// stray is a refusal that no union has.
type stray struct{ answer.NotFound }

func TestARefusalThatIsNoMemberIsADefectAndNoPanic(t *testing.T) {
	t.Parallel()
	known := append([]answer.Refusal{
		answer.ValidationFailed{}, answer.IdempotencyKeyReused{}, answer.IdempotencyKeyExpired{}, answer.IdempotencyInProgress{}, stray{},
	}, payment.Refusals...)
	passed := 0
	for _, f := range schema.Mutation.Fields {
		if strings.HasPrefix(f.Name, "__") {
			continue
		}
		operation, done := Operations{}.Begin(t.Context())
		defer done()
		ctx := graphql.WithFieldContext(operation, &graphql.FieldContext{
			Field: graphql.CollectedField{Field: &gql.Field{Name: f.Name, Definition: f}},
		})
		for _, refusal := range known {
			member := slices.Contains(members(f.Type.Name()), reflect.TypeOf(refusal).Name())
			got, err := outcome(ctx, "success", fmt.Errorf("wrapped: %w", refusal))
			if member && (err != nil || !reflect.DeepEqual(got, refusal)) {
				t.Errorf("%s: %T became %v, %v", f.Name, refusal, got, err)
			}
			if !member && (err == nil || got != nil || PresentError(ctx, err).Extensions["code"] != "INTERNAL") {
				t.Errorf("%s: %T, which is no member, became %v, %v", f.Name, refusal, got, err)
			}
			if member {
				passed++
			}
		}
		if got, err := outcome(ctx, "success", nil); got != "success" || err != nil {
			t.Errorf("%s: success became %v, %v", f.Name, got, err)
		}
		if got, err := outcome(ctx, "success", command.ErrUnavailable); got != nil || !errors.Is(err, command.ErrUnavailable) {
			t.Errorf("%s: trouble became %v, %v", f.Name, got, err)
		}
	}
	if passed == 0 {
		t.Error("no refusal is a member of any union")
	}
}
