package auth

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwt"
)

// assertionType is the one kind of assertion that is taken (RFC 7523, section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionLife is how long after now an assertion may end, at most. For as long as that it is remembered.
const assertionLife = 5 * time.Minute

// assertionTypes are the values of typ that an assertion may have; an access token has another, so that none is taken for the other (RFC 8725,
// section 3.11).
var assertionTypes = map[string]bool{"": true, "jwt": true, "client-authentication+jwt": true}

// issuerOf is who says to have made an assertion, which nobody has verified yet.
func issuerOf(assertion string) string {
	if len(assertion) > MaxToken {
		return ""
	}
	token, err := jwt.ParseInsecure([]byte(assertion))
	if err != nil {
		return ""
	}
	issuer, _ := token.Issuer()
	return issuer
}

// checkAssertion checks what a client has signed to say who it is (RFC 7523, section 3; private_key_jwt in OpenID Connect Core, section 9), and
// uses it up. Errors: ErrUnauthenticated, or the store's.
func (i *Issuer) checkAssertion(ctx context.Context, c Credential, assertion string) error {
	header, err := headerOf(assertion)
	if err != nil {
		return err
	}
	if typ, _ := header.Type(); !assertionTypes[strings.TrimPrefix(strings.ToLower(typ), "application/")] {
		return unauthenticated("its typ is no assertion's")
	}
	kid, _ := header.KeyID()
	named, _ := header.Algorithm()
	key, algorithm, ok := c.Keys.named(kid, named.String())
	if !ok {
		return unauthenticated("the credential has no such key")
	}
	now := i.config.Now()
	token, err := jwt.ParseString(assertion,
		jwt.WithKey(algorithm, key), // refuses a header with another alg, and one with crit
		jwt.WithIssuer(c.ClientID),
		jwt.WithSubject(c.ClientID),
		jwt.WithClock(jwt.ClockFunc(func() time.Time { return now })),
		jwt.WithAcceptableSkew(clockSkew),
		jwt.WithRequiredClaim(jwt.ExpirationKey),
		jwt.WithRequiredClaim(jwt.JwtIDKey),
	)
	if err != nil {
		return unauthenticated(err.Error())
	}
	// Nobody else: what is for others, too, could have come from one of them.
	elsewhere := func(audience string) bool {
		return audience != i.config.Issuer && audience != i.config.Issuer+TokenPath
	}
	if to, _ := token.Audience(); len(to) == 0 || slices.ContainsFunc(to, elsewhere) {
		return unauthenticated("its aud is not the issuer or the token endpoint, and nobody else")
	}
	until, _ := token.Expiration()
	if !now.Before(until) || until.Sub(now) > assertionLife+clockSkew {
		return unauthenticated("it has ended, or ends too late")
	}
	jti, _ := token.JwtID()
	if jti == "" {
		return unauthenticated("its jti is empty")
	}
	hash := sha256.Sum256([]byte("assertion\x00" + jti))
	first, err := i.config.Credentials.UseOnce(ctx, c.ClientID, hash[:], until)
	if err == nil && !first {
		return unauthenticated("it was shown before")
	}
	return err
}
