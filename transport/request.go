package transport

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// request is what a client asks for, whatever transport brought it.
type request struct {
	query         string
	operationName string
	variables     map[string]any // as encoding/json decodes them with UseNumber
	extensions    map[string]any
	document      string     // its identifier; empty: it is not named by one
	automatic     bool       // and may be registered under it
	signed        bool       // by the principal, and the signature is good
	address       netip.Addr // from where it came
	alone         bool       // on its connection, as no operation of a socket is
	paid          int        // points, in advance
}

// parameters is a request in JSON. Its members may be null, and of query and the identifiers of a document one must not.
type parameters struct {
	Query         *string        `json:"query"`
	DocumentID    *string        `json:"documentId"`
	DocID         *string        `json:"doc_id"`
	ID            *string        `json:"id"`
	OperationName *string        `json:"operationName"`
	Variables     map[string]any `json:"variables"`
	Extensions    map[string]any `json:"extensions"`
}

// maxPooled is the capacity of the largest buffer that is kept for another request.
const maxPooled = 64 << 10

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func release(b *bytes.Buffer) {
	if b.Cap() <= maxPooled {
		b.Reset()
		buffers.Put(b)
	}
}

// readBody reads the request from the body of a POST, which check has to find good before it is looked at.
func readBody(w http.ResponseWriter, r *http.Request, limits *Limits, check func(body []byte) *requestError) (request, *requestError) {
	if r.ContentLength > limits.Body {
		w.Header().Set("Connection", "close") // the rest is not worth reading
		return request{}, tooLarge(limits)
	}
	body := buffers.Get().(*bytes.Buffer)
	defer release(body)
	if n := r.ContentLength; n > 0 {
		body.Grow(int(n) + bytes.MinRead)
	}
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Now().Add(limits.BodyTime)) // a recorder in a test has none
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, limits.Body))
	_ = connection.SetReadDeadline(time.Time{})
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return request{}, tooLarge(limits)
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.Header().Set("Connection", "close")
		return request{}, malformed(http.StatusRequestTimeout, "the body did not arrive in time")
	case err != nil:
		return request{}, malformed(http.StatusBadRequest, "the body could not be read to its end")
	}
	if refused := check(body.Bytes()); refused != nil {
		return request{}, refused
	}
	return decode(body.Bytes())
}

func tooLarge(limits *Limits) *requestError {
	return malformed(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", limits.Body)
}

// decode reads one JSON object and nothing else. Its errors hold nothing of the body, which may have a card number in it.
func decode(body []byte) (request, *requestError) {
	if !utf8.Valid(body) { // encoding/json would mend it silently
		return request{}, malformed(http.StatusBadRequest, "the body is not valid UTF-8")
	}
	body = bytes.TrimLeft(body, " \t\r\n")
	switch {
	case len(body) == 0:
		return request{}, malformed(http.StatusBadRequest, "the body is empty")
	case body[0] == '[':
		return request{}, malformed(http.StatusBadRequest, "several operations in an array are not accepted: send one object")
	case body[0] != '{':
		return request{}, malformed(http.StatusBadRequest, "the body is not a JSON object")
	}
	if hasLoneSurrogate(body) {
		return request{}, malformed(http.StatusBadRequest, "the body escapes half a surrogate pair")
	}
	var p parameters
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&p); err != nil {
		if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return request{}, malformed(http.StatusBadRequest, "%s has the wrong type", parameterName(wrongType.Field))
		}
		return request{}, malformed(http.StatusBadRequest, "the body is not valid JSON")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return request{}, malformed(http.StatusBadRequest, "something follows the JSON object")
	}
	return p.request()
}

// parameterName is the parameter that a decoder's path begins with.
func parameterName(path string) string {
	for _, name := range []string{"query", "documentId", "doc_id", "id", "operationName", "variables", "extensions"} {
		if path == name {
			return name
		}
	}
	return "a parameter"
}

func (p *parameters) request() (request, *requestError) {
	r := request{variables: p.Variables, extensions: p.Extensions}
	if err := r.name(p.Query != nil, p.DocumentID, p.DocID, p.ID); err != nil {
		return request{}, malformed(http.StatusBadRequest, "%s", err)
	}
	if p.Query == nil && r.document == "" {
		return request{}, malformed(http.StatusBadRequest, "the parameter query is missing")
	}
	if p.Query != nil {
		r.query = *p.Query
	}
	if p.OperationName != nil {
		r.operationName = *p.OperationName
	}
	return r, nil
}

// readURL reads the request from the parameters of a GET. A parameter that is empty counts as absent.
func readURL(u *url.URL) (request, *requestError) {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return request{}, malformed(http.StatusBadRequest, "the query of the URL is malformed")
	}
	var p parameters
	for _, name := range []string{"query", "documentId", "doc_id", "id", "operationName", "variables", "extensions"} {
		switch len(values[name]) {
		case 0:
			continue
		case 1:
		default:
			return request{}, malformed(http.StatusBadRequest, "the parameter %s occurs more than once", name)
		}
		value := values[name][0]
		if !utf8.ValidString(value) {
			return request{}, malformed(http.StatusBadRequest, "the parameter %s is not valid UTF-8", name)
		}
		switch {
		case value == "":
		case name == "query":
			p.Query = &value
		case name == "documentId":
			p.DocumentID = &value
		case name == "doc_id":
			p.DocID = &value
		case name == "id":
			p.ID = &value
		case name == "operationName":
			p.OperationName = &value
		case name == "variables":
			p.Variables, err = decodeMap(value)
		default:
			p.Extensions, err = decodeMap(value)
		}
		if err != nil {
			return request{}, malformed(http.StatusBadRequest, "the parameter %s is not a JSON object", name)
		}
	}
	return p.request()
}

func decodeMap(text string) (m map[string]any, err error) {
	if hasLoneSurrogate([]byte(text)) {
		return nil, errors.New("half a surrogate pair")
	}
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.UseNumber()
	if err := decoder.Decode(&m); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows")
	}
	return m, nil
}

// hasLoneSurrogate finds an escape such as \ud800 without its other half, which names no character and which encoding/json turns
// into U+FFFD, so that two different inputs would become one.
func hasLoneSurrogate(body []byte) bool {
	if !bytes.Contains(body, []byte(`\u`)) {
		return false
	}
	high := false // the escape before this one was the first half
	for i := 0; i < len(body); {
		var unit uint64
		size := 1
		if body[i] == '\\' {
			size = 2
			if i+6 <= len(body) && body[i+1] == 'u' {
				if n, err := strconv.ParseUint(string(body[i+2:i+6]), 16, 16); err == nil {
					unit, size = n, 6
				}
			}
		}
		low := 0xDC00 <= unit && unit < 0xE000
		if high != low {
			return true
		}
		high = 0xD800 <= unit && unit < 0xDC00
		i += size
	}
	return high
}
