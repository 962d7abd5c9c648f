package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// MaxClientKeys is how many keys a credential may have: one, two while one follows the other, and some room.
const MaxClientKeys = 8

// clientAlgorithms are those with which clients may sign. None has a secret that both sides know. The last two are one: RFC 9864 has given it a
// name of its own.
var clientAlgorithms = []jwa.SignatureAlgorithm{
	jwa.RS256(), jwa.PS256(), jwa.ES256(), jwa.ES384(), jwa.ES512(), jwa.EdDSA(), jwa.EdDSAEd25519(),
}

// ErrClientKeys says that a text has no keys that a client could sign in with. It is wrapped with the reason, for people.
var ErrClientKeys = errors.New("these are no keys to sign in with")

// ClientKeys are the public keys of a credential, whose private halves only the client has. Each has an identifier (kid) and the one algorithm
// with which it signs (RFC 8725, section 3.1). As JSON they are a JSON Web Key Set (RFC 7517, section 5). The zero value has none.
type ClientKeys struct{ set jwk.Set }

// ParseClientKeys reads public keys: a JSON Web Key, a set of them, or PEM. A key without an identifier gets its thumbprint (RFC 7638), and one
// without an algorithm gets RS256, that of its curve, or EdDSA. Error: ErrClientKeys.
func ParseClientKeys(text []byte) (ClientKeys, error) {
	inPEM := !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{"))
	parsed, err := jwk.Parse(text, jwk.WithPEM(inPEM))
	if err != nil {
		return ClientKeys{}, fmt.Errorf("%w: want a JSON Web Key, a set of them, or PEM: %w", ErrClientKeys, err)
	}
	if n := parsed.Len(); n == 0 || n > MaxClientKeys {
		return ClientKeys{}, fmt.Errorf("%w: there are %d, and want 1 to %d", ErrClientKeys, n, MaxClientKeys)
	}
	set := jwk.NewSet()
	for n := range parsed.Len() {
		key, _ := parsed.Key(n)
		if key, err = clientKey(key); err != nil {
			return ClientKeys{}, fmt.Errorf("%w: key %d: %w", ErrClientKeys, n+1, err)
		}
		kid, _ := key.KeyID()
		if _, twice := set.LookupKeyID(kid); twice {
			return ClientKeys{}, fmt.Errorf("%w: key %d: another one has its identifier", ErrClientKeys, n+1)
		}
		if err := set.AddKey(key); err != nil {
			return ClientKeys{}, fmt.Errorf("%w: key %d: %w", ErrClientKeys, n+1, err)
		}
	}
	return ClientKeys{set}, nil
}

// clientKey checks a key, and makes one of it that has nothing but what is needed.
func clientKey(given jwk.Key) (jwk.Key, error) {
	raw, possible, err := publicKey(given)
	if err != nil {
		return nil, err
	}
	chosen := possible[0]
	if named, ok := given.Algorithm(); ok {
		if chosen, ok = find(possible, named.String()); !ok {
			return nil, fmt.Errorf("its algorithm is %s, and want %s", named, possible)
		}
	}
	key, err := jwk.Import(raw)
	if err != nil {
		return nil, err
	}
	kid, ok := given.KeyID()
	if !ok {
		thumbprint, err := key.Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, err
		}
		kid = base64.RawURLEncoding.EncodeToString(thumbprint)
	}
	if !visible(kid, MaxClientID) {
		return nil, fmt.Errorf("its identifier has other than 1 to %d of ASCII's printable characters", MaxClientID)
	}
	return key, errors.Join(key.Set(jwk.KeyIDKey, kid), key.Set(jwk.AlgorithmKey, chosen))
}

// publicKey is somebody else's key to check signatures with, and the algorithms that it may be for, its usual one first.
func publicKey(given jwk.Key) (raw any, possible []jwa.SignatureAlgorithm, err error) {
	if private, err := jwk.IsPrivateKey(given); err != nil || private {
		return nil, nil, errors.New("it is not a public key; a private one is shown to nobody")
	}
	if use, ok := given.KeyUsage(); ok && use != jwk.ForSignature.String() {
		return nil, nil, errors.New("it is not for signatures")
	}
	if err := jwk.Export(given, &raw); err != nil {
		return nil, nil, errors.New("it is no RSA, EC or Ed25519 key")
	}
	possible, err = algorithmsOf(raw)
	return raw, possible, err
}

// algorithmsOf are those with which a key can sign, its usual one first.
func algorithmsOf(key any) ([]jwa.SignatureAlgorithm, error) {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSA || bits > maxRSA {
			return nil, fmt.Errorf("it has %d bits, and want %d to %d", bits, minRSA, maxRSA)
		}
		return clientAlgorithms[:2], nil
	case *ecdsa.PublicKey:
		if algorithm, ok := find(clientAlgorithms, map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[key.Curve.Params().Name]); ok {
			return []jwa.SignatureAlgorithm{algorithm}, nil
		}
		return nil, errors.New("its curve is none of P-256, P-384 and P-521")
	case ed25519.PublicKey:
		return clientAlgorithms[5:], nil
	}
	return nil, errors.New("it is no RSA, EC or Ed25519 key")
}

// Bits of an RSA modulus: the least by RFC 7518, section 3.3, and what takes no long time to check with.
const (
	minRSA = 2048
	maxRSA = 8192
)

func find(all []jwa.SignatureAlgorithm, name string) (jwa.SignatureAlgorithm, bool) {
	for _, a := range all {
		if a.String() == name {
			return a, true
		}
	}
	return jwa.SignatureAlgorithm{}, false
}

// Empty says whether there are none.
func (k ClientKeys) Empty() bool { return k.set == nil || k.set.Len() == 0 }

// IDs are the keys' identifiers.
func (k ClientKeys) IDs() (ids []string) {
	for n := range k.len() {
		key, _ := k.set.Key(n)
		kid, _ := key.KeyID()
		ids = append(ids, kid)
	}
	return ids
}

func (k ClientKeys) len() int {
	if k.set == nil {
		return 0
	}
	return k.set.Len()
}

// named is the key that a header names, with its algorithm; the only one where it names none. Where a key's algorithm has two names, it is the one
// that the header has.
func (k ClientKeys) named(kid, algorithm string) (jwk.Key, jwa.KeyAlgorithm, bool) {
	if k.len() == 0 {
		return nil, nil, false
	}
	key, ok := k.set.LookupKeyID(kid)
	if kid == "" && k.len() == 1 {
		key, ok = k.set.Key(0)
	}
	if !ok {
		return nil, nil, false
	}
	own, ok := key.Algorithm()
	if key.KeyType() == jwa.OKP() {
		if also, is := find(clientAlgorithms[5:], algorithm); is {
			return key, also, true
		}
	}
	return key, own, ok
}

// MarshalJSON writes a JSON Web Key Set; null where there is none.
func (k ClientKeys) MarshalJSON() ([]byte, error) {
	if k.Empty() {
		return []byte("null"), nil
	}
	return json.Marshal(k.set)
}
