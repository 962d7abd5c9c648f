package quota

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// What a network may do before anybody has shown who it is.
const (
	Failures       = 20               // to sign in, one after the other
	FailuresBack   = 10               // a second: how fast they are forgiven. Secrets cannot be guessed at any pace; it is the looking that is bounded
	Handshakes     = 2048             // WebSockets that begin at once, and of those how many are not acknowledged yet; more have to wait
	HandshakesBack = 250              // a second that begin for long
	HandshakeWait  = 30 * time.Second // the longest that one waits for all of that

	strangers = 16_384 // that are remembered, in about 500 bytes each
)

// Strangers bounds what those do who have not shown yet who they are, by network. It is safe for concurrent use.
type Strangers struct {
	now func() time.Time

	mu       sync.Mutex
	failed   *simplelru.LRU[Key, *rate.Limiter]
	known    *simplelru.LRU[Key, struct{}] // who has signed in from where
	networks *simplelru.LRU[netip.Addr, *network]
}

// network is where WebSockets come from.
type network struct {
	pace  *rate.Limiter
	slots chan struct{} // has one for each that is not acknowledged
}

// NewStrangers knows nobody. now is time.Now, but for tests.
func NewStrangers(now func() time.Time) *Strangers {
	s := &Strangers{now: now}
	s.failed, _ = simplelru.NewLRU[Key, *rate.Limiter](strangers, nil) // the sizes are some
	s.known, _ = simplelru.NewLRU[Key, struct{}](strangers, nil)
	s.networks, _ = simplelru.NewLRU[netip.Addr, *network](strangers, nil)
	return s
}

// Blocked is how long nobody who comes from an address is looked at, since too many there have failed to sign in; 0: whoever comes is. Who has signed in from
// there before has failures of its own, so that others' are not in its way. name is who it says it is; "": it does not.
func (s *Strangers) Blocked(from netip.Addr, name string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	left, ok := s.failed.Get(s.key(from, name))
	if !ok {
		return 0
	}
	missing := 1 - left.TokensAt(s.now())
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing*1000/FailuresBack+1) * time.Millisecond
}

// Failed notes that somebody has failed to sign in.
func (s *Strangers) Failed(from netip.Addr, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.key(from, name)
	left, ok := s.failed.Get(k)
	if !ok {
		left = rate.NewLimiter(FailuresBack, Failures)
		s.failed.Add(k, left)
	}
	left.AllowN(s.now(), 1)
}

// SignedIn notes that somebody is who it says it is.
func (s *Strangers) SignedIn(from netip.Addr, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known.Add(Key{Name: name, Address: Network(from)}, struct{}{})
}

// key is whose failures count for somebody: its own if it is known, else those of all who come from there. mu is held.
func (s *Strangers) key(from netip.Addr, name string) Key {
	own := Key{Name: name, Address: Network(from)}
	if _, ok := s.known.Get(own); ok {
		return own
	}
	return Key{Address: own.Address}
}

// Begin waits until a WebSocket may begin from an address: until few enough from there are not acknowledged, and its turn has come, at the pace of its network.
// done says that it is acknowledged, or has ended. Error: that the context has ended, or would before.
func (s *Strangers) Begin(ctx context.Context, from netip.Addr) (done func(), err error) {
	n := s.network(from)
	select {
	case n.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	done = sync.OnceFunc(func() { <-n.slots })
	if err := n.pace.Wait(ctx); err != nil {
		done()
		return nil, err
	}
	return done, nil
}

func (s *Strangers) network(from netip.Addr) *network {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.networks.Get(Network(from))
	if !ok {
		n = &network{pace: rate.NewLimiter(HandshakesBack, Handshakes), slots: make(chan struct{}, Handshakes)}
		s.networks.Add(Network(from), n)
	}
	return n
}
