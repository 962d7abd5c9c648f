package certificate_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/paygraph/paygraph/certificate"
	"github.com/paygraph/paygraph/certificate/certificatetest"
)

// hide makes the key unreadable, as a wrong owner would, and returns what it was and when it was written.
func hide(t *testing.T, f certificatetest.Files) (key []byte, written time.Time) {
	t.Helper()
	key, err := os.ReadFile(f.Key)
	if err != nil {
		t.Fatal(err)
	}
	put(t, f.Key, bytes.Repeat([]byte("-"), len(key)))
	info, err := os.Stat(f.Key)
	if err != nil {
		t.Fatal(err)
	}
	return key, info.ModTime()
}

func put(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func selfSigned(t *testing.T, hosts ...string) *tls.Certificate {
	t.Helper()
	c, err := certificate.SelfSigned(hosts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestFilesThatChange are read again, and only good ones count.
func TestFilesThatChange(t *testing.T) {
	t.Parallel()
	f := certificatetest.NewFiles(t)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		first := f.Write(t, "one.example")
		source, err := certificate.FromFiles(f.Certificate, f.Key, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		shows := func(when string, want *tls.Certificate) {
			t.Helper()
			if got, err := source.Get(nil); err != nil || !bytes.Equal(got.Certificate[0], want.Certificate[0]) {
				t.Errorf("%s: it shows %v, %v", when, got.Leaf.DNSNames, err)
			}
		}
		shows("at first", first)
		second := f.Write(t, "two.example.org") // of another length, since times in here stand still
		shows("at once", first)
		time.Sleep(6 * time.Second)
		shows("after six seconds", second)
		put(t, f.Key, []byte("no key"))
		time.Sleep(6 * time.Second)
		shows("with a key that is none", second)
		if !strings.Contains(log.String(), "level=ERROR") || strings.Contains(log.String(), "no key") {
			t.Errorf("the log says %s", &log)
		}
		if err := os.Remove(f.Certificate); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		shows("without a file", second)
		third := f.Write(t, "the-third.example")
		time.Sleep(6 * time.Second)
		shows("when they are good again", third)
		fourth := f.Write(t, "four.example")
		time.Sleep(6 * time.Second)
		shows("as long as they are good", fourth)
		fifth := f.Write(t, "the-fifth.example")
		key, seen := hide(t, f)
		time.Sleep(6 * time.Second)
		shows("with a key that may not be read", fourth)
		put(t, f.Key, key)
		if err := os.Chtimes(f.Key, seen, seen); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		shows("when it may be, and nothing else has changed", fifth)
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() { shows("to many at once", fifth) })
		}
		all.Wait()
	})
}

func TestFilesThatAreNotGood(t *testing.T) {
	t.Parallel()
	good, other := certificatetest.NewFiles(t), certificatetest.NewFiles(t)
	good.Write(t, "one.example")
	other.Write(t, "one.example")
	nothing := filepath.Join(t.TempDir(), "nothing")
	put(t, nothing, nil)
	for name, f := range map[string]certificatetest.Files{
		"no certificate":  {Certificate: nothing, Key: good.Key},
		"no key":          {Certificate: good.Certificate, Key: nothing},
		"another's key":   {Certificate: good.Certificate, Key: other.Key},
		"no such file":    {Certificate: good.Certificate + "x", Key: good.Key},
		"the wrong order": {Certificate: good.Key, Key: good.Certificate},
	} {
		if _, err := certificate.FromFiles(f.Certificate, f.Key, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := certificate.Authorities(nothing); err == nil {
		t.Error("no authority is taken for one")
	}
}

// TestWhoGetsIn by which version, protocol and certificate of its own.
func TestWhoGetsIn(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "authorities.pem")
	client, stranger := certificatetest.Client(t), certificatetest.Client(t)
	certificatetest.WritePEM(t, file, "CERTIFICATE", client.Certificate[0])
	authorities, err := certificate.Authorities(file)
	if err != nil {
		t.Fatal(err)
	}
	own := selfSigned(t, "127.0.0.1")
	for name, c := range map[string]struct {
		clients *x509.CertPool
		ask     func(*tls.Config)
		want    string // the protocol; "": it is refused
	}{
		"HTTP/2":   {nil, func(*tls.Config) {}, "HTTP/2.0"},
		"HTTP/1.1": {nil, func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }, "HTTP/1.1"},
		"TLS 1.2":  {nil, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, "HTTP/2.0"},
		"TLS 1.1": {nil, func(c *tls.Config) { // which HTTP/2 would not take in any case
			c.MinVersion, c.MaxVersion, c.NextProtos = tls.VersionTLS10, tls.VersionTLS11, []string{"http/1.1"}
		}, ""},
		"who does not trust it":    {nil, func(c *tls.Config) { c.RootCAs = authorities }, ""},
		"with a certificate":       {authorities, shows(client), "HTTP/2.0"},
		"without one":              {authorities, func(*tls.Config) {}, ""},
		"with that of a stranger":  {authorities, shows(stranger), ""},
		"with the gateway's own":   {authorities, shows(own), ""},
		"with one that none wants": {nil, shows(stranger), "HTTP/2.0"},
	} {
		address := serve(t, certificate.Config(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own, nil }, c.clients))
		config := &tls.Config{RootCAs: x509.NewCertPool(), NextProtos: []string{"h2", "http/1.1"}}
		config.RootCAs.AddCert(own.Leaf)
		c.ask(config)
		if got, err := get(address, config); got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}

// shows has a client show a certificate, also to a server that says that it wants those of others.
func shows(c *tls.Certificate) func(*tls.Config) {
	return func(to *tls.Config) {
		to.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c, nil }
	}
}

// serve answers with the protocol, until the test ends. httptest's server would show a certificate of its own.
func serve(t *testing.T, config *tls.Config) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }),
		TLSConfig: config, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo),
	}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	return "https://" + listener.Addr().String()
}

func get(url string, config *tls.Config) (string, error) {
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: len(config.NextProtos) > 1}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get(url)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = errors.New(answer.Status)
	}
	return string(text), err
}

func TestACertificateOfOnesOwn(t *testing.T) {
	t.Parallel()
	c := selfSigned(t, "pay.example", "127.0.0.1", "::1", "127.0.0.1", "pay.example")
	for _, host := range []string{"pay.example", "127.0.0.1", "::1"} {
		if err := c.Leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if err := c.Leaf.VerifyHostname("other.example"); err == nil {
		t.Error("it is for everybody")
	}
	if len(c.Leaf.DNSNames) != 1 || len(c.Leaf.IPAddresses) != 2 {
		t.Errorf("it names %s, %s", c.Leaf.DNSNames, c.Leaf.IPAddresses)
	}
	if c.Leaf.IsCA {
		t.Error("it can vouch for others")
	}
}
