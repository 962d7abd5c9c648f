package quota

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the networks of those who stand in front and say by X-Forwarded-For whom they speak for. Nobody else is believed.
type Proxies []netip.Prefix

// UnmarshalText reads networks that are parted by commas: "10.0.0.0/8, 192.0.2.7". Error: ErrProxies.
func (p *Proxies) UnmarshalText(text []byte) error {
	*p = nil
	for word := range strings.SplitSeq(string(text), ",") {
		word = strings.TrimSpace(word)
		network, err := netip.ParsePrefix(word)
		if a, single := netip.ParseAddr(word); single == nil && a.Zone() == "" {
			network, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		switch {
		case err != nil:
			return fmt.Errorf("%w: %q is no network: write it as 10.0.0.0/8, or as an address", ErrProxies, word)
		case network.Bits() == 0:
			return fmt.Errorf("%w: %s is everybody, and whoever is trusted can say it is anybody: name those who are in front", ErrProxies, word)
		case network.Addr().Is4In6():
			return fmt.Errorf("%w: write %s as IPv4", ErrProxies, word)
		}
		*p = append(*p, network.Masked())
	}
	return nil
}

// String is how UnmarshalText reads them.
func (p Proxies) String() string {
	words := make([]string, len(p))
	for i, network := range p {
		words[i] = network.String()
	}
	return strings.Join(words, ",")
}

// ErrProxies says that proxies are none.
var ErrProxies = errors.New("the trusted proxies are wrong")

// Client is the address that a request comes from: the connection's other end, or where that is a proxy, the last one in X-Forwarded-For that is none. What
// is no address there ends the search, at the proxy that passed it on. Without any address it is the zero one.
func (p Proxies) Client(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	client := peer.Addr().Unmap()
	if len(p) == 0 || !p.has(client) {
		return client
	}
	forwarded := r.Header["X-Forwarded-For"]
	for _, header := range slices.Backward(forwarded) {
		addresses := strings.Split(header, ",")
		for _, text := range slices.Backward(addresses) {
			next, err := netip.ParseAddr(strings.Trim(text, " \t"))
			if err != nil || next.Zone() != "" {
				return client
			}
			if client = next.Unmap(); !p.has(client) {
				return client
			}
		}
	}
	return client
}

func (p Proxies) has(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(network netip.Prefix) bool { return network.Contains(a) })
}
