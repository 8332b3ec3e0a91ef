package benchmarks

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"ehlogate/lists/test/dnstest"
	"ehlogate/lists/test/testenv"
)

// TestDNSCached compares a DNS list, of which all answers are in memory,
// with a list file that holds the same clients.
func TestDNSCached(t *testing.T) {
	testenv.Needs(t, "rbldnsd")
	const conns = 8
	clients := strangers(pick(1<<15, 1<<9), 2)
	// Each of the two zones lists every second one of those that are held.
	var zones [2]strings.Builder
	var held strings.Builder
	for i, c := range clients {
		if c.entry != "" {
			fmt.Fprintln(&zones[i/2%2], c.addr)
			fmt.Fprintln(&held, c.addr)
		}
	}
	server := dnstest.StartRbldnsd(t, lister("a.test", zones[0].String()), lister("b.test", zones[1].String()))
	byDNS := startDaemon(t, fmt.Sprintf(`[guard]
off = true
[dns]
resolvers = [%q]
wait = "10s"
min_ttl = "24h"
max_ttl = "24h"
[[list]]
name = "deny"
action = "suppress"
zones = [{zone = "a.test"}, {zone = "b.test"}]
`, server.Addr), "")
	byFile := startDaemon(t, "", held.String())
	again := startDaemon(t, "", held.String())

	all := exchanges("memcache", clients)
	if err := newLoad(t, byDNS.socket("memcache"), 64, all).runRound(len(all)); err != nil {
		t.Fatalf("filling the memory: %v", err)
	}
	const misses = `ehlogate_dns_cache_lookups_total{by="address",result="miss"`
	missed := counted(t, byDNS, misses)
	if missed != float64(2*len(clients)) {
		t.Errorf("%v answers were not in memory when it was empty, expected two for each of %d clients", missed, len(clients))
	}

	n, rounds := requests(conns), pick(31, 1)
	ours, peer, twin := newLoad(t, byDNS.socket("memcache"), conns, all), newLoad(t, byFile.socket("memcache"), conns, all), newLoad(t, again.socket("memcache"), conns, all)
	before := mallocs(t, byDNS)
	compareNoted(t, "DNS", fmt.Sprintf("CPU of a request, two zones in memory, memcache, %d at a time", conns), "µs", 1.15, rounds,
		cpuSide(t, "ehlogate", byDNS.Daemon, ours, n), cpuSide(t, "a list file", byFile.Daemon, peer, n),
		func() string {
			each := (mallocs(t, byDNS) - before) / float64(n*(rounds+1))
			return fmt.Sprintf("%s; %.2f allocations each", rates(ours, peer), each)
		})
	compareNoted(t, "DNS", "noise: the list file, against itself", "µs", 0, pick(15, 1),
		cpuSide(t, "ehlogate", again.Daemon, twin, n), cpuSide(t, "a list file", byFile.Daemon, peer, n),
		func() string { return rates(twin, peer) })
	if now := counted(t, byDNS, misses); now != missed {
		t.Errorf("%v answers were not in memory while that was measured", now-missed)
	}
	for _, g := range []*daemon{byDNS, byFile, again} {
		faultless(t, g)
	}
}

// strangers are n clients with different addresses of the public Internet,
// of which one in every is on a list. They are the same ones each time.
func strangers(n, every int) []client {
	r := rand.New(rand.NewPCG(5782, uint64(n)))
	seen := make(map[netip.Addr]bool, n)
	clients := make([]client, 0, n)
	for len(clients) < n {
		// No network between these is reserved for anything.
		a := netip.AddrFrom4([4]byte{byte(11 + r.IntN(89)), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
		if seen[a] {
			continue
		}
		seen[a] = true
		c := client{addr: a}
		if len(clients)%every == 0 {
			c.entry = a.String()
		}
		clients = append(clients, c)
	}
	return clients
}

// lister is a zone that lists addresses, and what each such zone has to list.
func lister(zone, addresses string) dnstest.Dataset {
	return dnstest.Dataset{Zone: zone, Type: "ip4set", Text: testEntry + addresses}
}

// testEntry is what shows that a list works, RFC 5782 section 5.
const testEntry = "127.0.0.2\n"

// counted is the sum of all counters of a daemon that begin so.
func counted(t testing.TB, g *daemon, name string) (sum float64) {
	t.Helper()
	found := false
	for line := range strings.Lines(metrics(t, g)) {
		var n float64
		if strings.HasPrefix(line, name) {
			if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &n); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			sum, found = sum+n, true
		}
	}
	if !found {
		t.Fatalf("the metrics have no %s", name)
	}
	return sum
}
