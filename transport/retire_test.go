package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/transport"
	"github.com/paygraph/paygraph/transport/internal/testschema"
)

const (
	lateQuery = `{ hello }`
	newToken  = "the access token has ended: come back with a new one"
	pinged    = `{"id":"m","type":"next","payload":{"data":{"ping":"pong"}}}`
)

// holdPings has the mutation ping wait until it may go on, or until its context ends. running gets the context of each.
func (g *gateway) holdPings(t *testing.T) (running <-chan context.Context, goOn func()) {
	t.Helper()
	runs, proceed := make(chan context.Context, 10), make(chan struct{})
	g.resolver.Seen = func(ctx context.Context) {
		if graphql.GetFieldContext(ctx).Field.Name != "ping" {
			return
		}
		runs <- ctx
		select {
		case <-proceed:
		case <-ctx.Done():
		}
	}
	return runs, func() { close(proceed) }
}

// busy is a socket with a subscription that is live, and a mutation that runs.
func (g *gateway) busy(t *testing.T, token string, running <-chan context.Context) *client {
	t.Helper()
	c := g.connect(t, token)
	c.send(subscribe("s", `subscription { ticks(after: "after-0") }`))
	g.events.Publish(1)
	c.want(tick("s", 1))
	c.send(subscribe("m", thePingTest))
	<-running
	return c
}

// wantDeaf waits until nobody listens to what is published, and publishes.
func (g *gateway) wantDeaf(t *testing.T) {
	t.Helper()
	if !within(patience, func() bool { return !g.events.Heard() }) {
		t.Fatal("somebody still listens")
	}
	g.events.Publish(1)
}

// inTheBackground stops the gateway, with so much time, and tells how long it took.
func (g *gateway) inTheBackground(most time.Duration) <-chan time.Duration {
	stopped := make(chan time.Duration, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), most)
		defer cancel()
		began := time.Now()
		g.handler.Stop(ctx)
		stopped <- time.Since(began)
	}()
	return stopped
}

// TestStopLetsAMutationAnswer: it may be committed. The subscription beside it ends at once, and so does a socket with nothing that runs.
func TestStopLetsAMutationAnswer(t *testing.T) {
	t.Parallel()
	g := start(t)
	running, goOn := g.holdPings(t)
	idle := g.connect(t, "")
	c := g.busy(t, "", running)
	stopped := g.inTheBackground(time.Minute)
	idle.wantClosed(1012, comeBack)
	g.wantDeaf(t)
	calls := g.resolver.Calls.Load()
	for _, late := range []string{lateQuery, thePingTest, ticks} {
		c.send(subscribe("late", late))
		if code := c.wantError("late"); code != "UNAVAILABLE" {
			t.Errorf("%s is refused with %s", late, code)
		}
	}
	c.settled()
	if more := g.resolver.Calls.Load() - calls; more != 0 {
		t.Errorf("%d resolvers ran", more)
	}
	goOn()
	c.want(pinged, complete("m"))
	c.wantClosed(1012, comeBack)
	<-stopped
}

// TestStopWaitsForNoAnswerThatNobodyWants: the client has completed the operation, or has gone.
func TestStopWaitsForNoAnswerThatNobodyWants(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*client){
		"completed": func(c *client) { c.send(complete("m")); c.wantClosed(1012, comeBack) },
		"gone":      func(c *client) { c.ws.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t)
			running, _ := g.holdPings(t)
			c := g.busy(t, "", running)
			stopped := g.inTheBackground(time.Minute)
			g.wantDeaf(t)
			end(c)
			if took := <-stopped; took > 5*time.Second {
				t.Errorf("Stop took %s", took)
			}
		})
	}
}

// TestStopEndsWhatTakesTooLong when its own time is up.
func TestStopEndsWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	g := start(t)
	running, _ := g.holdPings(t)
	c := g.connect(t, "")
	c.send(subscribe("m", thePingTest))
	ctx := <-running
	const most = 500 * time.Millisecond
	stopped := g.inTheBackground(most)
	c.wantClosed(1012, comeBack)
	if took := <-stopped; took < most || took > 5*time.Second {
		t.Errorf("Stop took %s", took)
	}
	if ctx.Err() == nil {
		t.Error("the mutation runs on")
	}
}

// TestStopTellsNothingToASubscriptionThatIsYetToBegin: its client is to resume it elsewhere, and would not after an error.
func TestStopTellsNothingToASubscriptionThatIsYetToBegin(t *testing.T) {
	t.Parallel()
	g := start(t)
	running, goOn := g.holdPings(t)
	c := g.busy(t, "", running)
	letGo := g.handler.HoldTurns()
	c.send(subscribe("waits", ticks))
	c.settled()
	time.Sleep(50 * time.Millisecond) // it waits for its turn
	stopped := g.inTheBackground(time.Minute)
	g.wantDeaf(t)
	c.settled()
	letGo()
	c.settled()
	goOn()
	c.want(pinged, complete("m"))
	c.wantClosed(1012, comeBack)
	<-stopped
}

// TestStopOfTheHubComesFirst, as it may: a subscription that was about to begin is to be resumed, too.
func TestStopOfTheHubComesFirst(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.connect(t, "")
	letGo := g.handler.HoldTurns()
	c.send(subscribe("waits", ticks))
	c.settled()
	time.Sleep(50 * time.Millisecond) // it waits for its turn
	g.events.Hub.Close()
	letGo()
	c.wantClosed(1012, comeBack)
}

// TestStopLeavesNoGap: an item that is not made any more, and one after it that is, since another subscriber wanted it.
func TestStopLeavesNoGap(t *testing.T) {
	t.Parallel()
	const document = `subscription ($after: String) { parcels(after: $after) { number } }`
	g := start(t)
	making := make(chan struct{}, 1)
	g.resolver.Seen = func(ctx context.Context) {
		if i := event.FromContext(ctx).Item; i != nil && i.Number == 1 {
			select {
			case making <- struct{}{}:
			default: // a subscriber who is not live yet has an item of its own
			}
			<-ctx.Done()
		}
	}
	var behind []*client
	for range 30 {
		c := g.connect(t, "")
		c.send(subscribeWith("1", document, `{"after":"after-0"}`))
		c.settled()
		behind = append(behind, c)
	}
	g.events.Publish(1)
	<-making
	ahead := g.connect(t, "")
	ahead.send(subscribeWith("1", document, `{"after":"after-1"}`))
	g.events.Publish(1)
	ahead.want(`{"id":"1","type":"next","payload":{"data":{"parcels":{"number":2}}}}`)
	stopped := g.inTheBackground(time.Minute)
	for _, c := range behind {
		c.wantClosed(1012, comeBack)
	}
	<-stopped
}

// TestTokenThatEndsEndsAQuery, which might be one that waits for what happens next: nothing is told that happened after the token's end.
func TestTokenThatEndsEndsAQuery(t *testing.T) {
	t.Parallel()
	g := start(t, func(c *transport.Config) {
		c.Authenticate = func(context.Context, string) (auth.Principal, error) {
			return auth.Principal{Kind: auth.Backend, Merchant: "mer_1", Scopes: auth.AllScopes, Expires: time.Now().Add(2 * time.Second)}, nil
		}
	})
	began, ended, goOn := make(chan struct{}), make(chan struct{}), make(chan struct{})
	g.resolver.Seen = func(ctx context.Context) {
		close(began)
		<-ctx.Done()
		close(ended)
		<-goOn // a question that the database has, and answers late
	}
	defer close(goOn)
	c := g.connect(t, "x")
	c.send(subscribe("q", lateQuery))
	for what, happens := range map[string]chan struct{}{"begin": began, "end": ended} {
		select {
		case <-happens:
		case <-time.After(patience):
			t.Fatalf("it does not %s", what)
		}
	}
	c.wantClosed(4403, newToken)
}

// TestTokenThatEndsLetsAMutationAnswer that has begun while it was good.
func TestTokenThatEndsLetsAMutationAnswer(t *testing.T) {
	t.Parallel()
	end := sync.OnceValue(func() time.Time { return time.Now().Add(2 * time.Second) })
	g := start(t, func(c *transport.Config) {
		c.Authenticate = func(context.Context, string) (auth.Principal, error) {
			return auth.Principal{Kind: auth.Backend, Merchant: "mer_1", Scopes: auth.AllScopes, Expires: end()}, nil
		}
	})
	running, goOn := g.holdPings(t)
	c := g.busy(t, "x", running)
	g.wantDeaf(t)
	if time.Now().Before(end()) {
		t.Error("the subscription has ended too early")
	}
	c.send(subscribe("late", lateQuery))
	if code := c.wantError("late"); code != "UNAUTHENTICATED" {
		t.Error(code)
	}
	goOn()
	c.want(pinged, complete("m"))
	c.wantClosed(4403, newToken)
}

// TestStopEndsAnItemThatIsBeingMade: nobody waits for it until it can be read, or until its time is up, and nobody gets it with a hole.
func TestStopEndsAnItemThatIsBeingMade(t *testing.T) {
	t.Parallel()
	const document = `subscription { parcels(after: "after-0") { number fails } }`
	for name, hangs := range map[string]bool{"and cannot be read now": false, "and takes long": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			g := start(t, func(c *transport.Config) {
				c.PresentError = func(ctx context.Context, err error) *gqlerror.Error {
					if errors.Is(err, testschema.ErrRefused) && !hangs {
						err = errDown
					}
					return presentError(ctx, err)
				}
			})
			g.resolver.Seen = func(ctx context.Context) {
				if event.FromContext(ctx).Item == nil {
					return
				}
				if asked.Add(1); hangs {
					<-ctx.Done()
				}
			}
			socket, stream := g.connect(t, ""), g.listen(t, http.MethodGet, document, onlyStream).opened()
			socket.send(subscribe("1", document))
			socket.settled()
			g.events.Publish(1)
			if !within(patience, func() bool { return asked.Load() > 0 }) {
				t.Fatal("it is not asked for")
			}
			began := time.Now()
			stopped := g.inTheBackground(time.Minute)
			socket.wantClosed(1012, comeBack)
			stream.wantEnd()
			<-stopped
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
			before := asked.Load()
			time.Sleep(1200 * time.Millisecond) // longer than two tries are apart
			if more := asked.Load() - before; more > 0 {
				t.Errorf("it was asked for %d times more", more)
			}
		})
	}
}

// TestLogThatChanges: its subscribers are not told that they were too slow.
func TestLogThatChanges(t *testing.T) {
	t.Parallel()
	g := start(t)
	g.events.Publish(3)
	socket, stream := g.connect(t, ""), g.listen(t, http.MethodGet, ticks, onlyStream).opened()
	socket.send(subscribe("1", ticks))
	for n := 1; n <= 3; n++ {
		socket.want(tick("1", n))
		stream.want(item(fmt.Sprintf("after-%d", n), fmt.Sprintf(`{"ticks":%d}`, n)))
	}
	g.events.Restore(2)
	socket.wantClosed(1012, "the log is not the one that was heard so far: resume from your last cursor")
	e := stream.refusal()
	if e.Message != "the log is not the one that was heard so far: resume from your last event's id" || e.Extensions.Code != "UNAVAILABLE" ||
		!e.Extensions.Retryable {
		t.Error(e)
	}
	stream.wantEnd()
}
