package web

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, h http.Handler, target string, header ...string) *http.Response {
	t.Helper()
	return ask(t, h, http.MethodGet, target, header...)
}

func ask(t *testing.T, h http.Handler, method, target string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// distFiles are all built files with their text, by their path in dist/graphiql.
func distFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(dist, "dist/graphiql", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := fs.ReadFile(dist, name)
		files[strings.TrimPrefix(name, "dist/graphiql/")] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// assetWith is the address of the one asset whose name begins and ends so.
func assetWith(t *testing.T, prefix, suffix string) string {
	t.Helper()
	for name := range distFiles(t) {
		if base := path.Base(name); strings.HasPrefix(base, prefix) && strings.HasSuffix(base, suffix) {
			return "/graphiql/" + name
		}
	}
	t.Fatalf("no asset %s…%s", prefix, suffix)
	return ""
}

func TestEveryAnswerCarriesThePolicyToTheLetter(t *testing.T) {
	t.Parallel()
	const policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:"
	h := GraphiQL(Config{})
	for _, target := range []string{"/", settingsPath, "/nothing", assetWith(t, "graphql.worker-", ".js")} {
		r := get(t, h, target)
		for name, want := range map[string]string{
			"Content-Security-Policy": policy,
			"X-Frame-Options":         "DENY",
		} {
			if got := r.Header.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %q, want %q", target, name, got, want)
			}
		}
	}
}

func TestCachingByKindOfFile(t *testing.T) {
	t.Parallel()
	h := GraphiQL(Config{})
	for name, c := range map[string]struct{ target, mediaType, cache string }{
		"the page asks each time":         {"/", "text/html; charset=utf-8", "no-cache"},
		"a hashed script is kept":         {assetWith(t, "index-", ".js"), "text/javascript; charset=utf-8", cacheForever},
		"a hashed style is kept":          {assetWith(t, "index-", ".css"), "text/css; charset=utf-8", cacheForever},
		"a font is kept":                  {assetWith(t, "codicon-", ".ttf"), "font/ttf", cacheForever},
		"settings hold a secret":          {settingsPath, "application/json", "no-store"},
		"licences have no hash in a name": {"/graphiql/licenses.md", "text/markdown; charset=utf-8", "no-cache"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := get(t, h, c.target)
			if r.StatusCode != http.StatusOK {
				t.Fatalf("status %d", r.StatusCode)
			}
			if got := r.Header.Get("Content-Type"); got != c.mediaType {
				t.Errorf("Content-Type %q, want %q", got, c.mediaType)
			}
			if got := r.Header.Get("Cache-Control"); got != c.cache {
				t.Errorf("Cache-Control %q, want %q", got, c.cache)
			}
		})
	}
}

func TestETagSavesTheBody(t *testing.T) {
	t.Parallel()
	h := GraphiQL(Config{})
	plain, zipped := get(t, h, assetWith(t, "index-", ".js")), get(t, h, assetWith(t, "index-", ".js"), "Accept-Encoding", "gzip")
	if plain.Header.Get("ETag") == zipped.Header.Get("ETag") {
		t.Error("two encodings share a strong ETag")
	}
	for _, encoding := range []string{"identity", "gzip"} {
		first := get(t, h, "/", "Accept-Encoding", encoding)
		again := get(t, h, "/", "Accept-Encoding", encoding, "If-None-Match", first.Header.Get("ETag"))
		if again.StatusCode != http.StatusNotModified || body(t, again) != "" {
			t.Errorf("%s: status %d, want 304 without a body", encoding, again.StatusCode)
		}
	}
}

func TestUnknownPathsAreNotFound(t *testing.T) {
	t.Parallel()
	h := GraphiQL(Config{})
	for _, target := range []string{
		"/index.html", "/graphiql", "/graphiql/", "/graphiql/index.html", "/graphiql/assets/", "/graphiql/assets/none.js",
		"/graphql", "/graphiql/../web.go", "//", "/favicon.ico",
	} {
		if r := get(t, h, target); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", target, r.StatusCode)
		}
	}
}

func TestOnlyGetAndHead(t *testing.T) {
	t.Parallel()
	h := GraphiQL(Config{})
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		r := ask(t, h, method, "/")
		if r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: status %d, Allow %q", method, r.StatusCode, r.Header.Get("Allow"))
		}
	}
	for _, encoding := range []string{"identity", "gzip"} {
		head, full := ask(t, h, "HEAD", "/", "Accept-Encoding", encoding), get(t, h, "/", "Accept-Encoding", encoding)
		if body(t, head) != "" || head.Header.Get("Content-Length") != full.Header.Get("Content-Length") {
			t.Errorf("%s: HEAD differs from GET by more than the body", encoding)
		}
	}
}

func TestGzipForThoseWhoTakeIt(t *testing.T) {
	t.Parallel()
	h := GraphiQL(Config{})
	script := assetWith(t, "monaco-editor-", ".js")
	plain := body(t, get(t, h, script))
	for accept, want := range map[string]string{
		"":                                "",
		"identity":                        "",
		"br":                              "",
		"gzip":                            "gzip",
		"GZIP":                            "gzip",
		"br, deflate, gzip":               "gzip",
		"br;q=1.0, gzip;q=0.8, *;q=0.1":   "gzip",
		"gzip;q=0":                        "",
		"gzip; q=0.000, *":                "",
		"*":                               "gzip",
		"*;q=0":                           "",
		"*;q=0, gzip":                     "gzip",
		"gzip;q=many":                     "",
		"identity;q=1, *;q=0":             "",
		"gzip;q=1.0, identity; q=0.5, *;": "gzip",
	} {
		r := get(t, h, script, "Accept-Encoding", accept)
		if got := r.Header.Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding %q: Content-Encoding %q, want %q", accept, got, want)
		}
		if got := r.Header.Get("Vary"); got != "Accept-Encoding" {
			t.Errorf("Accept-Encoding %q: Vary %q", accept, got)
		}
	}
	unzip, err := gzip.NewReader(get(t, h, script, "Accept-Encoding", "gzip").Body)
	if err != nil {
		t.Fatal(err)
	}
	unzipped, err := io.ReadAll(unzip)
	if err != nil || string(unzipped) != plain {
		t.Errorf("unzipped differs from the file (%v)", err)
	}
	part := get(t, h, script, "Accept-Encoding", "gzip", "Range", "bytes=0-9")
	if part.StatusCode != http.StatusPartialContent || body(t, part) != plain[:10] {
		t.Errorf("a range is not of the file as it is: status %d", part.StatusCode)
	}
}

func TestSettingsNameTheCredentialInTheDemoOnly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"demo":     {Config{Demo: &Demo{ClientID: "demo", ClientSecret: "s3"}}, `{"endpoint":"/graphql","demo":{"clientId":"demo","clientSecret":"s3"}}`},
		"not demo": {Config{}, `{"endpoint":"/graphql"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := body(t, get(t, GraphiQL(c.config), "/graphiql.json")); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestThePageNamesOnlyWhatIsServed(t *testing.T) {
	t.Parallel()
	h := GraphiQL(Config{})
	page := body(t, get(t, h, "/"))
	references := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page, -1)
	if len(references) < 3 {
		t.Fatalf("only %d references: the page has at least an icon, a script and a style", len(references))
	}
	for _, reference := range references {
		if r := get(t, h, reference[1]); r.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d", reference[1], r.StatusCode)
		}
	}
	for _, script := range regexp.MustCompile(`(?s)<script[^>]*>(.*?)</script>`).FindAllStringSubmatch(page, -1) {
		if script[1] != "" || !strings.Contains(script[0], " src=") {
			t.Errorf("inline script: %s", script[0])
		}
	}
}

func TestBuiltFilesNameOnlyEachOther(t *testing.T) {
	t.Parallel()
	files := distFiles(t)
	names := map[string]bool{}
	for name := range files {
		names[path.Base(name)] = true
	}
	hashed := regexp.MustCompile(`[\w.-]+-[\w-]{8}\.(?:js|css|ttf|svg|woff2?)\b`)
	seen := 0
	for name, text := range files {
		if name == "licenses.md" {
			continue
		}
		for _, reference := range hashed.FindAllString(text, -1) {
			if seen++; !names[reference] {
				t.Errorf("%s names %s, which is not there", name, reference)
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d references found: does the test still look for what vite writes?", seen)
	}
}

func TestNothingIsLoadedFromOutside(t *testing.T) {
	t.Parallel()
	const address = `(?:https?:)?//`
	loads := map[string]*regexp.Regexp{
		".html": regexp.MustCompile(`(?:src|href|action|data)\s*=\s*["']?` + address),
		".css":  regexp.MustCompile(`(?:url\(\s*["']?|@import\s*["'])` + address),
		".js": regexp.MustCompile("(?:\\bimport\\s*\\(?\\s*|\\bfrom\\s*|\\bimportScripts\\s*\\(\\s*|\\bfetch\\s*\\(\\s*|" +
			"\\bnew (?:Shared)?Worker\\s*\\(\\s*|\\bnew WebSocket\\s*\\(\\s*|\\.src\\s*=\\s*)[\"'`]" + address),
	}
	for name, text := range distFiles(t) {
		if pattern := loads[path.Ext(name)]; pattern != nil {
			if found := pattern.FindString(text); found != "" {
				t.Errorf("%s loads from outside: %s", name, found)
			}
		}
		if strings.HasSuffix(name, ".map") || strings.Contains(text, "sourceMappingURL=") && strings.HasSuffix(name, ".css") {
			t.Errorf("%s: a source map", name)
		}
	}
}

func TestLockFileNamesNoRegistry(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("graphiql/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), `"resolved"`) {
		t.Error(`package-lock.json holds "resolved" addresses: .npmrc should keep them out`)
	}
	var manifest struct{ Dependencies, DevDependencies map[string]string }
	text, err = os.ReadFile("graphiql/package.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	exact := regexp.MustCompile(`^\d+\.\d+\.\d+$`)
	for _, packages := range []map[string]string{manifest.Dependencies, manifest.DevDependencies} {
		for name, version := range packages {
			if !exact.MatchString(version) {
				t.Errorf("%s %s: not one version", name, version)
			}
		}
	}
}
