package execution

import (
	"context"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// Resolved has the fields that a resolver answers, and that therefore may wait for something. resolvers fills it before anything is
// executed.
var Resolved = map[*ast.FieldDefinition]bool{}

// MarshalSlice takes the place of gqlgen's MarshalSliceConcurrently: where no element can wait for anything, one after the other is
// faster than a goroutine each, and one context serves them all. Where one can, they have to run side by side, so that loaders gather
// what they ask for.
func MarshalSlice(ctx context.Context, length int, workers int64, omitPanicHandler bool, marshal func(context.Context, int) graphql.Marshaler) graphql.Array {
	if length < 2 || waits(graphql.GetFieldContext(ctx).Field.Selections) {
		return graphql.MarshalSliceConcurrently(ctx, length, workers, omitPanicHandler, marshal)
	}
	elements := make(graphql.Array, length)
	var place int
	ctx = graphql.WithFieldContext(ctx, &graphql.FieldContext{Index: &place})
	for place = range length {
		elements[place] = recovered(ctx, place, marshal)
	}
	return elements
}

// recovered is one element, or null and an error where it panics.
func recovered(ctx context.Context, i int, marshal func(context.Context, int) graphql.Marshaler) (element graphql.Marshaler) {
	defer func() {
		if defect := recover(); defect != nil {
			graphql.AddError(ctx, graphql.Recover(ctx, defect))
			element = graphql.Null
		}
	}()
	return marshal(ctx, i)
}

// waits says whether a selection has a field that a resolver answers.
func waits(selections ast.SelectionSet) bool {
	all, _ := Resolvers(selections)
	return all > 0
}

// Resolvers counts the fields of a selection that resolvers answer: all of them, and those whose resolvers can be at work at the same
// time. In lists they are many.
func Resolvers(selections ast.SelectionSet) (all, together int) {
	const many = 1_000
	for _, selection := range selections {
		var inAll, inTogether int
		switch s := selection.(type) {
		case *ast.Field:
			inAll, inTogether = Resolvers(s.SelectionSet)
			if Resolved[s.Definition] { // its own children come after it
				inAll, inTogether = inAll+1, max(inTogether, 1)
			}
			if inAll > 0 && s.Definition.Type.Elem != nil { // a list's resolver may look for each object by itself, as nodes does
				inAll, inTogether = many, many
			}
		case *ast.InlineFragment:
			inAll, inTogether = Resolvers(s.SelectionSet)
		case *ast.FragmentSpread:
			inAll, inTogether = Resolvers(s.Definition.SelectionSet)
		}
		all, together = all+inAll, together+inTogether
	}
	return all, together
}
