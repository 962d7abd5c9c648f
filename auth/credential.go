package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"time"

	"github.com/paygraph/paygraph/answer"
)

// ErrUnknownCredential is what a CredentialStore says of a client id that it does not have.
var ErrUnknownCredential = errors.New("unknown credential")

// Credential is what a merchant's backend shows to get tokens: a client id and a secret, of which only the hash is kept.
type Credential struct {
	ClientID   string // 1 to MaxClientID of ASCII's printable characters; unique over all merchants
	Merchant   answer.MerchantID
	SecretHash []byte // HashSecret of the secret
	Scopes     Scopes // the most that a token for it may allow
	CreatedAt  time.Time
	RevokedAt  *time.Time // nil: in force. No new tokens once it is set; those that exist end with their TTL, at the latest
	Name       string     // for people
}

// CredentialStore finds credentials. It is asked once for each token that is issued, and not when one is used.
type CredentialStore interface {
	// Credential returns the credential with this client id, revoked or not. Error: ErrUnknownCredential.
	Credential(ctx context.Context, clientID string) (Credential, error)
}

// The most bytes that a client id and a secret may have.
const (
	MaxClientID = 128
	MaxSecret   = 256
)

// secretPrefix lets people and scanners of repositories see what leaked.
const secretPrefix = "pgs_"

// NewSecret makes a client secret of 256 random bits and its hash. The secret is shown once and kept nowhere. Its characters mean
// themselves in a form, so that clients which forget to encode them for HTTP Basic (RFC 6749, section 2.3.1) work too.
func NewSecret() (secret string, hash []byte) {
	var bits [32]byte
	rand.Read(bits[:]) // never fails
	secret = secretPrefix + base64.RawURLEncoding.EncodeToString(bits[:])
	return secret, HashSecret(secret)
}

// HashSecret is what is kept of a secret: its SHA-256. A slow, salted password hash guards what people choose, which can be guessed
// from a list; 256 random bits cannot be guessed at any speed, no two credentials share them, and a fast hash leaves strangers no
// way to keep the gateway busy.
func HashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// nobodysHash is compared with when there is no credential, so that time does not tell which client ids exist.
var nobodysHash = make([]byte, sha256.Size)

// credentialTimeout bounds the search for a credential: the database's answer may never come, and a request has no end of its own.
const credentialTimeout = 5 * time.Second

// authenticateClient finds the credential and checks its secret. Error: errInvalidClient, the same whatever was wrong; any other
// is the store's.
func (i *Issuer) authenticateClient(ctx context.Context, clientID, secret string) (Credential, error) {
	if !visible(clientID, MaxClientID) || !visible(secret, MaxSecret) {
		return Credential{}, errInvalidClient
	}
	ctx, cancel := context.WithTimeout(ctx, credentialTimeout)
	defer cancel()
	c, err := i.config.Credentials.Credential(ctx, clientID)
	unknown := errors.Is(err, ErrUnknownCredential)
	switch {
	case unknown:
		c.SecretHash = nobodysHash
	case err != nil:
		return Credential{}, err
	}
	same := subtle.ConstantTimeCompare(HashSecret(secret), c.SecretHash) == 1
	if unknown || !same || c.RevokedAt != nil {
		return Credential{}, errInvalidClient
	}
	return c, nil
}

// visible says whether s has 1 to limit characters, all VSCHAR (RFC 6749, appendix A): ASCII from space to tilde.
func visible(s string, limit int) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= limit
}
