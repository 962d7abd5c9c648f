package resolvers

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/graph"
)

// outcome makes a member of the mutation's result union of what the domain returned. A refusal that is no member of this union would
// make the generated code panic, after the commit: it is told as a defect instead.
func outcome(ctx context.Context, success answer.Outcome, err error) (answer.Outcome, error) {
	refresh(ctx)
	if err == nil {
		return success, nil
	}
	var refusal answer.Refusal
	if !errors.As(err, &refusal) {
		return nil, err
	}
	union := graphql.GetFieldContext(ctx).Field.Definition.Type.Name()
	if !slices.Contains(members(union), reflect.TypeOf(refusal).Name()) {
		return nil, fmt.Errorf("refusal %T is no member of %s: %w", refusal, union, err)
	}
	return refusal, nil
}

func members(union string) []string {
	definition := schema.Types[union]
	if definition == nil || definition.Kind != ast.Union {
		return nil
	}
	return definition.Types
}

// schema is the schema that the generated code was made from.
var schema = graph.NewExecutableSchema(graph.Config{}).Schema()
