package transport

import (
	"encoding/json"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
)

// cost is what an operation selects at most: its fields, those below a list as often as the list is long. The length is what the
// arguments "first" and "last" say, or the number of "ids". What variables say is left open until they are known, so that an
// operation is walked once for all requests.
type cost struct {
	fixed int
	lists []list
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
func (c *cost) of(variables map[string]any, page int) int {
	sum := c.fixed
	for i := range c.lists {
		l := &c.lists[i]
		sum = min(sum+longest(l.lengths, variables, page)*l.element.of(variables, page), saturated)
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

// estimate computes the cost of a selection and how many lists are nested in it. The document is validated, and bounded by
// Limits.Fields.
func estimate(set ast.SelectionSet, page int) (sum cost, nesting int) {
	for _, selection := range set {
		var c cost
		var n int
		switch selection := selection.(type) {
		case *ast.Field:
			c, n = estimateField(selection, page)
		case *ast.InlineFragment:
			c, n = estimate(selection.SelectionSet, page)
		case *ast.FragmentSpread:
			c, n = estimate(selection.Definition.SelectionSet, page)
		}
		sum.fixed = min(sum.fixed+c.fixed, saturated)
		sum.lists = append(sum.lists, c.lists...)
		nesting = max(nesting, n)
	}
	return sum, nesting
}

func estimateField(f *ast.Field, page int) (cost, int) {
	below, nesting := estimate(f.SelectionSet, page)
	if f.Definition.Type.Elem != nil {
		nesting++
	}
	lengths := lengthsOf(f, page)
	for _, l := range lengths {
		if l.variable != "" {
			return cost{fixed: 1, lists: []list{{lengths: lengths, element: below}}}, nesting
		}
	}
	n := 1 // the field is no list, or one that no argument bounds
	if lengths != nil {
		n = longest(lengths, nil, page)
	}
	product := below.times(n)
	product.fixed = min(product.fixed+1, saturated)
	return product, nesting
}

// times is the cost of n such selections.
func (c cost) times(n int) cost {
	product := cost{fixed: min(c.fixed*n, saturated)}
	for _, l := range c.lists {
		product.lists = append(product.lists, list{lengths: l.lengths, element: l.element.times(n)})
	}
	return product
}

// lengthsOf is what a field's arguments say about the length of a list; nil where it has no such argument.
func lengthsOf(f *ast.Field, page int) (lengths []length) {
	for _, def := range f.Definition.Arguments {
		if def.Name != "first" && def.Name != "last" && def.Name != "ids" {
			continue
		}
		l := length{otherwise: literalLength(def.DefaultValue, page)}
		if a := f.Arguments.ForName(def.Name); a != nil && a.Value.Kind == ast.Variable {
			l.variable = a.Value.Raw
		} else if a != nil {
			l.otherwise = literalLength(a.Value, page)
		}
		lengths = append(lengths, l)
	}
	return lengths
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
