package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// cacheForever is for files whose name holds a hash of their content.
	cacheForever = "public, max-age=31536000, immutable"
	// cacheAsk makes the browser ask each time; its ETag makes the answer small.
	cacheAsk = "no-cache"

	// minGzipBytes is the size below which compressing is not worth a header.
	minGzipBytes = 1024
)

// mediaTypes are those of what vite writes. They are named here because mime.TypeByExtension reads the
// machine's files too.
var mediaTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".json": "application/json",
	".md":   "text/markdown; charset=utf-8",
	".svg":  "image/svg+xml",
	".ttf":  "font/ttf",
}

// assets answers GET and HEAD for each path that it holds, and 404 for any other.
type assets map[string]*asset

// asset is one file and what is said of it.
type asset struct {
	body      []byte
	mediaType string
	cache     string
	etag      string // without quotes
	gzipped   func() []byte
}

// loadAssets reads every file, each at its path below prefix.
func loadAssets(files fs.FS, prefix string) (assets, error) {
	loaded := assets{}
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		cache := cacheAsk
		if strings.HasPrefix(name, "assets/") {
			cache = cacheForever
		}
		loaded[prefix+name] = newAsset(name, body, cache)
		return nil
	})
	return loaded, err
}

func newAsset(name string, body []byte, cache string) *asset {
	mediaType, ok := mediaTypes[path.Ext(name)]
	if !ok {
		mediaType = "application/octet-stream"
	}
	sum := sha256.Sum256(body)
	return &asset{
		body:      body,
		mediaType: mediaType,
		cache:     cache,
		etag:      hex.EncodeToString(sum[:12]),
		// Compressed when first asked for: the binary then carries each file once, and the start waits for none.
		gzipped: sync.OnceValue(func() []byte { return compress(body) }),
	}
}

func compress(body []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(body) // a bytes.Buffer takes everything
	_ = w.Close()
	return out.Bytes()
}

func (a assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", Policy)
	header.Set("X-Frame-Options", "DENY")
	found, ok := a[r.URL.Path]
	switch {
	case !ok:
		header.Set("Cache-Control", "no-store")
		http.Error(w, "404 page not found", http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "405 method not allowed", http.StatusMethodNotAllowed)
	default:
		found.serve(w, r)
	}
}

// serve leaves conditions, ranges and HEAD to http.ServeContent. A range is of the file as it is.
func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", a.mediaType)
	header.Set("Cache-Control", a.cache)
	body, etag := a.body, a.etag
	if len(a.body) >= minGzipBytes && !strings.HasPrefix(a.mediaType, "font/") {
		header.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Values("Accept-Encoding")) && r.Header.Get("Range") == "" {
			body, etag = a.gzipped(), a.etag+"-gzip"
			header.Set("Content-Encoding", "gzip")
			header.Set("Content-Length", strconv.Itoa(len(body)))
		}
	}
	header.Set("ETag", `"`+etag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// acceptsGzip reads Accept-Encoding as RFC 9110, section 12.5.3, has it: what is named goes before "*",
// and a weight of 0 refuses.
func acceptsGzip(values []string) bool {
	star := false
	for item := range strings.SplitSeq(strings.Join(values, ","), ",") {
		coding, weight, weighed := strings.Cut(strings.ToLower(strings.ReplaceAll(item, " ", "")), ";q=")
		q, err := strconv.ParseFloat(weight, 64)
		wanted := !weighed || err == nil && q > 0
		switch coding {
		case "gzip", "x-gzip":
			return wanted
		case "*":
			star = wanted
		}
	}
	return star
}
