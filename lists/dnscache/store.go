package dnscache

import (
	"hash/maphash"
	"net/netip"
	"sync"

	"ehlogate/lists/dnsclient"
)

// Key is a question about an address or name.
type Key struct {
	upstream uint32     // set by the Upstream
	Addr     netip.Addr // of the client, unmapped; zero for a question about a name
	Name     string     // of the client, for a question about a name
}

// entry is what is cached for a question. Times are in ns since the start of the cache.
type entry struct {
	text      string         // the answer
	arrivedAt int64          // of text
	expiresAt int64          // of text
	failedAt  int64          // of the last query, if failed
	answered  bool           // text is valid
	failed    bool           // a query, since there was an answer
	failure   dnsclient.Kind // of the last query, if failed
}

// shard is a part of the cache with a lock of its own: with one lock for all, two cores take a third longer, and a flush
// blocks all lookups.
type shard struct {
	mu       sync.Mutex
	answers  ring
	inFlight map[Key]chan struct{} // the queries in flight; closed when what came of one is in the cache
	_        [64]byte              // so that two locks do not share a cache line
}

// store has the answers that were used lately, and the queries in flight.
type store struct {
	seed   maphash.Seed
	shards []shard // a power of two
}

// newStore makes a store of so many entries. A small one has a single shard, since one of several that happened to get
// more questions than the others would forget too soon.
func newStore(entries int) *store {
	const most, least = 16, 512
	n := 1
	for n < most && entries/(2*n) >= least {
		n *= 2
	}
	s := &store{seed: maphash.MakeSeed(), shards: make([]shard, n)}
	for i := range s.shards {
		s.shards[i].answers, s.shards[i].inFlight = newRing(max(entries/n, 1)), make(map[Key]chan struct{})
	}
	return s
}

// find returns the shard of k, and its hash. The answers of all upstreams about a client are in one shard, and beside each
// other there as a rule, since they arrive together. The seed keeps an attacker from choosing addresses that evict those of
// one shard, or have the hash of another.
func (s *store) find(k *Key) (*shard, uint64) {
	addr := k.Addr.As16()
	h := maphash.Bytes(s.seed, addr[:])
	if k.Name != "" {
		h += maphash.String(s.seed, k.Name)
	}
	return &s.shards[h&uint64(len(s.shards)-1)], h + uint64(k.upstream)
}

// removeWhere removes the entries for which drop returns true.
func (s *store) removeWhere(drop func(Key, *entry) bool) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		sh.answers.removeWhere(drop)
		sh.mu.Unlock()
	}
}

func (s *store) count() (n int) {
	for i := range s.shards {
		s.shards[i].mu.Lock()
		n += len(s.shards[i].answers.slots)
		s.shards[i].mu.Unlock()
	}
	return n
}
