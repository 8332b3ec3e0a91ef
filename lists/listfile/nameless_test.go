package listfile

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"ehlogate/lists"
)

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
		name := filepath.Join(t.TempDir(), "x.list")
		write(t, name, tc.list)
		s := New(Spec{Patterns: []string{name}, Rules: Rules{Action: lists.Suppress}}, func() time.Time { return epoch })
		if s.UsesNames() {
			t.Error("an unavailable list uses names")
		}
		must(t, load(&s))
		tc.c.NameStatus = lists.Pending
		if _, got := s.Table().Lookup(tc.c, func() time.Time { return epoch }); got != tc.want {
			t.Errorf("%q, %+v: %v, want %v", tc.list, tc.c, got, tc.want)
		}
		found := s.Lookup(tc.c)
		if found.Status != tc.want || (found.By != nil) != (tc.want == lists.Matched || tc.want == lists.Exception) {
			t.Errorf("%q, %+v: found %+v", tc.list, tc.c, found)
		}
		if s.UsesNames() != tc.names {
			t.Errorf("%q: uses names: %v", tc.list, !tc.names)
		}
	}
}
