package connector

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
)

func TestSeveralHosts(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"postgres://u@one:5433,two:5434/d":                          "one:5433 two:5434",
		"postgres://u:p%40x@one:5433,two/d?sslmode=disable":         "one:5433 two:5432",
		"postgresql://u@one,two":                                    "one:5432 two:5432",
		"postgres://u@one,two/d?port=5433,5434":                     "one:5433 two:5434",
		"postgres://u@one,two/d?sslmode=disable&port=5433":          "one:5433 two:5433",
		"postgres://u@[::1]:5433,[fe80::2],three:7/d":               "[::1]:5433 [fe80::2]:5432 three:7",
		"postgres://u@one:5433/d?target_session_attrs=read-write":   "one:5433",
		"postgres://u@/d?host=one,two&port=5433,5434":               "one:5433 two:5434",
		"host=one,two port=5433,5434 user=u":                        "one:5433 two:5434",
		"host=one,two port=5433 user=u password='a://b,c' dbname=d": "one:5433 two:5433",
	} {
		cfg, err := config(dsn, Options{})
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		all := []string{net.JoinHostPort(cfg.Host, fmt.Sprint(cfg.Port))}
		for _, other := range cfg.Multi {
			all = append(all, net.JoinHostPort(other.Host, fmt.Sprint(other.Port)))
		}
		if got := strings.Join(all, " "); got != want || cfg.User != "u" {
			t.Errorf("%s: %s as %s, not %s", dsn, got, cfg.User, want)
		}
	}
}

// TestTheServerThatTakesWrites has a pool, a pool whose sessions read only, and a listener, on a list of hosts of which the first is not there,
// and on a database that takes no writes, as a standby does.
func TestTheServerThatTakesWrites(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := free.Addr().String()
	_ = free.Close()
	admin := open(t, server, Options{})
	for _, statement := range []string{"CREATE DATABASE fenced", "ALTER DATABASE fenced SET " + readOnly + " = on"} {
		if _, err := admin.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	reading := Options{Settings: map[string]string{readOnly: "on"}}
	for _, c := range []struct {
		name, path string
		options    Options
		good       bool
	}{
		{"a pool", "/postgres", Options{}, true},
		{"a pool that reads only", "/postgres", reading, true},
		{"no server takes writes", "/fenced", Options{}, false},
		{"no server takes writes, and none are meant", "/fenced", reading, false},
		{"any server will do", "/fenced?target_session_attrs=any", Options{}, true},
		{"any server will do to read", "/fenced?target_session_attrs=any", reading, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			u := &url.URL{Scheme: "postgres", User: superuser}
			db, err := Open(u.String()+nobody+","+server+c.path, c.options)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			var reads string
			err = db.QueryRowContext(t.Context(), "SHOW "+readOnly).Scan(&reads)
			if !c.good {
				if !errors.Is(err, ErrConnect) || !strings.Contains(err.Error(), "read-only") {
					t.Errorf("%v", err)
				}
				return
			}
			want := "off"
			if c.options.Settings != nil || strings.HasPrefix(c.path, "/fenced") {
				want = "on"
			}
			if err != nil || reads != want {
				t.Errorf("%s is %s (%v), want %s", readOnly, reads, err, want)
			}
		})
	}
	for path, want := range map[string]bool{"/postgres": true, "/fenced": false} {
		l, err := NewListener("postgres://"+superuser.String()+"@"+nobody+","+server+path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		heard := make(chan error, 1)
		go func() { heard <- l.Listen("somewhere") }()
		if !want {
			_ = l.Close() // it tries again until then
		}
		if err := <-heard; (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
		_ = l.Close()
	}
}
