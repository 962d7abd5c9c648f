package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/paygraph/paygraph/answer"
)

// MaxToken is the longest access token that is looked at, in bytes. Those that Paygraph issues have about 1,000.
const MaxToken = 4096

// compactLetters are the characters of a JWS in compact form: base64url without padding, and points (RFC 7515, section 7.1).
const compactLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

// clockSkew is how far in the future iat and nbf may lie, since nodes' clocks differ. There is none for exp: a token ends when it
// says, as streams that it opened do.
const clockSkew = 5 * time.Second

// The claims and the type of an access token (RFC 9068, sections 2.1 and 2.2). The merchant's claim is Paygraph's own and so has a
// collision-resistant name (RFC 7519, section 4.2).
const (
	tokenType     = "at+jwt"
	claimClientID = "client_id"
	claimScope    = "scope"
	claimMerchant = "https://github.com/paygraph/paygraph/merchant"
)

// sign makes an access token for a credential and reads the keys again if they are old.
func (i *Issuer) sign(ctx context.Context, c Credential, scopes Scopes) (string, error) {
	now := i.config.Now()
	token, err := jwt.NewBuilder().
		Issuer(i.config.Issuer).
		Subject(c.ClientID).
		Audience([]string{i.config.Audience}).
		IssuedAt(now).
		Expiration(now.Add(i.config.TTL)).
		JwtID(rand.Text()).
		Claim(claimClientID, c.ClientID).
		Claim(claimScope, scopes.String()).
		Claim(claimMerchant, string(c.Merchant)).
		Build()
	if err != nil {
		return "", fmt.Errorf("build a token: %w", err)
	}
	headers := jws.NewHeaders()
	if err := headers.Set(jws.TypeKey, tokenType); err != nil {
		return "", fmt.Errorf("build a token: %w", err)
	}
	signed, err := jwt.Sign(token, jwt.WithKey(algorithm, i.keyring.get(ctx).signing, jws.WithProtectedHeaders(headers)))
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return string(signed), nil
}

// verify checks an access token by all that RFC 9068, section 4, and RFC 8725 ask of it. Errors: ErrUnauthenticated, or the key
// store's.
func (i *Issuer) verify(ctx context.Context, token string) (Principal, error) {
	kid, err := keyOf(token)
	if err != nil {
		return Principal{}, err
	}
	key, err := i.keyring.find(ctx, kid)
	if err != nil {
		return Principal{}, err
	}
	parsed, err := jwt.ParseString(token,
		jwt.WithKey(algorithm, key), // refuses a header with another alg, and one with crit
		jwt.WithIssuer(i.config.Issuer),
		jwt.WithAudience(i.config.Audience),
		jwt.WithClock(jwt.ClockFunc(i.config.Now)),
		jwt.WithAcceptableSkew(clockSkew),
		jwt.WithRequiredClaim(jwt.ExpirationKey),
		jwt.WithRequiredClaim(jwt.IssuedAtKey),
		jwt.WithRequiredClaim(jwt.JwtIDKey),
	)
	if err != nil {
		return Principal{}, unauthenticated(err.Error())
	}
	return principalOf(parsed)
}

// keyOf reads the header of a token that nobody has verified yet, and refuses what no token of Paygraph has. The header chooses
// neither the algorithm nor, by jwk, jku, x5c or x5u, a key (RFC 8725, sections 3.1 and 3.10): only one of Paygraph's, by its kid.
func keyOf(token string) (kid string, err error) {
	if strings.ContainsFunc(token, func(r rune) bool { return !strings.ContainsRune(compactLetters, r) }) {
		return "", unauthenticated("it has characters that no token has")
	}
	message, err := jws.ParseString(token, jws.WithCompact())
	if err != nil || len(message.Signatures()) != 1 {
		return "", unauthenticated("it is not a signed JWT")
	}
	header := message.Signatures()[0].ProtectedHeaders()
	typ, _ := header.Type()
	if strings.TrimPrefix(strings.ToLower(typ), "application/") != tokenType {
		return "", unauthenticated("its typ is not " + tokenType)
	}
	kid, _ = header.KeyID()
	return kid, nil
}

// principalOf reads the claims of a verified token. Scopes that this node does not know are left out: they allow nothing here, and
// a newer node may have issued them.
func principalOf(token jwt.Token) (Principal, error) {
	p := Principal{Kind: Backend}
	p.Subject, _ = token.Subject()
	p.Expires, _ = token.Expiration()
	var clientID, scope, tenant string
	if err := errors.Join(token.Get(claimClientID, &clientID), token.Get(claimScope, &scope), token.Get(claimMerchant, &tenant)); err != nil {
		return Principal{}, unauthenticated(err.Error())
	}
	if clientID == "" || clientID != p.Subject || tenant == "" {
		return Principal{}, unauthenticated("its claims disagree")
	}
	p.Merchant = answer.MerchantID(tenant)
	p.Scopes, _ = ParseScopes(scope)
	return p, nil
}
