package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// TestPagesElsewhere has a page of the list, one that is not in it, and none, ask as browsers do (Fetch, section 4.8).
func TestPagesElsewhere(t *testing.T) {
	t.Parallel()
	p := serve(t, []string{"ORIGINS=https://shop.example,http://localhost:3000"}, "--data-dir", usedFolder(t))
	preflight := map[string]string{"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type,last-event-id"}
	for name, row := range map[string]struct {
		method, path, origin string
		more                 map[string]string
		want                 map[string]string
	}{
		"a preflight": {"OPTIONS", "/graphql", "https://shop.example", preflight, map[string]string{
			"Access-Control-Allow-Origin": "https://shop.example", "Access-Control-Allow-Methods": "POST", "Access-Control-Max-Age": "7200",
			"Access-Control-Allow-Headers": "authorization,content-type,last-event-id",
			"Vary":                         "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
		}},
		"a preflight for a token": {"OPTIONS", "/oauth2/token", "http://localhost:3000", preflight, map[string]string{
			"Access-Control-Allow-Origin": "http://localhost:3000", "Access-Control-Allow-Methods": "POST",
		}},
		"a preflight for another method":         {"OPTIONS", "/graphql", "https://shop.example", map[string]string{"Access-Control-Request-Method": "DELETE"}, nil},
		"a preflight of another page":            {"OPTIONS", "/graphql", "https://evil.example", preflight, nil},
		"a preflight of a page in a sandbox":     {"OPTIONS", "/graphql", "null", preflight, nil},
		"a preflight of a page by plain HTTP":    {"OPTIONS", "/graphql", "http://shop.example", preflight, nil},
		"a preflight of another port":            {"OPTIONS", "/graphql", "http://localhost:3001", preflight, nil},
		"a preflight of a longer name":           {"OPTIONS", "/graphql", "https://shop.example.evil.example", preflight, nil},
		"a preflight for what is no API":         {"OPTIONS", "/healthz", "https://shop.example", preflight, nil},
		"a preflight for the gateway's own page": {"OPTIONS", "/", "https://shop.example", preflight, nil},
		"a query": {"GET", "/graphql?query={__typename}", "https://shop.example", nil, map[string]string{
			"Access-Control-Allow-Origin": "https://shop.example", "Vary": "Origin",
			"Access-Control-Expose-Headers": "X-Request-Id, Ratelimit, Ratelimit-Policy, Retry-After",
		}},
		"a mutation by GET":     {"GET", "/graphql?query=mutation{__typename}", "https://shop.example", nil, map[string]string{"Access-Control-Allow-Origin": "https://shop.example"}},
		"a query of another":    {"GET", "/graphql?query={__typename}", "https://evil.example", nil, map[string]string{"Vary": "Origin"}},
		"a query of a program":  {"GET", "/graphql?query={__typename}", "", nil, map[string]string{"Vary": "Origin"}},
		"a wrong request":       {"POST", "/graphql", "https://shop.example", nil, map[string]string{"Access-Control-Allow-Origin": "https://shop.example"}},
		"a wrong token request": {"POST", "/oauth2/token", "https://shop.example", nil, map[string]string{"Access-Control-Allow-Origin": "https://shop.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := http.NewRequestWithContext(t.Context(), row.method, p.url+row.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range row.more {
				r.Header.Set(name, value)
			}
			if row.origin != "" {
				r.Header.Set("Origin", row.origin)
			}
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
			for name, want := range row.want {
				if got := strings.Join(answer.Header.Values(name), "; "); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			for name := range answer.Header {
				if _, allowed := row.want["Access-Control-Allow-Origin"]; strings.HasPrefix(name, "Access-Control-") && (!allowed || name == "Access-Control-Allow-Credentials") {
					t.Errorf("it says %s: %s", name, answer.Header.Get(name))
				}
			}
		})
	}
	t.Run("sockets", func(t *testing.T) {
		t.Parallel()
		for origin, want := range map[string]bool{"https://shop.example": true, "http://localhost:3000": true, p.url: true, "https://evil.example": false, "null": false} {
			dialer := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}}
			ws, answer, err := dialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(p.url, "http")+"/graphql", http.Header{"Origin": {origin}})
			if (err == nil) != want {
				t.Errorf("a socket of %s: %v, %v", origin, answer, err)
			}
			if answer != nil {
				_ = answer.Body.Close()
			}
			if err == nil {
				_ = ws.Close()
			}
		}
	})
}
