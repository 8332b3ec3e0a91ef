package dnscache

import (
	"hash/maphash"
	"net/netip"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"ehlogate/lists/breaker"
)

// Key is a question: to which upstream, and about which address or name.
type Key struct {
	upstream uint32
	addr     [16]byte // of the client, IPv4 as IPv4-mapped; zero for a question about a name
	name     string   // of the client, for a question about a name
}

// Addr returns the address that the question is about.
func (k *Key) Addr() netip.Addr { return netip.AddrFrom16(k.addr).Unmap() }

// Name returns the name that the question is about; "" if it is about an address.
func (k *Key) Name() string { return k.name }

func (k *Key) isIPv6() bool { return k.name == "" && !netip.AddrFrom16(k.addr).Is4In6() }

// entry is what is cached for a question. Times are in ns since the start of the cache.
type entry struct {
	text      string          // the answer
	arrivedAt int64           // of text
	expiresAt int64           // of text
	failedAt  int64           // of the last query, if failure is not 0
	answered  bool            // text is valid
	failure   breaker.Failure // of the last query, since there was an answer
}

// shard is a part of the cache with a lock of its own: with one lock for all, two cores take a third longer, and a flush
// blocks all lookups.
type shard struct {
	mu       sync.Mutex
	entries  *simplelru.LRU[Key, entry]
	inFlight map[Key]*call
	_        [64]byte // so that two locks do not share a cache line
}

// store has the most recently used answers, and the queries in flight.
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
		lru, err := simplelru.NewLRU[Key, entry](max(entries/n, 1), nil)
		if err != nil {
			panic(err) // a size below 1
		}
		s.shards[i].entries, s.shards[i].inFlight = lru, make(map[Key]*call)
	}
	return s
}

// shard returns the shard of k. The seed keeps an attacker from choosing addresses that evict those of one shard.
func (s *store) shard(k *Key) *shard {
	if len(s.shards) == 1 {
		return &s.shards[0]
	}
	var h uint64
	if k.name != "" {
		h = maphash.String(s.seed, k.name)
	} else {
		h = maphash.Bytes(s.seed, k.addr[:])
	}
	return &s.shards[(h+uint64(k.upstream))&uint64(len(s.shards)-1)]
}

// peekEntry returns the entry of k without making it recently used, and whether a query is in flight.
func (s *store) peekEntry(k *Key) (e entry, inFlight bool) {
	sh := s.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e, _ = sh.entries.Peek(*k)
	return e, sh.inFlight[*k] != nil
}

// removeWhere removes the entries for which drop returns true.
func (s *store) removeWhere(drop func(*Key, *entry) bool) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for _, k := range sh.entries.Keys() {
			if e, ok := sh.entries.Peek(k); ok && drop(&k, &e) {
				sh.entries.Remove(k)
			}
		}
		sh.mu.Unlock()
	}
}

// count returns how many entries there are.
func (s *store) count() (n int) {
	for i := range s.shards {
		s.shards[i].mu.Lock()
		n += s.shards[i].entries.Len()
		s.shards[i].mu.Unlock()
	}
	return n
}
