package auth_test

import (
	"errors"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth"
)

const claims3 = "https://github.com/paygraph/paygraph/"

func TestASession(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	by, err := n.Authenticate(t.Context(), "Bearer "+n.token(t))
	if err != nil {
		t.Fatal(err)
	}
	views := map[string]bool{by.View(): true}
	for _, payment := range []string{"", "pay_01", "pay_02"} {
		s, err := n.Session(t.Context(), by, "cus_01", payment, auth.Scopes{auth.PaymentsRead}, 2*time.Minute)
		if err != nil || !s.Expires.Equal(start.Add(2*time.Minute)) {
			t.Fatalf("%+v, %v", s, err)
		}
		p, err := n.Authenticate(t.Context(), "Bearer "+s.Token)
		if err != nil || p.Kind != auth.Customer || p.Customer != "cus_01" || p.Payment != payment || p.Merchant != tenant || p.Subject != clientID ||
			p.Scopes.String() != "payments:read" || !p.Expires.Equal(s.Expires) {
			t.Errorf("%+v, %v", p, err)
		}
		views[p.View()] = true
	}
	if len(views) != 4 {
		t.Errorf("two of these see the same: %v", views)
	}
	s, err := n.Session(t.Context(), by, "cus_01", "", auth.CustomersScopes, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	n.Advance(time.Minute)
	if _, err := n.Authenticate(t.Context(), "Bearer "+s.Token); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("after its end: %v", err)
	}
	if got := n.ask(t, asserting(s.Token), nil); got.status != 401 {
		t.Errorf("a session at the token endpoint: %d %s", got.status, got.body)
	}
}

// TestACustomerMayOnlySee, whatever its token says.
func TestACustomerMayOnlySee(t *testing.T) {
	t.Parallel()
	p := auth.Principal{Kind: auth.Customer, Scopes: auth.AllScopes}
	for _, scope := range auth.AllScopes {
		if p.May(scope) != auth.CustomersScopes.Has(scope) {
			t.Errorf("%s: %v", scope, p.May(scope))
		}
	}
}

// TestClaimsThatDisagree are those of no token that a gateway gives out, with a good signature.
func TestClaimsThatDisagree(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	by := byRSA(t, privateOf(t, firstKey()))
	customers := func() object { return with(with(goodClaims(), claims3+"customer", "cus_01"), "sub", "cus_01") }
	if p, err := n.Authenticate(t.Context(), "Bearer "+forge(t, goodHeader(), customers(), by)); err != nil || p.Customer != "cus_01" {
		t.Fatalf("the token that the others differ from: %+v, %v", p, err)
	}
	for name, claims := range map[string]object{
		"a customer's, about its backend":     with(customers(), "sub", clientID),
		"a customer's, about another":         with(customers(), "sub", "cus_02"),
		"a customer's, about nobody":          with(customers(), "sub", nil),
		"a customer without a name":           with(with(customers(), claims3+"customer", ""), "sub", ""),
		"a customer that is no text":          with(customers(), claims3+"customer", 1),
		"a customer that is null":             with(with(goodClaims(), claims3+"customer", nil), "sub", "cus_01"),
		"a customer's, of no backend":         with(customers(), "client_id", nil),
		"a customer's, of a nameless backend": with(customers(), "client_id", ""),
		"a backend's for one payment":         with(goodClaims(), claims3+"payment", "pay_01"),
		"a payment that is no text":           with(customers(), claims3+"payment", []string{"pay_01"}),
	} {
		if p, err := n.Authenticate(t.Context(), "Bearer "+forge(t, goodHeader(), claims, by)); !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}
