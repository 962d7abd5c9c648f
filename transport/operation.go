package transport

import (
	"context"
	"net/http"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/quota"
)

// engine is what all transports share: it turns a request into an operation that may run, and runs it.
type engine struct {
	config    Config
	inputs    inputs
	library   *library
	documents *documents
	turns     *turns // of subscribers that read

	stopping context.Context // ends with Stop, and with it what nobody in particular waits for

	// What gqlgen asks for in every request, made once.
	presenter graphql.ErrorPresenterFunc
	recoverer graphql.RecoverFunc
}

func newEngine(stopping context.Context, c Config) *engine {
	e := &engine{config: c.withDefaults(), turns: newTurns(), stopping: stopping}
	schema := c.Schema.Schema()
	e.inputs = inputs{types: schema.Types, nesting: e.config.Limits.InputNesting}
	e.library = newLibrary(schema, &e.config.Limits, &e.inputs)
	e.documents = newDocuments(e.config.Documents)
	e.presenter, e.recoverer = e.present, e.recovered
	return e
}

// operation is a plan with its principal and variables: parsed, checked, authorised and ready to run.
type operation struct {
	plan          *plan
	principal     auth.Principal
	variables     map[string]any
	name          string
	extensions    map[string]any
	headers       http.Header
	mayIntrospect bool
	charge        quota.Charge
	place         quota.Place // among those that run, or of a stream of events among what is open; whoever has run the operation leaves it
}

// kind is query, mutation or subscription.
func (p *plan) kind() ast.Operation { return p.operation.Operation }

// plan finds the operation that a request names. It depends on the request's text and operationName alone. A text that is not known has to be paid for first.
func (e *engine) plan(p *auth.Principal, r *request) (*plan, *requestError) {
	document := e.library.known(r.query)
	if document == nil {
		refused := e.advance(p, r, leastCharge+len(r.query)/advanceBytes)
		if refused == nil {
			document, refused = e.library.document(r.query)
		}
		if refused != nil {
			return nil, refused
		}
	}
	return document.named(r.operationName)
}

// prepare authorises a plan, binds the request's variables to it, and charges its principal. No resolver has run when it refuses.
func (e *engine) prepare(p *plan, principal auth.Principal, r *request, headers http.Header) (*operation, *requestError) {
	mayIntrospect := p.permissions.introspect != nil && e.config.Introspection(principal)
	if refused := p.permissions.check(principal, mayIntrospect); refused != nil {
		return nil, refused
	}
	if refused := p.permissions.checkSigned(principal, r.signed); refused != nil {
		return nil, refused
	}
	variables, bad := e.inputs.bind(p.operation.VariableDefinitions, r.variables)
	if bad != nil {
		return nil, refuse(bad)
	}
	cost := p.cost.of(variables, e.config.Limits.PageSize)
	if most := e.config.Limits.AnswerFields; cost.fields > most {
		return nil, refuse(newError(TooComplex, "the answer may have more than %d fields: select fewer fields or shorter lists", most))
	}
	op := &operation{
		plan: p, principal: principal, variables: variables, name: r.operationName, extensions: r.extensions, headers: headers,
		mayIntrospect: mayIntrospect,
	}
	return op, e.charge(op, r, cost.points)
}

// context is what gqlgen and the resolvers find in the context of one execution; done is called when it is over.
func (e *engine) context(ctx context.Context, op *operation) (_ context.Context, done func()) {
	ctx = auth.NewContext(ctx, op.principal)
	ctx = graphql.WithOperationContext(ctx, &graphql.OperationContext{
		RawQuery: op.plan.text, Variables: op.variables, OperationName: op.name, Doc: op.plan.parsed, Extensions: op.extensions,
		Headers: op.headers, Operation: op.plan.operation, DisableIntrospection: !op.mayIntrospect,
		RecoverFunc: e.recoverer, ResolverMiddleware: resolve, RootResolverMiddleware: resolveRoot,
		Stats: graphql.Stats{OperationStart: time.Now()},
	})
	ctx = graphql.WithResponseContext(ctx, e.presenter, e.recoverer)
	if e.config.Begin == nil {
		return ctx, func() {}
	}
	return e.config.Begin(ctx)
}

// No middleware stands between gqlgen and the resolvers.
func resolve(ctx context.Context, next graphql.Resolver) (any, error)              { return next(ctx) }
func resolveRoot(ctx context.Context, next graphql.RootResolver) graphql.Marshaler { return next(ctx) }

// run executes a query or mutation, or a subscription for the item of its handoff. The response has no data where nothing could be executed.
func (e *engine) run(ctx context.Context, op *operation) *graphql.Response {
	ctx, done := e.context(ctx, op)
	defer done()
	responses := e.config.Schema.Exec(ctx)
	if errs := graphql.GetErrors(ctx); errs != nil {
		return &graphql.Response{Errors: errs}
	}
	if op.plan.kind() == ast.Subscription { // gqlgen forgets the root field in the paths of errors
		root := rootField(op.plan.operation.SelectionSet)
		ctx = graphql.WithFieldContext(ctx, &graphql.FieldContext{Object: root.ObjectDefinition.Name, Field: graphql.CollectedField{Field: root}})
	}
	response := responses(ctx)
	response.Errors = append(response.Errors, graphql.GetErrors(ctx)...)
	response.Extensions = graphql.GetExtensions(ctx)
	return response
}

// rootField is the only field of a subscription.
func rootField(set ast.SelectionSet) *ast.Field {
	switch first := set[0].(type) {
	case *ast.Field:
		return first
	case *ast.InlineFragment:
		return rootField(first.SelectionSet)
	default:
		return rootField(first.(*ast.FragmentSpread).Definition.SelectionSet)
	}
}
