package main

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/paygraph/paygraph/certificate/certificatetest"
	"github.com/paygraph/paygraph/store/storetest"
)

// TestACertificateByAnAuthority is had over plain HTTP and shown by the gateway; the port for TLS is not the one that the authority tries.
func TestACertificateByAnAuthority(t *testing.T) {
	t.Parallel()
	plain := freePort(t)
	a := certificatetest.NewAuthority(t, plain, freePort(t), 24*time.Hour)
	trusted := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Web.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	p := run(t, []string{
		"DATABASE_URL=" + storetest.Empty(t), "PUBLIC_URL=https://Pay.example.test", fmt.Sprintf("PORT=%d", port),
		fmt.Sprintf("REDIRECT_PORT=%d", plain), "ACME=true", "ACME_DIRECTORY=" + a.Directory, "ACME_EMAIL=ops@example.test", "SSL_CERT_FILE=" + trusted,
	}).awaitReady()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.Roots}, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", port))
	}}}
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		answer, err := client.Get("https://pay.example.test/healthz")
		if err == nil {
			_ = answer.Body.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it shows no certificate: %v", err)
		}
	}
	wantContains(t, p.log.String(), "the terms of the certificate authority are agreed to")
	wantRedirects(t, fmt.Sprintf("127.0.0.1:%d", plain), "https://Pay.example.test")
}
