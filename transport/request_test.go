package transport_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/transport"
)

func TestBodies(t *testing.T) {
	t.Parallel()
	g := start(t)
	for name, c := range map[string]struct {
		body, message string
		want          int
	}{
		"blanks around":                       {" \r\n\t" + typename + " \n", "", 200},
		"a member that nobody knows":          {`{"query":"{ __typename }","more":[{}]}`, "", 200},
		"all null but the query":              {`{"query":"{ __typename }","variables":null,"operationName":null,"extensions":null}`, "", 200},
		"an empty operationName":              {`{"query":"{ __typename }","operationName":""}`, "", 200},
		"a whole surrogate pair":              {`{"query":"{ hello(name: \"\ud83c\udfc3\") }"}`, "", 200},
		"an escaped backslash before u":       {`{"query":"{ __typename }","extensions":{"a":"\\ud800"}}`, "", 200},
		"nothing":                             {"", "the body is empty", 400},
		"blanks":                              {" \n ", "the body is empty", 400},
		"a batch":                             {"[" + typename + "," + typename + "]", "several operations in an array are not accepted: send one object", 400},
		"an empty batch":                      {"[]", "several operations in an array are not accepted: send one object", 400},
		"a string":                            {`"{ __typename }"`, "the body is not a JSON object", 400},
		"null":                                {`null`, "the body is not a JSON object", 400},
		"GraphQL":                             {`{ __typename }`, "the body is not valid JSON", 400},
		"cut off":                             {`{"query":"{ __typename }","variables":{"a":"` + cardNumber, "the body is not valid JSON", 400},
		"a number where a comma belongs":      {`{"query":"{ __typename }" ` + cardNumber + `}`, "the body is not valid JSON", 400},
		"letters that follow":                 {typename + "x", "something follows the JSON object", 400},
		"a brace that follows":                {typename + "}", "something follows the JSON object", 400},
		"an object that follows":              {typename + typename, "something follows the JSON object", 400},
		"a NUL that follows":                  {typename + "\x00", "something follows the JSON object", 400},
		"query null":                          {`{"query":null}`, "the parameter query is missing", 400},
		"query a number":                      {`{"query":` + cardNumber + `}`, "query has the wrong type", 400},
		"variables a string":                  {`{"query":"{ __typename }","variables":"` + cardNumber + `"}`, "variables has the wrong type", 400},
		"a byte that is not UTF-8 in query":   {"{\"query\":\"{ hello(name: \\\"\xff\\\") }\"}", "the body is not valid UTF-8", 400},
		"a byte that is not UTF-8 in a key":   {"{\"query\":\"{ __typename }\",\"\xc3\x28\":1}", "the body is not valid UTF-8", 400},
		"a byte that is not UTF-8 in a value": {"{\"query\":\"{ __typename }\",\"variables\":{\"a\":\"\xed\xa0\x80\"}}", "the body is not valid UTF-8", 400},
		"a byte that is not UTF-8 outside":    {typename + "\x80", "the body is not valid UTF-8", 400},
		"an overlong slash":                   {"{\"query\":\"{ __typename }\",\"extensions\":{\"a\":\"\xc0\xaf\"}}", "the body is not valid UTF-8", 400},
		"UTF-16":                              {"\xff\xfe{\x00}\x00", "the body is not valid UTF-8", 400},
		"a byte order mark":                   {"\ufeff" + typename, "the body is not a JSON object", 400},
		"half a surrogate pair":               {`{"query":"{ hello(name: \"\ud83c\") }"}`, "the body escapes half a surrogate pair", 400},
		"the other half":                      {`{"query":"{ __typename }","variables":{"a":"\udfc3x"}}`, "the body escapes half a surrogate pair", 400},
		"lists in lists without end":          {`{"query":"{ __typename }","extensions":{"a":` + strings.Repeat("[", 200_000), "the body is not valid JSON", 400},
		"lists in lists that end":             {`{"query":"{ __typename }","extensions":{"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}}`, "the body is not valid JSON", 400},
		"documentId a number":                 {`{"documentId":` + cardNumber + `}`, "documentId has the wrong type", 400},
		"an identifier that is empty":         {`{"documentId":"","doc_id":null}`, "the parameter query is missing", 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, accept := range []string{legacyJSON, graphqlJSON} {
				a := g.post(t, c.body, "Accept: "+accept)
				if a.status != c.want || a.message() != c.message {
					t.Errorf("%d %s, want %d %s", a.status, a.text, c.want, c.message)
				}
				if c.want != 200 && (a.code() != "BAD_USER_INPUT" || a.body.Data != nil) {
					t.Errorf("%s, want BAD_USER_INPUT and no data", a.text)
				}
			}
		})
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	g := start(t)
	query := "query=" + url.QueryEscape("query A($n: String) { hello(name: $n) }")
	for name, c := range map[string]struct {
		url, message string
		want         int
	}{
		"all parameters":           {query + `&variables={"n":"x"}&operationName=A&extensions={}`, "", 200},
		"empty ones":               {query + "&variables=&operationName=&extensions=", "", 200},
		"variables null":           {query + "&variables=null", "", 200},
		"no query":                 {"variables={}", "the parameter query is missing", 400},
		"two queries":              {query + "&" + query, "the parameter query occurs more than once", 400},
		"variables an array":       {query + "&variables=[]", "the parameter variables is not a JSON object", 400},
		"variables broken":         {query + `&variables={"n":"` + cardNumber, "the parameter variables is not a JSON object", 400},
		"something after":          {query + `&variables={}{}`, "the parameter variables is not a JSON object", 400},
		"extensions a number":      {query + "&extensions=1", "the parameter extensions is not a JSON object", 400},
		"a query that is no UTF-8": {"query=%7Bhello%28name%3A%22%FF%22%29%7D", "the parameter query is not valid UTF-8", 400},
		"variables that are not":   {query + `&variables={"n":"%C3%28"}`, "the parameter variables is not valid UTF-8", 400},
		"half a surrogate pair":    {query + `&variables={"n":"\ud800"}`, "the parameter variables is not a JSON object", 400},
		"a broken escape":          {query + "&variables=%zz", "the query of the URL is malformed", 400},
		"a semicolon":              {query + ";variables={}", "the query of the URL is malformed", 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := http.NewRequest(http.MethodGet, g.URL+"/graphql", nil)
			r.URL.RawQuery = c.url
			if a := g.do(t, r); a.status != c.want || a.message() != c.message {
				t.Errorf("%d %s, want %d %s", a.status, a.text, c.want, c.message)
			}
		})
	}
}

func TestSizeOfBody(t *testing.T) {
	t.Parallel()
	g := start(t, func(c *transport.Config) { c.Limits.Body = 1000 })
	exactly := typename + strings.Repeat(" ", 1000-len(typename))
	if a := g.post(t, exactly); a.status != 200 {
		t.Errorf("a body of the limit: %d %s", a.status, a.text)
	}
	if a := g.post(t, exactly+" "); a.status != 413 || a.code() != "BAD_USER_INPUT" {
		t.Errorf("a byte more: %d %s", a.status, a.text)
	}
	for name, size := range map[string]int{"of the limit": 1000, "a byte more": 1001, "far more": 1_000_000} {
		t.Run("in chunks, "+name, func(t *testing.T) {
			t.Parallel()
			body := typename + strings.Repeat(" ", size-len(typename))
			r, _ := http.NewRequest(http.MethodPost, g.URL, io.MultiReader(strings.NewReader(body))) // no Content-Length
			r.Header.Set("Content-Type", "application/json")
			want := 413
			if size == 1000 {
				want = 200
			}
			if a := g.do(t, r); a.status != want {
				t.Errorf("%d %s, want %d", a.status, a.text, want)
			}
		})
	}
}

// raw sends bytes, closes its side where it should, and returns the status of the answer.
func (g *gateway) raw(t *testing.T, request string, closed bool) int {
	t.Helper()
	connection, err := net.Dial("tcp", g.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if _, err := connection.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	if closed {
		_ = connection.(*net.TCPConn).CloseWrite()
	}
	_ = connection.SetReadDeadline(time.Now().Add(10 * time.Second))
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func TestBodiesOnTheWire(t *testing.T) {
	t.Parallel()
	g := start(t, func(c *transport.Config) { c.Limits.BodyTime = 150 * time.Millisecond })
	head := "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	for name, c := range map[string]struct {
		request string
		closed  bool
		want    int
	}{
		"whole":                            {fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(typename), typename), false, 200},
		"shorter than its Content-Length":  {fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(typename)+5, typename), true, 400},
		"longer than its Content-Length":   {fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(typename)-1, typename), false, 400},
		"too slow":                         {fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(typename), typename[:5]), false, 408},
		"too slow in chunks":               {head + "Transfer-Encoding: chunked\r\n\r\n5\r\n" + typename[:5] + "\r\n", false, 408},
		"chunks that break off":            {head + "Transfer-Encoding: chunked\r\n\r\n5\r\n" + typename[:5] + "\r\n", true, 400},
		"a chunk that is none":             {head + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", false, 400},
		"a Content-Length beyond measure":  {head + "Content-Length: 9000000000000000000\r\n\r\n{", false, 413},
		"a Content-Length that is no size": {head + "Content-Length: -1\r\n\r\n{", false, 400},
		"two Content-Lengths":              {head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n{", false, 400},
		"a line in X-Request-Id":           {head + "X-Request-Id: a\r\n b\r\nContent-Length: 26\r\n\r\n" + typename, false, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := g.raw(t, c.request, c.closed); got != c.want {
				t.Errorf("status %d, want %d", got, c.want)
			}
		})
	}
}

func TestConnectionAfterABodyThatWasInTime(t *testing.T) {
	t.Parallel()
	g := start(t, func(c *transport.Config) {
		c.Limits.BodyTime = 50 * time.Millisecond
		c.Limits.Deadline = 150 * time.Millisecond
	})
	// The time for the body must not end an operation that takes longer, nor the next request on the connection.
	if a := g.query(t, `{ slow }`, ""); a.code() != "OUTCOME_UNKNOWN" {
		t.Error(a.text)
	}
	if a := g.post(t, typename); a.status != 200 {
		t.Error(a.text)
	}
}
