package transport

import (
	"errors"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"weak"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// plan is all that can be known of an operation before its variables and its principal are. It does not change once it is made.
type plan struct {
	of          *document // is in use for as long as somebody has a plan of it
	text        string
	parsed      *ast.QueryDocument
	operation   *ast.OperationDefinition
	permissions permissions
	cost        cost
	inner       []string // a subscription's variables that stand below its root field
}

// document holds the plans of a text that was parsed, validated and found within the limits.
type document struct {
	plans  []plan
	weight int // bytes of memory, estimated
}

// named finds the plan of an operation. A name is needed only where there are several.
func (d *document) named(name string) (*plan, *requestError) {
	if name == "" {
		if len(d.plans) > 1 {
			return nil, refuse(newError(BadUserInput, "the document has several operations: operationName must say which"))
		}
		return &d.plans[0], nil
	}
	for i := range d.plans {
		if d.plans[i].operation.Name == name {
			return &d.plans[i], nil
		}
	}
	return nil, refuse(newError(BadUserInput, "the document has no operation with the name in operationName"))
}

// library makes documents of texts, and keeps those that were used last. Whoever uses the same text at the same time has the same document, kept
// or not: a document is much larger than its text.
type library struct {
	schema *ast.Schema
	limits *Limits
	inputs *inputs
	rules  *rules.Rules

	mu     sync.Mutex
	kept   *simplelru.LRU[string, *document]
	weight int // of all that are kept
	used   map[string]weak.Pointer[document]
}

func newLibrary(schema *ast.Schema, limits *Limits, in *inputs) *library {
	l := &library{schema: schema, limits: limits, inputs: in, rules: rules.NewDefaultRules(), used: map[string]weak.Pointer[document]{}}
	l.rules.RemoveRule(rules.ValuesOfCorrectTypeRule.Name) // inputs.literals does this
	l.kept, _ = simplelru.NewLRU(limits.CachedDocuments, func(_ string, d *document) { l.weight -= d.weight })
	return l
}

// known returns the document of a text that need not be read, else nil.
func (l *library) known(text string) *document {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.find(text)
}

// document returns the document of a text. What is refused is not kept.
func (l *library) document(text string) (*document, *requestError) {
	if d := l.known(text); d != nil {
		return d, nil
	}
	d, refused := l.read(text)
	if refused != nil {
		return nil, refused
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if faster := l.find(text); faster != nil { // another request's
		return faster, nil
	}
	l.used[text] = weak.Make(d)
	runtime.AddCleanup(d, l.forget, text)
	l.keep(text, d)
	return d, nil
}

// find returns the document of a text that is used or kept, or nil. It is the one that was used last, then. mu is held.
func (l *library) find(text string) *document {
	if d, ok := l.kept.Get(text); ok {
		return d
	}
	d := l.used[text].Value()
	if d != nil {
		l.keep(text, d)
	}
	return d
}

// keep keeps a document that is not too large for that. mu is held.
func (l *library) keep(text string, d *document) {
	if len(text) > l.limits.CachedText || d.weight > l.limits.CachedBytes {
		return
	}
	l.kept.Add(text, d)
	l.weight += d.weight
	for l.weight > l.limits.CachedBytes {
		l.kept.RemoveOldest()
	}
}

// forget is called some time after the last use of a document.
func (l *library) forget(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.used[text].Value() == nil { // it is not another one's by now
		delete(l.used, text)
	}
}

// weightOfByte is how many bytes of memory a byte of a document's text takes at most once it is parsed: 110 where it is as dense
// as can be, 25 where a person wrote it; see TestWeightOfDocuments.
const weightOfByte = 120

// read parses, measures and validates a text, in this order, since validation is not linear.
func (l *library) read(text string) (*document, *requestError) {
	if len(text) > l.limits.Text {
		return nil, refuse(newError(TooComplex, "the document is longer than %d bytes", l.limits.Text))
	}
	parsed, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: text}, l.limits.Tokens)
	if err != nil {
		return nil, refuse(parseError(err))
	}
	if len(parsed.Operations) == 0 {
		return nil, refuse(newError(ValidationFailed, "the document has no operation"))
	}
	if bad := survey(parsed, l.limits); bad != nil {
		return nil, refuse(bad)
	}
	if errs := l.validate(parsed); len(errs) > 0 {
		return nil, &requestError{errors: errs}
	}
	d := &document{weight: weightOfByte * len(text)}
	for _, operation := range parsed.Operations {
		p := plan{of: d, text: text, parsed: parsed, operation: operation, permissions: gather(l.schema, operation)}
		if operation.Operation == ast.Subscription {
			if bad := checkSubscription(operation); bad != nil {
				return nil, refuse(bad)
			}
			p.inner = innerVariables(operation)
		}
		var lists int
		e := estimator{types: l.schema.Types, page: l.limits.PageSize}
		if p.cost, lists = e.selections(operation.SelectionSet, sizing{}); e.wrong != nil {
			return nil, refuse(e.wrong)
		}
		if lists > l.limits.ListNesting {
			bad := newError(TooComplex, "the operation has more than %d lists inside each other", l.limits.ListNesting)
			return nil, refuse(at(bad, operation.Position))
		}
		d.plans = append(d.plans, p)
	}
	return d, nil
}

func (l *library) validate(parsed *ast.QueryDocument) gqlerror.List {
	errs := validator.ValidateWithRules(l.schema, parsed, l.rules)
	if len(errs) == 0 {
		return l.inputs.literals(l.schema, parsed)
	}
	errs = errs[:min(len(errs), maxErrors)]
	for _, e := range errs {
		e.Extensions = map[string]any{"code": ValidationFailed}
		if len(e.Message) > maxMessage { // it repeats a name of the document
			e.Message = strings.ToValidUTF8(e.Message[:maxMessage], "") + "…"
		}
	}
	return errs
}

// quotedInput is where a message of the parser repeats a literal, or the rest of the document after a bad escape.
var quotedInput = regexp.MustCompile(`(?s)((?:Int|Float|String|Comment)) ".*|: \\.*`)

// parseError gives the parser's error its code and takes literals out of its message.
func parseError(err error) *gqlerror.Error {
	parsing, ok := errors.AsType[*gqlerror.Error](err)
	if !ok {
		return newError(ParseFailed, "the document cannot be parsed")
	}
	code := ParseFailed
	if strings.HasPrefix(parsing.Message, "exceeded ") { // the token limit, or parser.MaxNestingDepth
		code = TooComplex
	}
	message := quotedInput.ReplaceAllString(parsing.Message, "$1")
	shown := newError(code, "%s", strings.Replace(message, "<Invalid>", "character, or a string that is malformed", 1))
	shown.Locations = parsing.Locations
	return shown
}
