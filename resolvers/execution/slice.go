package execution

import (
	"context"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// Resolved has the fields that a resolver answers, and that therefore may wait for something. resolvers fills it before anything is
// executed.
var Resolved = map[*ast.FieldDefinition]bool{}

// Unchanging has those of them whose answer follows from their object and from what never changes: asked later, it is the same.
var Unchanging = map[*ast.FieldDefinition]bool{}

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
func waits(selections ast.SelectionSet) bool { return Resolvers(selections).All > 0 }

// Counts are of the fields of a selection that resolvers answer. In lists they are many.
type Counts struct {
	All      int
	Together int // those whose resolvers can be at work at the same time
	Changing int // those that ask for what may change while others ask
}

const many = 1_000

// Resolvers counts the fields of a selection that resolvers answer.
func Resolvers(selections ast.SelectionSet) (sum Counts) {
	for _, selection := range selections {
		var in Counts
		switch s := selection.(type) {
		case *ast.Field:
			in = ofField(s)
		case *ast.InlineFragment:
			in = Resolvers(s.SelectionSet)
		case *ast.FragmentSpread:
			in = Resolvers(s.Definition.SelectionSet)
		}
		sum.All, sum.Together, sum.Changing = sum.All+in.All, sum.Together+in.Together, sum.Changing+in.Changing
	}
	return sum
}

func ofField(f *ast.Field) Counts {
	in := Resolvers(f.SelectionSet)
	if Resolved[f.Definition] { // its own children come after it
		in.All, in.Together = in.All+1, max(in.Together, 1)
		if !Unchanging[f.Definition] {
			in.Changing++
		}
	}
	if f.Definition.Type.Elem == nil {
		return in
	}
	if in.All > 0 { // a list's resolver may look for each object by itself, as nodes does
		in.All, in.Together = many, many
	}
	if in.Changing > 0 {
		in.Changing = many
	}
	return in
}
