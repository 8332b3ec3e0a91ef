package iptable_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/iptable"
	"ehlogate/lists/listfile"
	"ehlogate/lists/test/listtest"
)

// A client whose name could not be found out gets an answer only if it would be
// the same under any name.
func TestNamelessAgainstOracle(t *testing.T) {
	certain, open := 0, 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		text := listtest.Random(r, 1+r.IntN(12), epoch)
		table, items := build(t, text, listfile.Rules{Action: lists.Suppress, AllowWide: true})
		names := []string{"", "stranger.invalid"}
		for _, it := range items {
			if it.Kind == iptable.Name {
				names = append(names, strings.TrimPrefix(it.Name, "."), "q"+it.Name, "q."+it.Name)
			}
		}
		for range 100 {
			c, now := randomClient(r), epoch.Add(time.Duration(r.IntN(12))*time.Hour)
			c.Name = ""
			var matched, not bool
			for _, c.Name = range names {
				_, st := oracle(items, c, now)
				matched, not = matched || st == lists.Matched, not || st != lists.Matched
			}
			c.Name, c.NameStatus = "", lists.Pending
			if r.IntN(2) == 0 {
				c.NameStatus = lists.Unavailable
			}
			id, got := table.Lookup(c, func() time.Time { return now })
			switch {
			case got == c.NameStatus:
				// An exception and an entry about the same name are not told apart.
				if open++; matched && not || isContradictory(items, now) {
					continue
				}
			case got == lists.Matched && !not, got != lists.Matched && !matched:
				certain++
				first, _ := oracle(items, c, now)
				if e := table.Entry(id, c.Addr); got == lists.NoMatch || e.Line == first.Line {
					continue
				}
			}
			t.Fatalf("seed %d: %+v at %s: %v; by name matched %v, not matched %v\n%s", seed, c, now, got, matched, not, text)
		}
	}
	if certain < 1000 || open < 1000 {
		t.Errorf("%d certain, %d open", certain, open)
	}
}

// isContradictory reports whether an entry and an exception are about the same name.
func isContradictory(items []listfile.Item, now time.Time) bool {
	seen := make(map[string]bool)
	for _, it := range items {
		if it.Kind != iptable.Name || it.Expired(now) {
			continue
		}
		if exception, ok := seen[it.Name]; ok && exception != it.Exception {
			return true
		}
		seen[it.Name] = it.Exception
	}
	return false
}
