package store_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// proxy stands between a store and PostgreSQL. It understands how messages are framed (protocol 3.0, section 55.7) and which statement a
// request runs, and spoils the first request of one step after arm.
type proxy struct {
	backend string
	dsn     string

	mu     sync.Mutex
	fault  fault
	step   string
	struck chan struct{}
	open   map[net.Conn]bool
	texts  []string
}

// fault is what happens to a request.
type fault string

const (
	lostRequest     fault = "the request is lost and the connection ends"
	lostAnswer      fault = "the server does it, and the connection ends before a word of the answer"
	cutAnswer       fault = "the server does it, and the connection ends in the middle of the answer"
	swallowedAnswer fault = "the server does it, and the network swallows the answer"
)

// steps are those of the write path, by words that only their statements have.
var steps = map[string]string{
	"lock":   "EXECUTE lock_head(", // the look-up of the keys goes with it
	"load":   "FROM balance",
	"write":  "UPDATE head SET",
	"COMMIT": "COMMIT",
}

func newProxy(t *testing.T, dsn string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	u, err := url.Parse(dsn)
	must(t, err)
	p := &proxy{backend: u.Host, open: map[net.Conn]bool{}}
	u.Host = listener.Addr().String()
	p.dsn = u.String()
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

// arm sets the fault. The channel is closed when it has struck.
func (p *proxy) arm(step string, f fault) (struck <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.step, p.struck = f, steps[step], make(chan struct{})
	return p.struck
}

// strike is the fault for a request that runs a statement, or none. done has to be called when the server has done its part.
func (p *proxy) strike(statement string) (f fault, done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == "" || !strings.Contains(statement, p.step) {
		return "", func() {}
	}
	f, p.fault = p.fault, ""
	struck := p.struck
	return f, func() { close(struck) }
}

// prepared are the texts of all statements that were prepared.
func (p *proxy) prepared() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.texts)
}

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
	backend, err := net.Dial("tcp", p.backend)
	if err != nil {
		return
	}
	defer p.track(backend)()
	s := session{
		proxy: p, client: client, backend: backend, fromClient: bufio.NewReader(client), fromBackend: bufio.NewReader(backend),
		statements: map[string]string{},
	}
	for more := s.logIn() == nil; more; {
		more = s.exchange()
	}
}

type session struct {
	*proxy
	client, backend         net.Conn
	fromClient, fromBackend *bufio.Reader
	statements              map[string]string // the texts of prepared statements by name
}

// logIn passes on everything up to the first ReadyForQuery.
func (s *session) logIn() error {
	said, err := message(s.fromClient, 0)
	for err == nil {
		_, _ = s.backend.Write(said)
		said = nil
		var m []byte
		if m, err = message(s.fromBackend, 1); err != nil {
			return err
		}
		_, _ = s.client.Write(m)
		switch {
		case m[0] == 'Z':
			return nil
		case m[0] == 'R' && bytes.IndexByte([]byte{3, 5, 10, 11}, m[8]) >= 0: // a kind of authentication that wants an answer
			said, err = message(s.fromClient, 1)
		}
	}
	return err
}

// exchange passes on one request and its answer, and says whether the connection goes on.
func (s *session) exchange() bool {
	request, err := until(s.fromClient, "QSX")
	if err != nil || request[0] == 'X' {
		return false
	}
	f, done := s.strike(s.statement(request))
	if f == lostRequest {
		done()
		return false
	}
	_, _ = s.backend.Write(request)
	answer, err := until(s.fromBackend, "Z")
	done()
	switch f {
	case lostAnswer:
		return false
	case cutAnswer:
		_, _ = s.client.Write(answer[:len(answer)/2])
		return false
	case swallowedAnswer: // until the server has had enough
		_, _ = io.Copy(io.Discard, s.fromBackend)
		return false
	}
	_, _ = s.client.Write(answer)
	return err == nil
}

// statement is the text that a request executes: of a simple query, or of the prepared statement that it binds.
func (s *session) statement(request []byte) string {
	body := request[5:]
	first, rest, _ := bytes.Cut(body, []byte{0})
	switch request[0] {
	case 'Q':
		return string(first)
	case 'P':
		text, _, _ := bytes.Cut(rest, []byte{0})
		s.statements[string(first)] = string(text)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.texts = append(s.texts, string(text))
		return ""
	case 'B':
		name, _, _ := bytes.Cut(rest, []byte{0})
		return s.statements[string(name)]
	}
	return ""
}

// until reads messages up to one of the types.
func until(r *bufio.Reader, last string) (all []byte, err error) {
	for {
		m, err := message(r, 1)
		if err != nil {
			return all, err
		}
		all = append(all, m...)
		if strings.IndexByte(last, m[0]) >= 0 {
			return all, nil
		}
	}
}

// message reads one message: a type of 0 or 1 bytes, and a length that counts itself.
func message(r *bufio.Reader, typeBytes int) ([]byte, error) {
	head := make([]byte, typeBytes+4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	m := make([]byte, typeBytes+int(binary.BigEndian.Uint32(head[typeBytes:])))
	copy(m, head)
	_, err := io.ReadFull(r, m[len(head):])
	return m, err
}
