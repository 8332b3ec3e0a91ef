package listfile

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/iptable"
	"ehlogate/lists/test/listtest"
	"ehlogate/lists/test/testenv"
)

// hidden returns the warnings of a suppress list behind an offer list.
func hidden(t *testing.T, offer, suppress string, mode lists.Mode) string {
	t.Helper()
	dir := t.TempDir()
	l := Lint{Now: epoch}
	for _, list := range []struct {
		name, text string
		rules      Rules
		mode       lists.Mode
	}{{"allow", offer, Rules{Action: lists.Offer}, mode}, {"deny", suppress, Rules{Action: lists.Suppress, AllowWide: true}, lists.Enforce}} {
		path := filepath.Join(dir, list.name)
		write(t, path, list.text)
		if _, err := l.Check(list.name, Spec{Patterns: []string{path}, Rules: list.rules}, list.mode, true); err != nil {
			t.Fatal(err)
		}
	}
	return strings.ReplaceAll(l.Warnings.Report("warning"), dir+"/", "")
}

// A line that an earlier list always decides about is found, with both places. It is not if that list may not match.
func TestHiddenLines(t *testing.T) {
	const deny = "# deny\n192.0.2.7 # spammer\n2001:db8:1::/48\n"
	got := hidden(t, "10.0.0.0/8\n192.0.2.0/24\n2001:db8::/32\n", deny, lists.Enforce)
	want := `deny:2:1: warning: 192.0.2.7 never counts: 192.0.2.0/24 is in list "allow" (allow:2), which comes first
    2 | 192.0.2.7 # spammer
      | ^~~~~~~~~
      = hint: remove the line, write an exception into list "allow", or put list "deny" before it in the config
deny:3:1: warning: 2001:db8:1::/48 never counts: 2001:db8::/32 is in list "allow" (allow:3), which comes first
`
	if !strings.HasPrefix(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, allow := range []string{
		"192.0.2.0/24\n!192.0.2.7\n2001:db8::/32\n!2001:db8:1:5::/64\n", "192.0.2.0/24 until=2026-03-01\n2001:db8::/32 until=2026-03-01\n",
		"192.0.2.0/24\n2001:db8::/32\n!.example.org\n", "192.0.2.0-192.0.2.6\n2001:db8:1::/49\n2001:db8:1:8000::/49\n",
	} {
		if got := hidden(t, allow, deny, lists.Enforce); got != "" {
			t.Errorf("behind %q: %s", allow, got)
		}
	}
	if got := hidden(t, "192.0.2.0/24\n2001:db8::/32\n", deny, lists.Observe); got != "" {
		t.Errorf("behind a list that observes: %s", got)
	}
}

// Of all addresses of a line that is said never to count, the list before decides, as long as the line lasts.
func TestHiddenIsTrue(t *testing.T) {
	warned := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 5))
		allow, deny := listtest.Random(r, 1+r.IntN(8), epoch), listtest.Random(r, 1+r.IntN(8), epoch)
		allow, deny = onlyAddresses(allow), onlyAddresses(deny)
		first, _ := build(t, allow, Rules{AnyAction: true})
		_, items := build(t, deny, Rules{AnyAction: true})
		report := hidden(t, allow, deny, lists.Enforce)
		for _, it := range items {
			if !strings.Contains(report, fmt.Sprintf("deny:%d:1: warning: %s never counts", it.Line, it.String())) {
				continue
			}
			warned++
			probes := []iptable.Item{it.Item}
			for a := range first.Boundaries() {
				probes = append(probes, iptable.Item{From: a, To: a.Prev()})
			}
			for _, p := range probes {
				for _, a := range []netip.Addr{p.From, p.To} {
					if !a.IsValid() || a.Is4() != it.From.Is4() || a.Less(it.From) || it.To.Less(a) {
						continue
					}
					for _, now := range []time.Time{epoch, epoch.Add(5 * time.Hour), epoch.Add(100 * time.Hour)} {
						if it.Expired(now) {
							continue
						}
						if _, status := first.Lookup(lists.Client{Addr: a}, func() time.Time { return now }); status != lists.Matched {
							t.Fatalf("seed %d: %s at %s is %v in the first list\n%s\n%s", seed, a, now, status, allow, report)
						}
					}
				}
			}
		}
	}
	if t.Log(warned, "lines never counted"); warned < 25 {
		t.Errorf("only %d lines never counted", warned)
	}
}

// onlyAddresses leaves out names.
func onlyAddresses(text string) string {
	out := "# first\n"
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "example") && !strings.Contains(line, "helo") {
			out += line
		}
	}
	return out
}

// The check of a long list, with a list before it, takes little more memory than to load it: twice the file at most.
func TestMemoryOfCheck(t *testing.T) {
	const n = 200_000
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.list")
			write(t, path, strings.Join(shape.lines(n), "\n")+"\n")
			size := fileSize(t, path)
			load, _ := testenv.MeasureHeap(func() any { return loadWide(t, path) })
			check, _ := testenv.MeasureHeap(func() any {
				l := Lint{Now: epoch}
				if _, err := l.Check("x", Spec{Patterns: []string{path}, Rules: Rules{Action: lists.Suppress, AllowWide: true}}, lists.Enforce, true); err != nil {
					t.Error(err)
				}
				return &l
			})
			extra := float64(check) - float64(load)
			t.Logf("file %.1f MiB, load %.1f MiB, check %.1f MiB: %.2f times the file more", float64(size)/(1<<20), float64(load)/(1<<20), float64(check)/(1<<20), extra/float64(size))
			if extra > 2.5*float64(size) {
				t.Errorf("the check takes %.2f times the file more than to load it", extra/float64(size))
			}
		})
	}
}

func fileSize(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
