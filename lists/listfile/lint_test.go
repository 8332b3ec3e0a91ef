package listfile

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/iptable"
	"ehlogate/lists/test/listtest"
)

// Deleting a line that is said to be covered changes no decision.
func TestCoveredIsTrue(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "x.list")
	warned := 0
	for seed := range uint64(1500) {
		r := rand.New(rand.NewPCG(seed, 9))
		lines := strings.SplitAfter(strings.TrimSuffix(listtest.Random(r, 1+r.IntN(12), epoch), "\n"), "\n")
		if err := os.WriteFile(name, []byte(strings.Join(lines, "")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		l := Lint{Now: epoch}
		if _, err := l.Check("x", Spec{Patterns: []string{name}, Rules: Rules{AnyAction: true}}, lists.Enforce); err != nil {
			t.Fatal(err)
		}
		var all *iptable.Table
		var items []Item
		for _, w := range l.Warnings.First {
			if !strings.Contains(w.Msg, "is covered by") {
				continue
			}
			if warned++; all == nil {
				all, items = build(t, strings.Join(lines, "")+"\n", Rules{AnyAction: true})
			}
			less, _ := build(t, strings.Join(slices.Delete(slices.Clone(lines), w.Line-1, w.Line), "")+"\n# end\n", Rules{AnyAction: true})
			it := items[slices.IndexFunc(items, func(it Item) bool { return it.Line == w.Line })]
			// Nothing changes but where an entry begins or has ended.
			var probes []netip.Addr
			for _, o := range items {
				if o.Kind == iptable.Address {
					probes = append(probes, o.From, o.To, o.From.Prev(), o.To.Next())
				}
			}
			for _, a := range probes {
				if !a.IsValid() || a.Is4() != it.From.Is4() || a.Less(it.From) || it.To.Less(a) {
					continue
				}
				for _, now := range []time.Time{epoch, epoch.Add(5 * time.Hour), epoch.Add(100 * time.Hour)} {
					_, x := all.Lookup(lists.Client{Addr: a}, func() time.Time { return now })
					_, y := less.Lookup(lists.Client{Addr: a}, func() time.Time { return now })
					if x != y {
						t.Fatalf("seed %d: without line %d %s is %v at %s, was %v\n%s", seed, w.Line, a, y, now, x, strings.Join(lines, ""))
					}
				}
			}
		}
	}
	t.Log(warned, "lines were covered")
	if warned < 100 {
		t.Errorf("only %d lines were covered", warned)
	}
}

func TestLint(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) Spec {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return Spec{Patterns: []string{path}}
	}
	first := write("first.list", `192.0.2.7
192.0.2.8 until=2026-02-01
192.0.2.0/24   # around both
192.0.2.7      # again
!192.0.2.9
192.0.2.9
!192.0.2.9
203.0.113.1 until=2025-12-31
203.0.113.0/24 until=2026-05-01
203.0.113.9
mail.example.net
2001:db8::/32
!2001:db8:1::/48
2001:db8:1:2::/64
198.51.100.1
!198.51.100.1 until=2027-01-01 # excepted for a while
198.51.100.2 # until=2027-01-01
`)
	second := write("second.list", "2001:db8::/32\nmail.example.net # second\n198.51.100.0-198.51.100.8\n198.51.100.5-198.51.100.10\n198.51.100.6\n")
	l := Lint{Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	if _, err := l.Check("one", first, lists.Enforce); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Check("two", second, lists.Enforce); err != nil {
		t.Fatal(err)
	}
	for i := range l.Warnings.First {
		l.Warnings.First[i].File = filepath.Base(l.Warnings.First[i].File)
	}
	rel := l.Warnings.Report("warning")
	golden(t, "testdata/lint.txt", strings.ReplaceAll(rel, dir+"/", ""))
}

func build(t testing.TB, text string, rules Rules) (*iptable.Table, []Item) {
	t.Helper()
	items := parseAll(t, text, rules)
	var b iptable.Builder
	b.BeginFile("test.list", 0)
	for i := range items {
		if err := b.Add(&items[i].Item); err != nil {
			t.Fatal(err)
		}
	}
	return b.Table(), items
}
