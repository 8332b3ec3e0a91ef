package listfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/iptable"
)

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
	if _, err := l.Check("one", first, lists.Enforce, true); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Check("two", second, lists.Enforce, true); err != nil {
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
