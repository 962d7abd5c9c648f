package main

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/paygraph/paygraph/quota"
	"github.com/paygraph/paygraph/store/storetest"
)

// safe is a configuration for production.
func safe() Config {
	return Config{
		Production: true, Host: "0.0.0.0", MetricsHost: "127.0.0.1", Port: 443, PublicURL: "https://pay.example", TLSCert: "tls.crt", TLSKey: "tls.key", TokenTTL: 900e9,
		DatabaseURL: "postgres://paygraph:0b1c2d3e4f5a6b7c@db.example/paygraph?sslmode=verify-full", WSInitTimeout: 1, WSPingInterval: 1, WSPongTimeout: 1,
	}
}

// TestWhatProductionRefuses has one mistake a row, and all of them at once.
func TestWhatProductionRefuses(t *testing.T) {
	t.Parallel()
	c := safe()
	if err := c.check(true); err != nil {
		t.Fatalf("what is safe: %v", err)
	}
	for name, row := range map[string]struct {
		change func(*Config)
		want   string // empty: it is safe
	}{
		"the demo":                       {func(c *Config) { c.DatabaseURL = "" }, "DATABASE_URL is needed"},
		"no public URL":                  {func(c *Config) { c.PublicURL = "" }, "PUBLIC_URL is needed"},
		"a certificate of one's own":     {func(c *Config) { c.TLSCert, c.TLSKey, c.TLSSelfSigned = "", "", true }, "nobody vouches"},
		"plain HTTP on a public address": {func(c *Config) { c.TLSCert, c.TLSKey, c.PublicURL = "", "", "http://pay.example" }, "without encryption"},
		"nobody who encrypts":            {func(c *Config) { c.TLSCert, c.TLSKey = "", "" }, "TRUSTED_PROXIES"},
		"a proxy that encrypts": {func(c *Config) {
			c.TLSCert, c.TLSKey, c.TrustedProxies = "", "", quota.Proxies{netip.MustParsePrefix("10.0.0.0/8")}
		}, ""},
		"a proxy on this machine":       {func(c *Config) { c.TLSCert, c.TLSKey, c.Host = "", "", "127.0.0.1" }, "TRUSTED_PROXIES"},
		"a page over plain HTTP":        {func(c *Config) { c.Origins = []string{"http://shop.example"} }, "http://shop.example"},
		"a password that is short":      {func(c *Config) { c.DatabaseURL = "postgres://paygraph:secret@db.example/x" }, "12 characters or more"},
		"a password that is the user's": {func(c *Config) { c.DatabaseURL = "postgres://paygraph_owner:paygraph_owner@db.example/x" }, "not its user's name"},
		"no password":                   {func(c *Config) { c.DatabaseURL = "postgres://paygraph@db.example/x" }, ""},
		"a database in clear": {func(c *Config) {
			c.DatabaseURL += "&sslmode=disable"
			c.DatabaseURL = strings.Replace(c.DatabaseURL, "sslmode=verify-full&", "", 1)
		}, "sslmode=disable"},
		"a database on this machine": {func(c *Config) { c.DatabaseURL = "postgres://paygraph@127.0.0.1/x?sslmode=disable" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := safe()
			row.change(&c)
			err := c.check(true)
			if row.want == "" && err != nil || row.want != "" && !strings.Contains(fmt.Sprint(err), row.want) {
				t.Errorf("%v, want %q", err, row.want)
			}
			if strings.Contains(fmt.Sprint(err), "secret") {
				t.Errorf("it shows the password: %v", err)
			}
			c.Production = false
			if err := c.check(true); err != nil {
				t.Errorf("outside of production: %v", err)
			}
		})
	}
	all := Config{
		Production: true, Host: "0.0.0.0", MetricsHost: "127.0.0.1", PublicURL: "http://pay.example", TLSSelfSigned: false, TokenTTL: 900e9, Origins: []string{"http://shop.example"},
		DatabaseURL: "postgres://paygraph:secret@db.example/x?sslmode=disable", WSInitTimeout: 1, WSPingInterval: 1, WSPongTimeout: 1,
	}
	if n := strings.Count(all.check(true).Error(), "\n") + 1; n != 5 {
		t.Errorf("five mistakes are %d sentences: %v", n, all.check(true))
	}
	if err := all.check(false); err != nil {
		t.Errorf("a command that does not serve: %v", err)
	}
}

// TestAGatewayInProduction has no GraphiQL, unless that is wanted, and tells strangers nothing of its schema.
func TestAGatewayInProduction(t *testing.T) {
	t.Parallel()
	for graphiql, want := range map[string]int{"false": 404, "true": 200} {
		t.Run(graphiql, func(t *testing.T) {
			t.Parallel()
			port := freePort(t)
			run(t, []string{
				"PRODUCTION=true", "GRAPHIQL=" + graphiql, "DATABASE_URL=" + storetest.Empty(t), "PUBLIC_URL=https://pay.example", "TRUSTED_PROXIES=127.0.0.1", fmt.Sprintf("PORT=%d", port),
			}).awaitReady()
			at := fmt.Sprintf("http://127.0.0.1:%d", port)
			if status, body, err := get(at + "/"); status != want || err != nil {
				t.Errorf("GraphiQL: %d, %v: %.100s", status, err, body)
			}
			if _, body, err := get(at + "/graphql?query={__schema{types{name}}}"); err != nil || strings.Contains(body, "Payment") || !strings.Contains(body, "errors") {
				t.Errorf("introspection: %v: %.200s", err, body)
			}
			if _, body, err := get(at + "/graphql?query={__typename}"); err != nil || !strings.Contains(body, "Query") {
				t.Errorf("a query: %v: %s", err, body)
			}
		})
	}
}

// TestTheConfigurationIsPrinted with where each value comes from, and without secrets.
func TestTheConfigurationIsPrinted(t *testing.T) {
	t.Parallel()
	printed := output(t, []string{"DATABASE_URL=postgres://u:hunter2@db.example/x", "PORT=9000", "ACME_EMAIL=a\nb"}, "config", "--port=9001", "--token-ttl=5m")
	wantNotContains(t, printed, "hunter2")
	words := map[string]string{}
	for line := range strings.Lines(printed) {
		fields := strings.Fields(line)
		words[fields[0]] = strings.Join(fields[1:], " ")
	}
	for name, want := range map[string]string{
		"port": "9001 --port", "tokenTtl": "5m0s --token-ttl", "databaseUrl": "postgres://u:xxxxx@db.example/x DATABASE_URL", "host": "127.0.0.1 default",
		"acmeEmail": `"a\nb" ACME_EMAIL`,
	} {
		if words[name] != want {
			t.Errorf("%s is %q, want %q", name, words[name], want)
		}
	}
	if n := reflect.TypeFor[Config]().NumField(); len(words) != n {
		t.Errorf("%d of %d settings are printed: %s", len(words), n, printed)
	}
	for name, value := range words {
		if value == "" || !strings.HasSuffix(value, "default") && !strings.Contains(value, "--") && !strings.HasSuffix(value, "_URL") && !strings.HasSuffix(value, "_EMAIL") {
			t.Errorf("where %s comes from is not said: %q", name, value)
		}
	}
}
