package auth

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// The one algorithm that signs access tokens. RFC 9068, section 2.1, makes everybody support RS256, so that any resource server
// can check a token; and with one algorithm there is none to be talked into (RFC 8725, section 3.1).
var algorithm = jwa.RS256()

// keyBits is the size of new keys, the least that RFC 7518, section 3.3, allows.
const keyBits = 2048

// PKCS8 is the Format of a SigningKey whose Private is its PKCS #8 form in DER (RFC 5208), in clear.
const PKCS8 = "pkcs8"

// SigningKey is a private key that signs access tokens, as the nodes share it through the database.
type SigningKey struct {
	ID        string // the kid of its tokens: its thumbprint (RFC 7638)
	Previous  string // the ID of the key that this one follows, empty for the first
	Format    string // how Private is written; a node passes over a format that it does not know
	Private   []byte
	CreatedAt time.Time
}

// KeyStore keeps the signing keys.
type KeyStore interface {
	// SigningKeys returns all keys, newest first.
	SigningKeys(ctx context.Context) ([]SigningKey, error)

	// AddSigningKey adds a key, unless there is one already with the same Previous: then it changes nothing and returns nil. So,
	// with a unique constraint on Previous, of two nodes that start at once, or rotate at once, one adds a key and both use it.
	AddSigningKey(ctx context.Context, k SigningKey) error
}

// newSigningKey makes the key that follows the one with the ID previous. It takes some tenths of a second.
func newSigningKey(previous string, now time.Time) (SigningKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return SigningKey{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return SigningKey{}, err
	}
	public, err := jwk.Import(private.Public())
	if err != nil {
		return SigningKey{}, err
	}
	thumbprint, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return SigningKey{}, err
	}
	id := base64.RawURLEncoding.EncodeToString(thumbprint)
	return SigningKey{ID: id, Previous: previous, Format: PKCS8, Private: der, CreatedAt: now}, nil
}

// jwk opens the private key.
func (k SigningKey) jwk() (jwk.Key, error) {
	if k.Format != PKCS8 {
		return nil, fmt.Errorf("signing key %s has the unknown format %q", k.ID, k.Format)
	}
	private, err := x509.ParsePKCS8PrivateKey(k.Private)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", k.ID, err)
	}
	if _, ok := private.(*rsa.PrivateKey); !ok {
		return nil, fmt.Errorf("signing key %s is not an RSA key", k.ID)
	}
	key, err := jwk.Import(private)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", k.ID, err)
	}
	for name, value := range map[string]any{
		jwk.KeyIDKey:     k.ID,
		jwk.AlgorithmKey: algorithm,
		jwk.KeyUsageKey:  jwk.ForSignature,
	} {
		if err := key.Set(name, value); err != nil {
			return nil, fmt.Errorf("signing key %s: %w", k.ID, err)
		}
	}
	return key, nil
}
