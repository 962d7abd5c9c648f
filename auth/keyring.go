package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
)

// When keys are read, used and forgotten. A key signs only after every node, and everybody who caches the key set, has had the time
// to read it; and it is believed until the last token that it can have signed has ended.
const (
	keysAge       = time.Minute              // keys older than this are read again before they are used
	keysRetry     = 3 * time.Second          // the least time from one reading to the next, also for an unknown kid
	keysTimeout   = 2 * time.Second          // how long a reading may take
	keySetMaxAge  = 5 * time.Minute          // how long others may cache the key set
	keyRetirement = MaxTTL + 2*KeyActivation // how long a key is believed after the next one was made
)

// KeyActivation is how old a key is before it signs, unless it is the first.
const KeyActivation = 2 * keySetMaxAge

// keyring is one node's copy of the signing keys.
type keyring struct{ copy remembered[*keys] }

// keys is what was read at one time. It does not change.
type keys struct {
	signing jwk.Key            // private
	public  map[string]jwk.Key // by kid
	set     []byte             // the key set, as JSON (RFC 7517, section 5)
}

// openKeyring reads the keys and makes the first one where there is none.
func openKeyring(ctx context.Context, store KeyStore, now func() time.Time, log *slog.Logger) (*keyring, error) {
	r := &keyring{remembered[*keys]{what: "the signing keys", age: keysAge, retry: keysRetry, timeout: keysTimeout, now: now, log: log}}
	r.copy.load = func(ctx context.Context) (*keys, error) {
		stored, err := store.SigningKeys(ctx)
		if err != nil {
			return nil, err
		}
		return choose(stored, now(), log)
	}
	stored, err := store.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the signing keys: %w", err)
	}
	if len(stored) == 0 {
		if err := addKey(ctx, store, "", now()); err != nil {
			return nil, err
		}
	}
	if _, err := r.get(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// RotateKeys adds a signing key, unless somebody else does so at the same time. It takes over after KeyActivation, at all nodes; what the old key
// signed stays good until it ends.
func RotateKeys(ctx context.Context, store KeyStore, now time.Time) error {
	stored, err := store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("read the signing keys: %w", err)
	}
	previous := ""
	if len(stored) > 0 {
		previous = stored[0].ID
	}
	return addKey(ctx, store, previous, now)
}

// addKey makes a key that follows the one named, unless another node does so first.
func addKey(ctx context.Context, store KeyStore, previous string, now time.Time) error {
	key, err := newSigningKey(previous, now)
	if err != nil {
		return fmt.Errorf("make a signing key: %w", err)
	}
	if err := store.AddSigningKey(ctx, key); err != nil {
		return fmt.Errorf("add a signing key: %w", err)
	}
	return nil
}

// get returns the keys, read again if that is due. A keyring is opened with keys, so that the one error is the context's.
func (r *keyring) get(ctx context.Context) (*keys, error) { return r.copy.get(ctx) }

// find returns the public key of a token. A kid that is not known may be another node's new key: then the keys are read again, but
// no more often than keysRetry, since strangers can invent kids. Errors: ErrUnauthenticated, or the store's.
func (r *keyring) find(ctx context.Context, kid string) (jwk.Key, error) {
	var key jwk.Key
	found, err := r.copy.search(ctx, func(k *keys) (is bool) {
		key, is = k.public[kid]
		return is
	})
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, unauthenticated("its key is not known")
	}
	return key, nil
}

// choose sorts out which keys sign and verify at a time. Of stored, newest first, a key is over when its successor is old enough.
func choose(stored []SigningKey, now time.Time, log *slog.Logger) (*keys, error) {
	k := &keys{public: make(map[string]jwk.Key, len(stored))}
	set, active := jwk.NewSet(), false
	for i, s := range stored {
		if i > 0 && now.Sub(stored[i-1].CreatedAt) > keyRetirement {
			break
		}
		private, err := s.jwk()
		if err != nil {
			log.Error("a signing key cannot be used", "error", err)
			continue
		}
		public, err := private.PublicKey()
		if err != nil {
			return nil, err
		}
		if err := set.AddKey(public); err != nil {
			return nil, err
		}
		k.public[s.ID] = public
		if !active { // the newest that is active; of keys that are all new, the oldest
			k.signing, active = private, now.Sub(s.CreatedAt) >= KeyActivation
		}
	}
	if k.signing == nil {
		return nil, errors.New("there is no signing key that can be used")
	}
	var err error
	k.set, err = json.Marshal(set)
	return k, err
}
