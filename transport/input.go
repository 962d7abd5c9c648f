package transport

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Inputs are checked here and not by gqlparser's VariableValues and ValuesOfCorrectType, which repeat the offending value in
// their message (it may be a card number), let @oneOf pass on variables, and take Int for 64 bits. No message below holds a value.

// inputError says what is wrong with an input. Its path is that of the offending value, innermost element first.
type inputError struct {
	message string
	path    ast.Path
	literal *ast.Position // where it is in the document
}

func wrong(message string) *inputError { return &inputError{message: message} }

// under puts the place of the offending value inside another before the path.
func (e *inputError) under(element ast.PathElement) *inputError {
	e.path = append(e.path, element)
	return e
}

// present turns it into the error that the client gets.
func (e *inputError) present(subject string) *gqlerror.Error {
	slices.Reverse(e.path)
	err := newError(BadUserInput, "%s %s", subject, e.message)
	err.Path = e.path
	return at(err, e.literal)
}

const (
	notNull    = "must not be null"
	required   = "is required"
	exactlyOne = "must have exactly one member, which is not null"
	tooDeep    = "is nested too deep"
)

// inputs checks values against the input types of a schema.
type inputs struct {
	types   map[string]*ast.Definition
	nesting int
}

// bind checks the variables that an operation declares, fills in their defaults and turns single values into lists where a list is
// declared. It changes the map that it is given.
func (in *inputs) bind(declared ast.VariableDefinitionList, values map[string]any) (map[string]any, *gqlerror.Error) {
	for _, v := range declared {
		value, ok := values[v.Variable]
		var bad *inputError
		switch {
		case !ok && v.DefaultValue != nil:
			if values == nil {
				values = make(map[string]any, len(declared))
			}
			values[v.Variable], _ = v.DefaultValue.Value(nil) // a literal that was checked
			continue
		case !ok && v.Type.NonNull:
			bad = wrong(required)
		case !ok:
			continue
		default:
			var changed bool
			if value, changed, bad = in.value(v.Type, value, 0); changed {
				values[v.Variable] = value
			}
		}
		if bad != nil {
			subject := "$" + reversed(bad.under(ast.PathName(v.Variable)).path).String()
			return nil, bad.under(ast.PathName("variable")).present(subject)
		}
	}
	return values, nil
}

func reversed(p ast.Path) ast.Path {
	p = slices.Clone(p)
	slices.Reverse(p)
	return p
}

// value checks one value of a variable. It returns another value, and true, where a list had to be made of a single value.
func (in *inputs) value(t *ast.Type, value any, depth int) (any, bool, *inputError) {
	if value == nil {
		if t.NonNull {
			return nil, false, wrong(notNull)
		}
		return nil, false, nil
	}
	if depth > in.nesting {
		return nil, false, wrong(tooDeep)
	}
	if t.Elem != nil {
		return in.list(t.Elem, value, depth)
	}
	switch def := in.types[t.NamedType]; def.Kind {
	case ast.Enum:
		name, ok := value.(string)
		if !ok || def.EnumValues.ForName(name) == nil {
			return nil, false, wrong("must be one of the values of " + def.Name)
		}
	case ast.InputObject:
		members, ok := value.(map[string]any)
		if !ok {
			return nil, false, wrong("must be an object of type " + def.Name)
		}
		return value, false, in.object(def, members, depth)
	default:
		if !isScalar(def.Name, value) {
			return nil, false, wrong(mustBe(def.Name))
		}
	}
	return value, false, nil
}

func (in *inputs) list(elem *ast.Type, value any, depth int) (any, bool, *inputError) {
	elements, ok := value.([]any)
	if !ok {
		single, _, bad := in.value(elem, value, depth+1)
		if bad != nil {
			return nil, false, bad
		}
		return []any{single}, true, nil
	}
	for i, element := range elements {
		element, changed, bad := in.value(elem, element, depth+1)
		if bad != nil {
			return nil, false, bad.under(ast.PathIndex(i))
		}
		if changed {
			elements[i] = element
		}
	}
	return elements, false, nil
}

func (in *inputs) object(def *ast.Definition, members map[string]any, depth int) *inputError {
	known := 0
	for _, field := range def.Fields {
		value, ok := members[field.Name]
		if !ok {
			if field.Type.NonNull && field.DefaultValue == nil {
				return wrong(required).under(ast.PathName(field.Name))
			}
			continue
		}
		known++
		value, changed, bad := in.value(field.Type, value, depth+1)
		if bad != nil {
			return bad.under(ast.PathName(field.Name))
		}
		if changed {
			members[field.Name] = value
		}
	}
	if known != len(members) {
		return unknownMember(def, members)
	}
	if isOneOf(def) {
		for _, value := range members {
			if value != nil && known == 1 {
				return nil
			}
		}
		return wrong(exactlyOne)
	}
	return nil
}

// unknownMember reports the first member, in the order of the alphabet, that the type does not have. A name that is no GraphQL
// name is not repeated.
func unknownMember(def *ast.Definition, members map[string]any) *inputError {
	var unknown []string
	for name := range members {
		if def.Fields.ForName(name) == nil {
			unknown = append(unknown, name)
		}
	}
	bad := wrong("is no member of " + def.Name)
	if name := slices.Min(unknown); isName(name) {
		return bad.under(ast.PathName(name))
	}
	bad.message = "has a member that " + def.Name + " does not have"
	return bad
}

const maxName = 64 // bytes of a name that is repeated in an error

func isName(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

func isOneOf(def *ast.Definition) bool { return def.Directives.ForName("oneOf") != nil }

// isScalar checks what a built-in scalar takes from a variable; scalars of the schema's own check themselves.
func isScalar(name string, value any) bool {
	switch name {
	case "String":
		_, ok := value.(string)
		return ok
	case "Boolean":
		_, ok := value.(bool)
		return ok
	case "ID":
		if _, ok := value.(string); ok {
			return true
		}
		number, ok := value.(json.Number)
		return ok && isInteger(string(number), 64)
	case "Int":
		number, ok := value.(json.Number)
		return ok && isInteger(string(number), 32)
	case "Float":
		number, ok := value.(json.Number)
		return ok && isFinite(string(number))
	}
	return true
}

func isInteger(s string, bits int) bool {
	_, err := strconv.ParseInt(s, 10, bits)
	return err == nil
}

func isFinite(s string) bool {
	f, err := strconv.ParseFloat(s, 64)
	return err == nil && !math.IsInf(f, 0)
}

// mustBe says what a built-in scalar takes.
func mustBe(scalar string) string {
	switch scalar {
	case "Int":
		return "must be an Int, a whole number of 32 bits"
	case "ID":
		return "must be an ID, a string or a whole number"
	case "Float":
		return "must be a Float, a finite number"
	}
	return "must be a " + scalar
}
