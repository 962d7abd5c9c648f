package execution_test

import (
	"context"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/paygraph/paygraph/resolvers/execution"
)

// TestMarshalObjects has a list of numbers in the place of objects. Those that cannot be written are marshalled, and say where.
func TestMarshalObjects(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		length, unwritable, unmarshalable int
		want, path                        string
	}{
		"nothing":                 {0, -1, -1, `[]`, ""},
		"one":                     {1, -1, -1, `[0]`, ""},
		"some":                    {3, -1, -1, `[0,1,2]`, ""},
		"one cannot be written":   {3, 1, -1, `["0","1","2"]`, ""},
		"the last cannot be made": {3, 2, 2, `["0","1",null]`, "list[2]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := graphql.WithResponseContext(context.Background(), graphql.DefaultErrorPresenter, graphql.DefaultRecover)
			ctx = graphql.WithFieldContext(ctx, &graphql.FieldContext{Field: graphql.CollectedField{Field: &ast.Field{Alias: "list"}}})
			list := execution.MarshalObjects(ctx, c.length, func(w *execution.Writer, i int) {
				w.Raw(strconv.Itoa(i))
				if i == c.unwritable {
					panic("a defect")
				}
			}, func(_ context.Context, i int) graphql.Marshaler {
				if i == c.unmarshalable {
					panic("a defect")
				}
				return graphql.WriterFunc(func(w io.Writer) { _, _ = io.WriteString(w, strconv.Quote(strconv.Itoa(i))) })
			})
			var b strings.Builder
			list.MarshalGQL(&b)
			path := ""
			for _, err := range graphql.GetErrors(ctx) {
				path += err.Path.String()
			}
			if b.String() != c.want || path != c.path {
				t.Errorf("%s with errors at %q, not %s at %q", b.String(), path, c.want, c.path)
			}
		})
	}
}
