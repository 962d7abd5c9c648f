package store

import (
	"sync"

	"github.com/paygraph/paygraph/merchant"
)

// inFlight knows which keys are being worked on for a caller of this process, so that who waits in vain for another's work can be
// told so. It decides nothing: the records of keys do.
type inFlight struct {
	mu   sync.Mutex
	keys map[scopedKey]int
}

type scopedKey struct {
	merchant merchant.ID
	key
}

// enter notes a key, and says whether nobody else is working on it. leave has to be called in the end.
func (f *inFlight) enter(m merchant.ID, k key) (first bool, leave func()) {
	scoped := scopedKey{m, k}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys[scoped]++
	return f.keys[scoped] == 1, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.keys[scoped]--; f.keys[scoped] == 0 {
			delete(f.keys, scoped)
		}
	}
}
