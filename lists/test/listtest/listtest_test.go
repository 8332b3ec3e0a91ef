package listtest

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestLists(t *testing.T) {
	const n = 5000
	for name, entries := range map[string][]Entry{"hosts": Hosts(n), "mixed": Mixed(n)} {
		if len(entries) != n || strings.Count(Format(entries), "\n") != n {
			t.Errorf("%s: %d entries, want %d", name, len(entries), n)
		}
		listed := 0
		for _, a := range Clients(entries, 1000) {
			if slices.ContainsFunc(entries, func(e Entry) bool { return e.From.Compare(a) <= 0 && a.Compare(e.To) <= 0 }) {
				listed++
			}
		}
		if listed < 500 || listed > 600 {
			t.Errorf("%s: %d of 1000 addresses are in some entry", name, listed)
		}
	}
	if !slices.Equal(Mixed(100), Mixed(100)) {
		t.Error("two lists of the same size: got different entries, want the same")
	}
	seen := make(map[netip.Addr]bool)
	for _, e := range Hosts(n) {
		if seen[e.From] {
			t.Errorf("%s is there twice", e)
		}
		seen[e.From] = true
	}
}

func TestSpelling(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.0"), netip.MustParseAddr("192.0.2.7")
	for want, e := range map[string]Entry{
		"192.0.2.0": {From: a, To: a, Bits: 32}, "!192.0.2.0/29": {Exception: true, From: a, To: b, Bits: 29}, "192.0.2.0-192.0.2.7": {From: a, To: b, Bits: -1},
	} {
		if e.String() != want {
			t.Errorf("%q, want %q", e, want)
		}
	}
}
