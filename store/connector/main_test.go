package connector

import (
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
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// server is the address of the cluster that all tests share. Its superuser is postgres, it trusts loopback, and it offers TLS.
var server string

func TestMain(m *testing.M) {
	stop, err := startCluster()
	if err != nil {
		fmt.Fprintln(os.Stderr, "connector tests need PostgreSQL's programs:", err)
		os.Exit(1)
	}
	code := m.Run()
	stop()
	os.Exit(code)
}

func dsn(address string) string { return "postgres://postgres@" + address + "/postgres" }

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

// startCluster makes a cluster in a temporary folder. A shell holds it and sees by its standard input when the test process is gone,
// however it went; then it stops the server and removes the folder.
func startCluster() (stop func(), err error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "connector")
	if err != nil {
		return nil, err
	}
	cert, key, err := certificate()
	if err != nil {
		return nil, err
	}
	attr := &syscall.SysProcAttr{Setpgid: true} // ^C reaches the tests only
	if os.Getuid() == 0 {                       // PostgreSQL refuses root
		if attr.Credential, err = credential("postgres"); err != nil {
			return nil, err
		}
		if err := os.Chown(dir, int(attr.Credential.Uid), int(attr.Credential.Gid)); err != nil {
			return nil, err
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server = listener.Addr().String()
	_ = listener.Close()
	_, port, _ := net.SplitHostPort(server)

	const script = `
		umask 077; trap 'cd /; rm -rf "$DIR"' EXIT
		printf %s "$CERT" >"$DIR/server.crt"; printf %s "$KEY" >"$DIR/server.key"
		"$BIN/initdb" -D "$DIR/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$DIR/log" 2>&1 || { cat "$DIR/log" >&2; exit 1; }
		"$BIN/postgres" -D "$DIR/data" -k "$DIR" -p "$PORT" -h 127.0.0.1 -c fsync=off -c max_connections=300 \
			-c ssl=on -c ssl_cert_file="$DIR/server.crt" -c ssl_key_file="$DIR/server.key" <&- >"$DIR/log" 2>&1 & server=$!
		read -r _; kill -INT $server; wait $server`
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Env = append(os.Environ(), "BIN="+bin, "DIR="+dir, "PORT="+port, "CERT="+cert, "KEY="+key)
	cmd.Dir, cmd.SysProcAttr, cmd.Stderr = dir, attr, os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() { _ = stdin.Close(); _ = cmd.Wait() }
	if err := prepare(); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// prepare waits for the server and makes what the tests use.
func prepare() error {
	db, err := Open(dsn(server), Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if err = db.Ping(); err == nil {
			break
		}
		if time.Now().After(deadline) {
			return err
		}
	}
	_, err = db.Exec(`
		CREATE TABLE effect (id text NOT NULL);
		CREATE INDEX ON effect (id);
		CREATE TABLE head (id text PRIMARY KEY);
		CREATE ROLE serving;
		CREATE TABLE slow (id text NOT NULL);
		CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END';
		CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle();
		CREATE TABLE checked (n int NOT NULL UNIQUE DEFERRABLE INITIALLY DEFERRED)`)
	return err
}

// programs finds PostgreSQL's: on PATH, or where Debian, Red Hat, Homebrew and Postgres.app put them.
func programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin",
		"/usr/local/opt/postgresql*/bin", "/Applications/Postgres.app/Contents/Versions/*/bin"} {
		if found, _ := filepath.Glob(pattern + "/initdb"); len(found) > 0 {
			return filepath.Dir(found[len(found)-1]), nil
		}
	}
	return "", exec.ErrNotFound
}

func credential(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
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
