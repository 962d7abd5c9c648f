package auth_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/paygraph/paygraph/auth"
)

func TestScopesAreWrittenInTwoWays(t *testing.T) {
	t.Parallel()
	if !slices.IsSorted(auth.AllScopes) {
		t.Error("AllScopes is not in order")
	}
	for _, scope := range auth.AllScopes {
		enum := strings.ToUpper(strings.ReplaceAll(string(scope), ":", "_"))
		if auth.ScopeOfEnum(enum) != scope {
			t.Errorf("%s is %s", enum, auth.ScopeOfEnum(enum))
		}
	}
}

func TestParseScopes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		parameter, want string
		ok              bool
	}{
		{auth.AllScopes.String(), auth.AllScopes.String(), true},
		{"payments:write accounts:read", "accounts:read payments:write", true},
		{"events:read events:read", "events:read", true},
		{"spells:cast events:read", "events:read", false},
		{"", "", false},
		{" events:read", "events:read", false},
		{"EVENTS:READ", "", false},
	} {
		if got, ok := auth.ParseScopes(c.parameter); got.String() != c.want || ok != c.ok {
			t.Errorf("%q: %q, %v", c.parameter, got, ok)
		}
	}
}

func TestACustomerMayOnlySeeWhatIsItsOwn(t *testing.T) {
	t.Parallel()
	for _, scope := range auth.AllScopes {
		backend, customer := auth.Principal{Kind: auth.Backend, Scopes: auth.AllScopes}, auth.Principal{Kind: auth.Customer, Scopes: auth.AllScopes}
		own := scope != auth.EventsRead && strings.HasSuffix(string(scope), ":read")
		if !backend.May(scope) || customer.May(scope) != own {
			t.Errorf("%s: a backend %v, a customer %v", scope, backend.May(scope), customer.May(scope))
		}
		if nobody := (auth.Principal{Kind: auth.Customer}); nobody.May(scope) {
			t.Errorf("%s: a customer without it may", scope)
		}
	}
	ada, eve := auth.Principal{Kind: auth.Customer, Customer: "cus_1"}, auth.Principal{Kind: auth.Customer, Customer: "cus_2"}
	if ada.View() == eve.View() {
		t.Error("two customers see the same")
	}
}
