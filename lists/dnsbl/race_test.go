package dnsbl

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/iprev"
	"ehlogate/lists/test/dnsfake"
	"ehlogate/lists/test/listtest"
)

// Sessions, reloads, statistics and a resolver that comes and goes, all at once. All answers are right, and all ends.
func TestRace(t *testing.T) {
	b := dnsfake.NewBook()
	b.TTL, b.Negative = time.Second, time.Second
	const zones = 4
	for i := range zones {
		name := fmt.Sprintf("list%d.example", i)
		b.SetZone(name, nil)
		b.Set("test."+name+" A", "127.0.0.2")
		for n := range 64 { // each zone holds the even addresses, and their names
			b.Set(fmt.Sprintf("%d.0.0.11.%s A", 2*n, name), "127.0.0.2")
			b.Set(fmt.Sprintf("host%d.example.%s A", 2*n, name), "127.0.0.2")
		}
	}
	for n := range 128 {
		b.Set(fmt.Sprintf("%d.0.0.11.in-addr.arpa PTR", n), fmt.Sprintf("host%d.example.", n))
		b.Set(fmt.Sprintf("host%d.example A", n), fmt.Sprintf("11.0.0.%d", n))
	}
	cache := dnscache.New(dnscache.Options{MaxLookups: 50, CacheEntries: 300, MaxTTL: time.Hour, Stale: time.Minute}, time.Now, nil)
	s, names := New(cache, b), iprev.New(cache, b)
	spec := func(r *rand.Rand) (spec Spec) {
		spec.Threshold = 1 + r.IntN(2)
		for range 1 + r.IntN(3) {
			spec.Zones = append(spec.Zones, Zone{Domain: NewDomain(fmt.Sprintf("list%d.example", r.IntN(zones)), ""), ByName: r.IntN(2) == 0, Weight: 2, NoHealthCheck: r.IntN(3) == 0})
		}
		return spec
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var mu sync.RWMutex
	sources := []*List{s.List(spec(rand.New(rand.NewPCG(1, 2))))}
	var told [5]int
	var wg sync.WaitGroup
	each := func(n int, f func(r *rand.Rand)) {
		for i := range n {
			wg.Go(func() {
				for r := rand.New(rand.NewPCG(uint64(i), 1)); ctx.Err() == nil; {
					f(r)
				}
			})
		}
	}
	wg.Go(func() {
		cache.Run(ctx)
		if n := cache.Stats().InFlight; n != 0 {
			t.Errorf("%d in flight", n)
		}
	})
	each(8, func(r *rand.Rand) {
		n := r.IntN(128)
		c := lists.Client{Addr: netip.AddrFrom4([4]byte{11, 0, 0, byte(n)})}
		within, done := context.WithTimeout(ctx, time.Duration(r.IntN(3))*time.Millisecond)
		defer done()
		name, status := listtest.Verify(within, names, c.Addr)
		if status == lists.Matched && name != fmt.Sprintf("host%d.example", n) {
			t.Errorf("%s is %s", c.Addr, name)
		}
		if c.Name = name; status != lists.NoMatch && status != lists.Matched {
			c.NameStatus = status
		}
		mu.RLock()
		src := sources[r.IntN(len(sources))]
		mu.RUnlock()
		found := listtest.Lookup(within, src, c)
		if found.Status == lists.Matched && n%2 == 1 || found.Status == lists.NoMatch && n%2 == 0 {
			t.Errorf("%v is %s", c, word(found.Status))
		}
		if found.Status == lists.Matched && found.Entry(c.Addr).Text == "" {
			t.Error("held by nothing")
		}
		src.Trace(c)
		mu.Lock()
		told[found.Status]++
		mu.Unlock()
	})
	each(1, func(r *rand.Rand) {
		next := []*List{s.List(spec(r)), s.List(spec(r))}
		mu.Lock()
		sources = next
		mu.Unlock()
		s.Retain(next)
		time.Sleep(5 * time.Millisecond)
	})
	each(1, func(*rand.Rand) {
		s.Stats()
		names.Stats()
		if st := cache.Stats(); st.InFlight > 50 || st.Entries > 300 {
			t.Errorf("%+v", st)
		}
	})
	each(1, func(r *rand.Rand) {
		b.Break(fmt.Sprintf("list%d.example", r.IntN(zones)), dnsclient.Kind(r.IntN(5)))
		time.Sleep(20 * time.Millisecond)
		b.Mend()
		time.Sleep(20 * time.Millisecond)
	})
	wg.Wait()
	for _, status := range []lists.Status{lists.NoMatch, lists.Matched, lists.Unavailable, lists.Pending} {
		if told[status] == 0 {
			t.Errorf("%s came up never: %v", word(status), told)
		}
	}
}
