package dnsbl

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/test/dnsfake"
	"ehlogate/lists/test/listtest"
)

// clockReads is how often readClock was called.
var clockReads atomic.Int64

func readClock() time.Time { clockReads.Add(1); return time.Now() }

// warm is a source of zones that know n addresses, every fourth of which is
// listed in the first zone.
func warm(t testing.TB, n, zones int, byName bool) (*List, []lists.Client) {
	w := dnsfake.NewBook()
	var spec Spec
	for i := range zones {
		name := fmt.Sprintf("list%d.example", i)
		w.SetZone(name, nil)
		w.Set("test."+name+" A", "127.0.0.2")
		spec.Zones = append(spec.Zones, Zone{Domain: NewDomain(name, ""), Weight: 1, ByName: byName})
	}
	spec.Threshold = 1
	w.TTL, w.Negative = time.Hour, time.Hour
	clients := make([]lists.Client, n)
	for i := range clients {
		a := netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)})
		clients[i] = lists.Client{Addr: a, Name: fmt.Sprintf("host%d.example", i)}
		if i%4 == 0 {
			w.Set(dnsclient.ReverseAddr(a)+".list0.example A", "127.0.0.2")
			w.Set(clients[i].Name+".list0.example A", "127.0.0.2")
		}
	}
	s := New(dnscache.New(dnscache.Defaults(), readClock, nil), w)
	src := s.List(spec)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.cache.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	for i, c := range clients {
		want := lists.NoMatch
		if i%4 == 0 {
			want = lists.Matched
		}
		for start := time.Now(); listtest.Lookup(ctx, src, c).Status != want; {
			if time.Since(start) > 10*time.Second {
				t.Fatalf("%v is not known", c)
			}
			runtime.Gosched() // the service has not begun yet
		}
	}
	// The first ones may have been decided before the last zones were asked.
	for _, c := range clients {
		src.Lookup(c)
	}
	for s.cache.Stats().InFlight > 0 {
		runtime.Gosched()
	}
	return src, clients
}

// What is in memory costs no allocation, and reads the clock once.
func TestNoAllocation(t *testing.T) {
	for _, byName := range []bool{false, true} {
		src, clients := warm(t, 64, 2, byName)
		clockReads.Store(0)
		i, lookups := 0, int64(0)
		if n := testing.AllocsPerRun(1000, func() {
			src.Lookup(clients[i%len(clients)])
			i++
			lookups++
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
		if n := clockReads.Load(); n != lookups {
			t.Errorf("the clock was read %d times in %d lookups", n, lookups)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, bc := range []struct {
		name     string
		n, zones int
		byName   bool
	}{
		{"one zone, 1000 clients", 1000, 1, false},
		{"two zones, 1000 clients", 1000, 2, false},
		{"two zones, 30000 clients", 30000, 2, false},
		{"two zones by name, 1000 clients", 1000, 2, true},
		{"five zones, 1000 clients", 1000, 5, false},
	} {
		b.Run(bc.name, func(b *testing.B) {
			src, clients := warm(b, bc.n, bc.zones, bc.byName)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				src.Lookup(clients[i*7919%len(clients)])
			}
		})
	}
}

// Many at once, all about the same few clients or each about another.
func BenchmarkLookupParallel(b *testing.B) {
	for _, n := range []int{1, 1000, 30000} {
		b.Run(fmt.Sprintf("%d clients", n), func(b *testing.B) {
			src, clients := warm(b, n, 2, false)
			b.ReportAllocs()
			var start atomic.Int64
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := int(start.Add(1)) * 1009; pb.Next(); i++ {
					src.Lookup(clients[i*7919%len(clients)])
				}
			})
		})
	}
}

// The whole way of a question that is not in memory, but for the network.
func BenchmarkCold(b *testing.B) {
	src, _ := warm(b, 1, 1, false)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		listtest.Lookup(context.Background(), src, lists.Client{Addr: netip.AddrFrom4([4]byte{byte(12 + i>>24), byte(i >> 16), byte(i >> 8), byte(i)})})
	}
}
