package benchmarks

import (
	"path/filepath"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/listfile"
	"ehlogate/lists/test/listtest"
)

// TestHide compares decisions with and without lists that hide EHLO keywords.
func TestHide(t *testing.T) {
	n := pick(100_000, 2_000)
	entries, strangers := listtest.Hosts(n), listtest.Hosts(2 * n)[n:]
	dir := tempDir(t)
	source := func(name string, entries []listtest.Entry) *listfile.List {
		path := filepath.Join(dir, name)
		write(t, path, listtest.Format(entries))
		l, err := listfile.New(listfile.Spec{Patterns: []string{path}, Rules: listfile.Rules{Action: lists.Suppress}}, time.Now).Load()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	deny := &lists.List{Name: "deny", Action: lists.Suppress, Source: source("deny.list", entries), Services: lists.NewServices(lists.SMTP)}
	others := &lists.List{Name: "others", Action: lists.NoAction, Hide: lists.MustParseKeyword("dsn"), Source: source("others.list", strangers), Services: deny.Services}
	hiding := *deny
	hiding.Hide = lists.MustParseKeyword("dsn")
	qs := distinct(listtest.Clients(entries, pick(1<<20, 8_000)), pick(1<<19, 4_000))

	deciding := func(name string, of ...*lists.List) side {
		p := &lists.Policy{Lists: of, Default: lists.Offer}
		suppressed := func() (n int) {
			for _, a := range qs {
				if d := p.Decide(t.Context(), lists.Client{Addr: a}); d.Action == lists.Suppress {
					n++
				}
			}
			return n
		}
		held := suppressed()
		return side{name, func() float64 { return lookupTime(t, len(qs), held, suppressed) }}
	}
	without := deciding("no list hides", deny)
	matched := func() (n int) {
		for _, a := range qs {
			if deny.Source.Lookup(lists.Client{Addr: a}).Status == lists.Matched {
				n++
			}
		}
		return n
	}
	held := matched()
	compare(t, "hiding keywords", "no list hides", "ns", 0, pick(7, 1), without,
		side{"the lookup in the list alone", func() float64 { return lookupTime(t, len(qs), held, matched) }})
	compare(t, "hiding keywords", "a list hides from other clients", "ns", 0, pick(7, 1), deciding("", deny, others), without)
	compare(t, "hiding keywords", "the list that decides hides, too", "ns", 0, pick(7, 1), deciding("", &hiding), without)
}
