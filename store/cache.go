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

// caches keep the accounts of merchants between their batches, each under the stamp of the commit that it knows of. Only who has
// locked a merchant's head looks at the merchant's cache, and a process has one batch of a merchant in flight; the lock shows the
// stamp of the last commit on any node, so that an equal stamp proves that nobody else has changed anything.
type caches struct {
	mu       sync.Mutex
	accounts int
	of       *lru.Cache[merchant.ID, *cache]
}

type cache struct {
	stamp    int64
	counted  int
	accounts map[ledger.AccountID]*account
	inner    map[command.Inner]*account
}

func newCaches() *caches {
	c := &caches{}
	c.of, _ = lru.NewWithEvict(maxCachedMerchants, func(_ merchant.ID, gone *cache) { c.accounts -= gone.counted })
	return c
}

// current is what is cached under the stamp, or nothing.
func (c *caches) current(m merchant.ID, stamp int64) (map[ledger.AccountID]*account, map[command.Inner]*account) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.of.Get(m); ok && known.stamp == stamp {
		return known.accounts, known.inner
	}
	c.of.Remove(m)
	return map[ledger.AccountID]*account{}, map[command.Inner]*account{}
}

// keep puts what a batch has committed under its new stamp.
func (c *caches) keep(b *batch, stamp int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of.Remove(b.merchant)
	c.of.Add(b.merchant, &cache{stamp: stamp, counted: len(b.accounts), accounts: b.accounts, inner: b.inner})
	c.accounts += len(b.accounts)
	for c.accounts > maxCachedAccounts {
		c.of.RemoveOldest()
	}
}

// drop forgets a merchant, after a commit that failed or whose outcome is unknown.
func (c *caches) drop(m merchant.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of.Remove(m)
}
