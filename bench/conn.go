package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// answerWithin is what an answer may take: longer than the gateway's own deadlines.
const answerWithin = 35 * time.Second

// conn is one client: a kept-alive connection with one request at a time. It sends bytes that were made before, and tries nothing
// again, so that a request that it counted was sent once.
type conn struct {
	address  string
	socket   net.Conn
	in       *bufio.Reader
	response fasthttp.Response
	deadline time.Time // of the socket, moved once a second
}

func dial(address string) (*conn, error) {
	c := &conn{address: address}
	return c, c.redial()
}

// redial replaces a connection that has failed.
func (c *conn) redial() error {
	c.close()
	socket, err := net.DialTimeout("tcp", c.address, 5*time.Second)
	if err != nil {
		return err
	}
	c.socket, c.deadline = socket, time.Time{}
	if c.in == nil {
		c.in = bufio.NewReaderSize(socket, 8<<10)
	} else {
		c.in.Reset(socket)
	}
	return nil
}

func (c *conn) close() {
	if c.socket != nil {
		_ = c.socket.Close()
	}
}

// roundTrip sends a request and reads the answer. The body is good until the next call.
func (c *conn) roundTrip(request []byte) (status int, body []byte, err error) {
	if now := time.Now(); c.deadline.Sub(now) < answerWithin-time.Second {
		c.deadline = now.Add(answerWithin)
		if err := c.socket.SetDeadline(c.deadline); err != nil {
			return 0, nil, err
		}
	}
	if _, err := c.socket.Write(request); err != nil {
		return 0, nil, err
	}
	if err := c.response.Read(c.in); err != nil {
		return 0, nil, err
	}
	return c.response.StatusCode(), c.response.Body(), nil
}

// post makes the bytes of a request.
func post(address, path, authorization, contentType string, body []byte) []byte {
	head := "POST " + path + " HTTP/1.1\r\nHost: " + address + "\r\nContent-Type: " + contentType +
		"\r\nAccept: application/graphql-response+json, application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n"
	if authorization != "" {
		head += "Authorization: " + authorization + "\r\n"
	}
	return append([]byte(head+"\r\n"), body...)
}

// graphQL makes the bytes of a GraphQL request.
func graphQL(address, token, query string, variables any) ([]byte, error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return nil, err
	}
	return post(address, "/graphql", "Bearer "+token, "application/json", body), nil
}

// call makes a GraphQL request that is not measured, and decodes its data.
func (c *conn) call(token, query string, variables, data any) error {
	request, err := graphQL(c.address, token, query, variables)
	if err != nil {
		return err
	}
	status, body, err := c.roundTrip(request)
	if err != nil {
		return err
	}
	answer := struct {
		Data   any             `json:"data"`
		Errors json.RawMessage `json:"errors"`
	}{Data: data}
	if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK || answer.Errors != nil {
		return fmt.Errorf("the gateway answered %d: %s", status, excerpt(body))
	}
	return nil
}

// excerptLength is how much of an answer an error shows.
const excerptLength = 300

func excerpt(body []byte) string {
	if len(body) > excerptLength {
		return string(body[:excerptLength]) + "…"
	}
	return string(body)
}
