package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/transport"
)

const (
	signedHeader = `Signature-Input: sig=("@method")`
	createOne    = `createPayment(input: { idempotencyKey: "k", amount: { amount: "1", currency: "USD" } }) { id }`
)

// signing is a gateway whose principals run createPayment by signed requests only. A signature is good if it is the principal's subject, and for mutations
// once: what used says of it.
func signing(t *testing.T, used func() error) *gateway {
	t.Helper()
	return start(t, func(c *transport.Config) {
		c.Authenticate = func(ctx context.Context, token string) (auth.Principal, error) {
			p, err := authenticate(ctx, token)
			p.MustSign = []string{"createPayment"}
			return p, err
		}
		c.CheckSignature = func(_ context.Context, p auth.Principal, r *http.Request, body []byte) (func(context.Context) error, error) {
			switch sent := r.Header.Get("Signature"); {
			case sent == "down":
				return nil, errDown
			case r.Method != http.MethodPost:
				return nil, fmt.Errorf("%w: it is by GET", auth.ErrSignature)
			case sent != p.Subject || !strings.Contains(string(body), `"query"`):
				return nil, fmt.Errorf("%w: it is another's", auth.ErrSignature)
			}
			return func(context.Context) error { return used() }, nil
		}
	})
}

func TestMutationsThatTakeASignature(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		document, token, signature string // "": no signature
		want                       string // code
		status                     int
	}{
		"signed":                     {`mutation { ` + createOne + ` }`, "all", "all", "", 200},
		"not signed":                 {`mutation { ` + createOne + ` }`, "all", "", transport.SignatureMissing, 403},
		"badly signed":               {`mutation { ` + createOne + ` }`, "all", "writer", transport.SignatureWrong, 401},
		"by nobody":                  {`mutation { ` + createOne + ` }`, "", "all", transport.Unauthenticated, 401},
		"an alias hides nothing":     {`mutation { a: ` + createOne + ` }`, "all", "", transport.SignatureMissing, 403},
		"nor does a fragment":        {`mutation { ...f } fragment f on Mutation { ... { ` + createOne + ` } }`, "all", "", transport.SignatureMissing, 403},
		"nor does @skip":             {`mutation { ` + strings.Replace(createOne, ") {", ") @skip(if: true) {", 1) + ` }`, "all", "", transport.SignatureMissing, 403},
		"a scope that is lacking":    {`mutation { ` + createOne + ` }`, "reader", "", transport.Forbidden, 403},
		"a query":                    {`{ hello }`, "all", "", "", 200},
		"a query, signed":            {`{ hello }`, "all", "all", "", 200},
		"a query, badly signed":      {`{ hello }`, "all", "writer", transport.SignatureWrong, 401},
		"it cannot be checked":       {`mutation { ` + createOne + ` }`, "all", "down", "UNAVAILABLE", 503},
		"nobody asks a public thing": {`{ hello }`, "", "all", transport.Unauthenticated, 401},
		"a token that is not known":  {`{ hello }`, "none", "all", transport.Unauthenticated, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := signing(t, func() error { return nil })
			var headers []string
			if c.token != "" {
				headers = append(headers, "Authorization: Bearer "+c.token)
			}
			if c.signature != "" {
				headers = append(headers, signedHeader, "Signature: "+c.signature)
			}
			a := g.query(t, c.document, "", headers...)
			if a.code() != c.want || a.status != c.status {
				t.Errorf("%d %s, want %d %s", a.status, a.text, c.status, c.want)
			}
			if calls := g.resolver.Calls.Load(); c.want != "" && calls != 0 {
				t.Errorf("%d resolvers ran", calls)
			}
			if c.want == transport.SignatureWrong && !strings.Contains(a.message(), "another's") {
				t.Errorf("the client is not told what is wrong: %s", a.text)
			}
		})
	}
}

// TestAHalfSignedRequest is refused: who has sent it takes it for signed.
func TestAHalfSignedRequest(t *testing.T) {
	t.Parallel()
	g := start(t)
	for _, header := range []string{signedHeader, "Signature: all"} {
		if a := g.query(t, `{ hello }`, "", "Authorization: Bearer all", header); a.status != 401 || a.code() != transport.SignatureWrong {
			t.Errorf("%s: %d %s", header, a.status, a.text)
		}
	}
}

// TestNothingOnASocketIsSigned, also where its handshake was.
func TestNothingOnASocketIsSigned(t *testing.T) {
	t.Parallel()
	c := signing(t, nil).connect(t, "all")
	c.send(subscribe("1", `mutation { `+createOne+` }`))
	if code := c.wantError("1"); code != transport.SignatureMissing {
		t.Error(code)
	}
}

// TestNothingByGETIsSigned: a signature that is there is checked, and found to be by GET.
func TestNothingByGETIsSigned(t *testing.T) {
	t.Parallel()
	g := signing(t, nil)
	for _, signature := range []string{"all", "writer"} {
		r, err := http.NewRequest(http.MethodGet, g.URL+"/graphql?query=%7Bhello%7D", nil)
		if err != nil {
			t.Fatal(err)
		}
		setHeaders(r, []string{"Authorization: Bearer all", signedHeader, "Signature: " + signature})
		if a := g.do(t, r); a.status != 401 || a.code() != transport.SignatureWrong || g.resolver.Calls.Load() > 0 {
			t.Errorf("%d %s", a.status, a.text)
		}
	}
}

// TestASignatureIsUsedUp for a mutation that is going to be executed, and for nothing else.
func TestASignatureIsUsedUp(t *testing.T) {
	t.Parallel()
	times := 0
	var wrong error
	g := signing(t, func() error { times++; return wrong })
	for _, c := range []struct {
		document string
		wrong    error
		code     string
		status   int
		times    int
	}{
		{`{ hello }`, nil, "", 200, 0},
		{`mutation { ` + createOne + ` }`, nil, "", 200, 1},
		{`mutation { nothing }`, nil, transport.ValidationFailed, 200, 0},
		{`mutation { ` + createOne + ` }`, fmt.Errorf("%w: again", auth.ErrSignature), transport.SignatureWrong, 401, 1},
		{`mutation { ` + createOne + ` }`, errDown, "UNAVAILABLE", 503, 1},
	} {
		times, wrong = 0, c.wrong
		calls := g.resolver.Calls.Load()
		a := g.query(t, c.document, "", "Authorization: Bearer all", signedHeader, "Signature: all")
		if a.code() != c.code || times != c.times || c.code != "" && g.resolver.Calls.Load() != calls {
			t.Errorf("%s, %v: %d %s; used %d times", c.document, c.wrong, a.status, a.text, times)
		}
	}
}

// standing is what a credential has become, as the gateway finds out when it asks.
type standing struct {
	atomic.Pointer[func(auth.Principal) (auth.Principal, error)]
}

// becomes something else than what it was when its token was accepted.
func (s *standing) becomes(now func(auth.Principal) (auth.Principal, error)) { s.Store(&now) }

func (s *standing) inForce(_ context.Context, p auth.Principal) (auth.Principal, error) {
	if now := s.Load(); now != nil {
		return (*now)(p)
	}
	return p, nil
}

func revoked(auth.Principal) (auth.Principal, error) {
	return auth.Principal{}, auth.ErrUnauthenticated
}
func unknown(auth.Principal) (auth.Principal, error)     { return auth.Principal{}, errDown }
func unchanged(p auth.Principal) (auth.Principal, error) { return p, nil }
func broken(auth.Principal) (auth.Principal, error)      { panic("broken") }

func lessened(p auth.Principal) (auth.Principal, error) {
	p.Scopes = p.Scopes[1:]
	return p, nil
}

// TestAnOperationOnASocketIsHeldAgainstTheCredential as one over HTTP is.
func TestAnOperationOnASocketIsHeldAgainstTheCredential(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		now    func(auth.Principal) (auth.Principal, error)
		code   string
		closed int // 0: it goes on
	}{
		"it was revoked":           {revoked, transport.Unauthenticated, 4403},
		"it has lost a scope":      {lessened, transport.Unauthenticated, 4403},
		"it cannot be found out":   {unknown, "UNAVAILABLE", 0},
		"what finds it out panics": {broken, transport.Internal, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var credential standing
			client := start(t, func(c *transport.Config) { c.InForce = credential.inForce }).connect(t, "all")
			credential.becomes(c.now)
			client.send(subscribe("1", `{ hello }`))
			if code := client.wantError("1"); code != c.code {
				t.Error(code)
			}
			if c.closed > 0 {
				client.wantClosed(c.closed, "")
				return
			}
			credential.becomes(unchanged)
			client.send(subscribe("2", `{ hello }`))
			if m := client.next(); m["id"] != "2" || m["type"] != "next" {
				t.Errorf("afterwards: %v", m)
			}
		})
	}
}

// TestMutationsOfASocketTakeASignatureFromNowOn where its credential says so since.
func TestMutationsOfASocketTakeASignatureFromNowOn(t *testing.T) {
	t.Parallel()
	var credential standing
	client := start(t, func(c *transport.Config) { c.InForce = credential.inForce }).connect(t, "all")
	credential.becomes(func(p auth.Principal) (auth.Principal, error) {
		p.MustSign = []string{auth.AllMutations}
		return p, nil
	})
	client.send(subscribe("1", `mutation { `+createOne+` }`))
	if code := client.wantError("1"); code != transport.SignatureMissing {
		t.Error(code)
	}
}

// TestACredentialIsRevoked, or changed, while its tokens are in use on sockets and streams: they end as if the tokens had.
func TestACredentialIsRevoked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		now    func(auth.Principal) (auth.Principal, error)
		closed int    // 0: they go on
		told   string // on the stream
		logged string
	}{
		"it was revoked":           {revoked, 4403, transport.Unauthenticated, ""},
		"it has lost a scope":      {lessened, 4403, transport.Unauthenticated, ""},
		"it cannot be found out":   {unknown, 0, "", ""},
		"what finds it out panics": {broken, 4500, "", "panic in the transport"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var credential standing
			g := start(t, func(c *transport.Config) {
				c.Sockets.PingInterval, c.Sockets.PongTimeout = 100*time.Millisecond, 10*time.Second
				c.InForce = credential.inForce
			})
			g.handler.SetTimes(10*time.Second, 100*time.Millisecond)
			g.events.Publish(1)
			stream := g.listen(t, http.MethodPost, ticks, onlyStream, "Authorization: Bearer all").opened()
			stream.want(item("after-1", `{"ticks":1}`))
			socket := g.connect(t, "all")
			socket.send(subscribe("1", ticks))
			if m := socket.nextOf("1"); m["type"] != "next" {
				t.Fatalf("it is not open: %v", m)
			}
			credential.becomes(c.now)
			if c.closed == 0 {
				for range 3 {
					stream.want(":")
					if m := socket.next(); m["type"] != "ping" {
						t.Errorf("the socket: %v", m)
					}
					socket.send(`{"type":"pong"}`)
				}
				return
			}
			if m := socket.nextOf("none"); m["code"] != c.closed {
				t.Errorf("the socket: %v", m)
			}
			told, more := stream.block()
			for more && told == ":" {
				told, more = stream.block()
			}
			if !strings.Contains(told, c.told) || more != (c.told != "") {
				t.Errorf("the stream ends with %q", told)
			}
			if more {
				stream.want(completed)
				stream.wantEnd()
			}
			if !g.log.has(c.logged) {
				t.Errorf("the log has no %q: %s", c.logged, g.log)
			}
		})
	}
}

// nextOf is the next message about an operation, or with which code the socket was closed. Pings are answered, and the rest is passed over.
func (c *client) nextOf(id string) map[string]any {
	c.t.Helper()
	for {
		m, err := c.read(patience)
		closed := &websocket.CloseError{}
		switch {
		case errors.As(err, &closed):
			return map[string]any{"code": closed.Code}
		case err != nil:
			c.t.Fatal(err)
		case m["type"] == "ping":
			c.send(`{"type":"pong"}`)
		case m["id"] == id:
			return m
		}
	}
}
