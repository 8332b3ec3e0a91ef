package listfile

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/iptable"
)

// Lint finds what a comparison of each entry with each other one finds, in random lists of entries that are close to each other.
func TestLintFindsAll(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := rand.New(rand.NewPCG(20, 20))
	kinds := make(map[string]int)
	for i := range 400 {
		l := Lint{Now: now}
		var want []string
		var before []Item
		for n, action := range []lists.Action{lists.Offer, []lists.Action{lists.Suppress, lists.Offer}[i%2]} {
			path := filepath.Join(dir, fmt.Sprintf("%d.list", n))
			if err := os.WriteFile(path, []byte(randomList(r)), 0o644); err != nil {
				t.Fatal(err)
			}
			text, _ := os.ReadFile(path)
			spec := Spec{Patterns: []string{path}, Rules: Rules{Action: action, AllowWide: true}}
			if _, err := l.Check(fmt.Sprint(n), spec, lists.Enforce, n == 0); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			items := parseAll(t, string(text), spec.Rules)
			want = append(want, compareAll(path, items, now)...)
			if n == 1 {
				want = append(want, compareWithAll(path, items, before, now, action != lists.Offer)...)
			}
			before = items
		}
		var got []string
		for _, p := range l.Warnings.First {
			if kind := kindOf(p.Msg); kind != "" {
				got = append(got, fmt.Sprintf("%s:%d %s", p.File, p.Line, kind))
				kinds[kind]++
			}
		}
		if l.Warnings.Total > diag.MaxProblems {
			continue
		}
		if missing, extra := difference(want, got), difference(got, want); len(missing)+len(extra) > 0 {
			text, _ := os.ReadFile(filepath.Join(dir, "0.list"))
			other, _ := os.ReadFile(filepath.Join(dir, "1.list"))
			t.Fatalf("missing %q, not expected %q\n%s\n%s", missing, extra, text, other)
		}
	}
	for _, kind := range []string{"duplicate", "contradicts", "is also in", "never counts"} {
		if kinds[kind] < 20 {
			t.Errorf("%d warnings with %q: too few to prove anything", kinds[kind], kind)
		}
	}
}

func randomList(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(8) {
		entry := ""
		switch r.IntN(6) {
		case 0:
			entry = fmt.Sprintf("192.0.2.%d", r.IntN(8))
		case 1:
			bits := 26 + r.IntN(6)
			entry = fmt.Sprintf("192.0.2.%d/%d", r.IntN(8)>>(32-bits)<<(32-bits), bits)
		case 2:
			entry = fmt.Sprintf("192.0.2.%d-192.0.2.%d", r.IntN(5), 5+r.IntN(5))
		case 3:
			bits := 120 + r.IntN(9)
			entry = fmt.Sprintf("2001:db8::%d/%d", r.IntN(8)>>(128-bits)<<(128-bits), bits)
		case 4:
			entry = fmt.Sprintf("2001:db8::%d-2001:db8::%d", r.IntN(5), 5+r.IntN(4))
		default:
			entry = []string{"a.example", ".a.example", "b.example"}[r.IntN(3)]
		}
		if r.IntN(8) == 0 {
			entry = "!" + entry
		}
		if r.IntN(6) == 0 {
			entry += []string{" until=2025-06-01", " until=2027-01-01", " until=2028-01-01"}[r.IntN(3)]
		}
		b.WriteString(entry + "\n")
	}
	return b.String()
}

func kindOf(msg string) string {
	for _, kind := range []string{"duplicate", "contradicts", "is also in", "never counts"} {
		if strings.Contains(msg, kind) {
			return kind
		}
	}
	return ""
}

func isSame(a, b *Item) bool {
	return a.Kind == b.Kind && a.From == b.From && a.To == b.To && a.Name == b.Name
}

// compareAll returns what there is to warn about in one list.
func compareAll(path string, items []Item, now time.Time) (want []string) {
	for i := range items {
		it := &items[i]
		for j := range items[:i] {
			first := &items[j]
			if it.Expired(now) || first.Expired(now) || !isSame(it, first) {
				continue
			}
			if it.Exception == first.Exception {
				want = append(want, fmt.Sprintf("%s:%d duplicate", path, it.Line))
			} else if it.Until.Equal(first.Until) {
				want = append(want, fmt.Sprintf("%s:%d contradicts", path, it.Line))
			}
			break
		}
	}
	return want
}

// compareWithAll returns what there is to warn about in a list behind another one. If hides is true, that one can keep entries
// from ever deciding.
func compareWithAll(path string, items, before []Item, now time.Time, hides bool) (want []string) {
	for i := range before {
		hides = hides && !(before[i].Exception && before[i].Kind != iptable.Address && !before[i].Expired(now))
	}
	for i := range items {
		it := &items[i]
		isRepeated := false
		for j := range items[:i] {
			isRepeated = isRepeated || !items[j].Expired(now) && isSame(it, &items[j])
		}
		if it.Expired(now) || it.Exception || isRepeated {
			continue
		}
		isEqual, isCovered, isExcepted, isNameExcepted := false, false, false, false
		for j := range before {
			o := &before[j]
			switch {
			case o.Expired(now):
			case it.Kind != iptable.Address:
				isEqual = isEqual || isSame(it, o) && !o.Exception
				isNameExcepted = isNameExcepted || isSame(it, o) && o.Exception
			case o.Kind != iptable.Address || o.From.Is4() != it.From.Is4() || o.To.Less(it.From) || it.To.Less(o.From):
			case o.Exception:
				isExcepted = true
			case isSame(it, o):
				isEqual = true
			default:
				lasts := o.Until.IsZero() || !it.Until.IsZero() && !o.Until.Before(it.Until)
				isCovered = isCovered || !it.From.Less(o.From) && !o.To.Less(it.To) && lasts
			}
		}
		switch {
		case isEqual && !isNameExcepted:
			want = append(want, fmt.Sprintf("%s:%d is also in", path, it.Line))
		case isCovered && hides && !isExcepted:
			want = append(want, fmt.Sprintf("%s:%d never counts", path, it.Line))
		}
	}
	return want
}

// difference returns what of a is not in b.
func difference(a, b []string) (only []string) {
	count := make(map[string]int)
	for _, s := range b {
		count[s]++
	}
	for _, s := range a {
		if count[s]--; count[s] < 0 {
			only = append(only, s)
		}
	}
	return only
}
