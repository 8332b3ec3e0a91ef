package iptable_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/iptable"
)

// A domain decides as an entry about its name and one about all names below it do.
func TestDomains(t *testing.T) {
	matched := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 4))
		name := func() string {
			return []string{"", "a.", "b.a.", ".a.", "a.a."}[r.IntN(5)] + []string{"", "x.", "y."}[r.IntN(3)] + []string{"example", "test"}[r.IntN(2)]
		}
		var domains, names iptable.Builder
		domains.BeginFile("domains", 0)
		names.BeginFile("names", 0)
		for line := range 1 + r.IntN(8) {
			it := iptable.Item{Kind: iptable.Domain, Name: name(), Exception: r.IntN(4) == 0, Line: line + 1}
			if it.Name[0] == '.' {
				it.Name = it.Name[1:]
			}
			if r.IntN(4) == 0 {
				it.Until = epoch.Add(time.Duration(r.IntN(12)) * time.Hour)
			}
			add(t, &domains, it)
			it.Kind = iptable.Name
			add(t, &names, it)
			it.Name = "." + it.Name
			add(t, &names, it)
		}
		one, two := domains.Table(), names.Table()
		for range 100 {
			c, now := lists.Client{Name: name()}, epoch.Add(time.Duration(r.IntN(12))*time.Hour)
			if r.IntN(8) == 0 {
				c = lists.Client{NameStatus: lists.Pending}
			}
			clock := func() time.Time { return now }
			id, got := one.Lookup(c, clock)
			other, want := two.Lookup(c, clock)
			if got != want || got == lists.Matched && one.Entry(id, c.Addr).Line != two.Entry(other, c.Addr).Line {
				t.Fatalf("seed %d: %+v at %s: %v, line %d, as names %v, line %d", seed, c, now, got, one.Entry(id, c.Addr).Line, want, two.Entry(other, c.Addr).Line)
			}
			if got == lists.Matched {
				matched++
			}
		}
	}
	if matched < 1000 {
		t.Errorf("only %d matched", matched)
	}
}

func add(t *testing.T, b *iptable.Builder, it iptable.Item) {
	t.Helper()
	if err := b.Add(&it); err != nil {
		t.Fatal(err)
	}
}
