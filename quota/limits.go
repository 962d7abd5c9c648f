// Package quota bounds how much each principal may ask for: points a second, operations at once, and sockets. It knows neither principals nor HTTP.
package quota

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
)

// Limits are what one principal may ask for. A field that is zero means the default.
type Limits struct {
	PointsPerSecond int32 `json:"pointsPerSecond,omitempty"` // that come back to its bucket
	Burst           int32 `json:"burst,omitempty"`           // points that the bucket holds
	AtOnce          int32 `json:"atOnce,omitempty"`          // queries and mutations that run at the same time, at each node
	Sockets         int32 `json:"sockets,omitempty"`         // WebSockets and streams of events that are open, at each node
}

// Plenty is more than one machine does: for a credential that is to measure the machine, or that everybody shares who tries the gateway out.
var Plenty = Limits{PointsPerSecond: 10_000_000, Burst: 10_000_000, AtOnce: 100_000, Sockets: 100_000}

// Most is the greatest value of each limit.
const Most = 1_000_000_000

// ErrLimits says that a limit is none.
var ErrLimits = errors.New("a limit is out of its range")

// Check says whether each limit is one, or is not set. Error: ErrLimits.
func (l Limits) Check() error {
	for name, value := range map[string]int32{
		"points per second": l.PointsPerSecond, "burst": l.Burst, "at once": l.AtOnce, "sockets": l.Sockets,
	} {
		if value < 0 || value > Most {
			return fmt.Errorf("%w: %s is %d: choose from 1 to %d, or 0 for the default", ErrLimits, name, value, Most)
		}
	}
	return nil
}

// Or takes those of others for what is not set.
func (l Limits) Or(others Limits) Limits {
	return Limits{
		cmp.Or(l.PointsPerSecond, others.PointsPerSecond), cmp.Or(l.Burst, others.Burst), cmp.Or(l.AtOnce, others.AtOnce),
		cmp.Or(l.Sockets, others.Sockets),
	}
}

// Key is who has a bucket: somebody of a merchant's, or where nobody is known, an address.
type Key struct {
	Kind, Merchant, Name string
	Address              netip.Addr // of a network, as Network makes it
}

// Network is the part of an address that one customer of a provider has: of IPv4 all, of IPv6 the first 64 bits.
func Network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is4() || !a.IsValid() {
		return a
	}
	p, _ := a.Prefix(64) // it has 128
	return p.Addr()
}
