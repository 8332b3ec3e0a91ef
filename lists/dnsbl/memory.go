package dnsbl

import (
	"hash/maphash"
	"net/netip"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// key is a question: to whom, and about which address or name.
type key struct {
	of   uint32   // origin.id
	addr [16]byte // of the client, IPv4 as IPv4-mapped; zero if it is asked by name
	name string   // of the client, if it is asked by name
}

func (k *key) address() netip.Addr { return netip.AddrFrom16(k.addr).Unmap() }

func (k *key) is6() bool { return k.name == "" && !netip.AddrFrom16(k.addr).Is4In6() }

// entry is what is remembered of a question. Times are in ns since the start
// of the service.
type entry struct {
	said   string // "": there is nothing. Of a list three bytes for each answer: what stands behind 127
	came   int64  // when that was
	ends   int64  // when it no longer counts
	failed int64  // when asking failed last, if why says that it did
	known  bool   // it was answered once
	why    reason // that asking failed since
}

// cache remembers answers, the most recently used ones, and what is in flight.
type cache struct {
	seed   maphash.Seed
	shards []shard // a power of two
}

// shard is a part of memory with a lock of its own: with one lock for all, two
// cores take a third longer, and whoever forgets a zone stops everybody.
type shard struct {
	mu      sync.Mutex
	entries *simplelru.LRU[key, entry]
	flights map[key]*call
	_       [64]byte // so that two locks are not in one line of the cache
}

// newCache is for so many entries. Few are kept in one shard, as one that
// happened to get more questions than others would forget too soon.
func newCache(entries int) *cache {
	const most, least = 16, 512
	n := 1
	for n < most && entries/(2*n) >= least {
		n *= 2
	}
	m := &cache{seed: maphash.MakeSeed(), shards: make([]shard, n)}
	for i := range m.shards {
		lru, err := simplelru.NewLRU[key, entry](max(entries/n, 1), nil)
		if err != nil {
			panic(err) // a size below 1
		}
		m.shards[i].entries, m.shards[i].flights = lru, make(map[key]*call)
	}
	return m
}

// shard gives the one for k. The seed keeps anybody from choosing addresses
// that push out those of a certain shard.
func (m *cache) shard(k *key) *shard {
	if len(m.shards) == 1 {
		return &m.shards[0]
	}
	var h uint64
	if k.name != "" {
		h = maphash.String(m.seed, k.name)
	} else {
		h = maphash.Bytes(m.seed, k.addr[:])
	}
	return &m.shards[(h+uint64(k.of))&uint64(len(m.shards)-1)]
}

// peek gives what is known of k, without making it recently used.
func (m *cache) peek(k *key) (e entry, f *call) {
	sh := m.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e, _ = sh.entries.Peek(*k)
	return e, sh.flights[*k]
}

// drop forgets entries.
func (m *cache) drop(gone func(*key, *entry) bool) {
	for i := range m.shards {
		sh := &m.shards[i]
		sh.mu.Lock()
		for _, k := range sh.entries.Keys() {
			if e, ok := sh.entries.Peek(k); ok && gone(&k, &e) {
				sh.entries.Remove(k)
			}
		}
		sh.mu.Unlock()
	}
}

// len is how many entries there are.
func (m *cache) len() (n int) {
	for i := range m.shards {
		m.shards[i].mu.Lock()
		n += m.shards[i].entries.Len()
		m.shards[i].mu.Unlock()
	}
	return n
}
