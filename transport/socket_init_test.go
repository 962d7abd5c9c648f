package transport_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/transport"
)

const (
	initTimeout = "Connection initialisation timeout"
	tooManyInit = "Too many initialisation requests"
)

func TestInitialisation(t *testing.T) {
	t.Parallel()
	g := start(t)
	for name, c := range map[string]struct {
		payload string
		code    int // 0: acknowledged
		reason  string
	}{
		"without payload":            {``, 0, ""},
		"payload null":               {`,"payload":null`, 0, ""},
		"an empty payload":           {`,"payload":{}`, 0, ""},
		"other members":              {`,"payload":{"headers":{"a":1}}`, 0, ""},
		"a token":                    {`,"payload":{"Authorization":"Bearer all"}`, 0, ""},
		"a token, small letters":     {`,"payload":{"authorization":"bearer all"}`, 0, ""},
		"a wrong token":              {`,"payload":{"Authorization":"Bearer nobody"}`, 4403, "Forbidden"},
		"no scheme":                  {`,"payload":{"Authorization":"all"}`, 4403, "Forbidden"},
		"another scheme":             {`,"payload":{"Authorization":"Basic all"}`, 4403, "Forbidden"},
		"an empty text":              {`,"payload":{"Authorization":""}`, 4403, "Forbidden"},
		"a number":                   {`,"payload":{"Authorization":1}`, 4403, "Forbidden"},
		"a list":                     {`,"payload":{"Authorization":["Bearer all"]}`, 4403, "Forbidden"},
		"a token, its keys are away": {`,"payload":{"Authorization":"Bearer down"}`, 1013, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := g.open(t)
			client.send(`{"type":"connection_init"` + c.payload + `}`)
			if c.code == 0 {
				client.want(`{"type":"connection_ack"}`)
				client.settled()
				return
			}
			client.wantClosed(c.code, c.reason)
		})
	}
	t.Run("too many", func(t *testing.T) {
		t.Parallel()
		c := g.connect(t, "all")
		c.send(initOf("all"))
		c.wantClosed(4429, tooManyInit)
	})
	t.Run("too many, back to back", func(t *testing.T) {
		t.Parallel()
		for _, token := range []string{"", "all"} {
			c := g.open(t)
			c.burst(initOf(token), initOf(token))
			c.wantClosedAfter(1, 4429, tooManyInit)
		}
	})
	t.Run("an operation before", func(t *testing.T) {
		t.Parallel()
		c := g.open(t)
		c.send(subscribe("1", `{ hello }`))
		c.wantClosed(4401, "Unauthorized")
	})
	t.Run("complete before is nothing", func(t *testing.T) {
		t.Parallel()
		c := g.open(t)
		c.send(complete("1"))
		c.begin("")
	})
}

// TestWhileTheTokenIsChecked lets the check wait: until then nothing is acknowledged.
func TestWhileTheTokenIsChecked(t *testing.T) {
	t.Parallel()
	known := make(chan struct{})
	g := start(t, func(c *transport.Config) {
		c.Authenticate = func(ctx context.Context, _ string) (auth.Principal, error) {
			select {
			case <-known:
				return auth.Principal{Kind: auth.Backend, Merchant: "mer_1"}, nil
			case <-ctx.Done():
				return auth.Nobody, ctx.Err()
			}
		}
	})
	early, twice, patient, gone := g.open(t), g.open(t), g.open(t), g.open(t)
	early.burst(initOf("x"), subscribe("1", `{ hello }`))
	early.wantClosed(4401, "Unauthorized")
	twice.burst(initOf("x"), initOf("x"))
	twice.wantClosed(4429, tooManyInit)
	gone.send(initOf("x"))
	gone.ws.Close()
	patient.send(initOf("x"))
	patient.settled()
	close(known)
	patient.want(`{"type":"connection_ack"}`)
	if n := g.resolver.Calls.Load(); n != 0 {
		t.Errorf("%d resolvers ran", n)
	}
}

func TestInitialisationTimeout(t *testing.T) {
	t.Parallel()
	g := start(t, func(c *transport.Config) { c.Sockets.InitTimeout = 200 * time.Millisecond })
	began := time.Now()
	silent, pinging, in := g.open(t), g.open(t), g.connect(t, "")
	pinging.send(`{"type":"ping"}`)
	pinging.want(`{"type":"pong"}`)
	silent.wantClosed(4408, initTimeout)
	if d := time.Since(began); d < 200*time.Millisecond {
		t.Errorf("closed after %s", d)
	}
	pinging.wantClosed(4408, initTimeout)
	in.settled()
}

func TestTokenThatEnds(t *testing.T) {
	t.Parallel()
	var end time.Time
	g := start(t, func(c *transport.Config) {
		c.Authenticate = func(context.Context, string) (auth.Principal, error) {
			return auth.Principal{Kind: auth.Backend, Merchant: "mer_1", Scopes: auth.AllScopes, Expires: end}, nil
		}
	})
	end = time.Now().Add(500 * time.Millisecond)
	c := g.connect(t, "x")
	c.send(subscribe("1", `subscription { ticks(after: "after-0") }`))
	g.events.Publish(1)
	c.want(`{"id":"1","type":"next","payload":{"data":{"ticks":1}}}`)
	c.wantClosed(4403, "the access token has ended: come back with a new one")
	if time.Now().Before(end) {
		t.Error("closed too early")
	}
	over := g.open(t)
	over.send(initOf("x"))
	over.wantClosedAfter(1, 4403, "the access token has ended: come back with a new one")
}

func TestPingOfTheClient(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.open(t)
	ask := func() {
		t.Helper()
		for _, payload := range []string{``, `,"payload":{}`, `,"payload":{"a":[1.50,"<é😀>",{"b":null}]}`} {
			c.send(`{"type":"ping"` + payload + `}`)
			c.want(`{"type":"pong"` + payload + `}`)
		}
		c.send(`{"type":"ping","payload":null}`)
		c.want(`{"type":"pong"}`)
		c.send(`{"type":"pong"}`, `{"type":"pong","payload":{"nobody":"asked"}}`)
	}
	ask()
	c.begin("")
	ask()
	c.send(fmt.Sprintf(`{"type":"ping","payload":{"n":%s}}`, "9007199254740993.000"))
	_, text, err := c.ws.ReadMessage()
	if err != nil || !bytes.Contains(text, []byte("9007199254740993.000")) {
		t.Errorf("%s, %v", text, err)
	}
}

func TestPingOfTheServer(t *testing.T) {
	t.Parallel()
	g := start(t, func(c *transport.Config) {
		c.Sockets.PingInterval, c.Sockets.PongTimeout = 150*time.Millisecond, time.Second
	})
	answers, silent := g.connect(t, ""), g.connect(t, "")
	for range 5 {
		began := time.Now()
		answers.want(`{"type":"ping"}`)
		if d := time.Since(began); d > 900*time.Millisecond {
			t.Errorf("pinged after %s", d)
		}
		answers.send(`{"type":"pong","payload":{"any":"thing"}}`)
	}
	silent.want(`{"type":"ping"}`)
	silent.wantClosed(4408, "no pong has come")
	answers.want(`{"type":"ping"}`)
}
