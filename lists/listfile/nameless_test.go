package listfile

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
)

// A client whose name could not be found out gets an answer only if it would be
// the same under any name.
func TestNamelessAgainstOracle(t *testing.T) {
	certain, open := 0, 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		text := randomList(r, 1+r.IntN(12))
		table, items := build(t, text, Rules{Action: lists.Suppress, AllowWide: true})
		names := []string{"", "stranger.invalid"}
		for _, it := range items {
			if it.Kind == Name {
				names = append(names, strings.TrimPrefix(it.Name, "."), "q"+it.Name, "q."+it.Name)
			}
		}
		for range 100 {
			c, now := randomClient(r), epoch.Add(time.Duration(r.IntN(12))*time.Hour)
			c.Name = ""
			var held, not bool
			for _, c.Name = range names {
				_, st := oracle(items, c, now)
				held, not = held || st == lists.Matched, not || st != lists.Matched
			}
			c.Name, c.NameStatus = "", lists.Pending
			if r.IntN(2) == 0 {
				c.NameStatus = lists.Unavailable
			}
			id, got := table.Lookup(c, func() time.Time { return now })
			switch {
			case got == c.NameStatus:
				// A hole and an entry about the same name are not told apart.
				if open++; held && not || twice(items, now) {
					continue
				}
			case got == lists.Matched && !not, got != lists.Matched && !held:
				certain++
				first, _ := oracle(items, c, now)
				if e := table.Entry(id, c.Addr); got == lists.NoMatch || e.Line == first.Line {
					continue
				}
			}
			t.Fatalf("seed %d: %+v at %s: %v; by name held %v, not held %v\n%s", seed, c, now, got, held, not, text)
		}
	}
	if certain < 1000 || open < 1000 {
		t.Errorf("%d certain, %d open", certain, open)
	}
}

// twice: a name stands for itself and as a hole.
func twice(items []Item, now time.Time) bool {
	seen := make(map[string]bool)
	for _, it := range items {
		if it.Kind != Name || it.expired(now) {
			continue
		}
		if hole, ok := seen[it.Name]; ok && hole != it.Hole {
			return true
		}
		seen[it.Name] = it.Hole
	}
	return false
}

func TestNameless(t *testing.T) {
	addr, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("203.0.113.1")
	for _, tc := range []struct {
		list  string
		c     lists.Client
		want  lists.Status
		names bool
	}{
		{"192.0.2.1\n", lists.Client{Addr: addr}, lists.Matched, false},
		{"192.0.2.1\n", lists.Client{Addr: other}, lists.NoMatch, false},
		{"192.0.2.1\n.example.net\n", lists.Client{Addr: addr}, lists.Matched, true},
		{"192.0.2.1\n.example.net\n", lists.Client{Addr: other}, lists.Pending, true},
		{"192.0.2.1\n!.example.net\n", lists.Client{Addr: addr}, lists.Pending, true},
		{"192.0.2.1\n!.example.net\n", lists.Client{Addr: other}, lists.NoMatch, true},
		{"!192.0.2.1\n.example.net\n", lists.Client{Addr: addr}, lists.Exception, true},
		{"helo:x\n.example.net\n", lists.Client{Addr: addr, HELO: "x"}, lists.Matched, true},
		{"helo:x\n.example.net\n", lists.Client{Addr: addr, HELO: "y"}, lists.Pending, true},
		{"helo:x\n!.example.net\n", lists.Client{Addr: addr, HELO: "x"}, lists.Pending, true},
		{"helo:x\n", lists.Client{Addr: addr, HELO: "x"}, lists.Matched, false},
		{"192.0.2.1\n!a.example.net until=2025-01-01\nb.example.net until=2025-01-01\n", lists.Client{Addr: addr}, lists.Matched, true},
		{"192.0.2.1\n!a.example.net until=2025-01-01\nb.example.net until=2025-01-01\n", lists.Client{Addr: other}, lists.NoMatch, true},
		{".example.net\n", lists.Client{Addr: addr, Name: "a.example.net"}, lists.Matched, true}, // it is known
	} {
		table, _ := build(t, tc.list, Rules{Action: lists.Suppress})
		tc.c.NameStatus = lists.Pending
		if _, got := table.Lookup(tc.c, func() time.Time { return epoch }); got != tc.want {
			t.Errorf("%q, %+v: %v, want %v", tc.list, tc.c, got, tc.want)
		}
		s := New(Spec{}, func() time.Time { return epoch })
		if s.UsesNames() {
			t.Error("an unavailable source uses names")
		}
		s.table = table
		found := s.Lookup(t.Context(), tc.c)
		if found.Status != tc.want || (found.By != nil) != (tc.want == lists.Matched || tc.want == lists.Exception) {
			t.Errorf("%q, %+v: found %+v", tc.list, tc.c, found)
		}
		if s.UsesNames() != tc.names {
			t.Errorf("%q: uses names: %v", tc.list, !tc.names)
		}
	}
}
