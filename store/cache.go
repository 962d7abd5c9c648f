package store

import (
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
)

// Limits of what is kept in memory between batches.
const (
	maxCachedMerchants = 4_096
	maxCachedAccounts  = 200_000 // of all merchants together, some 400 bytes each
)

// provenOften is after how many batches in a row a merchant is taken to be this process's alone. Where merchants' requests go to any of several
// nodes it is hardly ever reached.
const provenOften = 4

// mostDoubt bounds how many more batches it takes where that was wrong, or where keys came that were known: twice as many each time.
const mostDoubt = 256

// caches keep the heads and accounts of merchants between their batches, each under the stamp of the commit that it knows of. A process has one
// batch of a merchant in flight, which alone looks at the merchant's cache. The head shows the stamp of the last commit on any node, so that
// an equal stamp proves that nobody else has changed anything: either the lock shows it before the cache is used, or the batch is
// written only if it is still there.
type caches struct {
	mu       sync.Mutex
	accounts int
	of       *lru.Cache[merchant.ID, *cache]
}

type cache struct {
	head     head
	proven   int // the batches in a row before which nobody else had committed; below zero: they count for nothing yet
	doubt    int // how far below zero the last refutation took it
	counted  int
	accounts map[ledger.AccountID]*account
	inner    map[command.Inner]*account
}

func newCaches() *caches {
	c := &caches{}
	c.of, _ = lru.NewWithEvict(maxCachedMerchants, func(_ merchant.ID, gone *cache) { c.accounts -= gone.counted })
	return c
}

// current gives a batch what is cached under the stamp of its head, or nothing.
func (c *caches) current(b *batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.of.Get(b.merchant)
	if ok {
		b.proven, b.doubt = min(0, known.proven+1), known.doubt
	}
	if ok && known.head.stamp == b.head.stamp {
		b.accounts, b.inner, b.proven = known.accounts, known.inner, known.proven+1
		return
	}
	c.of.Remove(b.merchant)
	b.accounts, b.inner = map[ledger.AccountID]*account{}, map[command.Inner]*account{}
}

// assume gives a batch what is cached, its head too, if it is likely that nobody else has committed since.
func (c *caches) assume(b *batch) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.of.Get(b.merchant)
	if !ok || known.proven < provenOften {
		return false
	}
	b.head, b.accounts, b.inner, b.proven, b.doubt = known.head, known.accounts, known.inner, known.proven, known.doubt
	return true
}

// keep puts what a batch has committed under its new stamp.
func (c *caches) keep(b *batch, stamp int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of.Remove(b.merchant)
	c.of.Add(b.merchant, &cache{
		head: head{b.head.sequence, b.head.hash, b.t, stamp, b.head.plans}, proven: b.proven, doubt: b.doubt,
		counted: len(b.accounts), accounts: b.accounts, inner: b.inner,
	})
	c.accounts += len(b.accounts)
	for c.accounts > maxCachedAccounts {
		c.of.RemoveOldest()
	}
}

// refute forgets what a batch assumed, and doubts its merchant longer than before. Its accounts are as the batch would have left them.
func (c *caches) refute(b *batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of.Remove(b.merchant)
	doubt := min(max(provenOften, 2*b.doubt), mostDoubt)
	c.of.Add(b.merchant, &cache{
		proven: -doubt, doubt: doubt, accounts: map[ledger.AccountID]*account{}, inner: map[command.Inner]*account{},
	})
}

// drop forgets a merchant, after a commit that failed or whose outcome is unknown.
func (c *caches) drop(m merchant.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of.Remove(m)
}
