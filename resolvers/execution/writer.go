package execution

import (
	"context"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// MarshalObjects is MarshalSlice for objects that can be written without a tree of what is to be written. That is done where none of the
// fields that are selected waits for a resolver. Where it goes wrong, which is a defect, they are marshalled the long way, which knows what
// to say.
func MarshalObjects(ctx context.Context, length int, write func(*Writer, int), marshal func(context.Context, int) graphql.Marshaler) graphql.Array {
	if length > 0 && !waits(graphql.GetFieldContext(ctx).Field.Selections) {
		w := &Writer{}
		if w.elements(length, write) {
			return graphql.Array{w} // an array writes only its brackets around one element
		}
	}
	return MarshalSlice(ctx, length, 0, false, marshal)
}

// Writer writes objects as JSON. It is the marshaler of what it has written.
type Writer struct {
	text  []byte
	known []collected
}

// collected are the fields that a selection has on the objects of one type.
type collected struct {
	selection    *ast.Selection
	implementors *string
	fields       []graphql.CollectedField
}

// elements writes the elements of a list, with commas between them. ok is false where writing one panics.
func (w *Writer) elements(length int, write func(*Writer, int)) (ok bool) {
	defer func() { ok = recover() == nil }()
	for i := range length {
		w.Next(i)
		write(w, i)
		if i == 0 {
			w.text = slices.Grow(w.text, length*(len(w.text)+len(w.text)/16)) // the others will be about as long
		}
	}
	return true
}

// MarshalGQL implements [graphql.Marshaler].
func (w *Writer) MarshalGQL(to io.Writer) { _, _ = to.Write(w.text) }

// Write implements [io.Writer].
func (w *Writer) Write(text []byte) (int, error) {
	w.text = append(w.text, text...)
	return len(text), nil
}

// WriteString implements [io.StringWriter].
func (w *Writer) WriteString(text string) (int, error) {
	w.text = append(w.text, text...)
	return len(text), nil
}

// Fields are the fields that a selection has on an object. An alias that comes twice (see [FieldSet.MarshalGQL]) is not for a Writer.
func (w *Writer) Fields(oc *graphql.OperationContext, sel ast.SelectionSet, implementors []string) []graphql.CollectedField {
	for i := range w.known {
		if k := &w.known[i]; k.selection == &sel[0] && k.implementors == &implementors[0] {
			return k.fields
		}
	}
	fields := graphql.CollectFields(oc, sel, implementors)
	for i := range fields {
		if slices.ContainsFunc(fields[:i], func(f graphql.CollectedField) bool { return f.Alias == fields[i].Alias }) {
			panic("the alias " + fields[i].Alias + " comes twice") // the long way knows what to do
		}
	}
	w.known = append(w.known, collected{&sel[0], &implementors[0], fields})
	return fields
}

// Raw writes JSON.
func (w *Writer) Raw(text string) { w.text = append(w.text, text...) }

// Next writes what stands before the element or field at a place.
func (w *Writer) Next(place int) {
	if place > 0 {
		w.text = append(w.text, ',')
	}
}

// Name writes the name of the field at a place: a name of GraphQL, in which nothing has to be escaped.
func (w *Writer) Name(place int, alias string) {
	w.Next(place)
	w.text = append(append(append(w.text, '"'), alias...), '"', ':')
}

// Text writes a string. One in which something has to be escaped is left to gqlgen.
func (w *Writer) Text(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			w.Value(graphql.MarshalString(s))
			return
		}
	}
	w.text = append(append(append(w.text, '"'), s...), '"')
}

// Value writes what gqlgen has made of a value.
func (w *Writer) Value(value graphql.Marshaler) { value.MarshalGQL(w) }
