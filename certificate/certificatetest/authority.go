package certificatetest

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/challtestsrv"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"

	"github.com/paygraph/paygraph/store/embedded"
)

// quick has Pebble look at each challenge, and at once.
var quick = sync.OnceFunc(func() {
	_ = os.Setenv("PEBBLE_VA_NOSLEEP", "1")
	_ = os.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	_ = os.Setenv("PEBBLE_AUTHZREUSE", "0")
})

// Authority is Pebble, a certificate authority for tests, to which every name is an address of this machine.
type Authority struct {
	Directory string
	Web       *x509.Certificate // of its own server
	Roots     *x509.CertPool    // for what it issues
	Orders    atomic.Int64      // that it was asked for
	Away      atomic.Bool       // closes each connection
}

// NewAuthority looks for answers to challenges at these ports of this machine, and issues certificates that are good for so long.
func NewAuthority(t testing.TB, httpPort, tlsPort int, life time.Duration) *Authority {
	t.Helper()
	quick()
	quiet := log.New(io.Discard, "", 0)
	dns := "127.0.0.1:" + freePort(t)
	names, err := challtestsrv.New(challtestsrv.Config{Log: quiet, DNSAddrs: []string{dns}})
	if err != nil {
		t.Fatal(err)
	}
	names.SetDefaultDNSIPv6("")
	names.Run()
	t.Cleanup(names.Shutdown)
	awaitListener(t, dns)
	known := db.NewMemoryStore()
	issuer := ca.New(quiet, known, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: uint64(life / time.Second)}})
	front := wfe.New(quiet, known, va.New(quiet, httpPort, tlsPort, false, dns, known), issuer, nil, false, false, 1, 1)
	a := &Authority{Roots: x509.NewCertPool()}
	a.Roots.AddCert(issuer.GetRootCert(0).Cert)
	pebble := front.Handler()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case a.Away.Load():
			panic(http.ErrAbortHandler)
		case strings.HasPrefix(r.URL.Path, "/order-plz"):
			a.Orders.Add(1)
		}
		pebble.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	a.Directory, a.Web = server.URL+wfe.DirectoryPath, server.Certificate()
	return a
}

// Client trusts the authority's own server.
func (a *Authority) Client() http.RoundTripper {
	pool := x509.NewCertPool()
	pool.AddCert(a.Web)
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
}

func freePort(t testing.TB) string {
	t.Helper()
	port, err := embedded.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(port)
}

func awaitListener(t testing.TB, address string) {
	t.Helper()
	var dialer net.Dialer
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := dialer.DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}
