package auth

import (
	"slices"
	"strings"
)

// Scope is one thing that a token allows, written as OAuth writes it: "payments:write". The schema's enum has the same word in
// capitals: PAYMENTS_WRITE.
type Scope string

// The scopes.
const (
	AccountsRead   Scope = "accounts:read"
	AccountsWrite  Scope = "accounts:write"
	CustomersRead  Scope = "customers:read"
	CustomersWrite Scope = "customers:write"
	EventsRead     Scope = "events:read"
	LedgerAdjust   Scope = "ledger:adjust"
	PaymentsRead   Scope = "payments:read"
	PaymentsWrite  Scope = "payments:write"
	SessionsWrite  Scope = "sessions:write"
	TransfersWrite Scope = "transfers:write"
)

// AllScopes lists every scope in the order of the alphabet.
var AllScopes = Scopes{AccountsRead, AccountsWrite, CustomersRead, CustomersWrite, EventsRead, LedgerAdjust, PaymentsRead,
	PaymentsWrite, SessionsWrite, TransfersWrite}

// CustomersScopes is the most that a customer may do, whatever its token says: see what is its own. What is in the merchant's log is not: its
// numbers tell how much the merchant does.
var CustomersScopes = Scopes{AccountsRead, CustomersRead, PaymentsRead}

// Scopes is a set of scopes.
type Scopes []Scope

// Has says whether the set holds s.
func (s Scopes) Has(scope Scope) bool { return slices.Contains(s, scope) }

// String is the set as OAuth's scope parameter has it, words parted by spaces (RFC 6749, section 3.3).
func (s Scopes) String() string {
	words := make([]string, len(s))
	for i, scope := range s {
		words[i] = string(scope)
	}
	return strings.Join(words, " ")
}

// ParseScopes reads a scope parameter: words parted by single spaces, in any order (RFC 6749, section 3.3). What comes back are
// the words that are scopes, each once, in the order of AllScopes; and false if there was another word, or none.
func ParseScopes(parameter string) (Scopes, bool) {
	var named Scopes
	for word := range strings.SplitSeq(parameter, " ") {
		named = append(named, Scope(word))
	}
	known := AllScopes.and(named)
	return known, named.within(known)
}

// and is the scopes that are in both sets, in the order of s.
func (s Scopes) and(other Scopes) Scopes {
	return slices.DeleteFunc(slices.Clone(s), func(scope Scope) bool { return !other.Has(scope) })
}

// within says whether other has all of s.
func (s Scopes) within(other Scopes) bool {
	return !slices.ContainsFunc(s, func(scope Scope) bool { return !other.Has(scope) })
}

// ScopeOfEnum turns the schema's PAYMENTS_WRITE into payments:write.
func ScopeOfEnum(name string) Scope {
	return Scope(strings.ToLower(strings.ReplaceAll(name, "_", ":")))
}
