package listfile

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/iptable"
)

// Every file in testdata/bad must be refused with exactly the report in the .err
// file of its name. UPDATE=1 writes the reports anew.
func TestBadLists(t *testing.T) {
	names, err := filepath.Glob("testdata/bad/*.list")
	if err != nil || len(names) < 5 {
		t.Fatalf("%d bad lists, %v", len(names), err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			rules := Rules{Action: lists.Suppress}
			switch {
			case strings.HasPrefix(filepath.Base(name), "require"):
				rules.Action = lists.Require
			case strings.HasPrefix(filepath.Base(name), "offer"):
				rules.Action = lists.Offer
			}
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			err = Parse(bytes.NewReader(data), filepath.Base(name), rules, func(*Item) error { return nil })
			ps, ok := err.(*diag.Problems)
			if !ok {
				t.Fatalf("got %v, want *diag.Problems", err)
			}
			golden(t, strings.TrimSuffix(name, ".list")+".err", ps.Report("error"))
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func parseAll(t testing.TB, text string, rules Rules) []Item {
	t.Helper()
	var items []Item
	if err := Parse(strings.NewReader(text), "test.list", rules, func(it *Item) error {
		items = append(items, *it)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return items
}

func TestGoodLines(t *testing.T) {
	for _, tc := range []struct{ line, normal, note, until string }{
		{"192.0.2.7   # printer", "192.0.2.7", "printer", ""},
		{"\t192.0.2.0/24\r", "192.0.2.0/24", "", ""},
		{"192.0.2.10-192.0.2.20", "192.0.2.10-192.0.2.20", "", ""},
		{"192.0.2.0-192.0.2.255", "192.0.2.0/24", "", ""},
		{"192.0.2.7/32", "192.0.2.7", "", ""},
		{"!192.0.2.13", "!192.0.2.13", "", ""},
		{"2001:DB8::/32", "2001:db8::/32", "", ""},
		{"::ffff:192.0.2.1", "192.0.2.1", "", ""},
		{"::ffff:192.0.2.1/128", "192.0.2.1", "", ""},
		{"::fffe:0:0/95", "::fffe:0:0/95", "", ""},
		{"Mail.Example.ORG.", "mail.example.org", "", ""},
		{".example.net", ".example.net", "", ""},
		{"!.example.net", "!.example.net", "", ""},
		{"1-2-3-4.dyn.example", "1-2-3-4.dyn.example", "", ""},
		{"1.2.3.4-static.example.net", "1.2.3.4-static.example.net", "", ""},
		{"192.0.2.7 until=1970-01-01T00:00:00Z", "192.0.2.7", "", "1970-01-01T00:00:00Z"},
		{"helo:ylmf-pc#note", "helo:ylmf-pc", "note", ""},
		{"HELO:*.Dyn.Example", "helo:*.dyn.example", "", ""},
		{"helo:[192.0.2.1]", "helo:[192.0.2.1]", "", ""},
		{"198.51.100.4 until=2026-12-01", "198.51.100.4", "", "2026-12-02T00:00:00Z"},
		{"198.51.100.4 until=2026-12-01T10:00:00+02:00 # x", "198.51.100.4", "x", "2026-12-01T08:00:00Z"},
	} {
		items := parseAll(t, "# first\n"+tc.line+"\n", Rules{Action: lists.Suppress})
		if len(items) != 1 {
			t.Errorf("%q: %d entries", tc.line, len(items))
			continue
		}
		it := items[0]
		until := ""
		if !it.Until.IsZero() {
			until = it.Until.Format("2006-01-02T15:04:05Z07:00")
		}
		if it.String() != tc.normal || it.Note != tc.note || until != tc.until || it.Line != 2 {
			t.Errorf("%q: got %q, note %q, until %q, line %d", tc.line, it, it.Note, until, it.Line)
		}
	}
}

// A file of comments is an empty list on purpose; one of zero bytes is not, nor
// is one that ends within a line.
func TestHalfFiles(t *testing.T) {
	if n := len(parseAll(t, "# no entry\n", Rules{})); n != 0 {
		t.Errorf("%d entries in a comment", n)
	}
	for _, text := range []string{"", "\n", "  \n\n", "\xef\xbb\xbf", "# comment", "192.0.2.1", "192.0.2.0/24\n192.0.2.1"} {
		if err := Parse(strings.NewReader(text), "x", Rules{}, func(*Item) error { return nil }); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// A list of 10,000 bad lines reports the first 20 and the count.
func TestManyProblems(t *testing.T) {
	err := Parse(strings.NewReader(strings.Repeat("192.0.2.5/24\n", 10000)), "x", Rules{}, nil)
	ps, ok := err.(*diag.Problems)
	if !ok || len(ps.First) != diag.MaxProblems || ps.Total != 10000 {
		t.Fatalf("got %v", err)
	}
	if s := ps.Report("error"); !strings.HasSuffix(s, "... and 9980 more\n") {
		t.Errorf("the report ends %q", s[len(s)-40:])
	}
}

// Wide spans are for allow_wide, exceptions and allow lists.
func TestWide(t *testing.T) {
	for _, wide := range []string{"10.0.0.0/7", "0.0.0.0/0", "10.0.0.0-11.0.0.0", "2001::/18", "::/0", ".com", "helo:*", "helo:*.com"} {
		none := func(*Item) error { return nil }
		if err := Parse(strings.NewReader(wide+"\n"), "x", Rules{Action: lists.Suppress}, none); err == nil {
			t.Errorf("%s was taken in a suppress list", wide)
		}
		if err := Parse(strings.NewReader(wide+"\n"), "x", Rules{Action: lists.Suppress, AllowWide: true}, none); err != nil {
			t.Errorf("%s with allow_wide: %v", wide, err)
		}
		if !strings.HasPrefix(wide, "helo") {
			parseAll(t, wide+"\n", Rules{Action: lists.Offer})
			parseAll(t, "!"+wide+"\n", Rules{Action: lists.Suppress})
		}
	}
	for _, fine := range []string{"10.0.0.0/8", "2001:0::/19", ".co.uk", "helo:*.dyn.example"} {
		parseAll(t, fine+"\n", Rules{Action: lists.Suppress})
	}
}

// What is taken can be written out and read again as the same.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"192.0.2.7 # note", "192.0.2.0/24", "!192.0.2.10-192.0.2.20", "::ffff:192.0.2.0/120", ".example.net",
		"helo:*.dyn.example", "198.51.100.4 until=2026-12-01", "\xef\xbb\xbf::/0\r\n", "!", "helo:", "a\x00b",
		"1.2.3.4 until=2026-12-01T10:00:00.5Z until=", "fe80::1%eth0", "[::1]", "*.x", "192.0.2.5/24", "a-b-/",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, rules := range []Rules{{Action: lists.Suppress}, {Action: lists.Offer}, {Action: lists.Require}, {AnyAction: true}} {
			var b iptable.Builder
			b.BeginFile("fuzz", 0)
			var items []Item
			err := Parse(bytes.NewReader(data), "fuzz", rules, func(it *Item) error {
				items = append(items, *it)
				return b.Add(&it.Item)
			})
			if ps, ok := err.(*diag.Problems); ok {
				if out := ps.Report("error"); !strings.Contains(out, "fuzz") {
					t.Fatalf("report without a place: %q", out)
				}
			}
			for _, it := range items {
				again := parseAll(t, it.String()+"\n", rules)
				if len(again) != 1 || again[0].String() != it.String() || again[0].From != it.From || again[0].To != it.To {
					t.Fatalf("%q was read again as %v", it, again)
				}
			}
			b.Table()
		}
	})
}

// The short way through a plain line leads where the long one does.
func FuzzPlain(f *testing.F) {
	for _, seed := range []string{"192.0.2.7\n", "192.0.2.0/24\r\n", "0.0.0.0/8\n", "255.255.255.255/32\n", "10.0.0.0/7\n", "192.0.2.1/24\n",
		"192.0.2.07\n", "192.0.2.256\n", "1.2.3\n", "1.2.3.4.5\n", "1.2.3.4/\n", "1.2.3.4/032\n", "1.2.3.4/33\n", "1..2.3\n", ".1.2.3.4\n", "1.2.3.4", "\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if len(line) == 0 || bytes.IndexByte(line, '\n') != len(line)-1 {
			return
		}
		short, long := parser{Lines: &Lines{Line: 1}}, parser{Lines: &Lines{Line: 2}}
		if n := short.parsePlainLine(append(bytes.Clone(line), padding...)); n == 0 {
			return
		} else if n != len(line) {
			t.Fatalf("%q: read %d bytes", line, n)
		}
		ok := long.setLine(line) && long.parseLine()
		item := &long.item
		msg, _ := Rules{}.check(&item.Item)
		if !ok || msg != "" || long.Problems.Total > 0 || item.String() != short.plain.String() || item.From != short.plain.From || item.To != short.plain.To ||
			item.Kind != short.plain.Kind || item.Line != short.plain.Line || item.Col != short.plain.Col || item.Width != short.plain.Width || string(item.source) != string(short.plain.source) {
			t.Fatalf("%q: %+v, the long way %+v, %v", line, short.plain, *item, long.Problems.First)
		}
		if from, to, err := parseAnySpan(string(short.plain.source)); err != nil || from != short.plain.From || to != short.plain.To {
			t.Fatalf("%q: %+v, the long way %v to %v, %v", line, short.plain, from, to, err)
		}
	})
}

// FuzzPlainEntry compares the short ways through an entry with the long one.
func FuzzPlainEntry(f *testing.F) {
	for _, seed := range []string{"2001:db8::/64", "2001:db8::1", "192.0.2.1", "192.0.2.0/24", "192.0.2.1-192.0.2.9", "192.0.2.1-9", "2001:db8::1/64", "10.0.0.0/7", "0::ffff:1.2.3.4", "1::%eth0", "1:2", "mail.example.org", "a.b", "a.xy", "1.x", "1.2.xx", "1.2.3.4-a.example", "192.0.2.1-2.ab", "a-.b_c.d1", ".ab", "a..bc", "ab.", "x", "a.1b", "helo:a.bc"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, word string) {
		if word == "" || strings.ContainsAny(word, " \t") {
			return
		}
		short, long := parser{Lines: &Lines{Line: 2}}, parser{Lines: &Lines{Line: 2}}
		short.parseEntry(word, 0)
		long.parseAnyEntry(word, 0)
		if !reflect.DeepEqual(short.item, long.item) || !reflect.DeepEqual(short.Problems, long.Problems) {
			t.Fatalf("%q: %+v, the long way %+v, %v", word, short.item, long.item, long.Problems.First)
		}
	})
}

func TestPlainNames(t *testing.T) {
	for word, want := range map[string]bool{"mail.example.org": true, "host1.customers2.example": true, "a-b_c.de": true, "Mail.example": false, "localhost": false, "1.x": false,
		"192.0.2.1": false, "a.b": false, "a.1b": false, ".example": false, "a..example": false, "example.org.": false, "a@b.example": false, "": false} {
		if got := IsPlainName(word); got != want {
			t.Errorf("%q: %v", word, got)
		}
	}
}

func TestPrintable(t *testing.T) {
	for size := range 20 {
		for at := range size {
			for c := range 256 {
				line := bytes.Repeat([]byte("~"), size)
				line[at] = byte(c)
				if got, want := isPrintable(line), c >= ' ' && c <= '~'; got != want {
					t.Errorf("%q: %v", line, got)
				}
			}
		}
	}
}

// padding is what may follow a line.
const padding = "1.2.3.4\n1.2.3.4\n1.2.3.4\n"

func TestPlainTakesTheUsual(t *testing.T) {
	for line, want := range map[string]bool{"192.0.2.7\n": true, "192.0.2.0/24\n": true, "192.0.2.7\r\n": true, "0.0.0.0\n": true,
		"1.2.3.4\n": true, "255.255.255.255/32\n": true, "10.0.0.0/8\r\n": true, "1.2.3.4.5\n": false, "1.2.3.400\n": false, "1.2.3.4/\n": false, "1.2.3.4/024\n": false,
		"192.0.2.7 # note\n": false, "!192.0.2.7\n": false, "192.0.2.0-192.0.2.9\n": false, "10.0.0.0/7\n": false} {
		if p := (parser{Lines: new(Lines)}); (p.parsePlainLine([]byte(line+padding)) == len(line)) != want {
			t.Errorf("%q: %v", line, !want)
		}
	}
}
