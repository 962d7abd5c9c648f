package auth_test

import (
	"net/netip"
	"testing"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/quota"
)

// TestACredentialsLimitsAreItsBackends from the next reading of it on, and nobody else's.
func TestACredentialsLimitsAreItsBackends(t *testing.T) {
	t.Parallel()
	db, c := newDatabase(), &clock{now: start}
	n := startNode(t, db, c)
	token := n.token(t)
	expect := func(want quota.Limits) {
		t.Helper()
		p, err := n.Authenticate(t.Context(), "Bearer "+token)
		if err != nil || p.Limits() != want {
			t.Errorf("%+v, %v, want %+v", p.Limits(), err, want)
		}
	}
	usual := auth.DefaultLimits[auth.Backend]
	expect(usual)
	db.change(func() {
		credential := db.credentials[clientID]
		credential.Quota = quota.Limits{Burst: 7}
		db.credentials[clientID] = credential
	})
	c.Advance(auth.CredentialAge)
	expect(quota.Limits{PointsPerSecond: usual.PointsPerSecond, Burst: 7, AtOnce: usual.AtOnce, Sockets: usual.Sockets})
	customer := auth.Principal{Kind: auth.Customer, Merchant: tenant, Customer: "cus_1", Subject: clientID}
	customer, err := n.InForce(t.Context(), customer)
	if err != nil || customer.Limits() != auth.DefaultLimits[auth.Customer] {
		t.Errorf("a customer has %+v, %v", customer.Limits(), err)
	}
}

func TestWhoHasABucket(t *testing.T) {
	t.Parallel()
	here, there := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	backend := func(subject string) *auth.Principal {
		return &auth.Principal{Kind: auth.Backend, Merchant: tenant, Subject: subject}
	}
	session := func(customer, subject string) *auth.Principal {
		return &auth.Principal{Kind: auth.Customer, Merchant: tenant, Customer: customer, Subject: subject}
	}
	nobody := auth.Nobody
	same := map[string][2]quota.Key{
		"a backend, from anywhere":         {backend("a").QuotaKey(here), backend("a").QuotaKey(netip.Addr{})},
		"a customer, by whichever backend": {session("cus_1", "a").QuotaKey(here), session("cus_1", "b").QuotaKey(here)},
		"nobody, in one household":         {nobody.QuotaKey(here), nobody.QuotaKey(there)},
	}
	for who, keys := range same {
		if keys[0] != keys[1] {
			t.Errorf("%s has two: %+v", who, keys)
		}
	}
	other := []quota.Key{
		backend("a").QuotaKey(here), backend("b").QuotaKey(here), session("cus_1", "a").QuotaKey(here), session("a", "a").QuotaKey(here),
		nobody.QuotaKey(here), nobody.QuotaKey(netip.MustParseAddr("192.0.2.1")),
		(&auth.Principal{Kind: auth.Staff, Merchant: tenant, Subject: "a"}).QuotaKey(here),
		(&auth.Principal{Kind: auth.Backend, Merchant: "mer_other", Subject: "a"}).QuotaKey(here),
	}
	for n, one := range other {
		for _, two := range other[n+1:] {
			if one == two {
				t.Errorf("two share %+v", one)
			}
		}
	}
}
