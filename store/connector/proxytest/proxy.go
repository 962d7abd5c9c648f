// Package proxytest is a proxy for tests that stands between a client and PostgreSQL and spoils what they say to each other. It
// understands how messages are framed (protocol 3.0, section 55.7) and which statement a request runs.
package proxytest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy sees requests, each of one or more messages and answered by messages up to ReadyForQuery, and can spoil one of them.
type Proxy struct {
	Address     string // host and port on which it listens, without TLS
	DropCancels atomic.Bool
	Cancels     atomic.Int32
	Logins      atomic.Int32
	Gone        chan struct{} // gets one for each client that hung up on a swallowed request or answer

	backend  string
	mu       sync.Mutex
	fault    Fault
	requests int // since Arm, of those that the fault may strike
	struck   chan struct{}
	seen     []Exchange // since Arm
	texts    []string
	open     map[net.Conn]bool
}

// Exchange is what the proxy has seen of one request.
type Exchange struct {
	Request string // the types of its messages, as "PBDES"
	Answer  []int  // the length of each message of the answer
}

// Fault is what happens to one request; the zero value is nothing.
type Fault struct {
	Kind      Kind
	Statement string // a part of the text of the statement that the request runs; empty: of any, and of none
	At        int    // the request that it strikes, counted from Arm among those with the statement
	Bytes     int    // of the answer that get through, for CutAnswer
	Reset     bool   // the client's socket ends by a reset, not by end of file
	Fake      []byte // the answer, for FakeAnswer
	Held      chan struct{}
}

// Kind is a kind of fault.
type Kind int

// Kinds of faults.
const (
	None           Kind = iota
	LoseRequest         // the connection ends before the server gets any of it
	CutRequest          // the connection ends before the server gets the last bytes of it
	CutAnswer           // the server does it, and the connection ends before the client gets all of the answer
	HalveAnswer         // the server does it, and the connection ends in the middle of the answer
	SwallowRequest      // the server gets nothing and the client no word
	SwallowAnswer       // the server does it and the client gets no word
	FakeAnswer          // the server gets nothing, the client gets another answer, and then the connection ends
	HoldAnswer          // the server does it, and the client gets the answer when Held is closed
)

// New starts a proxy in front of the server at an address, host and port, for as long as the test lasts.
func New(t testing.TB, backend string) *Proxy {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Address: listener.Addr().String(), Gone: make(chan struct{}, 100), backend: backend, open: map[net.Conn]bool{}}
	p.Arm(Fault{})
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		for conn := range p.open {
			_ = conn.Close()
		}
	})
	return p
}

// Arm sets the fault, and counts requests from here. The channel is closed when it has struck and the server has done its part.
func (p *Proxy) Arm(f Fault) (struck <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.requests, p.seen, p.struck = f, 0, nil, make(chan struct{})
	return p.struck
}

// Connections is how many are open, those of clients and those to the server.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// Exchanges returns what was seen since Arm.
func (p *Proxy) Exchanges() []Exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

// Prepared are the texts of all statements that were prepared.
func (p *Proxy) Prepared() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.texts)
}

// next is the fault for a request that runs a statement. done has to be called when the server has done its part.
func (p *Proxy) next(statement string) (f Fault, done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault.Kind == None || !strings.Contains(statement, p.fault.Statement) {
		return Fault{}, func() {}
	}
	p.requests++
	if p.requests != p.fault.At+1 {
		return Fault{}, func() {}
	}
	struck := p.struck
	return p.fault, func() { close(struck) }
}

// track keeps a connection so that it can be closed with the proxy.
func (p *Proxy) track(conn net.Conn) (untrack func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[conn] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, conn)
		_ = conn.Close()
	}
}

// serve is one connection from the first byte to the last.
func (p *Proxy) serve(client net.Conn) {
	defer p.track(client)()
	backend, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.backend)
	if err != nil {
		return
	}
	defer p.track(backend)()
	s := session{
		Proxy: p, client: client, backend: backend, fromClient: bufio.NewReader(client), fromBackend: bufio.NewReader(backend),
		statements: map[string]string{},
	}
	for err = s.logIn(); err == nil; {
		err = s.exchange()
	}
}

// session is one connection.
type session struct {
	*Proxy
	client, backend         net.Conn
	fromClient, fromBackend *bufio.Reader
	statements              map[string]string // the texts of prepared statements by name
}

var errEnd = errors.New("the proxy ends the connection")

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
	f, done := s.next(s.statement(request))
	if f.Kind != None {
		return s.spoil(f, request, done)
	}
	answer, err := s.ask(request)
	_, _ = s.client.Write(answer)
	return err
}

// ask has the server do a request.
func (s *session) ask(request [][]byte) ([]byte, error) {
	_, _ = s.backend.Write(bytes.Join(request, nil))
	answer, err := until(s.fromBackend, isEndOfAnswer)
	s.record(request, answer)
	return bytes.Join(answer, nil), err
}

// askBehind has the server do the next request.
func (s *session) askBehind() ([]byte, error) {
	request, err := until(s.fromClient, isEndOfRequest)
	if err != nil {
		return nil, err
	}
	return s.ask(request)
}

func (s *session) spoil(f Fault, request [][]byte, done func()) (err error) {
	var answer []byte
	switch f.Kind {
	case LoseRequest, SwallowRequest:
	case CutRequest:
		all := bytes.Join(request, nil)
		_, _ = s.backend.Write(all[:len(all)-3])
	case FakeAnswer:
		answer = f.Fake
	default:
		answer, err = s.ask(request)
		for err == nil && s.fromClient.Buffered() > 0 { // what was sent together with it has reached the server too
			var more []byte
			more, err = s.askBehind()
			if f.Kind == HoldAnswer {
				answer = append(answer, more...)
			}
		}
	}
	done()
	switch f.Kind {
	case SwallowRequest, SwallowAnswer:
		return s.silence()
	case HoldAnswer:
		<-f.Held
		_, _ = s.client.Write(answer)
		return err
	case CutAnswer:
		answer = answer[:f.Bytes]
	case HalveAnswer:
		answer = answer[:len(answer)/2]
	}
	_, _ = s.client.Write(answer)
	if f.Reset {
		_ = s.client.(*net.TCPConn).SetLinger(0)
	}
	return errEnd
}

// silence lasts until the client or the server has had enough.
func (s *session) silence() error {
	go func() {
		_, _ = io.Copy(io.Discard, s.fromBackend)
		_ = s.client.Close()
	}()
	_, _ = io.Copy(io.Discard, s.fromClient)
	s.Gone <- struct{}{}
	return errEnd
}

func (s *session) record(request, answer [][]byte) {
	var x Exchange
	for _, message := range request {
		x.Request += string(message[:1])
	}
	for _, message := range answer {
		x.Answer = append(x.Answer, len(message))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, x)
}

// statement is the text that a request executes: of a simple query, or of the prepared statement that it binds.
func (s *session) statement(request [][]byte) string {
	var texts []string
	for _, message := range request {
		first, rest, _ := bytes.Cut(message[5:], []byte{0})
		second, _, _ := bytes.Cut(rest, []byte{0})
		switch message[0] {
		case 'Q':
			texts = append(texts, string(first))
		case 'P':
			s.statements[string(first)] = string(second)
			s.mu.Lock()
			s.texts = append(s.texts, string(second))
			s.mu.Unlock()
		case 'B':
			texts = append(texts, s.statements[string(second)])
		}
	}
	return strings.Join(texts, "; ")
}
