package transport

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/paygraph/paygraph/auth"
)

// The directives of the schema that say who may select a field.
const (
	scopeDirective  = "requiresScope"
	publicDirective = "public"
)

// need is a scope that an operation needs, and the first field that needs it.
type need struct {
	scope auth.Scope // "" for a root field that is neither public nor has a scope: nobody may select it
	field *ast.Field
}

// permissions are what a principal must have for an operation as a whole, whatever @skip and @include leave of it.
type permissions struct {
	needs      []need
	introspect *ast.Field // the first __schema or __type
	mutations  []*ast.Field
}

// gatherer collects the permissions of one operation.
type gatherer struct {
	schema *ast.Schema
	seen   map[*ast.FragmentDefinition]bool
	found  permissions
}

func gather(schema *ast.Schema, op *ast.OperationDefinition) permissions {
	g := gatherer{schema: schema, seen: make(map[*ast.FragmentDefinition]bool)}
	g.selections(op.SelectionSet)
	return g.found
}

func (g *gatherer) selections(set ast.SelectionSet) {
	for _, selection := range set {
		switch selection := selection.(type) {
		case *ast.Field:
			g.field(selection)
			g.selections(selection.SelectionSet)
		case *ast.InlineFragment:
			g.selections(selection.SelectionSet)
		case *ast.FragmentSpread:
			if f := selection.Definition; !g.seen[f] {
				g.seen[f] = true
				g.selections(f.SelectionSet)
			}
		}
	}
}

func (g *gatherer) field(f *ast.Field) {
	switch f.Name {
	case "__typename":
		return
	case "__schema", "__type":
		if g.found.introspect == nil {
			g.found.introspect = f
		}
		return
	}
	g.definition(f, f.ObjectDefinition, f.Definition)
	if !f.ObjectDefinition.IsAbstractType() {
		return
	}
	for _, object := range g.schema.GetPossibleTypes(f.ObjectDefinition) { // what the interface's field may turn out to be
		if def := object.Fields.ForName(f.Name); def != nil {
			g.definition(f, object, def)
		}
	}
}

// definition notes what one definition of a selected field asks for.
func (g *gatherer) definition(f *ast.Field, parent *ast.Definition, def *ast.FieldDefinition) {
	if parent == g.schema.Mutation {
		g.found.mutations = append(g.found.mutations, f)
	}
	scopes := def.Directives.ForNames(scopeDirective)
	for _, d := range scopes {
		g.add(need{scope: auth.ScopeOfEnum(d.Arguments.ForName("scope").Value.Raw), field: f})
	}
	root := parent == g.schema.Query || parent == g.schema.Mutation || parent == g.schema.Subscription
	if root && len(scopes) == 0 && def.Directives.ForName(publicDirective) == nil {
		g.add(need{field: f})
	}
}

func (g *gatherer) add(n need) {
	if !slices.ContainsFunc(g.found.needs, func(other need) bool { return other.scope == n.scope }) {
		g.found.needs = append(g.found.needs, n)
	}
}

// check refuses a principal that lacks a permission: UNAUTHENTICATED where it is nobody, else FORBIDDEN.
func (p *permissions) check(principal auth.Principal, mayIntrospect bool) *requestError {
	var field *ast.Field
	var lacking auth.Scopes
	for _, n := range p.needs {
		if n.scope != "" && principal.May(n.scope) {
			continue
		}
		if field == nil {
			field = n.field
		}
		if n.scope != "" && !principal.Scopes.Has(n.scope) { // else it is this kind of principal that may not
			lacking = append(lacking, n.scope)
		}
	}
	if field == nil {
		if p.introspect == nil || mayIntrospect {
			return nil
		}
		field = p.introspect
	}
	if principal.Kind == auth.Anonymous {
		refused := refuse(at(newError(Unauthenticated, "%s needs an access token", field.Name), field.Position))
		refused.challenge = challenge
		return refused
	}
	if len(lacking) == 0 {
		return refuse(at(newError(Forbidden, "%s is not open to you", field.Name), field.Position))
	}
	refused := refuse(at(newError(Forbidden, "the access token lacks the scope %s", quoted(lacking)), field.Position))
	refused.challenge = fmt.Sprintf(`%s, error="insufficient_scope", scope="%s"`, challenge, lacking)
	return refused
}

// checkSigned refuses mutations that the principal runs by signed requests only, where the request was not signed.
func (p *permissions) checkSigned(principal auth.Principal, signed bool) *requestError {
	if signed || len(principal.MustSign) == 0 {
		return nil
	}
	for _, f := range p.mutations {
		if principal.MustSignFor(f.Name) {
			return refuse(at(newError(SignatureMissing, "%s takes a request that is signed (RFC 9421), by POST", f.Name), f.Position))
		}
	}
	return nil
}

func quoted(scopes auth.Scopes) string { return strings.ReplaceAll(scopes.String(), " ", ", ") }
