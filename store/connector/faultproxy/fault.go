package faultproxy

import (
	"bytes"
	"net"
	"strings"
)

// Fault is what happens to one request; the zero value is nothing.
type Fault struct {
	Kind        Kind
	Application string // the application_name of the sessions that it may strike; empty: of all
	Statement   string // a part of the text of the statement that the request runs; empty: of any, and of none
	Prepares    bool   // the request only prepares that statement
	Place       Place
	At          int    // the request that it strikes, counted from Arm among those that it may
	Bytes       int    // of the answer that get through, for CutAnswer
	Reset       bool   // the client's socket ends by a reset, not by end of file
	Fake        []byte // the answer, for FakeAnswer
	Held        chan struct{}
}

// Place is where in a transaction a request stands.
type Place int

// Places.
const (
	Anywhere Place = iota
	Inside         // after BEGIN
	Outside        // BEGIN itself, or a statement alone
)

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
	HoldRequest         // the server gets it when Held is closed
	HoldAnswer          // the server does it, and the client gets the answer when Held is closed
)

// strikes says whether the fault may strike an exchange.
func (f Fault) strikes(x Exchange) bool {
	text := x.Statement
	if f.Prepares {
		text = x.Prepares
	}
	switch {
	case f.Kind == None, f.Prepares && text == "", f.Application != "" && x.Application != f.Application:
		return false
	case f.Place != Anywhere && x.Inside != (f.Place == Inside):
		return false
	}
	return strings.Contains(text, f.Statement)
}

// spoil does to a request what the fault says. done tells that the server has done its part.
func (s *session) spoil(f Fault, x Exchange, request [][]byte, done func()) (err error) {
	var answer []byte
	switch f.Kind {
	case LoseRequest, SwallowRequest:
	case CutRequest:
		all := bytes.Join(request, nil)
		_, _ = s.backend.Write(all[:len(all)-3])
	case FakeAnswer:
		answer = f.Fake
	case HoldRequest:
		done()
		<-f.Held
		return s.answer(s.ask(x, request))
	default:
		answer, err = s.ask(x, request)
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
		return s.answer(answer, err)
	case CutAnswer:
		answer = answer[:min(f.Bytes, len(answer))]
	case HalveAnswer:
		answer = answer[:len(answer)/2]
	}
	_, _ = s.client.Write(answer)
	if f.Reset {
		_ = s.client.(*net.TCPConn).SetLinger(0)
	}
	return errEnd
}
