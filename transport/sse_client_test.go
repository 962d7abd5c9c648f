package transport_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// sse is what a client reads of a stream of events (WHATWG HTML, section 9.2.5).
type sse struct {
	t      *testing.T
	answer *http.Response
	lines  *bufio.Reader
	leave  context.CancelFunc
}

const onlyStream = "Accept: text/event-stream"

// listen asks for a stream by GET or POST.
func (g *gateway) listen(t *testing.T, method, document string, headers ...string) *sse {
	t.Helper()
	return g.listenWith(t, method, document, "", headers...)
}

// listenWith is listen with variables in JSON ("" for none).
func (g *gateway) listenWith(t *testing.T, method, document, variables string, headers ...string) *sse {
	t.Helper()
	ctx, leave := context.WithCancel(context.Background())
	t.Cleanup(leave)
	defer time.AfterFunc(patience, leave).Stop()
	address, body := g.URL+"/graphql", io.Reader(nil)
	if method == http.MethodPost {
		body = strings.NewReader(operation(document, variables))
	} else {
		address += "?query=" + url.QueryEscape(document) + "&variables=" + url.QueryEscape(variables)
	}
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	if setHeaders(r, headers); body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := g.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return &sse{t, answer, bufio.NewReader(answer.Body), leave}
}

// opened checks the answer's header, and reads that it begins: when to come back.
func (s *sse) opened() *sse {
	s.t.Helper()
	h := s.answer.Header
	if s.answer.StatusCode != 200 || h.Get("Content-Type") != "text/event-stream; charset=utf-8" || h.Get("Cache-Control") != "no-store" ||
		h.Get("X-Accel-Buffering") != "no" || h.Get("X-Request-Id") == "" {
		s.t.Fatalf("%s, %v", s.answer.Status, h)
	}
	s.want("retry: 1000")
	return s
}

// block is what comes until the next empty line; false: the stream has ended.
func (s *sse) block() (string, bool) {
	s.t.Helper()
	defer time.AfterFunc(patience, s.leave).Stop()
	var block strings.Builder
	for {
		line, err := s.lines.ReadString('\n')
		switch {
		case errors.Is(err, io.EOF) && block.Len() == 0 && line == "":
			return "", false
		case err != nil:
			s.t.Fatalf("%v after %q", err, block.String()+line)
		case line == "\n":
			return strings.TrimSuffix(block.String(), "\n"), true
		}
		block.WriteString(line)
	}
}

// next says whether the next block begins so.
func (s *sse) next(begin string) bool {
	defer time.AfterFunc(patience, s.leave).Stop()
	text, _ := s.lines.Peek(len(begin))
	return string(text) == begin
}

// costs is what an answer says of its cost, at which TestWhatEachWayCosts looks.
var costs = regexp.MustCompile(`,"extensions":{"cost":{[^}]*}}`)

// want reads blocks, but comments where none is wanted.
func (s *sse) want(blocks ...string) {
	s.t.Helper()
	for _, want := range blocks {
		got, more := s.block()
		for got == ":" && want != ":" {
			got, more = s.block()
		}
		if got = costs.ReplaceAllString(got, ""); got != want || !more {
			s.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

const completed = "event: complete\ndata: "

// item is a block with a result.
func item(id, data string) string {
	return "event: next\nid: " + id + "\ndata: " + `{"data":` + data + `}`
}

// wantEnd reads that the stream ends in order, after nothing but comments.
func (s *sse) wantEnd() {
	s.t.Helper()
	for {
		if block, more := s.block(); !more {
			return
		} else if block != ":" {
			s.t.Fatalf("got %q at the end", block)
		}
	}
}

// wantError reads a result of errors, without id, and gives the first one's code; then the stream completes.
func (s *sse) wantError() string {
	s.t.Helper()
	refused := s.refusal()
	s.want(completed)
	s.wantEnd()
	return refused.Extensions.Code
}

// told is an error in a stream.
type told struct {
	Message    string
	Extensions struct {
		Code, RequestID string
		Retryable       bool
		RetryAfterMs    int
	}
}

// refusal reads a result of errors, without id, and gives the first one.
func (s *sse) refusal() told {
	s.t.Helper()
	block, _ := s.block()
	for block == ":" {
		block, _ = s.block()
	}
	text, is := strings.CutPrefix(block, "event: next\ndata: ")
	var result struct {
		Data   json.RawMessage
		Errors []told
	}
	if err := json.Unmarshal([]byte(text), &result); err != nil || !is || len(result.Errors) == 0 || result.Data != nil {
		s.t.Fatalf("got %.200q, want a result of errors", block)
	}
	if e := result.Errors[0]; e.Message == "" || e.Extensions.RequestID != s.answer.Header.Get("X-Request-Id") {
		s.t.Errorf("an error lacks its message, or this request's id: %s", text)
	}
	return result.Errors[0]
}
