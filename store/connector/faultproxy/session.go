package faultproxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
)

// session is one connection.
type session struct {
	*Proxy
	client, backend         net.Conn
	fromClient, fromBackend *bufio.Reader
	application             string
	statements              map[string]string // the texts of prepared statements by name
	inside                  bool              // a transaction is open

	answers chan []byte // messages of the answer that is waited for; closed when the server has hung up
	mu      sync.Mutex
	state   state
	behind  []byte // what came unasked behind an answer that the client has not got yet
	ended   bool   // the server has hung up
}

// state is what becomes of the server's messages.
type state int

const (
	idle     state = iota // they go to the client as they come: nobody has asked for them
	asking                // they are the answer
	answered              // they wait until the client has the answer
	deaf                  // they are lost
)

var errEnd = errors.New("the proxy ends the connection")

// serve is one connection from the first byte to the last.
func (p *Proxy) serve(client net.Conn) {
	defer p.track(client)()
	p.mu.Lock()
	address := p.backend
	p.mu.Unlock()
	backend, err := new(net.Dialer).DialContext(context.Background(), "tcp", address)
	if err != nil {
		return
	}
	defer p.track(backend)()
	s := &session{
		Proxy: p, client: client, backend: backend, fromClient: bufio.NewReader(client), fromBackend: bufio.NewReader(backend),
		statements: map[string]string{}, answers: make(chan []byte, 16),
	}
	if err = s.logIn(); err != nil {
		return
	}
	go s.listen()
	for err == nil {
		err = s.exchange()
	}
	s.enter(deaf)
	_ = backend.Close()
	for range s.answers { // until listen has ended
	}
}

// logIn passes on everything up to the first ReadyForQuery, or a request to cancel.
func (s *session) logIn() error {
	said, err := packet(s.fromClient, 0)
	if err != nil {
		return err
	}
	if isCancel(said) {
		s.Cancels.Add(1)
		if s.DropCancels.Load() {
			_, _ = io.Copy(io.Discard, s.client)
			return errEnd
		}
		_, _ = s.backend.Write(said)
		_, _ = io.Copy(s.client, s.backend)
		return errEnd
	}
	s.Logins.Add(1)
	s.application = parameter(said, "application_name")
	for {
		_, _ = s.backend.Write(said)
		greeting, err := until(s.fromBackend, isEndOfGreeting)
		_, _ = s.client.Write(bytes.Join(greeting, nil))
		if err != nil || greeting[len(greeting)-1][0] == 'Z' {
			return err
		}
		if said, err = packet(s.fromClient, 1); err != nil {
			return err
		}
	}
}

// listen reads what the server says, asked or unasked, until it hangs up.
func (s *session) listen() {
	defer close(s.answers)
	for {
		message, err := packet(s.fromBackend, 1)
		if err != nil {
			s.hungUp()
			return
		}
		if s.isAnswer(message) {
			s.answers <- message
		}
	}
}

// isAnswer says whether a message belongs to an answer. If not, it is dealt with.
func (s *session) isAnswer(message []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.state {
	case idle:
		_, _ = s.client.Write(message)
	case answered:
		s.behind = append(s.behind, message...)
	case asking:
		if isEndOfAnswer(message) {
			s.state = answered
		}
		return true
	}
	return false
}

// hungUp closes the client's socket, or leaves that to who gives it an answer first.
func (s *session) hungUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if s.state == idle || s.state == deaf {
		_ = s.client.Close()
	}
}

// answer gives the client an answer, and what came behind it.
func (s *session) answer(answer []byte, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.client.Write(append(answer, s.behind...))
	s.behind, s.state = nil, idle
	if s.ended {
		return errEnd
	}
	return err
}

func (s *session) hasEnded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

func (s *session) enter(next state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = next
}

// exchange passes on one request and its answer, or what the fault makes of them.
func (s *session) exchange() error {
	request, err := until(s.fromClient, isEndOfRequest)
	if err != nil {
		return err
	}
	if request[0][0] == 'X' {
		_, _ = s.backend.Write(request[0])
		return errEnd
	}
	x := s.describe(request)
	f, done := s.next(x)
	if f.Kind != None {
		return s.spoil(f, x, request, done)
	}
	return s.answer(s.ask(x, request))
}

// ask has the server do a request, and returns all of the answer that comes.
func (s *session) ask(x Exchange, request [][]byte) (answer []byte, err error) {
	s.enter(asking)
	_, _ = s.backend.Write(bytes.Join(request, nil))
	for message := range s.answers {
		answer = append(answer, message...)
		x.Answer = append(x.Answer, len(message))
		if isEndOfAnswer(message) {
			s.inside = message[0] == 'Z' && message[5] != 'I'
			s.record(x)
			return answer, nil
		}
	}
	s.record(x)
	return answer, io.ErrUnexpectedEOF
}

// askBehind has the server do the next request.
func (s *session) askBehind() ([]byte, error) {
	request, err := until(s.fromClient, isEndOfRequest)
	if err != nil {
		return nil, err
	}
	return s.ask(s.describe(request), request)
}

// silence lasts until the client or the server has had enough.
func (s *session) silence() error {
	s.enter(deaf)
	if s.hasEnded() {
		return errEnd
	}
	_, _ = io.Copy(io.Discard, s.fromClient)
	select {
	case s.Gone <- struct{}{}:
	default:
	}
	return errEnd
}

// describe tells what a request is: which statement it executes, be it a simple query or a prepared statement that it binds, or only prepares.
func (s *session) describe(request [][]byte) Exchange {
	x := Exchange{Application: s.application, Inside: s.inside}
	var executed, prepared []string
	for _, message := range request {
		x.Request += string(message[:1])
		first, rest, _ := bytes.Cut(message[5:], []byte{0})
		second, _, _ := bytes.Cut(rest, []byte{0})
		switch message[0] {
		case 'Q':
			executed = append(executed, string(first))
		case 'P':
			s.statements[string(first)] = string(second)
			prepared = append(prepared, string(second))
			s.notePrepared(string(second))
		case 'B':
			executed = append(executed, s.statements[string(second)])
		}
	}
	x.Statement = strings.Join(executed, "; ")
	if len(executed) == 0 {
		x.Prepares = strings.Join(prepared, "; ")
	}
	return x
}
