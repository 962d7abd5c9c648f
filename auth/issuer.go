package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/paygraph/paygraph/auth/httpsig"
	"github.com/paygraph/paygraph/quota"
)

// How long access tokens live. One whose credential was revoked ends within CredentialAge at each node, one whose signing key was deleted when its time is up.
const (
	DefaultTTL = 15 * time.Minute
	MinTTL     = time.Second
	MaxTTL     = 24 * time.Hour
)

// maxRemembered is how many verified tokens a node remembers, in about 300 bytes each.
const maxRemembered = 20_000

// ErrUnauthenticated says that a credential was shown and is not good. It is wrapped with the reason, for the log.
var ErrUnauthenticated = errors.New("not authenticated")

// ErrEnded says of a token that it was good once. It is ErrUnauthenticated, too: whoever shows it does not guess.
var ErrEnded = fmt.Errorf("%w: it has ended, or its credential was revoked", ErrUnauthenticated)

func unauthenticated(reason string) error {
	return fmt.Errorf("%w: %s", ErrUnauthenticated, reason)
}

// Config is what an Issuer needs. All but TTL, Strangers, Address, Outside, Now and Log must be given.
type Config struct {
	Issuer      string        // the gateway's own URL as clients know it, scheme and host only: "https://pay.example"
	Audience    string        // what the tokens are for (aud): the URL of the GraphQL API
	TTL         time.Duration // how long a token lives, from MinTTL to MaxTTL in whole seconds; 0 means DefaultTTL
	Keys        KeyStore
	Credentials CredentialStore
	Strangers   *quota.Strangers               // bounds failures to sign in; nil means one of its own
	Address     func(*http.Request) netip.Addr // where a request comes from; nil means the connection's other end
	Outside     []Outside                      // others whose tokens are taken too
	Now         func() time.Time               // nil means time.Now
	Log         *slog.Logger                   // nil means slog.Default()
}

// Issuer issues access tokens to merchants' backends and verifies them, and those of outside issuers. It is safe for concurrent use.
type Issuer struct {
	config    Config
	keyring   *keyring
	providers map[string]*provider // by what their tokens have as iss

	// verified remembers tokens by their hash: so nothing that can be used is kept, and the time of a look-up tells nothing about
	// a token that is known.
	verified *lru.Cache[[sha256.Size]byte, verified]

	known  *lru.Cache[string, *remembered[*Credential]] // credentials by client id
	target httpsig.Target                               // where clients send requests to

	counted struct{ verified, remembered, refused atomic.Int64 }
}

// Stats counts the access tokens that were shown since the start.
type Stats struct {
	Verified   int64 // by their signatures, and good
	Remembered int64 // that had been verified before
	Refused    int64 // that could not be verified, or were not good
}

// Stats says how many tokens were shown.
func (i *Issuer) Stats() Stats {
	return Stats{i.counted.verified.Load(), i.counted.remembered.Load(), i.counted.refused.Load()}
}

// verified is who has shown a token, and when the token has to be verified again.
type verified struct {
	Principal
	until time.Time
}

// New checks the configuration, reads the signing keys and, where there is none, makes the first.
func New(ctx context.Context, c Config) (*Issuer, error) {
	if c.TTL == 0 {
		c.TTL = DefaultTTL
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Strangers == nil {
		c.Strangers = quota.NewStrangers(c.Now)
	}
	if c.Address == nil {
		c.Address = quota.Proxies(nil).Client
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	keyring, err := openKeyring(ctx, c.Keys, c.Now, c.Log)
	if err != nil {
		return nil, err
	}
	verified, err := lru.New[[sha256.Size]byte, verified](maxRemembered)
	if err != nil {
		return nil, err
	}
	known, err := lru.New[string, *remembered[*Credential]](maxCredentials)
	if err != nil {
		return nil, err
	}
	scheme, authority, _ := strings.Cut(c.Issuer, "://")
	i := &Issuer{config: c, keyring: keyring, verified: verified, known: known, target: httpsig.Target{Scheme: scheme, Authority: authority}}
	i.providers, err = i.config.providers()
	return i, err
}

// check is about what RFC 8414, section 2, asks of an issuer, with less freedom: a path would move the metadata elsewhere.
func (c Config) check() error {
	u, err := url.Parse(c.Issuer)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || c.Issuer != u.Scheme+"://"+u.Host {
		return fmt.Errorf("issuer %q: want scheme and host, such as https://pay.example", c.Issuer)
	}
	if c.TTL < MinTTL || c.TTL > MaxTTL || c.TTL%time.Second != 0 {
		return fmt.Errorf("token TTL %s: want whole seconds from %s to %s", c.TTL, MinTTL, MaxTTL)
	}
	if c.Audience == "" || c.Keys == nil || c.Credentials == nil {
		return errors.New("audience, key store and credential store must be given")
	}
	return nil
}

// Remembers says whether a token was found good here before, so that nobody guesses who shows it.
func (i *Issuer) Remembers(token string) bool {
	return len(token) <= MaxToken && i.verified.Contains(hashOf(token))
}

// hashOf is by what a token of up to MaxToken is remembered.
func hashOf(token string) [sha256.Size]byte {
	var room [MaxToken]byte // on the stack, where a conversion would allocate
	return sha256.Sum256(room[:copy(room[:], token)])
}

// Authenticate says who sends this Authorization header. None at all, "", is Nobody and no error. Give it the request's headers
// joined by ", ", so that two of them are refused as one with two tokens is. The scheme is Bearer, in any case (RFC 6750, section
// 2.1; RFC 9110, section 11.1).
//
// Errors: ErrUnauthenticated for a credential that is not good; ErrAway where an outside issuer cannot be asked; any other is a store's. With the last two a
// later try may succeed.
func (i *Issuer) Authenticate(ctx context.Context, authorization string) (Principal, error) {
	if authorization == "" {
		return Nobody, nil
	}
	scheme, token, _ := strings.Cut(authorization, " ")
	token = strings.Trim(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return Principal{}, unauthenticated("want Bearer and a token")
	}
	if len(token) > MaxToken {
		return Principal{}, unauthenticated("it is too long")
	}
	hash := hashOf(token)
	now := i.config.Now()
	v, known := i.verified.Get(hash)
	if known && now.Before(v.until) {
		i.counted.remembered.Add(1)
	} else {
		i.verified.Remove(hash)
		var err error
		if v.Principal, err = i.verify(ctx, token); err != nil {
			i.counted.refused.Add(1)
			return Principal{}, err
		}
		i.counted.verified.Add(1)
		if !now.Before(v.Expires) {
			return Principal{}, ErrEnded
		}
		v.until = v.Expires
		if soon := now.Add(outsideAge); v.Kind == Staff && soon.Before(v.until) { // its issuer may have withdrawn the key
			v.until = soon
		}
		i.verified.Add(hash, v)
	}
	return i.InForce(ctx, v.Principal)
}
