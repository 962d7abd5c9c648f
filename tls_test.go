package main

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/paygraph/paygraph/certificate/certificatetest"
	"github.com/paygraph/paygraph/store/storetest"
)

func trusting(c *x509.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return &tls.Config{RootCAs: pool}
}

// client reaches the gateway over whatever it speaks, and HTTP/2 where that is TLS.
func (p *program) client() *http.Client {
	if p.tls == nil {
		return http.DefaultClient
	}
	return &http.Client{Transport: overHTTP2{p.t, &http.Transport{TLSClientConfig: p.tls.Clone(), ForceAttemptHTTP2: true}}, Timeout: patience}
}

// overHTTP2 wants each answer to come so.
type overHTTP2 struct {
	t *testing.T
	*http.Transport
}

func (o overHTTP2) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := o.Transport.RoundTrip(r)
	if err == nil && answer.ProtoMajor != 2 {
		o.t.Errorf("%s is answered over %s", r.URL, answer.Proto)
	}
	return answer, err
}

// serveTLS has a gateway that speaks TLS with a certificate from files, and says where it sends those who come over plain HTTP.
func serveTLS(t *testing.T, variables ...string) (p *program, files certificatetest.Files, plain string) {
	t.Helper()
	files = certificatetest.NewFiles(t)
	own := files.Write(t, "127.0.0.1")
	port, from := freePort(t), freePort(t)
	p = run(t, append([]string{
		"DATABASE_URL=" + storetest.Empty(t), fmt.Sprintf("PUBLIC_URL=https://127.0.0.1:%d", port), fmt.Sprintf("PORT=%d", port),
		fmt.Sprintf("REDIRECT_PORT=%d", from), "TLS_CERT=" + files.Certificate, "TLS_KEY=" + files.Key,
	}, variables...)).awaitReady()
	p.tls = trusting(own.Leaf)
	return p, files, fmt.Sprintf("127.0.0.1:%d", from)
}

// TestOverTLS has queries over TLS, the way there from plain HTTP, and another certificate while it runs.
func TestOverTLS(t *testing.T) {
	t.Parallel()
	p, files, plain := serveTLS(t)
	(&client{url: p.url, http: p.client()}).must(t, `{ __typename }`, nil, nil)
	wantRedirects(t, plain, p.url)

	p.tls = trusting(files.Write(t, "127.0.0.1").Leaf)
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		answer, err := p.client().Get(p.url + "/healthz")
		if err == nil {
			_ = answer.Body.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the new certificate is not shown: %v", err)
		}
	}
	p.stop()
	wantNotContains(t, p.log.String(), "TLS handshake error") // of which strangers make as many as they like
}

// wantRedirects wants that what can be read by others on the way is sent to the public URL, and that nothing else is.
func wantRedirects(t *testing.T, plain, public string) {
	t.Helper()
	for request, want := range map[string]string{
		"GET /graphql?query=%7Bx%7D": "308 " + public + "/graphql?query=%7Bx%7D",
		"HEAD /":                     "308 " + public + "/",
		"GET //other.example/":       "308 " + public + "//other.example/",
		"GET http://other.example/x": "308 " + public + "/x",
		"GET http:.other.example":    "403 ",
		"POST /oauth2/token":         "403 ",
		"DELETE /":                   "403 ",
		"CONNECT other.example:443":  "403 ",
	} {
		conn, err := net.Dial("tcp", plain)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: other.example\r\n\r\n", request)
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", request, err)
		}
		_, _ = answer.Body.Close(), conn.Close()
		if got := fmt.Sprintf("%d %s", answer.StatusCode, answer.Header.Get("Location")); got != want || answer.Header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s over plain HTTP: %s, want %s; %v", request, got, want, answer.Header)
		}
	}
}

// TestTLSWithoutFiles has the demo behind a certificate that the gateway has made: tokens, and subscriptions over HTTP/2 and over a socket.
func TestTLSWithoutFiles(t *testing.T) {
	t.Parallel()
	p := serve(t, nil, "--tls-self-signed", "--data-dir", usedFolder(t))
	wantContains(t, p.out.String(), "GraphiQL  https://127.0.0.1:", "curl --insecure -u demo:demo")
	if status, text, err := get(strings.Replace(p.url, "https", "http", 1) + "/healthz"); err != nil || status != http.StatusBadRequest {
		t.Errorf("plain HTTP is answered %d %s, %v", status, text, err)
	}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(p.url, "https://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	p.tls = trusting(conn.ConnectionState().PeerCertificates[0])
	_ = conn.Close()

	c := demoClient(t, p)
	from, to := c.twoWallets(t)
	begin := c.head(t)
	c.followedByAll(t, begin.Cursor, "a-payment-over-tls", from, to)
	asked := time.Now()
	p.stop()
	if took := time.Since(asked); took > stopsWithin {
		t.Errorf("it took %s to stop", took)
	}
}

func TestForWhomACertificateIsMade(t *testing.T) {
	t.Parallel()
	for public, host := range map[string]string{"": "127.0.0.1", "https://pay.example": "192.0.2.7", "https://[2001:db8::7]:8443": "::1"} {
		config, err := (&app{Config: &Config{TLSSelfSigned: true, Host: host, PublicURL: public}}).secure()
		if err != nil {
			t.Fatal(err)
		}
		made, err := config.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(public)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"localhost", "127.0.0.1", "::1", host, cmp.Or(u.Hostname(), "localhost")} {
			if err := made.Leaf.VerifyHostname(name); err != nil {
				t.Errorf("at %s, %s: %v", host, public, err)
			}
		}
		if made.Leaf.VerifyHostname("other.example") == nil || len(made.Leaf.DNSNames)+len(made.Leaf.IPAddresses) > 5 {
			t.Errorf("it is for %s and %s", made.Leaf.DNSNames, made.Leaf.IPAddresses)
		}
	}
}

// TestWhoShowsACertificate gets in, where clients need one by an authority: with requests and with sockets.
func TestWhoShowsACertificate(t *testing.T) {
	t.Parallel()
	one, other := certificatetest.Client(t), certificatetest.Client(t)
	authorities := filepath.Join(t.TempDir(), "clients.pem")
	certificatetest.WritePEM(t, authorities, "CERTIFICATE", one.Certificate[0])
	p, files, _ := serveTLS(t, "TLS_CLIENT_CA="+authorities)
	own, err := tls.LoadX509KeyPair(files.Certificate, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	trusts := p.tls
	for name, row := range map[string]struct {
		shows *tls.Certificate
		getIn bool
	}{
		"one by the authority": {one, true}, "none": {&tls.Certificate{}, false}, "one by another": {other, false}, "the gateway's own": {&own, false},
	} {
		p.tls = trusts.Clone()
		p.tls.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return row.shows, nil }
		c := &client{url: p.url, http: p.client(), tls: p.tls}
		if errs, err := c.ask(`{ __typename }`, nil, nil); (err == nil) != row.getIn || len(errs) > 0 {
			t.Errorf("with %s: %v, %v", name, errs, err)
		}
		ws, err := c.dial(t)
		if (err == nil) != row.getIn {
			t.Errorf("a socket with %s: %v", name, err)
		}
		if err == nil {
			if err := ws.WriteJSON(map[string]string{"type": "connection_init"}); err != nil {
				t.Error(err)
			}
			wantAfter(t, time.Now(), 0, "connection_ack", ws)
		}
	}
}

// endsWithin is how long a stop may take that waits for no connection. One on which nothing has come yet would keep it for 5 s.
const endsWithin = 5 * time.Second

// TestHandshakesThatDoNotEnd are ended by the gateway, and neither others nor its stop wait for them.
func TestHandshakesThatDoNotEnd(t *testing.T) {
	t.Parallel()
	p, _, plain := serveTLS(t)
	address := strings.TrimPrefix(p.url, "https://")
	silent := func(address, says string) net.Conn {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, says); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	const begun = "\x16\x03\x01\x02\x00\x01" // of a ClientHello
	asked := time.Now()
	for _, conn := range []net.Conn{silent(address, ""), silent(address, begun)} {
		(&client{url: p.url, http: p.client()}).must(t, `{ __typename }`, nil, nil)
		_ = conn.SetReadDeadline(asked.Add(headerTime + 5*time.Second))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after %s it is still open", time.Since(asked))
		}
	}
	silent(address, "")
	silent(address, begun)
	silent(plain, "")
	asked = time.Now()
	p.stop()
	if took := time.Since(asked); took > endsWithin {
		t.Errorf("it took %s to stop", took)
	}
}

// TestTheRedirectEndsWithTheGateway and not after it: it sends nobody to a gateway that is stopping.
func TestTheRedirectEndsWithTheGateway(t *testing.T) {
	t.Parallel()
	p, _, plain := serveTLS(t)
	stays := p.tls.Clone()
	stays.NextProtos = []string{"http/1.1"}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(p.url, "https://"), stays)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const body = `{"query":"{ __typename }"}`
	fmt.Fprintf(conn, "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(body))
	answers := bufio.NewReader(conn)
	if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "100") { // the gateway has begun with it
		t.Fatal(line, err)
	}
	p.signal(syscall.SIGTERM)
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", plain)
		if err != nil {
			break
		}
		_ = c.Close()
		if time.Since(begin) > endsWithin {
			t.Fatal("somebody still listens")
		}
	}
	_, _ = io.WriteString(conn, body)
	_, _ = answers.ReadString('\n') // the end of the first answer
	answer, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatalf("the request that was running is not answered: %v", err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("the request that was running is answered %s %s, %v", answer.Status, text, err)
	}
	if status := p.wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

func TestTLSThatIsRefused(t *testing.T) {
	t.Parallel()
	files := certificatetest.NewFiles(t)
	files.Write(t, "127.0.0.1")
	certificate, key := "--tls-cert="+files.Certificate, "--tls-key="+files.Key
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for want, args := range map[string][]string{
		"go together":               {certificate},
		"two certificates":          {certificate, key, "--tls-self-signed"},
		"says http":                 {certificate, key, "--public-url=http://pay.example"},
		"certificate for TLS":       {"--tls-cert=" + files.Key, key},
		"needs TLS":                 {"--tls-client-ca=" + files.Certificate},
		"authorities of clients":    {certificate, key, "--tls-client-ca=" + files.Key},
		"must begin with https":     {"--redirect-port=8081"},
		"are the same":              {"--redirect-port=8080", "--port=8080", "--public-url=https://pay.example"},
		"choose one of ACME":        {certificate, key, "--acme", "--public-url=https://pay.example"},
		"a name in DNS":             {"--acme", "--public-url=https://192.0.2.1"},
		"ACME_DIRECTORY":            {"--acme", "--public-url=https://pay.example", "--acme-directory=http://ca.example/dir"},
		"keeps the authority":       {"--acme", "--public-url=https://pay.example", "--tls-client-ca=" + files.Certificate},
		"port 99999 does not exist": {"--redirect-port=99999", "--public-url=https://pay.example"},
		"with --redirect-port":      {"--port=0", fmt.Sprintf("--redirect-port=%d", taken.Addr().(*net.TCPAddr).Port), "--public-url=https://pay.example"},
	} {
		wantContains(t, refusal(t, []string{"DATABASE_URL=postgres://nobody@127.0.0.1:1/x"}, args...), want)
	}
}

// TestWhatBrowsersAreTold of every answer, whoever gives it; and to come by TLS alone where the public URL says so, unless it is this machine's.
func TestWhatBrowsersAreTold(t *testing.T) {
	t.Parallel()
	for public, strict := range map[string]string{"https://pay.example": "max-age=63072000", "https://127.0.0.1": "", "https://localhost": "", "": ""} {
		t.Run(public, func(t *testing.T) {
			t.Parallel()
			port := freePort(t)
			run(t, []string{"DATABASE_URL=" + storetest.Empty(t), "PUBLIC_URL=" + public, fmt.Sprintf("PORT=%d", port)}).awaitReady()
			for _, path := range []string{
				"/", "/graphiql.json", "/nothing", "//two", "/graphql", "/graphql?query={__typename}", "/oauth2/token", "/.well-known/jwks.json",
				"/.well-known/oauth-authorization-server", "/.well-known/nothing", "/healthz", "/readyz",
			} {
				answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
				if err != nil {
					t.Fatal(err)
				}
				_ = answer.Body.Close()
				for name, want := range map[string]string{
					"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Strict-Transport-Security": strict,
				} {
					if got := strings.Join(answer.Header.Values(name), " and "); got != want {
						t.Errorf("%s: %s is %q, want %q", path, name, got, want)
					}
				}
			}
		})
	}
}
