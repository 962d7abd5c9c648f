package auth

import (
	"cmp"
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

// The claims and the type of an access token (RFC 9068, sections 2.1 and 2.2). The last three are Paygraph's own and so have collision-resistant
// names (RFC 7519, section 4.2).
const (
	tokenType     = "at+jwt"
	claimClientID = "client_id"
	claimScope    = "scope"
	claimMerchant = "https://github.com/paygraph/paygraph/merchant"
	claimCustomer = "https://github.com/paygraph/paygraph/customer"
	claimPayment  = "https://github.com/paygraph/paygraph/payment"
)

// sign makes an access token for a principal and reads the keys again if they are old. principalOf is the other way round.
func (i *Issuer) sign(ctx context.Context, p Principal) (string, error) {
	claims := jwt.NewBuilder().
		Issuer(i.config.Issuer).
		Subject(cmp.Or(p.Customer, p.Subject)).
		Audience([]string{i.config.Audience}).
		IssuedAt(i.config.Now()).
		Expiration(p.Expires).
		JwtID(rand.Text()).
		Claim(claimClientID, p.Subject).
		Claim(claimScope, p.Scopes.String()).
		Claim(claimMerchant, string(p.Merchant))
	if p.Kind == Customer {
		claims.Claim(claimCustomer, p.Customer)
	}
	if p.Payment != "" {
		claims.Claim(claimPayment, p.Payment)
	}
	token, err := claims.Build()
	if err != nil {
		return "", fmt.Errorf("build a token: %w", err)
	}
	headers := jws.NewHeaders()
	if err := headers.Set(jws.TypeKey, tokenType); err != nil {
		return "", fmt.Errorf("build a token: %w", err)
	}
	keys, err := i.keyring.get(ctx)
	if err != nil {
		return "", err
	}
	signed, err := jwt.Sign(token, jwt.WithKey(algorithm, keys.signing, jws.WithProtectedHeaders(headers)))
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return string(signed), nil
}

// verify checks an access token by all that RFC 9068, section 4, and RFC 8725 ask of it. Errors: ErrUnauthenticated, or the key
// store's or the outside issuer's.
func (i *Issuer) verify(ctx context.Context, token string) (Principal, error) {
	if len(i.providers) > 0 {
		if p := i.providers[issuerOf(token)]; p != nil {
			return p.verify(ctx, token)
		}
	}
	header, err := headerOf(token)
	if err != nil {
		return Principal{}, err
	}
	if typ, _ := header.Type(); strings.TrimPrefix(strings.ToLower(typ), "application/") != tokenType {
		return Principal{}, unauthenticated("its typ is not " + tokenType)
	}
	kid, _ := header.KeyID()
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
	if errors.Is(err, jwt.TokenExpiredError()) {
		return Principal{}, ErrEnded
	}
	if err != nil {
		return Principal{}, unauthenticated(err.Error())
	}
	return principalOf(parsed)
}

// headerOf reads the header of a JWT that nobody has verified yet. It chooses neither the algorithm nor, by jwk, jku, x5c or x5u, a key (RFC 8725,
// sections 3.1 and 3.10): only one that is known already, by its kid.
func headerOf(token string) (jws.Headers, error) {
	if len(token) > MaxToken {
		return nil, unauthenticated("it is too long")
	}
	if strings.ContainsFunc(token, func(r rune) bool { return !strings.ContainsRune(compactLetters, r) }) {
		return nil, unauthenticated("it has characters that no token has")
	}
	message, err := jws.ParseString(token, jws.WithCompact())
	if err != nil || len(message.Signatures()) != 1 {
		return nil, unauthenticated("it is not a signed JWT")
	}
	return message.Signatures()[0].ProtectedHeaders(), nil
}

// principalOf reads the claims of a verified token. Scopes that this node does not know are left out: they allow nothing here, and
// a newer node may have issued them.
func principalOf(token jwt.Token) (Principal, error) {
	p := Principal{Kind: Backend}
	p.Expires, _ = token.Expiration()
	var scope, tenant string
	err := errors.Join(token.Get(claimClientID, &p.Subject), token.Get(claimScope, &scope), token.Get(claimMerchant, &tenant))
	who := p.Subject
	if token.Has(claimCustomer) {
		p.Kind = Customer
		err = errors.Join(err, token.Get(claimCustomer, &p.Customer))
		who = p.Customer
	}
	if token.Has(claimPayment) {
		err = errors.Join(err, token.Get(claimPayment, &p.Payment))
	}
	if err != nil {
		return Principal{}, unauthenticated(err.Error())
	}
	subject, _ := token.Subject()
	if p.Subject == "" || who == "" || who != subject || tenant == "" || p.Kind != Customer && p.Payment != "" {
		return Principal{}, unauthenticated("its claims disagree")
	}
	p.Merchant = answer.MerchantID(tenant)
	p.Scopes, _ = ParseScopes(scope)
	return p, nil
}
