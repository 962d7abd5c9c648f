package quota_test

import (
	"errors"
	"net/http"
	"net/netip"
	"testing"

	"github.com/paygraph/paygraph/quota"
)

func TestProxiesAreNamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3/8, 192.0.2.7": "10.0.0.0/8,192.0.2.7/32", "2001:db8::/32,::1": "2001:db8::/32,::1/128",
		"": "", "10.0.0.0/33": "", "0.0.0.0/0": "", "::/0": "", "proxy.example": "", "10.0.0.0/8,": "", "fe80::1%eth0": "", "::ffff:10.0.0.0/104": "",
	} {
		var p quota.Proxies
		err := p.UnmarshalText([]byte(text))
		if (err == nil) != (want != "") || err == nil && p.String() != want || err != nil && !errors.Is(err, quota.ErrProxies) {
			t.Errorf("%q: %s, %v, want %q", text, p, err, want)
		}
	}
}

func TestWhoseAddressARequestHas(t *testing.T) {
	t.Parallel()
	trusted := quota.Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:f::/48")}
	for name, c := range map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"nobody in front":                       {"192.0.2.1:5000", nil, "192.0.2.1"},
		"a stranger who forges":                 {"192.0.2.1:5000", []string{"203.0.113.9"}, "192.0.2.1"},
		"a proxy":                               {"10.1.2.3:5000", []string{"203.0.113.9"}, "203.0.113.9"},
		"a proxy, as IPv6 writes it":            {"[::ffff:10.1.2.3]:5000", []string{"203.0.113.9"}, "203.0.113.9"},
		"a proxy of IPv6":                       {"[2001:db8:f::1]:5000", []string{"2001:db8:a::9"}, "2001:db8:a::9"},
		"two proxies":                           {"10.1.2.3:5000", []string{"203.0.113.9, 10.9.9.9"}, "203.0.113.9"},
		"two headers":                           {"10.1.2.3:5000", []string{"203.0.113.9", "10.9.9.9"}, "203.0.113.9"},
		"a client who forges before a proxy":    {"10.1.2.3:5000", []string{"198.51.100.7, 203.0.113.9"}, "203.0.113.9"},
		"a client who forges a proxy's address": {"10.1.2.3:5000", []string{"10.5.5.5, 203.0.113.9"}, "203.0.113.9"},
		"a proxy that says nothing":             {"10.1.2.3:5000", nil, "10.1.2.3"},
		"only proxies":                          {"10.1.2.3:5000", []string{"10.9.9.9"}, "10.9.9.9"},
		"no address":                            {"10.1.2.3:5000", []string{"203.0.113.9, unknown"}, "10.1.2.3"},
		"no address, further to the left":       {"10.1.2.3:5000", []string{"<script>, 10.9.9.9"}, "10.9.9.9"},
		"empty":                                 {"10.1.2.3:5000", []string{""}, "10.1.2.3"},
		"an address with a zone":                {"10.1.2.3:5000", []string{"fe80::1%eth0"}, "10.1.2.3"},
		"an address with a port":                {"10.1.2.3:5000", []string{"203.0.113.9:80"}, "10.1.2.3"},
		"a network":                             {"10.1.2.3:5000", []string{"203.0.113.0/24"}, "10.1.2.3"},
		"zeros before":                          {"10.1.2.3:5000", []string{"203.000.113.009"}, "10.1.2.3"},
		"no peer":                               {"@", []string{"203.0.113.9"}, "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := trusted.Client(r).String(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	r := &http.Request{RemoteAddr: "10.1.2.3:5000", Header: http.Header{"X-Forwarded-For": {"203.0.113.9"}}}
	if got := quota.Proxies(nil).Client(r).String(); got != "10.1.2.3" {
		t.Errorf("where nobody is trusted: %s", got)
	}
}
