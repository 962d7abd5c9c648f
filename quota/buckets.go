package quota

import (
	"hash/maphash"
	"math"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// The shards and how many principals each remembers, in about 400 bytes each. One that is forgotten has a full bucket when it comes again.
const (
	shards  = 16
	inShard = 4096
)

// Buckets has one for each principal, in this node's memory. They are safe for concurrent use.
type Buckets struct {
	now    func() time.Time
	seed   maphash.Seed
	shards [shards]shard
}

// New makes buckets that are full. now is time.Now, but for tests.
func New(now func() time.Time) *Buckets {
	b := &Buckets{now: now, seed: maphash.MakeSeed()}
	for i := range b.shards {
		s := &b.shards[i]
		s.busy = map[Key]*bucket{}
		s.kept, _ = simplelru.NewLRU(inShard, func(k Key, left *bucket) { // the size is one
			if left.running+left.sockets > 0 {
				s.busy[k] = left
			}
		})
	}
	return b
}

// shard has some of the principals. Its lock is the only one that an operation takes.
type shard struct {
	mu   sync.Mutex
	kept *simplelru.LRU[Key, *bucket] // those that were used last
	busy map[Key]*bucket              // others of which something runs or is open: their counts must not be lost
}

// bucket is one principal's.
type bucket struct {
	points           *rate.Limiter
	running, sockets int
}

// Charge is what became of an operation's points.
type Charge struct {
	Requested int
	Available int // what the bucket has then
	Limits    Limits
	Refusal   Refusal
	Wait      time.Duration // with TooFast: until the bucket has enough, if nobody else takes of it
}

// Refusal is why an operation may not run, or a socket not be open. Who is refused has paid nothing.
type Refusal int

// The refusals.
const (
	Granted Refusal = iota
	TooFast         // the bucket has too little now
	TooMuch         // it never has enough: the operation costs more than the burst
	TooMany         // as many run, or are open, as may
)

// Place is what an operation or a socket has among those of its principal. It is given back once, by Leave; the zero value is none.
type Place struct {
	shard  *shard
	bucket *bucket
	key    Key
	socket bool
}

// Begin charges an operation, of whose points some are paid already. Where it is granted, and runs is true, the operation has a place until Leave.
func (b *Buckets) Begin(k Key, l Limits, points, paid int, runs bool) (Charge, Place) {
	s := b.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := b.now() // under the lock: a bucket whose time goes back is filled twice
	mine := s.bucket(k, l, now)
	charge := Charge{Requested: points, Limits: l}
	switch {
	case runs && mine.running >= int(l.AtOnce):
		charge.Refusal = TooMany
	case points > int(l.Burst):
		charge.Refusal = TooMuch
	case !mine.points.AllowN(now, points-paid):
		charge.Refusal = TooFast
	}
	left := mine.points.TokensAt(now)
	charge.Available = max(0, int(left))
	if charge.Refusal == TooFast {
		missing := (float64(points-paid) - left) / float64(l.PointsPerSecond) // seconds
		charge.Wait = time.Duration(math.Floor(missing*1000)+1) * time.Millisecond
	}
	if charge.Refusal != Granted || !runs {
		return charge, Place{}
	}
	mine.running++
	return charge, Place{shard: s, bucket: mine, key: k}
}

// Open gives a place to a socket, or refuses it with TooMany.
func (b *Buckets) Open(k Key, l Limits) (Place, Refusal) {
	s := b.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := s.bucket(k, l, b.now())
	if mine.sockets >= int(l.Sockets) {
		return Place{}, TooMany
	}
	mine.sockets++
	return Place{s, mine, k, true}, Granted
}

// Leave gives the place back. Again it does nothing.
func (p *Place) Leave() {
	if p.shard == nil {
		return
	}
	p.shard.mu.Lock()
	defer p.shard.mu.Unlock()
	if p.socket {
		p.bucket.sockets--
	} else {
		p.bucket.running--
	}
	if p.bucket.running+p.bucket.sockets == 0 {
		delete(p.shard.busy, p.key)
	}
	*p = Place{}
}

func (b *Buckets) shard(k Key) *shard { return &b.shards[maphash.Comparable(b.seed, k)%shards] }

// bucket finds a principal's, or makes a full one, with these limits from now on. mu is held.
func (s *shard) bucket(k Key, l Limits, now time.Time) *bucket {
	mine, ok := s.kept.Get(k)
	if !ok {
		if mine, ok = s.busy[k]; ok {
			delete(s.busy, k)
		} else {
			mine = &bucket{points: rate.NewLimiter(rate.Limit(l.PointsPerSecond), int(l.Burst))}
		}
		s.kept.Add(k, mine)
	}
	if mine.points.Limit() != rate.Limit(l.PointsPerSecond) {
		mine.points.SetLimitAt(now, rate.Limit(l.PointsPerSecond))
	}
	if mine.points.Burst() != int(l.Burst) {
		mine.points.SetBurstAt(now, int(l.Burst))
	}
	return mine
}
