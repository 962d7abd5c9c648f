package auth

import (
	"net/netip"
	"testing"
)

func TestWhatIsInTheInternet(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"93.184.216.34": true, "2606:2800:220:1::1": true, "::ffff:93.184.216.34": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.0.1": false, "169.254.169.254": false, "100.64.0.1": false, "0.0.0.0": false,
		"224.0.0.1": false, "255.255.255.255": false, "::1": false, "fe80::1": false, "fd00::1": false, "::ffff:169.254.169.254": false, "64:ff9b::a00:1": false,
		"2002:a00:1::1": false, "198.18.0.1": false, "198.19.255.255": false, "198.20.0.1": true, "192.0.0.8": false, "240.0.0.1": false, "fec0::1": false,
		"2001::1": false, "2001:0:a00:1::1": false, "2001:db9::1": true,
	} {
		if inInternet(netip.MustParseAddr(address)) != want {
			t.Errorf("%s: want %v", address, want)
		}
	}
}
