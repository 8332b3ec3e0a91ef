package iptable

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
)

// A text is found by the number of its entry, wherever the texts before it end and however long they are.
func TestTexts(t *testing.T) {
	random := rand.New(rand.NewPCG(20, 1))
	var all texts
	var want []string // by id
	last := ""
	for id := range int32(40_000) {
		if random.IntN(3) == 0 && (id < 5000 || id > 6000) && id > 200 {
			last = fmt.Sprintf("%d%s", id, strings.Repeat("x", random.IntN(60)))
			switch random.IntN(2000) {
			case 0:
				last = strings.Repeat("y", 2*chunkText)
			case 1, 2:
				last = ""
			}
			if !all.add(id, Kind(id%3), last) {
				t.Fatal("no room")
			}
		}
		want = append(want, last)
	}
	all.shrink()
	for id := range int32(len(want)) {
		if _, got := all.floor(id); got != want[id] {
			t.Fatalf("entry %d: got %.50q, want %.50q", id, got, want[id])
		}
	}
	if _, got := all.floor(1 << 20); got != last {
		t.Errorf("behind the last entry: got %.50q, want %.50q", got, last)
	}
	all.all(func(id int32, kind Kind, at place) bool {
		if _, text, _ := all.read(at); string(text) != want[id] || kind != Kind(id%3) {
			t.Errorf("entry %d: got %d, %.50q, want %.50q", id, kind, text, want[id])
		}
		return true
	})
}

// Of many names each is found, and the entry that decides about it; other names are not.
func TestNames(t *testing.T) {
	random := rand.New(rand.NewPCG(20, 2))
	name := func() string { return fmt.Sprintf("h%d.example", random.IntN(30_000)) }
	var b Builder
	b.BeginFile("x.list", 0)
	want := map[string]int32{}
	for id := range int32(20_000) {
		it := Item{Kind: Name, Name: name(), Exception: random.IntN(4) == 0, Line: int(id) + 1, Note: fmt.Sprint(id / 100)}
		if before, ok := want[it.Name]; !ok || it.Exception || before >= 0 {
			if want[it.Name] = id; it.Exception {
				want[it.Name] = -id - 1
			}
		}
		if err := b.Add(&it); err != nil {
			t.Fatal(err)
		}
	}
	table := b.Table()
	for i := range 30_000 {
		c := lists.Client{Name: fmt.Sprintf("h%d.example", i)}
		id, status := table.Lookup(c, time.Now)
		wanted, ok := want[c.Name]
		switch {
		case !ok && status == lists.NoMatch:
		case ok && wanted >= 0 && status == lists.Matched && id == wanted, ok && wanted < 0 && status == lists.Exception && id == -wanted-1:
			if e := table.Entry(id, c.Addr); strings.TrimPrefix(e.Text, "!") != c.Name || e.Note != fmt.Sprint(id/100) || strings.HasPrefix(e.Text, "!") != (wanted < 0) {
				t.Fatalf("%s: got %+v", c.Name, e)
			}
		default:
			t.Fatalf("%s: got entry %d, status %v, want %d, %v", c.Name, id, status, wanted, ok)
		}
	}
	n := 0
	for e := range table.NameEntries() {
		if n++; e.Line != n {
			t.Fatalf("entry %d: got %+v", n, e)
		}
	}
	if n != 20_000 {
		t.Errorf("got %d entries, want 20000", n)
	}
}
