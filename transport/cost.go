package transport

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// cost is what an operation amounts to at most, after the directives @cost and @listSize of the schema: the fields of its answer, and the points that its
// principal is charged. What variables say about the lengths of lists is left open until they are known, so that an operation is walked once for all requests.
type cost struct {
	fixed amount
	lists []list
}

// amount is a number of fields in an answer, and what they weigh.
type amount struct{ fields, points int }

func (a amount) plus(o amount) amount {
	return amount{min(a.fields+o.fields, saturated), min(a.points+o.points, saturated)}
}

func (a amount) times(n int) amount {
	return amount{min(a.fields*n, saturated), min(a.points*n, saturated)}
}

// list is a selection that is paid for each element of a list whose length variables say: the greatest of lengths.
type list struct {
	lengths []length
	element cost
}

// length is what one argument says about a list: the value of a variable, or where there is none, a literal or a default.
type length struct {
	variable  string
	otherwise int
}

// of is the cost with these variables; page is the longest list that is given.
func (c *cost) of(variables map[string]any, page int) amount {
	sum := c.fixed
	for i := range c.lists {
		l := &c.lists[i]
		sum = sum.plus(l.element.of(variables, page).times(longest(l.lengths, variables, page)))
	}
	return sum
}

// longest is the length of the list that arguments ask for; where they ask for none, it is a page.
func longest(lengths []length, variables map[string]any, page int) (n int) {
	for _, l := range lengths {
		var value any
		if l.variable != "" { // a request may also have a value under the empty name
			value = variables[l.variable]
		}
		switch value := value.(type) {
		case nil:
			n = max(n, l.otherwise)
		case []any:
			n = max(n, len(value))
		case json.Number:
			if number, err := value.Int64(); err == nil {
				n = max(n, int(min(number, int64(page))))
			}
		case int64: // the variable's default
			n = max(n, int(min(value, int64(page))))
		}
	}
	if n == 0 {
		return page
	}
	return n
}

// add is the cost of both.
func (c *cost) add(o cost) {
	c.fixed = c.fixed.plus(o.fixed)
	c.lists = append(c.lists, o.lists...)
}

// times is the cost of n such selections.
func (c cost) times(n int) cost {
	product := cost{fixed: c.fixed.times(n)}
	for _, l := range c.lists {
		product.lists = append(product.lists, list{lengths: l.lengths, element: l.element.times(n)})
	}
	return product
}

// estimator computes the cost of a selection. The document is validated, and bounded by Limits.Fields.
type estimator struct {
	types map[string]*ast.Definition
	page  int
	wrong *gqlerror.Error // the first list whose length two arguments say, or none
}

// sizing says how long the lists in the fields with these names are.
type sizing struct {
	fields  []string
	lengths []length
}

// selections is the cost of a selection, whose lists the field above it may size, and how many lists are nested in it.
func (e *estimator) selections(set ast.SelectionSet, above sizing) (sum cost, nesting int) {
	for _, selection := range set {
		var c cost
		var n int
		switch selection := selection.(type) {
		case *ast.Field:
			c, n = e.field(selection, above)
		case *ast.InlineFragment:
			c, n = e.selections(selection.SelectionSet, above)
		case *ast.FragmentSpread:
			c, n = e.selections(selection.Definition.SelectionSet, above)
		}
		sum.add(c)
		nesting = max(nesting, n)
	}
	return sum, nesting
}

// field is the cost of a field with what is below it. A list costs as many elements as it is long; one of which nothing says how long it is, counts as one.
func (e *estimator) field(f *ast.Field, above sizing) (cost, int) {
	sized := e.sizing(f)
	below, nesting := e.selections(f.SelectionSet, sized)
	element := cost{fixed: amount{points: e.weight(f)}}
	element.add(below)
	itself := cost{fixed: amount{fields: 1}}
	if f.Definition.Type.Elem == nil {
		itself.add(element)
		return itself, nesting
	}
	lengths := sized.lengths
	switch {
	case slices.Contains(above.fields, f.Name):
		lengths = above.lengths
	case lengths == nil:
		lengths = []length{{otherwise: 1}}
	}
	if slices.ContainsFunc(lengths, func(l length) bool { return l.variable != "" }) {
		itself.lists = []list{{lengths: lengths, element: element}}
	} else {
		itself.add(element.times(longest(lengths, nil, e.page)))
	}
	return itself, nesting + 1
}

// weightOfIntrospection is that of __schema and __type, which no directive can give one: the whole schema has some hundred kilobytes.
const weightOfIntrospection = 100

// weight is what a field costs by itself: what @cost of the field says, else of its type, else 1 for an object and nothing for a scalar, and what it says of
// the arguments that are there.
func (e *estimator) weight(f *ast.Field) int {
	if f.Name == "__schema" || f.Name == "__type" {
		return weightOfIntrospection
	}
	def := e.types[f.Definition.Type.Name()]
	weight, ok := weightIn(f.Definition.Directives)
	if !ok {
		weight, ok = weightIn(def.Directives)
	}
	if !ok && def.IsCompositeType() {
		weight = 1
	}
	for _, a := range f.Arguments {
		more, _ := weightIn(f.Definition.Arguments.ForName(a.Name).Directives)
		weight += more
	}
	return weight
}

// weightIn is the weight of a @cost, if there is one.
func weightIn(directives ast.DirectiveList) (weight int, ok bool) {
	d := directives.ForName("cost")
	if d == nil {
		return 0, false
	}
	weight, err := strconv.Atoi(d.Arguments.ForName("weight").Value.Raw)
	return weight, err == nil
}

// sizing is what @listSize says of a field: how long it is, or where it names sizedFields, those in it.
func (e *estimator) sizing(f *ast.Field) (s sizing) {
	d := f.Definition.Directives.ForName("listSize")
	if d == nil {
		return s
	}
	said := d.ArgumentMap(nil)
	for _, name := range words(said["slicingArguments"]) {
		if l, ok := e.length(f, name); ok {
			s.lengths = append(s.lengths, l)
		}
	}
	if n := len(s.lengths); n != 1 && said["slicingArguments"] != nil && said["requireOneSlicingArgument"] != false && e.wrong == nil {
		e.wrong = at(newError(ValidationFailed, "just one argument of %s must say how long the list is", f.Name), f.Position)
	}
	if assumed, ok := said["assumedSize"].(int64); ok && len(s.lengths) == 0 {
		s.lengths = []length{{otherwise: int(assumed)}}
	}
	s.fields = words(said["sizedFields"])
	return s
}

// words are the strings of a list in the schema.
func words(of any) (all []string) {
	list, _ := of.([]any)
	for _, word := range list {
		if text, ok := word.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

// length is what an argument says about the length of a list, if it is there or has a default.
func (e *estimator) length(f *ast.Field, argument string) (l length, ok bool) {
	def, a := f.Definition.Arguments.ForName(argument), f.Arguments.ForName(argument)
	switch {
	case a == nil:
		return length{otherwise: literalLength(def.DefaultValue, e.page)}, def.DefaultValue != nil
	case a.Value.Kind == ast.Variable:
		return length{a.Value.Raw, literalLength(def.DefaultValue, e.page)}, true
	}
	return length{otherwise: literalLength(a.Value, e.page)}, true
}

func literalLength(v *ast.Value, page int) int {
	if v == nil {
		return 0
	}
	switch v.Kind {
	case ast.ListValue:
		return len(v.Children)
	case ast.IntValue:
		n, err := strconv.Atoi(v.Raw)
		if err != nil {
			return page
		}
		return min(n, page)
	}
	return 0
}
