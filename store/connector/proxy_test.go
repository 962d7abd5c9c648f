package connector

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy stands between a pool and the server and understands how PostgreSQL frames its messages (protocol 3.0, section 55.7). It sees
// requests, each of one or more messages and answered by messages up to ReadyForQuery, and can spoil one of them.
type proxy struct {
	address string

	mu       sync.Mutex
	fault    fault
	requests int        // since arm
	seen     []exchange // since arm
	open     map[net.Conn]bool

	dropCancels atomic.Bool
	cancels     atomic.Int32
	logins      atomic.Int32
	gone        chan struct{} // gets one for each client that hung up on a swallowed request or answer
}

// exchange is what the proxy has seen of one request.
type exchange struct {
	request string // the types of its messages, as "PBDES"
	answer  []int  // the length of each message of the answer
}

// fault is what happens to one request; the zero value is nothing.
type fault struct {
	kind  kind
	at    int    // the request that it strikes, counted from arm
	bytes int    // of the answer that get through, for cutAnswer
	reset bool   // the client's socket ends by a reset, not by end of file
	fake  []byte // the answer, for fakeAnswer
	held  chan struct{}
}

type kind int

const (
	none           kind = iota
	loseRequest         // the connection ends before the server gets any of it
	cutRequest          // the connection ends before the server gets the last bytes of it
	cutAnswer           // the server does it, and the connection ends before the client gets all of the answer
	swallowRequest      // the server gets nothing and the client no word
	swallowAnswer       // the server does it and the client gets no word
	fakeAnswer          // the server gets nothing, the client gets another answer, and then the connection ends
	holdAnswer          // the server does it, and the client gets the answer when held is closed
)

func newProxy(t testing.TB) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: listener.Addr().String(), open: map[net.Conn]bool{}, gone: make(chan struct{}, 100)}
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

// arm sets the fault, and counts requests from here.
func (p *proxy) arm(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.requests, p.seen = f, 0, nil
}

// exchanges returns what was seen since arm.
func (p *proxy) exchanges() []exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]exchange(nil), p.seen...)
}

func (p *proxy) next() fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.requests
	p.requests++
	if p.fault.kind == none || p.fault.at != n {
		return fault{}
	}
	return p.fault
}

// struck tells whether the request that the fault is for has come.
func (p *proxy) struck() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault.kind != none && p.requests > p.fault.at
}

// track keeps a connection so that it can be closed with the proxy.
func (p *proxy) track(conn net.Conn) (untrack func()) {
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
func (p *proxy) serve(client net.Conn) {
	defer p.track(client)()
	backend, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer p.track(backend)()
	fromClient, fromBackend := bufio.NewReader(client), bufio.NewReader(backend)

	const cancelRequest = 80877102
	startup, err := packet(fromClient, 0)
	if err != nil {
		return
	}
	if binary.BigEndian.Uint32(startup[4:]) == cancelRequest {
		p.cancels.Add(1)
		if p.dropCancels.Load() {
			_, _ = io.Copy(io.Discard, client)
			return
		}
		_, _ = backend.Write(startup)
		_, _ = io.Copy(client, backend)
		return
	}
	p.logins.Add(1)
	_, _ = backend.Write(startup)
	greeting, err := readAnswer(fromBackend)
	_, _ = client.Write(bytes.Join(greeting, nil))
	for err == nil {
		err = p.exchange(client, backend, fromClient, fromBackend)
	}
}

var errEnd = errors.New("the proxy ends the connection")

func (p *proxy) exchange(client, backend net.Conn, fromClient, fromBackend *bufio.Reader) error {
	request, err := readRequest(fromClient)
	if err != nil {
		return err
	}
	if request[0][0] == 'X' {
		_, _ = backend.Write(request[0])
		return errEnd
	}
	f, all := p.next(), bytes.Join(request, nil)
	silence := func() error {
		_, _ = io.Copy(io.Discard, fromClient)
		p.gone <- struct{}{}
		return errEnd
	}
	end := func() error {
		if f.reset {
			_ = client.(*net.TCPConn).SetLinger(0)
		}
		return errEnd
	}
	switch f.kind {
	case loseRequest:
		return end()
	case cutRequest:
		_, _ = backend.Write(all[:len(all)-3])
		return end()
	case swallowRequest:
		return silence()
	case fakeAnswer:
		_, _ = client.Write(f.fake)
		return end()
	}
	_, _ = backend.Write(all)
	frames, err := readAnswer(fromBackend)
	p.record(request, frames)
	said := bytes.Join(frames, nil)
	switch f.kind {
	case cutAnswer:
		_, _ = client.Write(said[:f.bytes])
		return end()
	case swallowAnswer:
		return silence()
	case holdAnswer:
		<-f.held
	}
	_, _ = client.Write(said)
	return err
}

func (p *proxy) record(request, frames [][]byte) {
	var x exchange
	for _, message := range request {
		x.request += string(message[:1])
	}
	for _, message := range frames {
		x.answer = append(x.answer, len(message))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, x)
}

// readRequest reads messages up to one that asks for an answer.
func readRequest(r *bufio.Reader) (messages [][]byte, err error) {
	return until(r, "QSX")
}

// readAnswer reads messages up to ReadyForQuery or CopyInResponse; with an error it returns those before the end.
func readAnswer(r *bufio.Reader) (messages [][]byte, err error) {
	return until(r, "ZG")
}

func until(r *bufio.Reader, last string) (messages [][]byte, err error) {
	for {
		message, err := packet(r, 1)
		if err != nil {
			return messages, err
		}
		messages = append(messages, message)
		if bytes.IndexByte([]byte(last), message[0]) >= 0 {
			return messages, nil
		}
	}
}

// packet reads one message: a type of 0 or 1 bytes, and a length that counts itself.
func packet(r *bufio.Reader, typeBytes int) ([]byte, error) {
	head := make([]byte, typeBytes+4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	message := make([]byte, typeBytes+int(binary.BigEndian.Uint32(head[typeBytes:])))
	copy(message, head)
	_, err := io.ReadFull(r, message[len(head):])
	return message, err
}

// message frames one.
func message(kind byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4)), body...)
}

// errorMessage is an ErrorResponse.
func errorMessage(severity, code string) []byte {
	return message('E', "S"+severity+"\x00V"+severity+"\x00C"+code+"\x00Mfrom the test's proxy\x00\x00")
}

// errorAnswer is the end of an answer, outside a transaction.
func errorAnswer(severity, code string) []byte {
	return append(errorMessage(severity, code), message('Z', "I")...)
}

// oneRow is the begin of an answer: a description of one column of type text, and a row.
func oneRow() []byte {
	return append(message('T', "\x00\x01c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x19\xff\xff\xff\xff\xff\xff\x00\x00"),
		message('D', "\x00\x01\x00\x00\x00\x01x")...)
}

// within fails the test if f takes longer than d.
func within(t *testing.T, d time.Duration, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("it takes longer than %v", d)
	}
}
