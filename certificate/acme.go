package certificate

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// DefaultDirectory is the authority that is asked unless another one is named.
const DefaultDirectory = autocert.DefaultACMEDirectory

const (
	authorityTimeout = 30 * time.Second // for one answer of the authority
	firstAgain       = time.Minute      // from a failure, while there is no certificate, to asking again; then twice as long each time: autocert forgets one after a minute
	lastAgain        = 30 * time.Minute
	warnAgain        = time.Hour // of a certificate that was not renewed
	maxProblem       = 64 << 10  // bytes of an answer that says what is wrong
)

// ACMEConfig says which certificate ACME gets, and from whom.
type ACMEConfig struct {
	Host      string // the name in DNS
	Directory string // URL of the authority's directory (RFC 8555, section 7.1.1)
	Email     string // to which the authority writes; empty: it does not
	Log       *slog.Logger
}

// ACME is a certificate by an authority, to whose terms its user has agreed: asked for when there is none, and anew when a third of its life is left, or 30 days. It
// and the account's key are shared by all nodes, and one of them asks. Handshakes wait for nobody: until there is a certificate they fail.
type ACME struct {
	config  ACMEConfig
	manager *autocert.Manager
	cache   *cache
	current atomic.Pointer[tls.Certificate]
	look    time.Duration // from one look at what the manager has to the next
	warned  time.Time
}

// NewACME has no certificate before Start.
func NewACME(c ACMEConfig) *ACME {
	a := &ACME{config: c, cache: newCache(c.Host), look: lookAgain}
	a.manager = &autocert.Manager{
		Prompt: func(terms string) bool {
			c.Log.Info("the terms of the certificate authority are agreed to", "terms", terms)
			return true
		},
		Cache: a.cache, Email: c.Email,
		HostPolicy: func(_ context.Context, host string) error {
			if name, _, err := net.SplitHostPort(host); err == nil { // that of a request
				host = name
			}
			if host != c.Host {
				return errors.New("this is another host")
			}
			return nil
		},
		Client: &acme.Client{
			DirectoryURL: cmp.Or(c.Directory, DefaultDirectory), UserAgent: "paygraph",
			HTTPClient: &http.Client{Transport: telling{http.DefaultTransport, c.Log}, Timeout: authorityTimeout},
		},
	}
	return a
}

// Start takes the certificate that the nodes share, or has one made, and keeps it good until Stop. The secret, of 32 bytes, is all nodes', and seals what they share.
func (a *ACME) Start(shared Shared, secret []byte) error {
	s, err := newSealed(shared, secret)
	if err != nil {
		return err
	}
	a.cache.shared.Store(s)
	go a.keep()
	return nil
}

// Stop ends what Start began, and waits for nobody: an order may take minutes. The certificate is shown on.
func (a *ACME) Stop() { a.cache.end() }

// Config is what a server does that shows this certificate: as the package's Config, and the authority finds its answers.
func (a *ACME) Config() *tls.Config {
	c := Config(a.Get, nil)
	c.NextProtos = []string{acme.ALPNProto}
	return c
}

// Get is a Source: the certificate, for its host alone, or the answer to the authority's challenge (RFC 8737).
func (a *ACME) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if name != a.config.Host {
		return nil, fmt.Errorf("there is a certificate for %s alone", a.config.Host)
	}
	if len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acme.ALPNProto {
		return a.manager.GetCertificate(hello)
	}
	if c := a.current.Load(); c != nil {
		return c, nil
	}
	return nil, errors.New("there is no certificate yet")
}

// Handler answers the authority's challenges over plain HTTP (RFC 8555, section 8.3), and leaves everything else to another handler.
func (a *ACME) Handler(otherwise http.Handler) http.Handler { return a.manager.HTTPHandler(otherwise) }

// hello is a client that every certificate is good for: there is one for all.
func (a *ACME) hello() *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{ServerName: a.config.Host, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}
}

// keep has a certificate shown, and looks whether the manager has renewed it.
func (a *ACME) keep() {
	again := firstAgain
	for {
		next := a.look
		if c, err := a.manager.GetCertificate(a.hello()); err == nil {
			a.show(c)
		} else if a.cache.ending.Err() == nil {
			a.config.Log.Error("there is no certificate for TLS", "host", a.config.Host, "error", err, "again", again)
			next, again = again+time.Second, min(2*again, lastAgain)
		}
		select {
		case <-a.cache.ending.Done():
			return
		case <-time.After(next):
		}
	}
}

// show has a certificate shown, and says so where it is a new one, and where it should have been renewed for a while.
func (a *ACME) show(c *tls.Certificate) {
	if was := a.current.Swap(c); was == nil || !bytes.Equal(was.Certificate[0], c.Certificate[0]) {
		a.config.Log.Info("TLS shows a certificate", "names", c.Leaf.DNSNames, "serial", c.Leaf.SerialNumber.Text(16), "ends", c.Leaf.NotAfter.UTC())
	}
	if time.Now().After(c.Leaf.NotAfter.Add(-renewBefore(c.Leaf)/2)) && time.Since(a.warned) > warnAgain {
		a.warned = time.Now()
		a.config.Log.Error("the certificate for TLS ends, and is not renewed", "host", a.config.Host, "ends", c.Leaf.NotAfter.UTC())
	}
}

// telling is a way to the authority that logs what goes wrong there, which the manager keeps to itself.
type telling struct {
	http.RoundTripper
	log *slog.Logger
}

func (t telling) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		t.log.Warn("the certificate authority is not reached", "error", err)
		return answer, err
	}
	if answer.StatusCode < http.StatusBadRequest {
		return answer, nil
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxProblem))
	_ = answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(body))
	var problem struct{ Type, Detail string } // RFC 7807
	_ = json.Unmarshal(body, &problem)
	if problem.Type != "urn:ietf:params:acme:error:badNonce" { // with which it is asked again
		t.log.Warn("the certificate authority refuses", "url", r.URL.String(), "status", answer.StatusCode, "type", problem.Type, "detail", problem.Detail)
	}
	return answer, err
}
