package transport

import (
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// extent is what a selection amounts to. Counts stop at saturated, so that fragments that double each other cannot overflow.
type extent struct{ fields, depth, aliases, directives, inputs int }

const saturated = 1 << 30

// beside is the extent of two selections in one set.
func (e extent) beside(o extent) extent {
	return extent{
		fields:     min(e.fields+o.fields, saturated),
		depth:      max(e.depth, o.depth),
		aliases:    min(e.aliases+o.aliases, saturated),
		directives: min(e.directives+o.directives, saturated),
		inputs:     max(e.inputs, o.inputs),
	}
}

// surveyor measures a document before it is validated, since validation costs more than linear time. It visits each fragment
// once and counts it as often as it is spread.
type surveyor struct {
	fragments map[string]*ast.FragmentDefinition
	measured  map[string]extent // a fragment that is being measured has a zero extent: a cycle, which validation reports
	deferring *ast.Position     // the first @defer or @stream
}

// survey refuses a document that is larger than the limits allow, whatever the schema.
func survey(doc *ast.QueryDocument, l *Limits) *gqlerror.Error {
	s := surveyor{fragments: make(map[string]*ast.FragmentDefinition), measured: make(map[string]extent)}
	for _, f := range doc.Fragments {
		s.fragments[f.Name] = f
	}
	for _, operation := range doc.Operations {
		size := s.selections(operation.SelectionSet).beside(s.directives(operation.Directives))
		for _, v := range operation.VariableDefinitions {
			size = size.beside(s.directives(v.Directives)).beside(extent{inputs: nesting(v.DefaultValue)})
		}
		roots := s.roots(operation.SelectionSet, make(map[string]int))
		for _, bound := range []struct {
			what       string
			have, most int
		}{
			{"root fields", roots, l.RootFields},
			{"levels of fields", size.depth, l.Depth},
			{"fields", size.fields, l.Fields},
			{"aliases", size.aliases, l.Aliases},
			{"directives", size.directives, l.Directives},
			{"levels of lists and objects in an argument", size.inputs, l.InputNesting},
		} {
			if bound.have > bound.most {
				err := newError(TooComplex, "the operation has more than %d %s", bound.most, bound.what)
				return at(err, operation.Position)
			}
		}
	}
	for _, f := range doc.Fragments { // those that nobody spreads are validated too
		if e := s.fragment(f.Name); e.depth > l.Depth || e.inputs > l.InputNesting || e.fields > l.Fields {
			return at(newError(TooComplex, "a fragment is larger than the limits allow"), f.Position)
		}
	}
	if s.deferring != nil {
		return at(newError(ValidationFailed, "@defer and @stream are not offered"), s.deferring)
	}
	return nil
}

func (s *surveyor) selections(set ast.SelectionSet) (sum extent) {
	for _, selection := range set {
		switch selection := selection.(type) {
		case *ast.Field:
			e := s.selections(selection.SelectionSet)
			e.fields = min(e.fields+1, saturated)
			e.depth++
			if selection.Alias != selection.Name {
				e.aliases = min(e.aliases+1, saturated)
			}
			sum = sum.beside(e).beside(s.directives(selection.Directives)).beside(arguments(selection.Arguments))
		case *ast.InlineFragment:
			sum = sum.beside(s.selections(selection.SelectionSet)).beside(s.directives(selection.Directives))
		case *ast.FragmentSpread:
			sum = sum.beside(s.fragment(selection.Name)).beside(s.directives(selection.Directives))
		}
	}
	return sum
}

func (s *surveyor) fragment(name string) extent {
	if e, ok := s.measured[name]; ok {
		return e
	}
	f, ok := s.fragments[name]
	if !ok {
		return extent{} // validation says so
	}
	s.measured[name] = extent{}
	e := s.selections(f.SelectionSet).beside(s.directives(f.Directives))
	s.measured[name] = e
	return e
}

func (s *surveyor) directives(list ast.DirectiveList) extent {
	sum := extent{directives: len(list)}
	for _, d := range list {
		if (d.Name == "defer" || d.Name == "stream") && s.deferring == nil {
			s.deferring = d.Position
		}
		sum = sum.beside(arguments(d.Arguments))
	}
	return sum
}

// roots counts the fields of the first level.
func (s *surveyor) roots(set ast.SelectionSet, seen map[string]int) (n int) {
	for _, selection := range set {
		switch selection := selection.(type) {
		case *ast.Field:
			n++
		case *ast.InlineFragment:
			n += s.roots(selection.SelectionSet, seen)
		case *ast.FragmentSpread:
			name := selection.Name
			if _, ok := seen[name]; !ok && s.fragments[name] != nil {
				seen[name] = 0 // while it is counted: a cycle
				seen[name] = s.roots(s.fragments[name].SelectionSet, seen)
			}
			n += seen[name]
		}
		n = min(n, saturated)
	}
	return n
}

func arguments(list ast.ArgumentList) (e extent) {
	for _, a := range list {
		e.inputs = max(e.inputs, nesting(a.Value))
	}
	return e
}

// nesting counts the levels of lists and objects in a literal; the parser stops at 1,000.
func nesting(v *ast.Value) (levels int) {
	if v == nil || v.Kind != ast.ListValue && v.Kind != ast.ObjectValue {
		return 0
	}
	for _, child := range v.Children {
		levels = max(levels, nesting(child.Value))
	}
	return levels + 1
}
