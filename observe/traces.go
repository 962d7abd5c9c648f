package observe

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"strings"

	"github.com/go-logr/logr"
	"github.com/vektah/gqlparser/v2/ast"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/transport"
)

// Traces follow requests from the transport to the database, for OpenTelemetry. They show names and codes, and no values: of variables, arguments, headers,
// statements or errors.
type Traces struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	callers  propagation.TraceContext
}

var (
	_ transport.Tracer = (*Traces)(nil)
	_ store.Tracer     = (*Traces)(nil)
)

// NewTraces sends traces by OTLP over HTTP, as OpenTelemetry's variables say: where to, how many, under which name. The log gets what cannot be sent. It
// changes OpenTelemetry's own log for the whole process.
func NewTraces(ctx context.Context, log *slog.Logger) (*Traces, error) {
	otel.SetLogger(logr.FromSlogHandler(log.Handler()))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces are not taken", "error", err) }))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, err
	}
	// What the process was started with, and where, is not told: a password may be among its arguments.
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "paygraph")), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, err
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))
	return &Traces{provider: provider, tracer: provider.Tracer("github.com/paygraph/paygraph")}, nil
}

// Close sends what waits, until the context ends.
func (t *Traces) Close(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// Request implements [transport.Tracer]. Of the header traceparent and tracestate are read alone (W3C Trace Context).
func (t *Traces) Request(ctx context.Context, header http.Header, requestID string) (context.Context, func(string)) {
	name := "GraphQL over WebSocket"
	if header != nil {
		name = "GraphQL over HTTP"
		ctx = t.callers.Extract(ctx, propagation.HeaderCarrier(header))
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("paygraph.request.id", requestID)))
	return ctx, func(code string) { end(span, code) }
}

// Operation implements [transport.Tracer].
func (t *Traces) Operation(ctx context.Context, kind ast.Operation, name string) (context.Context, func(string)) {
	if name != "" && !isName(name) {
		name = otherName
	}
	ctx, span := t.tracer.Start(ctx, strings.TrimSpace(string(kind)+" "+name), trace.WithAttributes(
		attribute.String("graphql.operation.type", string(kind)), attribute.String("graphql.operation.name", name)))
	return ctx, func(code string) { end(span, code) }
}

// Command implements [store.Tracer]. A refusal is an answer: it is shown, and is no error.
func (t *Traces) Command(ctx context.Context, operation string) (context.Context, func(error)) {
	if !isFollowed(ctx) {
		return ctx, func(error) {}
	}
	ctx, span := t.tracer.Start(ctx, "command "+operation)
	return ctx, func(err error) {
		span.SetAttributes(attribute.String("paygraph.outcome", outcomeOf(err)))
		span.End()
	}
}

// Batch implements [store.Tracer]. The batch is a child of the first command that is followed, and linked to all that are.
func (t *Traces) Batch(ctx context.Context, commands []context.Context) (context.Context, func(error)) {
	var links []trace.Link
	for _, command := range commands {
		if command != nil && isFollowed(command) {
			links = append(links, trace.LinkFromContext(command))
		}
	}
	if len(links) == 0 {
		return ctx, func(error) {}
	}
	ctx, span := t.tracer.Start(trace.ContextWithSpanContext(ctx, links[0].SpanContext), "batch", trace.WithLinks(links...),
		trace.WithAttributes(attribute.Int("paygraph.batch.commands", len(commands))))
	return ctx, func(err error) { end(span, trouble(err)) }
}

// Statement implements [store.Tracer].
func (t *Traces) Statement(ctx context.Context, text string) func(error) {
	if !isFollowed(ctx) {
		return func(error) {}
	}
	_, span := t.tracer.Start(ctx, statementName(text), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("db.system.name", "postgresql")))
	return func(err error) { end(span, trouble(err)) }
}

// isFollowed says whether something is part of a trace that is kept: nothing of the gateway's own begins one.
func isFollowed(ctx context.Context) bool { return trace.SpanContextFromContext(ctx).IsSampled() }

// end ends a span, with a code where it failed.
func end(span trace.Span, code string) {
	if code != "" {
		span.SetAttributes(attribute.String("error.type", code))
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// trouble is the database's code for an error, and never its text, which quotes values.
func trouble(err error) string {
	if err == nil {
		return ""
	}
	if answered, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		return answered.SQLState()
	}
	return "other"
}

var (
	quoted  = regexp.MustCompile(`'(?:[^']|'')*'`)
	verb    = regexp.MustCompile(`^\s*([A-Z]+)`)
	subject = regexp.MustCompile(`\b(?:FROM|JOIN|INTO|UPDATE|EXECUTE)\s+(?:LATERAL\s+)?([a-z_]+)`)
)

// statementName is the first verb of a statement and the first table that it names, or the prepared statement.
func statementName(text string) string {
	text = quoted.ReplaceAllString(text, "")
	name := "SQL"
	if found := verb.FindStringSubmatch(text); found != nil {
		name = found[1]
	}
	for _, found := range subject.FindAllStringSubmatch(text, -1) {
		if found[1] != "unnest" {
			return name + " " + found[1]
		}
	}
	return name
}
