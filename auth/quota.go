package auth

import (
	"net/netip"

	"github.com/paygraph/paygraph/quota"
)

// DefaultLimits are those of a principal whose credential says nothing else, by its kind. An anonymous one is an address.
var DefaultLimits = map[Kind]quota.Limits{
	Backend:   {PointsPerSecond: 20_000, Burst: 40_000, AtOnce: 500, Sockets: 2_000},
	Staff:     {PointsPerSecond: 1_000, Burst: 10_000, AtOnce: 50, Sockets: 50},
	Customer:  {PointsPerSecond: 200, Burst: 2_000, AtOnce: 20, Sockets: 20},
	Anonymous: {PointsPerSecond: 200, Burst: 2_000, AtOnce: 50, Sockets: 500},
}

// Limits are how much the principal may ask for.
func (p *Principal) Limits() quota.Limits { return p.Quota.Or(DefaultLimits[p.Kind]) }

// QuotaKey is whose bucket the principal draws on: a customer's is its own, whichever backend has made its session, and nobody's is that of the address.
func (p *Principal) QuotaKey(address netip.Addr) quota.Key {
	switch p.Kind {
	case Anonymous:
		return quota.Key{Kind: string(Anonymous), Address: quota.Network(address)}
	case Customer:
		return quota.Key{Kind: string(Customer), Merchant: string(p.Merchant), Name: p.Customer}
	default:
		return quota.Key{Kind: string(p.Kind), Merchant: string(p.Merchant), Name: p.Subject}
	}
}
