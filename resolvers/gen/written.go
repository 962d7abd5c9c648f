package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/codegen"
	"github.com/vektah/gqlparser/v2/ast"
)

// written is a plugin of gqlgen that finds the objects that can be written without gqlgen's tree of marshalers, where no field that a
// resolver answers is selected: all other fields are plain, or objects of this kind, or lists of them.
type written struct {
	objects []*codegen.Object
}

func (p *written) Name() string { return "written" }

// GenerateCode implements plugin.CodeGenerator.
//
//nolint:unparam // the interface has an error
func (p *written) GenerateCode(data *codegen.Data) error {
	for _, o := range data.Objects {
		if !o.Root && !strings.HasPrefix(o.Name, "__") {
			p.objects = append(p.objects, o)
		}
	}
	for before := 0; before != len(p.objects); {
		before = len(p.objects)
		p.objects = slices.DeleteFunc(p.objects, func(o *codegen.Object) bool {
			return slices.ContainsFunc(o.Fields, func(f *codegen.Field) bool { return p.code(f) == "" && !f.IsResolver })
		})
	}
	inLists := map[string]bool{}
	for _, o := range data.Objects {
		for _, f := range o.Fields {
			if f.TypeReference.IsSlice() {
				p.visit(f.TypeReference.Definition.Name, inLists)
			}
		}
	}
	p.objects = slices.DeleteFunc(p.objects, func(o *codegen.Object) bool { return !inLists[o.Name] })
	return nil
}

// visit notes an object and those that are written as parts of it.
func (p *written) visit(object string, visited map[string]bool) {
	at := slices.IndexFunc(p.objects, func(o *codegen.Object) bool { return o.Name == object })
	if at < 0 || visited[object] {
		return
	}
	visited[object] = true
	for _, f := range p.objects[at].Fields {
		if !f.IsResolver {
			p.visit(f.TypeReference.Definition.Name, visited)
		}
	}
}

func (p *written) has(object string) bool {
	return slices.ContainsFunc(p.objects, func(o *codegen.Object) bool { return o.Name == object })
}

// texts are the scalars, besides enums, that are written as strings of JSON.
var texts = []string{"ID", "String", "Decimal", "CurrencyCode"}

// code writes the value of a field, or is empty where that cannot be done.
func (p *written) code(f *codegen.Field) string {
	t := f.TypeReference
	if !isSimple(f) {
		return ""
	}
	value := valueOf(f)
	object := "ec.write" + t.Definition.Name + "(ctx, w, field.Selections, "
	switch {
	case t.Definition.IsLeafType() && !t.IsSlice() && (!t.GQL.NonNull || !t.IsNilable()):
		if t.GQL.NonNull && !t.IsPtr() && (t.Definition.Kind == ast.Enum || slices.Contains(texts, t.Definition.Name)) {
			return "w.Text(string(" + value + "))"
		}
		return "w.Value(ec." + t.MarshalFunc() + "(ctx, field.Selections, " + value + "))"
	case t.Definition.Kind != ast.Object || !p.has(t.Definition.Name):
		return ""
	case t.IsSlice() && t.GQL.NonNull && t.Elem().GQL.NonNull && !t.Elem().IsSlice():
		element := "&v[i]"
		if t.Elem().IsPtr() {
			element = "v[i]"
		}
		return "v := " + value + "\nw.Raw(\"[\")\nfor i := range v {\nw.Next(i)\n" + object + element + ")\n}\nw.Raw(\"]\")"
	case t.IsSlice():
		return ""
	case t.IsPtr() && t.GQL.NonNull:
		return object + value + ")"
	case t.IsPtr():
		return "if v := " + value + "; v != nil {\n" + object + "v)\n} else {\nw.Raw(\"null\")\n}"
	}
	return "v := " + value + "\n" + object + "&v)"
}

// exchange adds a method for each object, and calls it for lists.
func (p *written) exchange(code []byte) ([]byte, error) {
	before := code
	for _, o := range p.objects {
		head := regexp.MustCompile(`\) _` + o.Name + `\(ctx context\.Context, sel ast\.SelectionSet, obj (\*[^ ]+)\) graphql\.Marshaler \{
	fields := graphql\.CollectFields\(ec\.OperationContext, sel, (\w+)\)`).FindSubmatch(code)
		if head == nil {
			return nil, fmt.Errorf("gqlgen's method _%s is not as expected: are lists of it still to be written another way?", o.Name)
		}
		code = append(code, p.method(o, string(head[1]), string(head[2]))...)
		list := regexp.MustCompile(`(?s)(marshalN` + o.Name + `2\S*ᚕ\S*\(ctx context\.Context, sel ast\.SelectionSet, v \[\])(\*?)(.{1,100}?\{
	ret := execution\.)MarshalSlice\(ctx, len\(v\), 0, false, `)
		code = list.ReplaceAllFunc(code, func(found []byte) []byte {
			parts := list.FindSubmatch(found)
			element := "&v[i]"
			if len(parts[2]) > 0 {
				element = "v[i]"
			}
			return slices.Concat(parts[1], parts[2], parts[3], []byte("MarshalObjects(ctx, len(v), func(w *execution.Writer, i int) {\n\t\tec.write"+
				o.Name+"(ctx, w, sel, "+element+")\n\t}, "))
		})
	}
	if bytes.Count(code, []byte("execution.MarshalSlice(")) == bytes.Count(before, []byte("execution.MarshalSlice(")) {
		return nil, errors.New("gqlgen's methods for lists are not as expected: are they still to be written another way?")
	}
	return code, nil
}

func (p *written) method(o *codegen.Object, object, implementors string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n// write%s writes an object none of whose selected fields waits for a resolver.\n", o.Name)
	fmt.Fprintf(&b, "func (ec *executionContext) write%s(ctx context.Context, w *execution.Writer, sel ast.SelectionSet, obj %s) {\n", o.Name, object)
	fmt.Fprintf(&b, "w.Raw(\"{\")\nfor place, field := range w.Fields(ec.OperationContext, sel, %s) {\n", implementors)
	fmt.Fprintf(&b, "w.Name(place, field.Alias)\nswitch field.Name {\ncase \"__typename\":\nw.Text(%q)\n", o.Name)
	for _, f := range o.Fields {
		if text := p.code(f); text != "" {
			fmt.Fprintf(&b, "case %q:\n%s\n", f.Name, text)
		}
	}
	b.WriteString("default:\npanic(\"unknown field \" + strconv.Quote(field.Name))\n}\n}\nw.Raw(\"}\")\n}\n")
	return b.Bytes()
}
