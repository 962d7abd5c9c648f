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
	"github.com/paygraph/paygraph/quota"
)

// ErrUnknownCredential is what a CredentialStore says of a client id that it does not have.
var ErrUnknownCredential = errors.New("unknown credential")

// Credential is what a merchant's backend shows to get tokens: a client id, and a secret, of which only the hash is kept; or what it has signed
// with a key, of which only the public half is known here.
type Credential struct {
	ClientID   string // 1 to MaxClientID of ASCII's printable characters; unique over all merchants
	Merchant   answer.MerchantID
	SecretHash []byte // HashSecret of the secret; nil: it has keys
	Keys       ClientKeys
	Signing    Signing
	Documents  Documents
	Scopes     Scopes       // the most that a token for it may allow
	Quota      quota.Limits // how much its client may ask for; what is zero is the default
	CreatedAt  time.Time
	RevokedAt  *time.Time // nil: in force. Once it is set there are no new tokens, and those that exist are good at no node after CredentialAge
	Name       string     // for people
}

// CredentialStore finds credentials. It is asked when a token is issued, and for each credential whose tokens are used once in CredentialAge.
type CredentialStore interface {
	// Credential returns the credential with this client id, revoked or not. Error: ErrUnknownCredential.
	Credential(ctx context.Context, clientID string) (Credential, error)

	// UseOnce notes that a client has used a value that is good until some time, and says whether it is the first time. What has ended is
	// forgotten, somewhat later: nodes' clocks differ.
	UseOnce(ctx context.Context, clientID string, value []byte, until time.Time) (first bool, err error)
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

// What a node remembers of the credentials whose tokens it sees.
const (
	// CredentialAge is how long a node goes on as before after a credential was revoked, lost a scope, or signs in another way.
	CredentialAge = 10 * time.Second

	credentialRetry   = time.Second
	credentialGoodFor = 5 * time.Minute // while the store is away
	maxCredentials    = 20_000          // about 1,000 bytes each, and 150 for each key for requests
)

// credential is this node's copy of one. Only who has shown a good token for it has one made.
func (i *Issuer) credential(clientID string) *remembered[*Credential] {
	if r, ok := i.known.Get(clientID); ok {
		return r
	}
	r := &remembered[*Credential]{
		what: "a credential", age: CredentialAge, retry: credentialRetry, timeout: credentialTimeout, goodFor: credentialGoodFor, now: i.config.Now,
		load: func(ctx context.Context) (*Credential, error) {
			c, err := i.config.Credentials.Credential(ctx, clientID)
			if errors.Is(err, ErrUnknownCredential) { // one that was deleted, which is no failure
				return nil, nil
			}
			c.SecretHash, c.Keys = nil, ClientKeys{} // who signs in is held against what is stored
			return &c, err
		},
	}
	if first, there, _ := i.known.PeekOrAdd(clientID, r); there {
		return first
	}
	return r
}

// inForce says whether a credential, nil where there is none, lets its client act for a merchant.
func (c *Credential) inForce(m answer.MerchantID) bool {
	return c != nil && c.RevokedAt == nil && c.Merchant == m
}

// InForce holds a principal that came by a credential against the credential as it is now: a token says what that was when it was issued; and one that came by
// an outside issuer's token against the issuer's keys. Authenticate has done so; who keeps a principal does it again from time to time. Errors:
// ErrUnauthenticated, ErrAway, or the store's.
func (i *Issuer) InForce(ctx context.Context, p Principal) (Principal, error) {
	switch p.Kind {
	case Backend, Customer:
	case Staff:
		if err := p.signedBy.there(ctx); err != nil {
			return Principal{}, err
		}
		return p, nil
	default:
		return p, nil
	}
	c, err := i.credential(p.Subject).get(ctx)
	switch {
	case err != nil:
		return Principal{}, err
	case !c.inForce(p.Merchant):
		return Principal{}, ErrEnded
	case !p.Scopes.within(c.Scopes):
		p.Scopes = p.Scopes.and(c.Scopes)
	}
	p.Documents = c.Documents
	if p.Kind == Backend {
		p.MustSign, p.Quota = c.Signing.Mutations, c.Quota
	}
	return p, nil
}

// client is who a token request says it comes from, and one of the two that shows it.
type client struct{ id, secret, assertion string }

// authenticateClient finds the credential and checks what the client shows. Error: errInvalidClient, the same whatever was wrong; any other is the
// store's.
func (i *Issuer) authenticateClient(ctx context.Context, by client) (Credential, error) {
	if !visible(by.id, MaxClientID) || by.assertion == "" && !visible(by.secret, MaxSecret) {
		return Credential{}, errInvalidClient
	}
	ctx, cancel := context.WithTimeout(ctx, credentialTimeout)
	defer cancel()
	c, err := i.config.Credentials.Credential(ctx, by.id)
	unknown := errors.Is(err, ErrUnknownCredential)
	switch {
	case unknown:
		c = Credential{SecretHash: nobodysHash}
	case err != nil:
		return Credential{}, err
	}
	switch {
	case by.assertion == "":
		if subtle.ConstantTimeCompare(HashSecret(by.secret), c.SecretHash) != 1 || unknown || c.RevokedAt != nil {
			return Credential{}, errInvalidClient
		}
	case unknown || c.RevokedAt != nil:
		return Credential{}, errInvalidClient
	default:
		err := i.checkAssertion(ctx, c, by.assertion)
		if errors.Is(err, ErrUnauthenticated) {
			i.config.Log.InfoContext(ctx, "a client's assertion is not good", "clientId", c.ClientID, "error", err)
			return Credential{}, errInvalidClient
		}
		if err != nil {
			return Credential{}, err
		}
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
