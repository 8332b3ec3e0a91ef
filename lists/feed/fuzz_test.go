package feed

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"ehlogate/lists"
	"ehlogate/lists/answer"
	"ehlogate/lists/diag"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/iptable"
	"ehlogate/lists/listfile"
)

func FuzzDrop(f *testing.F)          { fuzz(f, Drop) }
func FuzzDropText(f *testing.F)      { fuzz(f, DropText) }
func FuzzAddresses(f *testing.F)     { fuzz(f, Addresses) }
func FuzzRanges(f *testing.F)        { fuzz(f, Ranges) }
func FuzzPostfixCIDR(f *testing.F)   { fuzz(f, PostfixCIDR) }
func FuzzPostfixAccess(f *testing.F) { fuzz(f, PostfixAccess) }
func FuzzPostfixExact(f *testing.F)  { fuzz(f, PostfixExact) }
func FuzzSendmail(f *testing.F)      { fuzz(f, SendmailAccess) }
func FuzzRbldnsdIP4Set(f *testing.F) { fuzz(f, RbldnsdIP4Set) }
func FuzzRbldnsdIP6(f *testing.F)    { fuzz(f, RbldnsdIP6) }
func FuzzRbldnsdDNSet(f *testing.F)  { fuzz(f, RbldnsdDNSet) }
func FuzzIPSet(f *testing.F)         { fuzz(f, IPSet) }
func FuzzNFT(f *testing.F)           { fuzz(f, NFT) }

// fuzz checks that any file is refused with a place, or makes a list with an answer about each of its entries.
func fuzz(f *testing.F, format Format) {
	names, err := filepath.Glob(filepath.Join("testdata", string(format), "*"))
	must(f, err)
	feeds, err := filepath.Glob(filepath.Join("testdata/feeds", string(format), "*"))
	must(f, err)
	names = append(names, feeds...)
	for _, name := range names {
		if data, err := os.ReadFile(name); err == nil && !strings.HasSuffix(name, ".want") {
			f.Add(data)
			for line := range strings.Lines(string(data)) {
				f.Add([]byte(line))
			}
		}
	}
	name := filepath.Join(f.TempDir(), "feed")
	f.Fuzz(func(t *testing.T, data []byte) {
		items, err := parse(format, data, name)
		var ps *diag.Problems
		if err != nil && (!errors.As(err, &ps) || ps.Total == 0 || !strings.HasPrefix(ps.Report("error"), name)) {
			t.Fatalf("an error without a place: %v", err)
		}
		for _, it := range items {
			checkItem(t, it)
		}
		fuzzAsFeed(t, format, data, items, err)
		if err != nil {
			return
		}
		must(t, os.WriteFile(name, data, 0o644))
		list, err := listfile.New(listfile.Spec{Patterns: []string{filewatch.EscapeGlob(name)}, Format: format, Rules: listfile.Rules{Action: lists.Suppress}}, time.Now).Load()
		if format == Addresses && err != nil && strings.Contains(err.Error(), "this is a hosts file") {
			return // N times 0.0.0.0, which the list recognises
		}
		must(t, err)
		for _, it := range items {
			c := lists.Client{Addr: it.From}
			if it.Kind != iptable.Address {
				c = lists.Client{Name: it.Name}
				if strings.HasPrefix(it.Name, ".") {
					c.Name = "q" + it.Name
				}
			}
			if status := list.Lookup(c).Status; status == lists.NoMatch {
				t.Fatalf("%s is in the file, and %+v not in the list", it, c)
			}
		}
	})
}

// fuzzAsFeed checks that a feed has at least the entries of a file that is read strictly, and what it lacks is reported;
// and that no choice of answers or results adds an entry.
func fuzzAsFeed(t *testing.T, format Format, data []byte, strict []listfile.Item, strictErr error) {
	t.Helper()
	items, found, err := parseAsFeed(format, data, "x")
	if strictErr == nil && (err != nil || found.Skipped.Total > 0 || len(found.Unterminated) > 0 || describe(items) != describe(strict)) {
		t.Fatalf("as a feed: %v, %+v\n%s\nelse\n%s", err, found, describe(items), describe(strict))
	}
	if strictErr != nil && err == nil && found.Skipped.Total == 0 && len(found.Unterminated) == 0 && utf8.Valid(data) {
		t.Fatalf("as a feed it is fine, and else: %v", strictErr)
	}
	filter, parseErr := answer.Parse("127.0.0.[2..3]")
	must(t, parseErr)
	chosen, _, err := parseAsFeed(Filtered{Format: format, Answer: filter, Results: "reject"}, data, "x")
	for _, it := range append(items, chosen...) {
		checkItem(t, it)
	}
	if err != nil || !format.HasAnswers() {
		return
	}
	for _, it := range chosen {
		if !it.Exception && !slices.ContainsFunc(items, func(o listfile.Item) bool {
			return !o.Exception && o.Kind == it.Kind && o.Name == it.Name && (it.Kind != iptable.Address || !it.From.Less(o.From) && !o.To.Less(it.To))
		}) {
			t.Fatalf("%s is no entry without a filter", it)
		}
	}
}

func checkItem(t *testing.T, it listfile.Item) {
	t.Helper()
	switch {
	case it.Line < 1 || it.Col < 1 || it.Width < 1:
		t.Fatalf("%s has no place: %+v", it, it)
	case it.Kind == iptable.Address && (!it.From.IsValid() || it.From.Is4() != it.To.Is4() || it.To.Less(it.From) || it.From.Is4In6() && it.To.Is4In6() || it.From.Zone() != ""):
		t.Fatalf("%s is not a span: %+v", it, it)
	case it.Kind != iptable.Address && (lists.NormalizeName(it.Name) != it.Name || strings.Trim(it.Name, ".") == "" || strings.ContainsAny(it.Name, " *!:/@")):
		t.Fatalf("invalid name %q", it.Name)
	case it.Kind == iptable.HELO:
		t.Fatalf("%s in a feed", it)
	}
}

// FuzzKeywords checks that any table is refused, or read into rules of which none is within an earlier one.
func FuzzKeywords(f *testing.F) {
	for _, s := range []string{"192.0.2.0/24 starttls, dsn\n", "192.0.2.7\n  auth,\n# x\n dsn", "::/0 burl\n192.0.2.7 dsn\n192.0.2.7 auth\n", "0.0.0.0/0 ,\n", " x\n!192.0.2.7 dsn\nif x\n",
		"if !192.0.2.0/24\n192.0.0.0/16 dsn\nIF ::/0\n::1 auth\nendif\nendif\nendif\n!!::1 dsn\n",
		"\ufeffif\n # x\n ! 192.0.2.0/24\n! ! 192.0.0.0/16 dsn\nendif # x\n", "!\n 192.0.2.7 dsn\nif\nendif\n x\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, isCIDR := range []bool{true, false} {
			var k KeywordTables
			read := k.ReadIndexed
			if isCIDR {
				read = k.ReadCIDR
			}
			if err := read(bytes.NewReader(data), "table"); err != nil {
				continue
			}
			for i, r := range k.Rules {
				if r.Prefix != r.Prefix.Masked() || r.Line < 1 || !isCIDR && !r.Prefix.IsSingleIP() {
					t.Fatalf("rule %+v", r)
				}
				for _, before := range k.Rules[:min(i, 20)] {
					if before.Prefix.Overlaps(r.Prefix) && before.Prefix.Bits() <= r.Prefix.Bits() {
						t.Fatalf("%v is never reached behind %v", r.Prefix, before.Prefix)
					}
				}
			}
		}
	})
}
