package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// socket is a WebSocket that speaks graphql-transport-ws, as lean as a client can be: thousands of them share the machine with what they
// measure. It reads without copying, knows what the gateway may send and nothing else, and masks with zeros, which changes no byte.
type socket struct {
	conn  net.Conn
	in    *bufio.Reader
	out   []byte
	taken int // bytes of the last message, which are still in the reader's buffer
}

const (
	socketBuffer = 1 << 10 // bytes; longer messages are read past it

	opcodeText  = 1
	opcodeClose = 8
	finalFrame  = 0x80
	masked      = 0x80

	initMessage = `{"type":"connection_init","payload":{"Authorization":"Bearer %s"}}`
)

var (
	ackMessage  = []byte(`{"type":"connection_ack"}`)
	pingMessage = []byte(`{"type":"ping"}`)
	pongMessage = []byte(`{"type":"pong"}`)
)

// dialSocket opens a WebSocket, and is acknowledged.
func dialSocket(address, token string) (*socket, error) {
	conn, err := net.DialTimeout("tcp", address, answerWithin)
	if err != nil {
		return nil, err
	}
	s := &socket{conn: conn, in: bufio.NewReaderSize(conn, socketBuffer)}
	_ = conn.SetDeadline(time.Now().Add(answerWithin))
	if err := s.begin(address, token); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s, conn.SetDeadline(time.Time{})
}

// upgradeRequest asks for a WebSocket.
func upgradeRequest(address string) string {
	return "GET /graphql HTTP/1.1\r\nHost: " + address + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
}

func (s *socket) begin(address, token string) error {
	if _, err := io.WriteString(s.conn, upgradeRequest(address)); err != nil {
		return err
	}
	answer, err := http.ReadResponse(s.in, nil)
	if err != nil {
		return err
	}
	_ = answer.Body.Close() // it has none, and what follows is the WebSocket
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("a WebSocket was answered %s", answer.Status)
	}
	if err := s.send(fmt.Appendf(nil, initMessage, token)); err != nil {
		return err
	}
	message, err := s.receive()
	if err == nil && !bytes.Equal(message, ackMessage) {
		err = fmt.Errorf("connection_init was answered %s", excerpt(message))
	}
	return err
}

// send writes a message.
func (s *socket) send(message []byte) (err error) {
	if s.out, err = appendFrame(s.out[:0], message); err == nil {
		_, err = s.conn.Write(s.out)
	}
	return err
}

// appendFrame appends a message in one frame (RFC 6455, section 5.2).
func appendFrame(out, message []byte) ([]byte, error) {
	out = append(out, finalFrame|opcodeText)
	switch n := len(message); {
	case n < 126:
		out = append(out, masked|byte(n))
	case n < 1<<16:
		out = binary.BigEndian.AppendUint16(append(out, masked|126), uint16(n))
	default:
		return nil, errors.New("no message of the bench is as long as that")
	}
	return append(append(out, 0, 0, 0, 0), message...), nil
}

// closedError says how the gateway closed a WebSocket.
type closedError struct {
	code   int
	reason string
}

func (e *closedError) Error() string {
	return fmt.Sprintf("the gateway closed a WebSocket: %d %s", e.code, e.reason)
}

// receive returns the next message that is no ping, and answers those. It is good until the next call.
func (s *socket) receive() ([]byte, error) {
	for {
		opcode, message, err := s.frame()
		switch {
		case err != nil:
			return nil, err
		case opcode == opcodeClose && len(message) >= 2:
			return nil, &closedError{int(binary.BigEndian.Uint16(message)), string(message[2:])}
		case opcode != opcodeText:
			return nil, fmt.Errorf("a frame of kind %d: %s", opcode, excerpt(message))
		case bytes.Equal(message, pingMessage):
			if err := s.send(pongMessage); err != nil {
				return nil, err
			}
		default:
			return message, nil
		}
	}
}

// frame reads a frame. The gateway masks none, and sends each message in one.
func (s *socket) frame() (opcode byte, payload []byte, err error) {
	if _, err := s.in.Discard(s.taken); err != nil {
		return 0, nil, err
	}
	s.taken = 0
	head, err := s.in.Peek(2)
	if err != nil {
		return 0, nil, err
	}
	opcode, length, size := head[0]&^finalFrame, int(head[1]), 2
	if head[0]&finalFrame == 0 || length > 126 {
		return 0, nil, fmt.Errorf("a frame begins with %x: in pieces, masked or huge", head)
	}
	if length == 126 {
		if head, err = s.in.Peek(4); err != nil {
			return 0, nil, err
		}
		length, size = int(binary.BigEndian.Uint16(head[2:])), 4
	}
	if size+length > s.in.Size() {
		payload = make([]byte, size+length)
		_, err = io.ReadFull(s.in, payload)
		return opcode, payload[size:], err
	}
	payload, err = s.in.Peek(size + length)
	if err != nil {
		return 0, nil, err
	}
	s.taken = size + length
	return opcode, payload[size:], nil
}

// close ends the socket as a client does that goes: without a word.
func (s *socket) close() { _ = s.conn.Close() }

// operation makes the message that begins an operation.
func operation(id, query string, variables any) ([]byte, error) {
	return json.Marshal(map[string]any{"id": id, "type": "subscribe", "payload": map[string]any{"query": query, "variables": variables}})
}

// What the gateway says about operations begins with their identifier.
func isNext(message []byte, id string) bool {
	return bytes.HasPrefix(message, []byte(`{"id":"`+id+`","type":"next",`))
}

func isComplete(message []byte, id string) bool {
	return string(message) == `{"id":"`+id+`","type":"complete"}`
}

// textOf finds the value of a member that is text without escapes: who takes thousands of messages a second decodes no JSON.
func textOf(message []byte, name string) string {
	_, after, _ := bytes.Cut(message, []byte(`"`+name+`":"`))
	value, _, _ := bytes.Cut(after, []byte(`"`))
	return string(value)
}
