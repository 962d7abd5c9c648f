// Package execution has what the generated code calls in the place of functions of gqlgen's that cost too much where objects are many
// (docs/decisions/009). resolvers/gen exchanges the calls.
package execution

import (
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
)

// FieldSet is the answer that is made for one object, with gqlgen's names and without what @defer would need.
type FieldSet struct {
	Values   []graphql.Marshaler // by the place of the field
	Invalids uint32              // how many are null and must not be

	fields  []graphql.CollectedField
	waiting []func(context.Context)
}

// NewFieldSet begins the answer of an object with these fields.
func NewFieldSet(fields []graphql.CollectedField) *FieldSet {
	return &FieldSet{fields: fields, Values: make([]graphql.Marshaler, len(fields))}
}

// ResolveConcurrently has Dispatch resolve the field at a place.
func (s *FieldSet) ResolveConcurrently(oc *graphql.OperationContext, _ *graphql.DeferredGroup, place int, _, nonNull bool,
	resolve func(context.Context) graphql.Marshaler,
) {
	s.waiting = append(s.waiting, func(ctx context.Context) { s.set(place, nonNull, orNull(ctx, oc, resolve)) })
}

// ResolveRootConcurrently has Dispatch resolve the root field at a place, in ctx.
func (s *FieldSet) ResolveRootConcurrently(ctx context.Context, oc *graphql.OperationContext, place int, _, nonNull bool,
	resolve func(context.Context) graphql.Marshaler,
) {
	s.waiting = append(s.waiting, func(context.Context) {
		s.set(place, nonNull, oc.RootResolverMiddleware(ctx, func(ctx context.Context) graphql.Marshaler { return orNull(ctx, oc, resolve) }))
	})
}

func (s *FieldSet) set(place int, nonNull bool, value graphql.Marshaler) {
	s.Values[place] = value
	if (nonNull && value == graphql.Null) || (!nonNull && value == graphql.RequiredNull) {
		atomic.AddUint32(&s.Invalids, 1)
	}
}

// orNull is what resolve gives, or null and an error where it panics.
func orNull(ctx context.Context, oc *graphql.OperationContext, resolve func(context.Context) graphql.Marshaler) (value graphql.Marshaler) {
	defer func() {
		if defect := recover(); defect != nil {
			oc.Error(ctx, oc.Recover(ctx, defect))
			value = graphql.Null
		}
	}()
	return resolve(ctx)
}

// Dispatch resolves side by side what is to be resolved concurrently.
func (s *FieldSet) Dispatch(ctx context.Context) {
	if len(s.waiting) == 0 {
		return
	}
	var others sync.WaitGroup
	for _, resolve := range s.waiting[1:] {
		others.Go(func() { resolve(ctx) })
	}
	s.waiting[0](ctx)
	others.Wait()
}

// MarshalGQL writes the object. Aliases are names, in which nothing has to be escaped. One may come twice, from a fragment on a union and
// from one on its member, which gqlgen does not merge: they are the same field, and the first is written.
func (s *FieldSet) MarshalGQL(w io.Writer) {
	separator := `{"`
	for i := range s.fields {
		alias := s.fields[i].Alias
		if slices.ContainsFunc(s.fields[:i], func(f graphql.CollectedField) bool { return f.Alias == alias }) {
			continue
		}
		_, _ = io.WriteString(w, separator)
		_, _ = io.WriteString(w, alias)
		_, _ = io.WriteString(w, `":`)
		s.Values[i].MarshalGQL(w)
		separator = `,"`
	}
	if len(s.fields) == 0 {
		_, _ = io.WriteString(w, `{`)
	}
	_, _ = io.WriteString(w, `}`)
}
