package quota

// MostKept is how many principals are remembered of which nothing runs.
const MostKept = shards * inShard

// Len is how many principals are remembered.
func (b *Buckets) Len() (n int) {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		n += s.kept.Len() + len(s.busy)
		s.mu.Unlock()
	}
	return n
}
