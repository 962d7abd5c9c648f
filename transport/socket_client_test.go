package transport_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// patience is how long a test waits for what has to come.
const patience = 15 * time.Second

// client is a WebSocket as a client has it.
type client struct {
	t       *testing.T
	ws      *websocket.Conn
	request string // the handshake's X-Request-Id
}

// open opens a WebSocket, with subprotocol graphql-transport-ws.
func (g *gateway) open(t *testing.T, headers ...string) *client {
	t.Helper()
	ws, answer, err := g.dial(&websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}}, headers...)
	if err != nil {
		t.Fatal(err)
	}
	if ws.Subprotocol() != "graphql-transport-ws" {
		t.Errorf("subprotocol %q", ws.Subprotocol())
	}
	t.Cleanup(func() { ws.Close() })
	return &client{t, ws, answer.request}
}

// handshake is what the gateway answered to a WebSocket; empty where it did not.
type handshake struct {
	status  int
	request string // its X-Request-Id
}

func (g *gateway) dial(d *websocket.Dialer, headers ...string) (ws *websocket.Conn, answer handshake, err error) {
	r := &http.Request{Header: http.Header{}}
	setHeaders(r, headers)
	ws, response, err := d.Dial("ws"+strings.TrimPrefix(g.URL, "http")+"/graphql", r.Header)
	if response == nil {
		return ws, answer, err
	}
	defer response.Body.Close()
	answer = handshake{response.StatusCode, response.Header.Get("X-Request-Id")}
	if err == nil && answer.request == "" {
		err = errors.New("the answer has no X-Request-Id")
	}
	return ws, answer, err
}

// openSmall opens a WebSocket whose client takes little before it reads.
func (g *gateway) openSmall(t *testing.T) *client {
	t.Helper()
	ws, answer, err := g.dial(&websocket.Dialer{
		Subprotocols: []string{"graphql-transport-ws"},
		NetDial: func(network, address string) (net.Conn, error) {
			conn, err := net.Dial(network, address)
			if err == nil {
				err = conn.(*net.TCPConn).SetReadBuffer(16 << 10)
			}
			return conn, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	return &client{t, ws, answer.request}
}

// connect opens a WebSocket and has it acknowledged; token "" is nobody's.
func (g *gateway) connect(t *testing.T, token string) *client {
	t.Helper()
	return g.open(t).begin(token)
}

func (c *client) begin(token string) *client {
	c.t.Helper()
	c.send(initOf(token))
	c.want(`{"type":"connection_ack"}`)
	return c
}

func initOf(token string) string {
	if token == "" {
		return `{"type":"connection_init"}`
	}
	return `{"type":"connection_init","payload":{"Authorization":"Bearer ` + token + `"}}`
}

// subscribe is the message.
func subscribe(id, document string) string { return subscribeWith(id, document, "") }

// subscribeWith is the message with variables in JSON ("" for none).
func subscribeWith(id, document, variables string) string {
	return `{"id":"` + id + `","type":"subscribe","payload":` + operation(document, variables) + `}`
}

func complete(id string) string { return `{"id":"` + id + `","type":"complete"}` }

// send sends text messages.
func (c *client) send(messages ...string) {
	c.t.Helper()
	for _, m := range messages {
		if err := c.ws.WriteMessage(websocket.TextMessage, []byte(m)); err != nil {
			c.t.Fatal(err)
		}
	}
}

// burst sends text messages in one write.
func (c *client) burst(messages ...string) {
	c.t.Helper()
	var bytes []byte
	for _, m := range messages {
		bytes = append(bytes, frame(m)...)
	}
	if _, err := c.ws.NetConn().Write(bytes); err != nil {
		c.t.Fatal(err)
	}
}

// frame is a text message as a client sends it, with a mask of zeros (RFC 6455, section 5.2).
func frame(message string) []byte {
	header := []byte{0x81, 0x80 | 126, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(header[2:], uint16(len(message)))
	return append(header, message...)
}

// read is the next message; nil: the socket has ended, with err.
func (c *client) read(most time.Duration) (map[string]any, error) {
	_ = c.ws.SetReadDeadline(time.Now().Add(most))
	kind, text, err := c.ws.ReadMessage()
	if err != nil {
		return nil, err
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil || kind != websocket.TextMessage {
		return nil, fmt.Errorf("message of kind %d, %q: %v", kind, text, err)
	}
	return m, nil
}

func (c *client) next() map[string]any {
	c.t.Helper()
	m, err := c.read(patience)
	if err != nil {
		c.t.Fatalf("no message: %v", err)
	}
	return m
}

// want reads messages: just these, but for what they cost, which TestWhatEachWayCosts looks at.
func (c *client) want(messages ...string) {
	c.t.Helper()
	for _, message := range messages {
		var want map[string]any
		if err := json.Unmarshal([]byte(message), &want); err != nil {
			c.t.Fatal(err)
		}
		got := c.next()
		if payload, ok := got["payload"].(map[string]any); ok {
			delete(payload, "extensions")
		}
		if !reflect.DeepEqual(got, want) {
			c.t.Fatalf("got %v, want %s", got, message)
		}
	}
}

// wantError reads an error about an operation, and gives its first error's code.
func (c *client) wantError(id string) (code string) {
	c.t.Helper()
	m := c.next()
	list, _ := m["payload"].([]any)
	if m["type"] != "error" || m["id"] != id || len(list) == 0 {
		c.t.Fatalf("got %v, want an error about %s", m, id)
	}
	first, _ := list[0].(map[string]any)
	extensions, _ := first["extensions"].(map[string]any)
	message, _ := first["message"].(string)
	_, retryable := extensions["retryable"].(bool)
	if request, _ := extensions["requestId"].(string); message == "" || request == "" || request != c.request || !retryable {
		c.t.Errorf("an error of request %s lacks message, requestId or retryable: %v", c.request, first)
	}
	code, _ = extensions["code"].(string)
	return code
}

// settled makes sure that nothing was left to be read: what comes next is the answer to a ping.
func (c *client) settled() {
	c.t.Helper()
	c.send(`{"type":"ping","payload":{"settled":true}}`)
	c.want(`{"type":"pong","payload":{"settled":true}}`)
}

// wantClosed reads the close frame: nothing comes before it. reason "" is any but none.
func (c *client) wantClosed(code int, reason string) {
	c.t.Helper()
	c.wantClosedAfter(0, code, reason)
}

// wantClosedAfter is wantClosed, where at most as many messages may come before.
func (c *client) wantClosedAfter(most, code int, reason string) {
	c.t.Helper()
	for n := 0; ; n++ {
		m, err := c.read(patience)
		if err == nil && n < most {
			continue
		}
		closed := &websocket.CloseError{}
		if !errors.As(err, &closed) || closed.Code != code || closed.Text == "" || reason != "" && closed.Text != reason {
			c.t.Fatalf("got %v and %v, want it closed with %d %q", m, err, code, reason)
		}
		return
	}
}
