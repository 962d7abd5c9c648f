package transport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// The types of messages that a client sends.
const (
	typeInit      = "connection_init"
	typePing      = "ping"
	typePong      = "pong"
	typeSubscribe = "subscribe"
	typeComplete  = "complete"
)

// message is what a client sends.
type message struct {
	kind    string
	id      string
	payload json.RawMessage // an object, or nothing
}

// readMessage reads a message after the protocol's text. Its errors hold nothing of the message.
func readMessage(data []byte) (m message, err error) {
	if !utf8.Valid(data) || hasLoneSurrogate(data) {
		return m, errors.New("a message is JSON in UTF-8")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil || members == nil {
		return m, errors.New("a message is a JSON object")
	}
	if err := json.Unmarshal(members["type"], &m.kind); err != nil || m.kind == "" {
		return m, errors.New("a message has a type, which is a string")
	}
	switch m.kind {
	case typeInit, typePing, typePong:
	case typeSubscribe, typeComplete:
		if err := json.Unmarshal(members["id"], &m.id); err != nil || m.id == "" {
			return m, fmt.Errorf("%s has an id, which is a string and not empty", m.kind)
		}
		if len(m.id) > maxIDLength {
			return m, fmt.Errorf("an id has at most %d bytes", maxIDLength)
		}
	default:
		return m, errors.New("a client sends connection_init, ping, pong, subscribe and complete")
	}
	m.payload = bytes.TrimSpace(members["payload"])
	if bytes.Equal(m.payload, []byte("null")) {
		m.payload = nil
	}
	if len(m.payload) > 0 && m.payload[0] != '{' && m.kind != typeComplete {
		return m, fmt.Errorf("the payload of %s is an object", m.kind)
	}
	return m, nil
}

// readSubscribe reads the payload of subscribe.
func readSubscribe(payload json.RawMessage) (r request, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(payload, &members); err != nil || members == nil {
		return r, errors.New("the payload of subscribe is an object")
	}
	if text, ok := members["operationName"]; ok && json.Unmarshal(text, &r.operationName) != nil {
		return r, errors.New("operationName is a string")
	}
	if text, ok := members["variables"]; ok {
		if r.variables, err = decodeMap(string(text)); err != nil {
			return r, errors.New("variables is an object")
		}
	}
	if text, ok := members["extensions"]; ok {
		if r.extensions, err = decodeMap(string(text)); err != nil {
			return r, errors.New("extensions is an object")
		}
	}
	ids := make([]*string, 3)
	for n, name := range []string{"documentId", "doc_id", "id"} {
		if text, ok := members[name]; ok && json.Unmarshal(text, &ids[n]) != nil {
			return r, fmt.Errorf("%s is a string", name)
		}
	}
	text, there := members["query"]
	if err := r.name(there, ids...); err != nil {
		return r, err
	}
	if !there && r.document != "" {
		return r, nil
	}
	if len(text) == 0 || text[0] != '"' || json.Unmarshal(text, &r.query) != nil {
		return r, errors.New("the payload of subscribe has a query, which is a string, or names a document")
	}
	return r, nil
}

// take does what a message says.
func (s *socket) take(data []byte) {
	m, err := readMessage(data)
	if err != nil {
		s.close(closeMalformed, err.Error())
		return
	}
	switch m.kind {
	case typeInit:
		s.initialise(m.payload)
	case typePing:
		_ = s.send(pongMessage(m.payload))
	case typePong:
		s.pong()
	case typeComplete:
		s.complete(m.id)
	case typeSubscribe:
		if s.ready() {
			s.subscribe(m)
		} else {
			s.close(closeUnauthorized, notAcknowledged)
		}
	}
}

func (s *socket) ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acknowledged
}

// pongMessage answers a ping with its own payload.
func pongMessage(payload json.RawMessage) []byte {
	if len(payload) == 0 {
		return []byte(`{"type":"pong"}`)
	}
	return append(append([]byte(`{"type":"pong","payload":`), payload...), '}')
}

// about begins a message about an operation.
func about(id, kind string) []byte {
	quoted, _ := json.Marshal(id)
	return append(append(append([]byte(`{"id":`), quoted...), `,"type":"`...), kind+`"`...)
}
