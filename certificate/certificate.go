// Package certificate gives the gateway's server what it shows and asks for in TLS: a certificate from files, which are read again when they change, or one
// that it makes and signs itself.
package certificate

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Source is the certificate for a handshake.
type Source func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// Config is what a server that shows such certificates does: TLS 1.2 and later. An http.Server adds its protocols: HTTP/2, and HTTP/1.1, which WebSockets need.
// Where clients is not nil, only who has a certificate by one of these authorities gets in.
func Config(get Source, clients *x509.CertPool) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: get}
	if clients != nil {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, clients
	}
	return c
}

// Authorities reads the certificates of authorities, in PEM.
func Authorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate in PEM", file)
	}
	return pool, nil
}

const (
	lookAgain = 5 * time.Second     // how old what a handshake shows may be
	endsSoon  = 14 * 24 * time.Hour // and then a certificate that is read is warned of
)

// Files is a certificate, with those that lead to an authority, and its key, as they are in two files of PEM.
type Files struct {
	certificate, key string
	log              *slog.Logger
	current          atomic.Pointer[tls.Certificate]

	mu     sync.Mutex
	looked time.Time
	seen   state // of the files that are shown
}

// state tells whether files have changed.
type state [2]struct {
	changed time.Time
	size    int64
}

// FromFiles reads a certificate and its key. Error: one of them cannot be read, or they do not belong together.
func FromFiles(certificate, key string, log *slog.Logger) (*Files, error) {
	f := &Files{certificate: certificate, key: key, log: log}
	seen, err := f.look()
	if err != nil {
		return nil, err
	}
	f.looked, f.seen = time.Now(), seen
	return f, f.read()
}

// Get is a Source: the certificate that is in the files, or was until five seconds ago. While they hold none that is good, it is the last one that was.
func (f *Files) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if f.mu.TryLock() { // else somebody looks for all
		defer f.mu.Unlock()
		if time.Since(f.looked) > lookAgain {
			f.again()
		}
	}
	return f.current.Load(), nil
}

// again reads the files if they have changed. mu is held.
func (f *Files) again() {
	f.looked = time.Now()
	seen, err := f.look()
	if err == nil && seen == f.seen {
		return
	}
	if err == nil {
		err = f.read()
	}
	if err != nil { // they are read again the next time, changed or not: that a file may be read now does not show in its time
		f.log.Error("the certificate cannot be read; the one from before is shown", "error", err)
		return
	}
	f.seen = seen
}

func (f *Files) look() (s state, err error) {
	for n, file := range []string{f.certificate, f.key} {
		info, err := os.Stat(file)
		if err != nil {
			return s, err
		}
		s[n].changed, s[n].size = info.ModTime(), info.Size()
	}
	return s, nil
}

func (f *Files) read() error {
	c, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err != nil {
		return fmt.Errorf("%s with %s: %w", f.certificate, f.key, err)
	}
	f.current.Store(&c)
	level, left := slog.LevelInfo, time.Until(c.Leaf.NotAfter)
	if left < endsSoon {
		level = slog.LevelWarn
	}
	f.log.Log(context.Background(), level, "TLS shows a certificate", "names", c.Leaf.DNSNames, "serial", c.Leaf.SerialNumber.Text(16),
		"ends", c.Leaf.NotAfter.UTC())
	return nil
}

// selfSignedLife is how long a certificate that is made at a start is good.
const selfSignedLife = 365 * 24 * time.Hour

// SelfSigned makes a certificate for these hosts, names or addresses, for which nobody but its own key vouches.
func SelfSigned(hosts ...string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Paygraph, self-signed"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(selfSignedLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	for _, host := range slices.Compact(slices.Sorted(slices.Values(hosts))) {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}
