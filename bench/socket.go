package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// socket is a WebSocket that speaks graphql-transport-ws, as lean as a client can be: thousands of them share the machine with what they
// measure. It reads without copying, knows what the gateway may send and nothing else, and masks with zeros, which changes no byte.
type socket struct {
	conn        net.Conn
	buffer      []byte
	from, until int // what has been read, and not taken
	out         []byte
}

const (
	socketBuffer = 1 << 10 // bytes, for whose messages are no longer

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
	s := &socket{conn: conn}
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
	answer, err := http.ReadResponse(bufio.NewReaderSize(s.conn, socketBuffer), nil) // which reads no further: the gateway says nothing unasked
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
		opcode, payload, err := s.frame()
		if err != nil {
			return nil, err
		}
		if message, err := s.heard(opcode, payload); message != nil || err != nil {
			return message, err
		}
	}
}

// heard is the message of a frame, nil where it was a ping, which it answers.
func (s *socket) heard(opcode byte, message []byte) ([]byte, error) {
	switch {
	case opcode == opcodeClose && len(message) >= 2:
		return nil, &closedError{int(binary.BigEndian.Uint16(message)), string(message[2:])}
	case opcode != opcodeText:
		return nil, fmt.Errorf("a frame of kind %d: %s", opcode, excerpt(message))
	case bytes.Equal(message, pingMessage):
		return nil, s.send(pongMessage)
	default:
		return message, nil
	}
}

// frame reads a frame.
func (s *socket) frame() (opcode byte, payload []byte, err error) {
	for {
		opcode, payload, err = s.cut()
		if payload != nil || err != nil {
			return opcode, payload, err
		}
		n, err := s.conn.Read(s.room())
		if s.until += n; err != nil && n == 0 {
			return 0, nil, err
		}
	}
}

// listen gives take each message that is no ping, until one of them is an error, or the socket ends. It waits before it reads, where receive would
// read first, mostly for nothing: of thousands of sockets that is a third of what they cost.
func (s *socket) listen(take func(message []byte) error) (err error) {
	raw, err := s.conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	wrong := raw.Read(func(fd uintptr) (over bool) {
		for more := true; more && err == nil; {
			room := s.room()
			n, failed := syscall.Read(int(fd), room)
			switch {
			case errors.Is(failed, syscall.EINTR):
				continue
			case errors.Is(failed, syscall.EAGAIN):
				return false
			case failed != nil:
				err = &net.OpError{Op: "read", Net: "tcp", Err: failed}
			case n == 0:
				err = io.EOF
			default:
				s.until += n
				err = s.each(take)
			}
			more = n == len(room)
		}
		return err != nil
	})
	return cmp.Or(err, wrong)
}

// each gives take the messages that have been read.
func (s *socket) each(take func(message []byte) error) error {
	for {
		opcode, payload, err := s.cut()
		if payload == nil || err != nil {
			return err
		}
		message, err := s.heard(opcode, payload)
		if err == nil && message != nil {
			err = take(message)
		}
		if err != nil {
			return err
		}
	}
}

// room is where the next bytes go: at least one.
func (s *socket) room() []byte {
	if s.from > 0 {
		s.until = copy(s.buffer, s.buffer[s.from:s.until])
		s.from = 0
	}
	if s.until == len(s.buffer) {
		s.buffer = append(s.buffer, make([]byte, max(socketBuffer, len(s.buffer)))...)
	}
	return s.buffer[s.until:]
}

// cut takes a frame from what has been read; payload is nil where it is not all there. The gateway masks none, and sends each message in one.
func (s *socket) cut() (opcode byte, payload []byte, err error) {
	in := s.buffer[s.from:s.until]
	if len(in) < 2 {
		return 0, nil, nil
	}
	length, size := int(in[1]), 2
	if in[0]&finalFrame == 0 || length > 126 {
		return 0, nil, fmt.Errorf("a frame begins with %x: in pieces, masked or huge", in[:2])
	}
	if length == 126 {
		if len(in) < 4 {
			return 0, nil, nil
		}
		length, size = int(binary.BigEndian.Uint16(in[2:])), 4
	}
	if len(in) < size+length {
		return 0, nil, nil
	}
	s.from += size + length
	return in[0] &^ finalFrame, in[size : size+length], nil
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
