package transport_test

import (
	"context"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/quota"
	"github.com/paygraph/paygraph/transport"
	"github.com/paygraph/paygraph/transport/internal/testschema"
)

func TestWhatResolversSee(t *testing.T) {
	t.Parallel()
	var principal auth.Principal
	var id, agent string
	var left time.Duration
	g := start(t)
	g.resolver.Seen = func(ctx context.Context) {
		principal, id = auth.FromContext(ctx), transport.RequestID(ctx)
		agent = graphql.GetOperationContext(ctx).Headers.Get("User-Agent")
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
	}
	g.query(t, `{ hello }`, "", "Authorization: Bearer reader", "X-Request-Id: seen-1", "User-Agent: a shop")
	if principal.Subject != "reader" || id != "seen-1" || agent != "a shop" {
		t.Errorf("principal %q, request %q, agent %q", principal.Subject, id, agent)
	}
	if left <= 0 || left > transport.DefaultLimits.Deadline {
		t.Errorf("%v are left of the deadline", left)
	}
	g.query(t, `{ hello }`, "")
	if principal.Kind != auth.Anonymous {
		t.Errorf("who sent no header is %q", principal.Kind)
	}
	if outside := transport.RequestID(t.Context()); outside != "" {
		t.Errorf("outside of a request the id is %q", outside)
	}
}

func TestExtensionsOfTheAnswer(t *testing.T) {
	t.Parallel()
	at := time.Now()
	g := start(t, func(c *transport.Config) { c.Quota = quota.New(func() time.Time { return at }) })
	g.resolver.Seen = func(ctx context.Context) { graphql.RegisterExtension(ctx, "took", 7) }
	if a := g.query(t, `{ hello }`, ""); a.text != `{"data":{"hello":"hello"},"extensions":{"took":7,"cost":{"requested":1,"available":1999,"restoreRate":200}}}` {
		t.Error(a.text)
	}
	g.resolver.Seen = func(ctx context.Context) { graphql.RegisterExtension(ctx, "took", func() {}) }
	if a := g.query(t, `{ hello }`, ""); a.text != `{"data":{"hello":"hello"},"extensions":{"took":null,"cost":{"requested":1,"available":1998,"restoreRate":200}}}` {
		t.Errorf("what JSON cannot say: %s", a.text)
	}
}

func TestErrorsWithoutATable(t *testing.T) {
	t.Parallel()
	g := start(t, func(c *transport.Config) { c.PresentError = nil })
	a := g.query(t, `{ fails }`, "", "X-Request-Id: failing-3")
	if a.status != 200 || a.code() != "INTERNAL" || a.message() != "internal error" {
		t.Error(a.text)
	}
	if want := testschema.ErrRefused.Error(); !g.log.has("failing-3", want) {
		t.Errorf("the log lacks the request's id or %q: %s", want, g.log)
	}
}
