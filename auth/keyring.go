package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
)

// When keys are read, used and forgotten. A key signs only after every node, and everybody who caches the key set, has had the time
// to read it; and it is believed until the last token that it can have signed has ended.
const (
	keysAge       = time.Minute              // keys older than this are read again before they are used
	keysRetry     = 3 * time.Second          // the least time between two readings, also for an unknown kid
	keysTimeout   = 2 * time.Second          // how long a reading may take
	keySetMaxAge  = 5 * time.Minute          // how long others may cache the key set
	keyActivation = 2 * keySetMaxAge         // how old a key is before it signs, unless it is the first
	keyRetirement = MaxTTL + 2*keyActivation // how long a key is believed after the next one was made
)

// keyring is one node's copy of the signing keys.
type keyring struct {
	store KeyStore
	now   func() time.Time
	log   *slog.Logger

	current atomic.Pointer[keys]

	mu     sync.Mutex // held while the keys are read
	tried  time.Time  // when they were read, or that was tried
	failed error      // what became of it
}

// keys is what was read at one time. It does not change.
type keys struct {
	read    time.Time
	newest  string             // the ID of the newest key, that the next one follows
	signing jwk.Key            // private
	public  map[string]jwk.Key // by kid
	set     []byte             // the key set, as JSON (RFC 7517, section 5)
}

// openKeyring reads the keys and makes the first one where there is none.
func openKeyring(ctx context.Context, store KeyStore, now func() time.Time, log *slog.Logger) (*keyring, error) {
	r := &keyring{store: store, now: now, log: log}
	stored, err := store.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the signing keys: %w", err)
	}
	if len(stored) == 0 {
		if err := r.add(ctx, ""); err != nil {
			return nil, err
		}
	}
	if err := r.read(ctx, 0); err != nil {
		return nil, err
	}
	return r, nil
}

// add makes a key that follows the one named, unless another node does so first.
func (r *keyring) add(ctx context.Context, previous string) error {
	key, err := newSigningKey(previous, r.now())
	if err != nil {
		return fmt.Errorf("make a signing key: %w", err)
	}
	if err := r.store.AddSigningKey(ctx, key); err != nil {
		return fmt.Errorf("add a signing key: %w", err)
	}
	return nil
}

// get returns the keys, read again if that is due. Where reading fails the old ones are good enough.
func (r *keyring) get(ctx context.Context) *keys {
	k := r.current.Load()
	if r.now().Sub(k.read) < keysAge || !r.mu.TryLock() { // whoever has the lock reads for all
		return k
	}
	defer r.mu.Unlock()
	_ = r.readLocked(ctx, keysRetry) // it is in the log
	return r.current.Load()
}

// find returns the public key of a token. A kid that is not known may be another node's new key: then the keys are read again, but
// no more often than keysRetry, since strangers can invent kids. Errors: ErrUnauthenticated, or the store's.
func (r *keyring) find(ctx context.Context, kid string) (jwk.Key, error) {
	if key, ok := r.get(ctx).public[kid]; ok {
		return key, nil
	}
	if err := r.read(ctx, keysRetry); err != nil {
		return nil, err
	}
	if key, ok := r.current.Load().public[kid]; ok {
		return key, nil
	}
	return nil, unauthenticated("its key is not known")
}

// read reads the keys, unless that was done or tried within the interval: then the answer is what came of that.
func (r *keyring) read(ctx context.Context, interval time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.readLocked(ctx, interval)
}

func (r *keyring) readLocked(ctx context.Context, interval time.Duration) error {
	now := r.now()
	if now.Sub(r.tried) < interval {
		return r.failed
	}
	// Others wait for this, so that it does not end with the request that happened to begin it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTimeout)
	defer cancel()
	stored, err := r.store.SigningKeys(ctx)
	if err == nil {
		var k *keys
		if k, err = r.choose(stored, now); err == nil {
			r.current.Store(k)
		}
	}
	if err != nil {
		err = fmt.Errorf("read the signing keys: %w", err)
		r.log.WarnContext(ctx, "the signing keys could not be read", "error", err)
	}
	r.tried, r.failed = now, err
	return err
}

// choose sorts out which keys sign and verify at a time. Of stored, newest first, a key is over when its successor is old enough.
func (r *keyring) choose(stored []SigningKey, now time.Time) (*keys, error) {
	k := &keys{read: now, public: make(map[string]jwk.Key, len(stored))}
	set, active := jwk.NewSet(), false
	for i, s := range stored {
		if i == 0 {
			k.newest = s.ID
		} else if now.Sub(stored[i-1].CreatedAt) > keyRetirement {
			break
		}
		private, err := s.jwk()
		if err != nil {
			r.log.Error("a signing key cannot be used", "error", err)
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
			k.signing, active = private, now.Sub(s.CreatedAt) >= keyActivation
		}
	}
	if k.signing == nil {
		return nil, errors.New("there is no signing key that can be used")
	}
	var err error
	k.set, err = json.Marshal(set)
	return k, err
}
