package transport_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/paygraph/paygraph/transport"
)

// The tests of these files follow PROTOCOL.md of graphql-ws; a close code's words are those of the protocol's text where it has some.

func TestSubprotocol(t *testing.T) {
	t.Parallel()
	g := start(t)
	for name, offered := range map[string][]string{
		"none":           nil,
		"one of old":     {"graphql-ws"},
		"another":        {"mqtt", "soap"},
		"in other cases": {"GraphQL-Transport-WS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ws, _, err := g.dial(&websocket.Dialer{Subprotocols: offered})
			if err != nil {
				t.Fatal(err)
			}
			defer ws.Close()
			c := &client{t: t, ws: ws}
			c.send(initOf(""))
			c.wantClosed(4406, "Subprotocol not acceptable")
		})
	}
	t.Run("among others", func(t *testing.T) {
		t.Parallel()
		ws, _, err := g.dial(&websocket.Dialer{Subprotocols: []string{"graphql-ws", "graphql-transport-ws"}})
		if err != nil || ws.Subprotocol() != "graphql-transport-ws" {
			t.Fatal(err)
		}
		defer ws.Close()
		(&client{t: t, ws: ws}).begin("")
	})
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	g := start(t, func(c *transport.Config) { c.Origins = []string{"https://shop.example"} })
	for name, c := range map[string]struct {
		origin string
		ok     bool
	}{
		"none":                      {"", true},
		"this host":                 {g.URL, true},
		"this host in capitals":     {strings.ToUpper(g.URL), true},
		"one of the list":           {"https://shop.example", true},
		"the list's by HTTP":        {"http://shop.example", false},
		"the list's, longer":        {"https://shop.example.evil.example", false},
		"another":                   {"https://evil.example", false},
		"another with this host in": {"https://evil.example/" + strings.TrimPrefix(g.URL, "http://"), false},
		"this host, other port":     {"http://127.0.0.1:1", false},
		"a page without an origin":  {"null", false},
		"no address":                {"http://%zz", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var headers []string
			if c.origin != "" {
				headers = []string{"Origin: " + c.origin}
			}
			if c.ok {
				g.open(t, headers...).begin("")
				return
			}
			_, answer, err := g.dial(&websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}}, headers...)
			if err == nil || answer.status != http.StatusForbidden {
				t.Errorf("%d, %v, want 403", answer.status, err)
			}
		})
	}
}

func TestHandshakeThatIsNone(t *testing.T) {
	t.Parallel()
	g := start(t)
	for name, headers := range map[string][]string{
		"another version": {"Sec-WebSocket-Version: 12", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="},
		"no key":          {"Sec-WebSocket-Version: 13"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := http.NewRequest(http.MethodGet, g.URL, nil)
			setHeaders(r, append(headers, "Connection: Upgrade", "Upgrade: websocket"))
			response, err := g.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusBadRequest {
				t.Error(response.Status)
			}
		})
	}
}

func TestMalformedMessages(t *testing.T) {
	t.Parallel()
	g := start(t)
	payload := func(members string) string { return `{"id":"1","type":"subscribe","payload":{` + members + `}}` }
	for name, message := range map[string]string{
		"nothing":                           ``,
		"not JSON":                          `{"type":"ping"`,
		"something after":                   `{"type":"ping"} {}`,
		"an array":                          `[{"type":"ping"}]`,
		"a string":                          `"ping"`,
		"null":                              `null`,
		"no type":                           `{"id":"1"}`,
		"type null":                         `{"type":null}`,
		"an empty type":                     `{"type":""}`,
		"a number as type":                  `{"type":1}`,
		"an object as type":                 `{"type":{"type":"ping"}}`,
		"type in capitals":                  `{"TYPE":"ping"}`,
		"an unknown type":                   `{"type":"start"}`,
		"ping in capitals":                  `{"type":"PING"}`,
		"a server's connection_ack":         `{"type":"connection_ack"}`,
		"a server's next":                   `{"id":"1","type":"next","payload":{"data":null}}`,
		"a server's error":                  `{"id":"1","type":"error","payload":[]}`,
		"ping with an array":                `{"type":"ping","payload":[]}`,
		"ping with a string":                `{"type":"ping","payload":"{}"}`,
		"pong with a number":                `{"type":"pong","payload":1}`,
		"init with an array":                `{"type":"connection_init","payload":[]}`,
		"init with a string":                `{"type":"connection_init","payload":"Bearer all"}`,
		"complete without id":               `{"type":"complete"}`,
		"complete with an empty id":         `{"id":"","type":"complete"}`,
		"an id of 257 bytes":                `{"id":"` + strings.Repeat("x", 257) + `","type":"complete"}`,
		"complete with a number as id":      `{"id":1,"type":"complete"}`,
		"subscribe without id":              `{"type":"subscribe","payload":{"query":"{hello}"}}`,
		"subscribe with an empty id":        `{"id":"","type":"subscribe","payload":{"query":"{hello}"}}`,
		"subscribe with a number as id":     `{"id":1,"type":"subscribe","payload":{"query":"{hello}"}}`,
		"subscribe with id null":            `{"id":null,"type":"subscribe","payload":{"query":"{hello}"}}`,
		"subscribe without payload":         `{"id":"1","type":"subscribe"}`,
		"subscribe with payload null":       `{"id":"1","type":"subscribe","payload":null}`,
		"subscribe with an array":           `{"id":"1","type":"subscribe","payload":["{hello}"]}`,
		"subscribe with a string":           `{"id":"1","type":"subscribe","payload":"{hello}"}`,
		"no query":                          payload(`"variables":{}`),
		"query null":                        payload(`"query":null`),
		"an object as query":                payload(`"query":{"text":"{hello}"}`),
		"a number as query":                 payload(`"query":1`),
		"an array as variables":             payload(`"query":"{hello}","variables":[]`),
		"a string as variables":             payload(`"query":"{hello}","variables":"{}"`),
		"a number as operationName":         payload(`"query":"{hello}","operationName":1`),
		"an object as operationName":        payload(`"query":"{hello}","operationName":{}`),
		"a string as extensions":            payload(`"query":"{hello}","extensions":"x"`),
		"an array as extensions":            payload(`"query":"{hello}","extensions":[]`),
		"not UTF-8":                         "{\"type\":\"ping\",\"payload\":{\"a\":\"\xff\"}}",
		"half a surrogate":                  `{"type":"ping","payload":{"a":"\ud800"}}`,
		"half a surrogate, the second":      `{"type":"ping","payload":{"a":"\udc00"}}`,
		"half a surrogate as id":            `{"id":"\ud800","type":"subscribe","payload":{"query":"{hello}"}}`,
		"half a surrogate in the variables": payload(`"query":"query($n:String){hello(name:$n)}","variables":{"n":"\ud800x"}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := g.open(t)
			if !strings.HasPrefix(message, `{"type":"connection_init"`) {
				c.begin("")
			}
			c.send(message)
			c.wantClosed(4400, "")
		})
	}
	t.Run("before init too", func(t *testing.T) {
		t.Parallel()
		c := g.open(t)
		c.send(`{"type":"nothing"}`)
		c.wantClosed(4400, "")
	})
	t.Run("a binary message", func(t *testing.T) {
		t.Parallel()
		c := g.connect(t, "")
		_ = c.ws.WriteMessage(websocket.BinaryMessage, []byte(`{"type":"ping"}`))
		c.wantClosed(4400, "")
	})
	t.Run("nothing of it comes back", func(t *testing.T) {
		t.Parallel()
		c := g.connect(t, "")
		c.send(`{"type":"` + cardNumber + `","id":"` + cardNumber + `"}`)
		if _, err := c.read(patience); !websocket.IsCloseError(err, 4400) || strings.Contains(err.Error(), cardNumber) {
			t.Error(err)
		}
	})
	t.Run("what follows is not read", func(t *testing.T) {
		t.Parallel()
		c := g.connect(t, "writer")
		calls := g.resolver.Calls.Load()
		c.burst(`[]`, subscribe("1", `mutation { ping }`), `{"type":"ping"}`)
		c.wantClosed(4400, "")
		if g.resolver.Calls.Load() != calls {
			t.Error("a mutation ran")
		}
	})
}

func TestMessagesThatAreWellFormed(t *testing.T) {
	t.Parallel()
	g := start(t)
	for name, message := range map[string]string{
		"null for what may be left out": `{"id":"1","type":"subscribe","payload":{"query":"{hello}","variables":null,"operationName":null,"extensions":null}}`,
		"members nobody knows":          `{"id":"1","type":"subscribe","x":[1],"payload":{"query":"{hello}","y":{}}}`,
		"white space":                   "\n { \"type\" : \"subscribe\" , \"id\" : \"1\" , \"payload\" : \t{ \"query\" : \"{hello}\" } } \n",
		"a whole surrogate pair":        `{"id":"1","type":"subscribe","payload":{"query":"{hello}","variables":{"a":"\ud83d\ude00"}}}`,
		"a name":                        `{"id":"1","type":"subscribe","payload":{"query":"query A{hello} query B{number(n:1)}","operationName":"A"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := g.connect(t, "")
			c.send(message)
			c.want(`{"id":"1","type":"next","payload":{"data":{"hello":"hello"}}}`, complete("1"))
		})
	}
	t.Run("complete of what nobody has begun", func(t *testing.T) {
		t.Parallel()
		c := g.connect(t, "")
		c.send(complete("1"), `{"id":"2","type":"complete","payload":[]}`)
		c.settled()
	})
	t.Run("an identifier in any letters", func(t *testing.T) {
		t.Parallel()
		c := g.connect(t, "")
		c.send(`{"id":"<é\"\\\u2028😀>","type":"subscribe","payload":{"query":"{hello}"}}`)
		c.want(`{"id":"<é\"\\\u2028😀>","type":"next","payload":{"data":{"hello":"hello"}}}`)
	})
	t.Run("in fragments", func(t *testing.T) {
		t.Parallel()
		c := g.connect(t, "")
		w, err := c.ws.NextWriter(websocket.TextMessage)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.SplitAfter(subscribe("1", "{hello}"), "{") {
			_, _ = io.WriteString(w, part+strings.Repeat(" ", 5000))
		}
		_ = w.Close()
		c.want(`{"id":"1","type":"next","payload":{"data":{"hello":"hello"}}}`)
	})
}
