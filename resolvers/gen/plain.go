package main

import (
	"bytes"
	"fmt"

	"github.com/99designs/gqlgen/codegen"
	"github.com/vektah/gqlparser/v2/ast"
)

// plain is a plugin of gqlgen that finds the fields in whose resolution nothing can go wrong: no resolver answers them, they have no
// arguments, and they are scalars or objects that have such fields only.
type plain struct {
	code map[string]string // by the name of gqlgen's method for a field: all that it has to do
}

func (p *plain) Name() string { return "plain" }

// GenerateCode implements plugin.CodeGenerator.
//
//nolint:unparam // the interface has an error
func (p *plain) GenerateCode(data *codegen.Data) error {
	objects := map[string]bool{} // those with such fields only, as far as is known
	for _, o := range data.Objects {
		objects[o.Name] = true
	}
	for more := true; more; {
		more = false
		for _, o := range data.Objects {
			for _, f := range o.Fields {
				if objects[o.Name] && !isPlain(f, objects) {
					objects[o.Name], more = false, true
				}
			}
		}
	}
	p.code = map[string]string{}
	for _, o := range data.Objects {
		for _, f := range o.Fields {
			if isPlain(f, objects) {
				p.code["_"+o.Name+"_"+f.Name] = fmt.Sprintf("return ec.%s(ctx, field.Selections, %s)", f.TypeReference.MarshalFunc(), valueOf(f))
			}
		}
	}
	return nil
}

// isSimple says whether nothing can go wrong when the value of a field is read.
func isSimple(f *codegen.Field) bool {
	return !f.Object.Root && !f.IsResolver && !f.MethodHasContext && (!f.IsMethod() || f.NoErr) && !f.VOkFunc && !f.IsMap() &&
		len(f.Args) == 0 && !f.HasDirectives()
}

// valueOf is the expression that reads the value of a field.
func valueOf(f *codegen.Field) string {
	if f.IsMethod() {
		return f.GoReceiverName + "." + f.GoFieldName + "()"
	}
	return f.GoReceiverName + "." + f.GoFieldName
}

func isPlain(f *codegen.Field, objects map[string]bool) bool {
	t := f.TypeReference
	switch {
	case !isSimple(f), t.IsSlice():
		return false
	case t.GQL.NonNull && t.IsNilable(): // a null would be an error, which needs its path
		return false
	case t.Definition.Kind == ast.Object:
		return objects[t.Definition.Name]
	}
	return t.Definition.IsLeafType()
}

// exchange puts what plain fields have to do in the place of gqlgen's way, which gives each field a context of its own, to which errors
// are pinned, and closures for what might stand between.
func (p *plain) exchange(code []byte) ([]byte, error) {
	for method, short := range p.code {
		begin := bytes.Index(code, []byte(") "+method+"("))
		if begin < 0 {
			return nil, fmt.Errorf("gqlgen's code has no method %s", method)
		}
		begin += bytes.Index(code[begin:], []byte("{\n"))
		end := begin + bytes.Index(code[begin:], []byte("\n}\n"))
		if !bytes.HasPrefix(code[begin:], []byte("{\n\treturn graphql.ResolveField(")) {
			return nil, fmt.Errorf("gqlgen's method %s is not as expected: is it still to be exchanged?", method)
		}
		code = append(code[:begin:begin], append([]byte("{\n\t"+short), code[end:]...)...)
	}
	return code, nil
}
