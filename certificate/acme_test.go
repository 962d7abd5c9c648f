package certificate_test

import (
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/paygraph/paygraph/certificate"
	"github.com/paygraph/paygraph/certificate/certificatetest"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/embedded"
	"github.com/paygraph/paygraph/store/storetest"
)

const (
	host     = "pay.example.test"
	patience = 30 * time.Second
	month    = 30 * 24 * time.Hour
)

func TestMain(m *testing.M) { storetest.Main(m) }

// node is a server with a certificate by an authority.
type node struct {
	t    *testing.T
	acme *certificate.ACME
	log  *said
	tls  string // its address
}

// said is a log.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// newNode listens, and shows nothing yet.
func newNode(t *testing.T, a *certificatetest.Authority, address string) *node {
	t.Helper()
	n := &node{t: t, log: &said{}}
	n.acme = certificate.NewACME(certificate.ACMEConfig{
		Host: host, Directory: a.Directory, Email: "ops@example.test", Log: slog.New(slog.NewTextHandler(n.log, nil)),
	})
	n.acme.Trust(a.Client(), 50*time.Millisecond)
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	n.tls = listener.Addr().String()
	server := &http.Server{
		Handler: http.NotFoundHandler(), TLSConfig: n.acme.Config(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo),
	}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	if _, err := n.shows(nil); err == nil {
		t.Error("it shows a certificate before there is a database")
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s logged\n%s", n.tls, n.log)
		}
	})
	return n
}

// start has it ask for a certificate, which it shares through a database.
func (n *node) start(shared *store.Store) *node {
	n.t.Helper()
	if err := n.acme.Start(shared, secret(n.t, shared)); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(n.acme.Stop)
	return n
}

func secret(t *testing.T, shared *store.Store) []byte {
	t.Helper()
	value, err := shared.Secret(t.Context(), "certificate")
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// shows is the serial of the certificate that it shows, which is good for its host. A nil config trusts whatever it is.
func (n *node) shows(c *tls.Config) (serial string, err error) {
	if c == nil {
		c = &tls.Config{ServerName: host, InsecureSkipVerify: true}
	}
	conn, err := tls.Dial("tcp", n.tls, c)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Text(16), nil
}

// awaits waits until it shows a good certificate that is none of these.
func (n *node) awaits(a *certificatetest.Authority, not ...string) (serial string) {
	n.t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		serial, err = n.shows(&tls.Config{ServerName: host, RootCAs: a.Roots})
		if err == nil && !slices.Contains(not, serial) {
			return serial
		}
	}
	n.t.Fatalf("%s shows no new certificate: %q, %v", n.tls, serial, err)
	return ""
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := embedded.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestNodesShareACertificate has three nodes start at once, of which the authority reaches one, and a fourth while it is away.
func TestNodesShareACertificate(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	a := certificatetest.NewAuthority(t, freePort(t), port, 3*month)
	h := storetest.New(t)
	reached := newNode(t, a, fmt.Sprintf("127.0.0.1:%d", port))
	if err := reached.acme.Share(h.Store, secret(t, h.Store)); err != nil { // it answers what others are asked
		t.Fatal(err)
	}
	nodes := []*node{newNode(t, a, "127.0.0.1:0").start(h.Store), newNode(t, a, "127.0.0.1:0").start(storetest.At(t, h.DSN).Store)}
	first := nodes[0].awaits(a)
	nodes = append(nodes, reached.start(h.Store))
	for _, n := range nodes {
		if serial := n.awaits(a); serial != first {
			t.Errorf("two certificates are shown: %s, %s", serial, first)
		}
	}
	a.Away.Store(true)
	if serial := newNode(t, a, "127.0.0.1:0").start(h.Store).awaits(a); serial != first {
		t.Errorf("a node that came later shows %s", serial)
	}
	if n := a.Orders.Load(); n != 1 {
		t.Errorf("the authority was asked for %d certificates", n)
	}
	for _, name := range []string{"other.example.test", "", "pay.example.test.evil.test"} {
		if serial, err := reached.shows(&tls.Config{ServerName: name, InsecureSkipVerify: true}); err == nil {
			t.Errorf("it shows %s for %q", serial, name)
		}
	}
	if n := a.Orders.Load(); n != 1 {
		t.Errorf("another host was ordered: %d", n)
	}
}

// TestWhatNodesShareIsSealed reads the table, in which no key is in clear, and moves a row.
func TestWhatNodesShareIsSealed(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	a := certificatetest.NewAuthority(t, freePort(t), port, 3*month)
	h := storetest.New(t)
	first := newNode(t, a, fmt.Sprintf("127.0.0.1:%d", port)).start(h.Store).awaits(a)
	for _, name := range []string{host, "acme_account+key"} {
		value, err := h.Store.SharedValue(t.Context(), name)
		if err != nil || len(value) < 100 || strings.Contains(string(value), "PRIVATE KEY") {
			t.Errorf("%s is %q, %v", name, value, err)
		}
	}
	account, err := h.Store.SharedValue(t.Context(), "acme_account+key")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Store.ShareValue(t.Context(), host, account); err != nil { // another name's
		t.Fatal(err)
	}
	if serial := newNode(t, a, "127.0.0.1:0").start(h.Store).awaits(a); serial == first || a.Orders.Load() != 2 {
		t.Errorf("what cannot be opened counts: %s, %d orders", serial, a.Orders.Load())
	}
}

// TestAChallengeOverPlainHTTP is answered by another node than the one that asks; TLS cannot be reached.
func TestAChallengeOverPlainHTTP(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	a := certificatetest.NewAuthority(t, port, freePort(t), 3*month)
	h := storetest.New(t)
	answers, asks := newNode(t, a, "127.0.0.1:0"), newNode(t, a, "127.0.0.1:0")
	if err := answers.acme.Share(h.Store, secret(t, h.Store)); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	plain := httptest.NewUnstartedServer(answers.acme.Handler(http.RedirectHandler("https://"+host, http.StatusPermanentRedirect)))
	_ = plain.Listener.Close()
	plain.Listener = listener
	plain.Start()
	t.Cleanup(plain.Close)
	asks.acme.Handler(nil)
	asks.start(h.Store).awaits(a)
	for _, row := range []struct {
		host, path string
		status     int
	}{
		{host, "/.well-known/acme-challenge/" + rand.Text(), http.StatusNotFound},
		{"other.example.test", "/.well-known/acme-challenge/x", http.StatusForbidden},
		{host, "/", http.StatusPermanentRedirect},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, plain.URL+row.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = row.host
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != row.status {
			t.Errorf("%s%s: %d", row.host, row.path, answer.StatusCode)
		}
	}
}

// TestACertificateIsRenewed at both nodes by one order; and when it is due again, and the authority away, what there is is shown beyond its end.
func TestACertificateIsRenewed(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	a := certificatetest.NewAuthority(t, freePort(t), port, 9*time.Second)
	h := storetest.New(t)
	one, other := newNode(t, a, fmt.Sprintf("127.0.0.1:%d", port)).start(h.Store), newNode(t, a, "127.0.0.1:0")
	first := one.awaits(a)
	other.start(h.Store).awaits(a)
	second := one.awaits(a, first)
	a.Away.Store(true)
	if serial := other.awaits(a, first); serial != second || a.Orders.Load() != 2 {
		t.Errorf("the nodes show %s and %s, after %d orders", second, serial, a.Orders.Load())
	}
	for _, n := range []*node{one, other} {
		for end := time.Now().Add(patience); !strings.Contains(n.log.String(), "ends, and is not renewed"); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("nobody is told that it was not renewed")
			}
		}
		if serial, err := n.shows(nil); err != nil || serial != second {
			t.Errorf("while the authority is away it shows %s, %v", serial, err)
		}
	}
}
