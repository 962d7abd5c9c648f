package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/paygraph/paygraph/auth/httpsig"
)

// What a signed request must say (RFC 9421, section 7.2.1, leaves that to the application).
const (
	// RequestAge is how long after it was signed a request is taken, at most, and RequestAhead how far the clock of whoever signs it may be ahead.
	RequestAge   = 5 * time.Minute
	RequestAhead = 30 * time.Second

	maxNonce = 128 // bytes
)

// MaxRequestKeys is how many keys for requests a credential may have: one, two while one follows the other, and some room.
const MaxRequestKeys = 8

// ErrSignature says that a request is not signed as it should be. It is wrapped with the reason, which is for the client: who it is, is known already.
var ErrSignature = httpsig.ErrSignature

// AllMutations stands for all of them in Signing.Mutations.
const AllMutations = "*"

// Signing is how a credential's client signs requests.
type Signing struct {
	Keys      []RequestKey // at most MaxRequestKeys
	Mutations []string     // which it runs by signed requests only; AllMutations: all
}

// What is wrong with a change of Signing.
var (
	ErrRequestKeys = errors.New("a credential has at most 8 keys for requests, each with an identifier of its own")
	ErrNoSuchKey   = errors.New("there is no key with this identifier")
	ErrNoKeyToSign = errors.New("without a key for requests nothing can be signed")
)

// Add adds a key. Error: ErrRequestKeys.
func (s *Signing) Add(k RequestKey) error {
	if len(s.Keys) >= MaxRequestKeys || !visible(k.ID, MaxClientID) || s.find(k.ID) >= 0 {
		return ErrRequestKeys
	}
	s.Keys = append(s.Keys, k)
	return nil
}

// Remove takes a key away. Errors: ErrNoSuchKey, ErrNoKeyToSign where it is the last one, and a mutation takes a signed request.
func (s *Signing) Remove(id string) error {
	n := s.find(id)
	switch {
	case n < 0:
		return ErrNoSuchKey
	case len(s.Keys) == 1 && len(s.Mutations) > 0:
		return ErrNoKeyToSign
	}
	s.Keys = slices.Delete(s.Keys, n, n+1)
	return nil
}

// Require says which mutations take a signed request. Error: ErrNoKeyToSign.
func (s *Signing) Require(mutations []string) error {
	if len(mutations) > 0 && len(s.Keys) == 0 {
		return ErrNoKeyToSign
	}
	s.Mutations = mutations
	return nil
}

func (s *Signing) find(id string) int {
	return slices.IndexFunc(s.Keys, func(k RequestKey) bool { return k.ID == id })
}

// RequestKey is a key with which a credential's client signs requests: one that both sides have, or the public half of one. Just one of the two is there.
type RequestKey struct {
	ID     string            `json:"id"` // 1 to MaxClientID of ASCII's printable characters, unique in the credential
	Secret []byte            `json:"secret,omitempty"`
	Public ed25519.PublicKey `json:"public,omitempty"`
}

// ParseRequestKey reads the public half of an Ed25519 key: PEM, or a JSON Web Key. One without an identifier gets its thumbprint (RFC 7638). Error:
// ErrClientKeys.
func ParseRequestKey(text []byte) (RequestKey, error) {
	keys, err := ParseClientKeys(text)
	if err != nil {
		return RequestKey{}, err
	}
	k := RequestKey{ID: keys.IDs()[0]}
	key, _ := keys.set.Key(0)
	if keys.len() != 1 || jwk.Export(key, &k.Public) != nil {
		return RequestKey{}, fmt.Errorf("%w: want one Ed25519 key", ErrClientKeys)
	}
	return k, nil
}

// NewRequestSecret makes a key that both sides have. Its secret is shown once.
func NewRequestSecret(id string) RequestKey {
	k := RequestKey{ID: id, Secret: make([]byte, 2*httpsig.MinSecret)}
	rand.Read(k.Secret) // never fails
	return k
}

func (k RequestKey) key() httpsig.Key {
	if k.Public != nil {
		return httpsig.NewPublic(k.ID, k.Public)
	}
	return httpsig.NewHMAC(k.ID, k.Secret)
}

// CheckSignature checks the signature of a request that a principal has sent. What is to be done only once is done after use has used the signature up: the
// same is not taken again then, by no node. Errors, also use's: ErrSignature, or the credential store's.
func (i *Issuer) CheckSignature(ctx context.Context, p Principal, r *http.Request, body []byte) (use func(context.Context) error, err error) {
	if r.Method != http.MethodPost { // the body's digest would be of nothing
		return nil, unsigned("a request that is signed is sent by POST")
	}
	s, err := httpsig.Parse(r.Header)
	if err != nil {
		return nil, err
	}
	if err := i.checkRequest(s); err != nil {
		return nil, err
	}
	key, err := i.requestKey(ctx, p, s.KeyID)
	if err != nil {
		return nil, err
	}
	if err := httpsig.CheckDigest(r.Header, body); err != nil {
		return nil, err
	}
	if err := s.Verify(r, i.target, key); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		nonce := sha256.Sum256([]byte("request\x00" + s.Nonce))
		first, err := i.config.Credentials.UseOnce(ctx, p.Subject, nonce[:], s.Created.Add(RequestAge))
		if err == nil && !first {
			return unsigned("its nonce was used before, or its time has passed")
		}
		return err
	}, nil
}

func unsigned(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrSignature}, args...)...)
}

// checkRequest is about what a signature says of itself.
func (i *Issuer) checkRequest(s *httpsig.Signature) error {
	now := i.config.Now()
	switch {
	case !s.Covers("@target-uri") && (!s.Covers("@authority") || !s.Covers("@path")):
		return unsigned(`it must cover "@target-uri", or "@authority" and "@path"`)
	case !s.Covers("@method") || !s.Covers("content-digest") || !s.Covers("authorization"):
		return unsigned(`it must cover "@method", "content-digest" and "authorization"`)
	case s.Created.IsZero() || s.Nonce == "" || len(s.Nonce) > maxNonce:
		return unsigned("it must say created, and a nonce of at most %d characters", maxNonce)
	case now.Sub(s.Created) > RequestAge || s.Created.Sub(now) > RequestAhead:
		return unsigned("it was created at %s, and it is %s: want at most %s between", s.Created.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339), RequestAge)
	case !s.Expires.IsZero() && !now.Before(s.Expires):
		return unsigned("it has expired")
	}
	return nil
}

// requestKey is a key of the credential whose client the principal is. One that is not known may be new.
func (i *Issuer) requestKey(ctx context.Context, p Principal, id string) (httpsig.Key, error) {
	if p.Kind != Backend {
		return httpsig.Key{}, unsigned("there are no keys but of a backend's credential")
	}
	var c *Credential
	found, err := i.credential(p.Subject).search(ctx, func(now *Credential) bool {
		c = now
		return !c.inForce(p.Merchant) || c.Signing.find(id) >= 0 // of one that was revoked nothing is new
	})
	switch {
	case err != nil:
		return httpsig.Key{}, err
	case !found:
		return httpsig.Key{}, unsigned("the credential has no key %q", id)
	case !c.inForce(p.Merchant):
		return httpsig.Key{}, unsigned("the credential was revoked")
	}
	return c.Signing.Keys[c.Signing.find(id)].key(), nil
}
