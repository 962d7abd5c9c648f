package certificate

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme/autocert"
)

// Shared is what all nodes keep together, by name.
type Shared interface {
	// SharedValue is what is kept under a name; nil: nothing.
	SharedValue(ctx context.Context, name string) ([]byte, error)

	// ShareValue keeps a value in the place of what was there, and ends a reservation.
	ShareValue(ctx context.Context, name string, value []byte) error

	// ForgetValue forgets what is kept under a name, if there is anything.
	ForgetValue(ctx context.Context, name string) error

	// ReserveValue says whether a node may make the next value, and nobody else for so long.
	ReserveValue(ctx context.Context, name, node string, howLong time.Duration) (bool, error)
}

const (
	reservation = 2 * time.Minute // for an order; after it another node may try
	sharedAgain = time.Second     // from one look for another node's certificate to the next
)

// longestRenewal is the longest before a certificate's end that it is renewed.
const longestRenewal = 30 * 24 * time.Hour

// renewBefore is how long before its end a certificate is renewed, as autocert does it.
func renewBefore(c *x509.Certificate) time.Duration {
	return min(c.NotAfter.Sub(c.NotBefore)/3, longestRenewal)
}

// cache is what autocert keeps, for all nodes. The certificate is given to whoever may have a new one made, where it is due: autocert looks for it here
// before it asks the authority.
type cache struct {
	host   string
	node   string
	shared atomic.Pointer[sealed]
	given  atomic.Bool // the certificate, to this node: it has one to show while it waits
	ending context.Context
	end    context.CancelFunc
}

func newCache(host string) *cache {
	c := &cache{host: host, node: rand.Text()}
	c.ending, c.end = context.WithCancel(context.Background())
	return c
}

var errNotStarted = errors.New("the gateway is starting")

// challengeToken is what an authority may ask for (RFC 8555, section 8.3), in the alphabet of base64url.
var challengeToken = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// Get returns what is kept under a name. Of a certificate that is missing or due, it waits until this node may ask for one, or another one has it. Errors:
// autocert.ErrCacheMiss, the context's, and the store's.
func (c *cache) Get(ctx context.Context, name string) ([]byte, error) {
	shared := c.shared.Load()
	if shared == nil {
		return nil, errNotStarted
	}
	if name != c.host {
		token, isAnswer := strings.CutSuffix(name, "+http-01")
		if isAnswer && !challengeToken.MatchString(token) {
			return nil, autocert.ErrCacheMiss
		}
		value, err := shared.get(ctx, name)
		if isAnswer && err != nil { // strangers ask, and autocert tells them what went wrong
			err = autocert.ErrCacheMiss
		}
		return value, err
	}
	for {
		value, due, err := c.look(ctx, shared)
		switch {
		case err == nil && (!due || value != nil && !c.given.Load()):
			c.given.Store(true)
			return value, nil
		case err != nil && !c.given.Load():
			return nil, err
		case err == nil:
			mine, _ := shared.ReserveValue(ctx, name, c.node, reservation)
			if mine { // another one may have had it before
				return shared.get(ctx, name)
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.ending.Done():
			return nil, c.ending.Err()
		case <-time.After(sharedAgain):
		}
	}
}

// look finds the certificate, nil where there is none that is good, and says whether one has to be made.
func (c *cache) look(ctx context.Context, shared *sealed) (value []byte, due bool, err error) {
	value, err = shared.get(ctx, c.host)
	if errors.Is(err, autocert.ErrCacheMiss) {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	_, rest := pem.Decode(value) // the key
	block, _ := pem.Decode(rest)
	if block == nil {
		return nil, true, nil
	}
	if leaf, err := x509.ParseCertificate(block.Bytes); err == nil && time.Now().Before(leaf.NotAfter) {
		return value, time.Now().After(leaf.NotAfter.Add(-renewBefore(leaf))), nil
	}
	return nil, true, nil
}

// Put keeps a value.
func (c *cache) Put(ctx context.Context, name string, value []byte) error {
	shared := c.shared.Load()
	if shared == nil {
		return errNotStarted
	}
	if name == c.host {
		c.given.Store(true)
	}
	return shared.ShareValue(ctx, name, shared.aead.Seal(nil, nil, value, []byte(name)))
}

// Delete forgets a value.
func (c *cache) Delete(ctx context.Context, name string) error {
	shared := c.shared.Load()
	if shared == nil {
		return errNotStarted
	}
	return shared.ForgetValue(ctx, name)
}

// sealed is what is shared, encrypted: AES-256-GCM with a random nonce (NIST SP 800-38D), so that no value can be read, changed or put under another name in
// the table alone.
type sealed struct {
	Shared
	aead cipher.AEAD
}

func newSealed(shared Shared, secret []byte) (*sealed, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &sealed{shared, aead}, err
}

// get opens a value. What cannot be opened, as after the secret was changed, is as if it were not there. Error: autocert.ErrCacheMiss.
func (s *sealed) get(ctx context.Context, name string) ([]byte, error) {
	value, err := s.SharedValue(ctx, name)
	if err != nil {
		return nil, err
	}
	if value == nil {
		return nil, autocert.ErrCacheMiss
	}
	text, err := s.aead.Open(nil, nil, value, []byte(name))
	if err != nil {
		return nil, autocert.ErrCacheMiss
	}
	return text, nil
}
