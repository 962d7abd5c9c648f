package connector

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lib/pq"

	"github.com/paygraph/paygraph/store/connector/faultproxy"
)

func TestSSLMode(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]pq.SSLMode{
		"postgres://u@localhost/d":                                   pq.SSLModeDisable,
		"postgres://u@127.0.0.1:5433/d":                              pq.SSLModeDisable,
		"postgres://u@[::1]:5432/d":                                  pq.SSLModeDisable,
		"user=u dbname=d":                                            pq.SSLModeDisable,
		"host=/var/run/postgresql user=u":                            pq.SSLModeDisable,
		"host=db.example hostaddr=127.0.0.1 user=u":                  pq.SSLModeDisable,
		"host=localhost,127.0.0.1 user=u":                            pq.SSLModeDisable,
		"postgres://u@db.example/d":                                  pq.SSLModeRequire,
		"host=10.0.0.1 user=u":                                       pq.SSLModeRequire,
		"host=localhost hostaddr=10.0.0.1 user=u":                    pq.SSLModeRequire,
		"host=localhost,db.example user=u":                           pq.SSLModeRequire,
		"host=localhost user=u sslnegotiation=direct":                pq.SSLModeRequire,
		"postgres://u@localhost/d?sslmode=verify-full":               pq.SSLModeVerifyFull,
		"postgres://u@db.example/d?sslmode=disable":                  pq.SSLModeDisable,
		"host=db.example user=u sslrootcert=system":                  pq.SSLModeVerifyFull,
		"host=localhost user=u sslmode=require binary_parameters=no": pq.SSLModeRequire,
	} {
		cfg, err := config(dsn, Options{})
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
		}
		if cfg.SSLMode != want {
			t.Errorf("%s: %s, not %s", dsn, cfg.SSLMode, want)
		}
		if !cfg.BinaryParameters {
			t.Errorf("%s: binary_parameters is off", dsn)
		}
	}
}

func TestConnectTimeoutOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, dsn    string
		option, want time.Duration
	}{
		{"nothing is said", "host=localhost user=u", 0, DefaultConnectTimeout},
		{"the DSN says", "host=localhost user=u connect_timeout=7", 0, 7 * time.Second},
		{"both say", "host=localhost user=u connect_timeout=7", time.Second, time.Second},
		{"the DSN says for ever", "host=localhost user=u connect_timeout=0", 0, DefaultConnectTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg, err := config(c.dsn, Options{ConnectTimeout: c.option})
			if err != nil || cfg.ConnectTimeout != c.want {
				t.Error(cfg.ConnectTimeout, err)
			}
		})
	}
}

// TestErrorHidesPassword breaks DSNs so that the parsers stumble over the password.
func TestErrorHidesPassword(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"postgres://u:s3cr3t/x@localhost/d", "postgres://u:s3cr3t%zz@localhost/d", "postgres://u:s3cr3t@localhost:port/d",
		"host=localhost user=u password=a s3cr3t", "host=localhost password='s3cr3t", "postgres://u:s3cr3t@localhost/d?sslmode=never",
	} {
		db, err := Open(dsn, Options{})
		if err == nil {
			_ = db.Close()
			t.Errorf("%s is accepted", dsn)
		} else if strings.Contains(err.Error(), "s3cr3t") {
			t.Error(err)
		}
	}
}

func TestSettingsWinOverDSN(t *testing.T) {
	t.Parallel()
	cfg, err := config(dsn(server)+"?LOCK_TIMEOUT=7s", Options{Settings: map[string]string{"lock_timeout": "2s"}})
	if want := map[string]string{"lock_timeout": "2s"}; err != nil || !reflect.DeepEqual(cfg.Runtime, want) {
		t.Errorf("%v, not %v (%v)", cfg.Runtime, want, err)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	db, err := Open(dsn(server)+"?LOCK_TIMEOUT=7s&application_name=other&statement_timeout=9s", Options{Settings: map[string]string{
		"lock_timeout": "2s", "plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "role": "serving",
		"Application_Name": "paygraph writer", "idle_in_transaction_session_timeout": "5s", "tcp_user_timeout": "10s",
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for name, want := range map[string]string{
		"lock_timeout": "2s", "plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "role": "serving", "current_user": "serving",
		"application_name": "paygraph writer", "idle_in_transaction_session_timeout": "5s", "tcp_user_timeout": "10000", "statement_timeout": "9s",
	} {
		query := "SELECT current_setting('" + name + "')"
		if name == "current_user" {
			query = "SELECT current_user"
		}
		var got string
		if err := db.QueryRow(query).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, not %q (%v)", name, got, want, err)
		}
	}
	for _, name := range []string{"client_encoding", "DateStyle", "user", "options"} {
		if _, err := Open(dsn(server), Options{Settings: map[string]string{name: "x"}}); err == nil {
			t.Errorf("%s is accepted as a setting", name)
		}
	}
}

// TestFastPaths counts requests, and compares what the wrapper lets through with what lib/pq can do.
func TestFastPaths(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	db := open(t, p.Address, Options{})
	warm(t, db)

	t.Run("a []byte goes in binary, in one request", func(t *testing.T) {
		p.Arm(faultproxy.Fault{})
		var sum int64
		if err := db.QueryRow("SELECT sum(n)::int8 FROM unnest($1::int8[]) n", int8Array(20, 22)).Scan(&sum); err != nil || sum != 42 {
			t.Error(sum, err)
		}
		if x := p.Exchanges(); len(x) != 1 || x[0].Request != "PBDES" {
			t.Error(x)
		}
	})
	t.Run("a slice becomes an array", func(t *testing.T) {
		var sum int64
		if err := db.QueryRow("SELECT sum(n)::int8 FROM unnest($1::int8[]) n", []int64{20, 22}).Scan(&sum); err != nil || sum != 42 {
			t.Error(sum, err)
		}
	})
	t.Run("columns have types, and results follow each other", func(t *testing.T) {
		rows, err := db.Query("SELECT 1::int8 AS n; SELECT 'a'::varchar(7) AS s, 1.5::numeric(5, 2)")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		types, _ := rows.ColumnTypes()
		if len(types) != 1 || types[0].DatabaseTypeName() != "INT8" || types[0].ScanType() != reflect.TypeFor[int64]() {
			t.Error(types)
		}
		for rows.Next() {
		}
		if !rows.NextResultSet() {
			t.Fatal("no second result", rows.Err())
		}
		types, _ = rows.ColumnTypes()
		length, _ := types[0].Length()
		precision, scale, _ := types[1].DecimalSize()
		if length != 7 || precision != 5 || scale != 2 {
			t.Error(length, precision, scale)
		}
	})
	t.Run("a batch by hand is one request", func(t *testing.T) {
		p.Arm(faultproxy.Fault{})
		if err := onConn(db, func(conn *sql.Conn) error {
			return fiveRows(conn.QueryContext(context.Background(), "BEGIN; SELECT generate_series(1, 5); COMMIT"))
		}); err != nil {
			t.Error(err)
		}
		if x := p.Exchanges(); len(x) != 1 || x[0].Request != "Q" {
			t.Error(x)
		}
	})
}

// TestNoInterfaceIsLost compares the wrapper's methods with lib/pq's.
func TestNoInterfaceIsLost(t *testing.T) {
	t.Parallel()
	inner, err := pq.NewConnector(dsn(server) + "?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := inner.Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stmt, err := conn.Prepare("SELECT 1")
	if err != nil {
		t.Fatal(err)
	}
	answer, err := conn.(driver.QueryerContext).QueryContext(context.Background(), "SELECT 1", nil)
	if err != nil {
		t.Fatal(err)
	}
	deprecated := map[string]bool{"Exec": true, "Query": true} // of a connection
	ownType := map[string]bool{"Commit": true, "Rollback": true, "Result": true}
	for _, pair := range [][2]any{{conn, (*session)(nil)}, {stmt, (*statement)(nil)}, {answer, (*rows)(nil)}} {
		theirs, ours := reflect.TypeOf(pair[0]), reflect.TypeOf(pair[1])
		for i := range theirs.NumMethod() {
			name := theirs.Method(i).Name
			if _, ok := ours.MethodByName(name); !ok && !deprecated[name] && !ownType[name] {
				t.Errorf("%v lacks %s", ours, name)
			}
		}
	}
}

// int8Array is an int8[] in PostgreSQL's binary format.
func int8Array(values ...int64) []byte {
	const int8OID = 20
	b := binary.BigEndian.AppendUint32(nil, 1) // dimensions
	b = binary.BigEndian.AppendUint32(b, 0)    // no NULL
	b = binary.BigEndian.AppendUint32(b, int8OID)
	b = binary.BigEndian.AppendUint32(b, uint32(len(values)))
	b = binary.BigEndian.AppendUint32(b, 1) // lower bound
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, 8)
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return b
}

func TestTCPUserTimeout(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("TCP_USER_TIMEOUT is Linux's")
	}
	for option, want := range map[time.Duration]int{0: 10_000, 3 * time.Second: 3_000} {
		conn, err := open(t, server, Options{TCPUserTimeout: option}).Conn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		err = conn.Raw(func(driverConn any) error {
			raw, err := driverConn.(*session).wire.Conn.(syscall.Conn).SyscallConn()
			if err != nil {
				return err
			}
			return raw.Control(func(fd uintptr) {
				if got, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout); err != nil || got != want {
					t.Errorf("%d ms, not %d (%v)", got, want, err)
				}
			})
		})
		if err != nil {
			t.Error(err)
		}
		_ = conn.Close()
	}
}

// TestNothingIsWrittenAfterFault: the farewell must not become the end of a request of which a part was sent.
func TestNothingIsWrittenAfterFault(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, theirs) }()
	w := newWire(ours)
	_ = w.SetReadDeadline(time.Now())
	if n, err := w.Write([]byte("fine")); n != 4 || err != nil {
		t.Error(n, err)
	}
	_, _ = w.Read(make([]byte, 1))
	if n, err := w.Write([]byte("late")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(n, err)
	}
}

// TestMuteServer connects to one that accepts and says nothing.
func TestMuteServer(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	db := open(t, listener.Addr().String(), Options{ConnectTimeout: 200 * time.Millisecond})
	within(t, 5*time.Second, func() {
		if err := db.Ping(); err == nil || code(err) == "unknown" {
			t.Error(err)
		}
	})
}

// TestDial has a dialler of its own, whose connections are no sockets that can be asked whether they are idle: then the request is
// sent, and not once more. The host is not this machine by its name, so that TLS is asked for.
func TestDial(t *testing.T) {
	t.Parallel()
	type plain struct{ net.Conn }
	id := newID()
	db := open(t, "db.invalid:1", Options{Settings: map[string]string{"application_name": id},
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, server)
			return plain{conn}, err
		}})
	var encrypted bool
	if err := db.QueryRow("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&encrypted); err != nil || !encrypted {
		t.Error(encrypted, err)
	}
	end(t, id)
	if _, err := db.Exec(insert, id); code(err) != "unknown" {
		t.Error(err)
	}
	if n := effects(t, id); n != 0 {
		t.Errorf("%d effects", n)
	}
	twentyQueries(t, db)
}

// TestCloseDoesNotWait has a network that takes nothing in any more, not even the farewell.
func TestCloseDoesNotWait(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	db := open(t, "localhost:1", Options{Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, server)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { _ = conn.Close() })
		go func() { _, _ = io.Copy(conn, theirs) }()
		go func() { _, _ = io.Copy(theirs, conn) }()
		return ours, nil
	}})
	warm(t, db)
	_ = theirs.SetReadDeadline(time.Now()) // ends the first of the two
	time.Sleep(50 * time.Millisecond)
	within(t, closeTimeout+2*time.Second, func() { _ = db.Close() })
}

// The benchmarks tell what the wrapper costs: compare BenchmarkQueryRow/wrapped and /bare.
func BenchmarkQueryRow(b *testing.B) {
	bare, err := sql.Open("postgres", dsn(server)+"?sslmode=disable&binary_parameters=yes")
	if err != nil {
		b.Fatal(err)
	}
	defer bare.Close()
	for name, db := range map[string]*sql.DB{"bare": bare, "wrapped": open(b, server, Options{})} {
		stmt, err := db.Prepare("SELECT $1::int8")
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := stmt.QueryRow(1).Scan(new(int64)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestConnected is asked about each session, and refuses the third.
func TestConnected(t *testing.T) {
	t.Parallel()
	sessions, refusal := 0, errors.New("not this one")
	db := open(t, server, Options{Connected: func(ctx context.Context, session driver.QueryerContext) error {
		if sessions++; sessions == 3 {
			return refusal
		}
		rows, err := session.QueryContext(ctx, "SELECT 1", nil)
		if err != nil {
			return err
		}
		return rows.Close()
	}})
	for n := 1; n <= 4; n++ {
		conn, err := db.Conn(t.Context())
		if errors.Is(err, refusal) != (n == 3) || (err != nil && n != 3) || sessions != n {
			t.Errorf("connection %d of %d: %v", n, sessions, err)
		}
		if err == nil {
			defer conn.Close()
			if err := conn.QueryRowContext(t.Context(), "SELECT 1").Scan(new(int)); err != nil {
				t.Error(err)
			}
		}
	}
	if n := db.Stats().OpenConnections; n != 3 {
		t.Errorf("%d connections are open", n)
	}
}
