package transport

import (
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator"
)

// literals checks the values that are written in a document, after the document was validated but for them.
func (in *inputs) literals(schema *ast.Schema, doc *ast.QueryDocument) (errs gqlerror.List) {
	seen := make(map[*ast.Value]bool) // a fragment is walked for each operation and by itself
	check := func(t *ast.Type, v *ast.Value, path ...ast.PathElement) {
		if seen[v] {
			return
		}
		seen[v] = true
		if bad := in.literal(t, v); bad != nil && len(errs) < maxErrors {
			for i := len(path) - 1; i >= 0; i-- {
				bad = bad.under(path[i])
			}
			errs = append(errs, bad.present("the value of "+reversed(bad.path)[1:].String()))
		}
	}
	observers := &validator.Events{}
	observers.OnVariable(func(_ *validator.Walker, v *ast.VariableDefinition) {
		if v.DefaultValue != nil {
			check(v.Type, v.DefaultValue, ast.PathName("variable"), ast.PathName(v.Variable))
		}
	})
	observers.OnField(func(_ *validator.Walker, f *ast.Field) {
		for _, a := range f.Arguments {
			if def := f.Definition.Arguments.ForName(a.Name); def != nil {
				check(def.Type, a.Value, ast.PathName(f.Alias), ast.PathName(a.Name))
			}
		}
	})
	observers.OnDirective(func(_ *validator.Walker, d *ast.Directive) {
		for _, a := range d.Arguments {
			if def := d.Definition.Arguments.ForName(a.Name); def != nil {
				check(def.Type, a.Value, ast.PathName("@"+d.Name), ast.PathName(a.Name))
			}
		}
	})
	validator.Walk(schema, doc, observers)
	return errs
}

// literal checks one value. Variables inside it are left to the rule VariablesInAllowedPosition and to bind.
func (in *inputs) literal(t *ast.Type, v *ast.Value) *inputError {
	if v.Kind == ast.Variable {
		return nil
	}
	if v.Kind == ast.NullValue {
		if t.NonNull {
			return literally(v, notNull)
		}
		return nil
	}
	if t.Elem != nil {
		if v.Kind != ast.ListValue {
			return in.literal(t.Elem, v)
		}
		for i, child := range v.Children {
			if bad := in.literal(t.Elem, child.Value); bad != nil {
				return bad.under(ast.PathIndex(i))
			}
		}
		return nil
	}
	switch def := in.types[t.NamedType]; def.Kind {
	case ast.Enum:
		if v.Kind != ast.EnumValue || def.EnumValues.ForName(v.Raw) == nil {
			return literally(v, "must be one of the values of "+def.Name)
		}
	case ast.InputObject:
		if v.Kind != ast.ObjectValue {
			return literally(v, "must be an object of type "+def.Name)
		}
		return in.literalObject(def, v)
	default:
		if !isScalarLiteral(def.Name, v) {
			return literally(v, mustBe(def.Name))
		}
	}
	return nil
}

func (in *inputs) literalObject(def *ast.Definition, v *ast.Value) *inputError {
	for _, child := range v.Children {
		field := def.Fields.ForName(child.Name)
		if field == nil {
			return literally(v, "is no member of "+def.Name).under(ast.PathName(child.Name))
		}
		if bad := in.literal(field.Type, child.Value); bad != nil {
			return bad.under(ast.PathName(child.Name))
		}
	}
	for _, field := range def.Fields {
		if field.Type.NonNull && field.DefaultValue == nil && v.Children.ForName(field.Name) == nil {
			return literally(v, required).under(ast.PathName(field.Name))
		}
	}
	if isOneOf(def) && (len(v.Children) != 1 || v.Children[0].Value.Kind == ast.NullValue) {
		return literally(v, exactlyOne)
	}
	return nil
}

// isScalarLiteral checks what a built-in scalar takes from a document.
func isScalarLiteral(name string, v *ast.Value) bool {
	switch name {
	case "String":
		return v.Kind == ast.StringValue || v.Kind == ast.BlockValue
	case "Boolean":
		return v.Kind == ast.BooleanValue
	case "ID":
		return v.Kind == ast.StringValue || v.Kind == ast.BlockValue || v.Kind == ast.IntValue && isInteger(v.Raw, 64)
	case "Int":
		return v.Kind == ast.IntValue && isInteger(v.Raw, 32)
	case "Float":
		if v.Kind != ast.IntValue && v.Kind != ast.FloatValue {
			return false
		}
	}
	_, err := v.Value(nil) // gqlgen does the same, and panics where a number is too large
	return err == nil
}

func literally(v *ast.Value, message string) *inputError {
	return &inputError{message: message, literal: v.Position}
}
