package connector

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/embedded"
	"github.com/paygraph/paygraph/store/embedded/embeddedtest"
)

// server is the address of the cluster that all tests share, and superuser who they are there. It offers TLS.
var (
	server    string
	superuser *url.Userinfo
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "the tests' database:", err)
		code = 1
	}
	os.Exit(code)
}

// run starts the cluster, runs the tests, and ends it.
func run(m *testing.M) (code int, err error) {
	dir, err := embeddedtest.NewFolder()
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx := context.Background()
	cluster, err := embedded.Start(ctx, embedded.Config{Dir: dir, DieWithParent: true, Settings: map[string]string{
		"fsync": "off", "max_connections": "300",
	}})
	if err != nil {
		return 0, err
	}
	defer func() { _ = cluster.Stop(ctx) }()
	if err := prepare(cluster.DSN()); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

func dsn(address string) string {
	return (&url.URL{Scheme: "postgres", User: superuser, Host: address, Path: "/postgres"}).String()
}

// open returns a pool of the wrapper's on the given address.
func open(t testing.TB, address string, o Options) *sql.DB {
	t.Helper()
	db, err := Open(dsn(address), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// prepare makes what the tests use. The server itself writes its certificate down, since the files have to be its own.
func prepare(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	server, superuser = u.Host, u.User
	db, err := Open(dsn(server), Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	cert, key, err := certificate()
	if err != nil {
		return err
	}
	const toFile = "COPY (SELECT regexp_split_to_table('%s', '\n')) TO PROGRAM 'umask 077; cat >%s'"
	for _, statement := range []string{
		fmt.Sprintf(toFile, cert, "server.crt"), fmt.Sprintf(toFile, key, "server.key"), "ALTER SYSTEM SET ssl = on",
		"SELECT pg_reload_conf()", `
		CREATE TABLE effect (id text NOT NULL);
		CREATE INDEX ON effect (id);
		CREATE TABLE head (id text PRIMARY KEY);
		CREATE ROLE serving;
		CREATE TABLE slow (id text NOT NULL);
		CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END';
		CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle();
		CREATE TABLE checked (n int NOT NULL UNIQUE DEFERRABLE INITIALLY DEFERRED)`,
	} {
		if _, err := db.Exec(statement); err != nil {
			return fmt.Errorf("%w: %s", err, statement)
		}
	}
	for {
		var on bool
		if err := db.QueryRow("SELECT current_setting('ssl')::bool").Scan(&on); err != nil || on {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// certificate makes a self-signed one for 127.0.0.1.
func certificate() (cert, key string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return "", "", err
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", err
	}
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", pkcs), nil
}
