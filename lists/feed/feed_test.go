package feed

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ehlogate/lists"
	"ehlogate/lists/answer"
	"ehlogate/lists/diag"
	"ehlogate/lists/listfile"
	"ehlogate/lists/test/testenv"
)

func TestMain(m *testing.M) {
	testenv.LeaveRaceDetector()
	goleak.VerifyTestMain(m)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Every file in testdata is in the format of its folder. The .want file of its name
// has the entries of a good file, and the problems of a bad one. UPDATE=1 writes them
// anew.
func TestFixtures(t *testing.T) {
	for _, format := range Formats() {
		names, err := filepath.Glob(filepath.Join("testdata", format, "*"))
		must(t, err)
		good, bad := 0, 0
		for _, name := range names {
			base := filepath.Base(name)
			data, err := os.ReadFile(name)
			must(t, err)
			switch {
			case strings.HasSuffix(name, ".want"):
			case strings.HasPrefix(base, "good"):
				good++
				items, err := parse(Format(format), data, base)
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				golden(t, name+".want", describe(items))
			default:
				bad++
				_, err := parse(Format(format), data, base)
				var ps *diag.Problems
				if !errors.As(err, &ps) {
					t.Fatalf("%s: got %v, want *diag.Problems", name, err)
				}
				golden(t, name+".want", ps.Report("error"))
			}
		}
		if good == 0 || bad == 0 {
			t.Errorf("%s: %d good and %d bad files", format, good, bad)
		}
	}
}

func parse(f Format, data []byte, name string) (items []listfile.Item, err error) {
	err = f.Parse(bytes.NewReader(data), name, listfile.Rules{Action: lists.Suppress}, func(it *listfile.Item) error {
		items = append(items, *it)
		return nil
	})
	return items, err
}

func describe(items []listfile.Item) string {
	var b strings.Builder
	for _, it := range items {
		fmt.Fprintf(&b, "%d:%d+%d\t%s", it.Line, it.Col, it.Width, it)
		if it.Note != "" {
			fmt.Fprintf(&b, "\t# %s", it.Note)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if os.Getenv("UPDATE") != "" {
		must(t, os.WriteFile(name, []byte(got), 0o644))
	}
	want, err := os.ReadFile(name)
	must(t, err)
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// Lines may end as on Windows, in all formats.
func TestCRLF(t *testing.T) {
	names, err := filepath.Glob("testdata/*/good*")
	must(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, ".want") {
			continue
		}
		data, err := os.ReadFile(name)
		must(t, err)
		format := Format(filepath.Base(filepath.Dir(name)))
		plain, err := parse(format, data, name)
		must(t, err)
		data = bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\r"), nil), []byte("\n"), []byte("\r\n"))
		crlf, err := parse(format, data, name)
		if err != nil || describe(plain) != describe(crlf) {
			t.Errorf("%s: %v\n%s", name, err, describe(crlf))
		}
	}
}

// What no format takes.
func TestNoFormatTakes(t *testing.T) {
	for _, format := range Formats() {
		for what, text := range map[string]string{
			"zero bytes": "", "blanks": "\n\n \n", "a long line": "# " + strings.Repeat("x", listfile.MaxLine) + "\n", "binary": "# \x7fELF\x00\n", "Latin-1": "# \xe4\n",
			"a list file": "192.0.2.1 until=2030-01-01 # x\nhelo:x\n",
		} {
			if items, err := parse(Format(format), []byte(text), "x"); err == nil {
				t.Errorf("%s takes %s as %s", format, what, describe(items))
			}
		}
	}
}

// The demands of lists are those of feeds.
func TestDemands(t *testing.T) {
	for format, text := range map[Format]string{
		Drop: "{\"cidr\":\"10.0.0.0/7\"}\n{\"type\":\"metadata\",\"records\":1}\n", DropText: "10.0.0.0/7\n", Addresses: "10.0.0.0/7\n", PostfixCIDR: "10.0.0.0/7 x\n",
		PostfixAccess: "com x\n", PostfixExact: ".com x\n", RbldnsdIP4Set: "10-11\n", RbldnsdIP6: "2000/18\n", RbldnsdDNSet: ".com\n",
		IPSet: "create x hash:net\nadd x 10.0.0.0/7\n", NFT: "table x {\nset x {\ntype ipv4_addr\nelements = { 10.0.0.0-11.255.255.255 }\n}\n}\n",
	} {
		read := func(rules listfile.Rules) error {
			return format.Parse(strings.NewReader(text), "x", rules, func(*listfile.Item) error { return nil })
		}
		if err := read(listfile.Rules{Action: lists.Suppress}); err == nil || !strings.Contains(err.Error(), "too wide") {
			t.Errorf("%s: a wide entry: %v", format, err)
		}
		if err := read(listfile.Rules{Action: lists.Suppress, AllowWide: true}); err != nil {
			t.Errorf("%s: with allow_wide: %v", format, err)
		}
		names := format == PostfixAccess || format == PostfixExact || format == RbldnsdDNSet
		if err := read(listfile.Rules{Action: lists.Require, AllowWide: true}); (err != nil) != names {
			t.Errorf("%s in a require list: %v", format, err)
		}
	}
}

func TestNames(t *testing.T) {
	names := Formats()
	if len(names) != 13 || names[0] != "drop" {
		t.Errorf("got %q, want 13 formats, drop first", names)
	}
	for _, name := range names {
		if f, err := ParseFormat(name); err != nil || string(f) != name {
			t.Errorf("%s: %q, %v", name, f, err)
		}
	}
	for _, name := range []string{"", "list", "DROP"} {
		_, err := ParseFormat(name)
		if err == nil || !strings.Contains(err.Error(), "rbldnsd-ip4set, rbldnsd-ip6trie") {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := parse(Format(name), []byte("192.0.2.1\n"), "x"); err == nil {
			t.Errorf("%q reads something", name)
		}
	}
}

// A feed makes a list as any other file does.
func TestSource(t *testing.T) {
	name := filepath.Join(t.TempDir(), "drop.json")
	data, err := os.ReadFile("testdata/drop/good-v4.json")
	must(t, err)
	must(t, os.WriteFile(name, data, 0o644))
	s, err := listfile.New(listfile.Spec{Patterns: []string{name}, Rules: listfile.Rules{Action: lists.Suppress}, MinEntries: 3, Format: Drop}, time.Now).Load()
	must(t, err)
	a := netip.MustParseAddr("198.19.255.255")
	found := s.Lookup(lists.Client{Addr: a})
	if e := found.Entry(a); found.Status != lists.Matched || e.Text != "198.18.0.0/15" || e.Line != 2 || e.Note != "SBL434604" {
		t.Errorf("%+v by %+v", found, e)
	}
	must(t, os.WriteFile(name, data[:100], 0o644))
	if s, err := s.Load(); err == nil || s.Lookup(lists.Client{Addr: a}).Status != lists.Matched {
		t.Errorf("half a file: %v", err)
	}
}

// A wide entry in a last line without newline may be a narrower one that was cut. One in a line before it is not, also where
// the entries are yielded after the last line was read.
func TestWideInLastLine(t *testing.T) {
	filter, err := answer.Parse("127.0.0.2")
	must(t, err)
	for _, tc := range []struct {
		grammar      Filtered
		wide, narrow string
	}{
		{Filtered{Format: Addresses}, "128.0.0.0/1", "192.0.2.1"}, {Filtered{Format: RbldnsdIP4Set}, "128/1", "192.0.2.1"},
		{Filtered{Format: RbldnsdIP4Set, Answer: filter}, "128/1", "192.0.2.1"}, {Filtered{Format: PostfixCIDR}, "128.0.0.0/1 x", "192.0.2.1 x"},
		{Filtered{Format: SendmailAccess}, "com\tREJECT", "192.0.2\tREJECT"}, {Filtered{Format: PostfixAccess}, "com x", "192.0.2 x"},
	} {
		for _, lines := range [][]string{{tc.wide, tc.narrow}, {tc.narrow, tc.wide}} {
			name := writeOld(t, "feed", strings.Join(lines, "\n"))
			_, err := listfile.New(listfile.Spec{Patterns: []string{name}, Rules: listfile.Rules{Action: lists.Suppress, AllowWide: true}, MinEntries: 1, Format: tc.grammar}, time.Now).Load()
			if isLast := lines[1] == tc.wide; isLast != (err != nil) || err != nil && !strings.Contains(err.Error(), "feed:2:1: ") {
				t.Errorf("%s: %q: %v", tc.grammar, lines, err)
			}
		}
	}
}

// Entries are counted as they are in a feed, however many a list makes of one, and exceptions by themselves: by these numbers
// an operator sets min_entries.
func TestCountOfEntries(t *testing.T) {
	filter, err := answer.Parse("127.0.0.2")
	must(t, err)
	for _, tc := range []struct {
		grammar             Filtered
		text                string
		entries, exceptions int
	}{
		{Filtered{Format: Addresses}, "192.0.2.1\n192.0.2.0/24\n192.0.2.1\n", 3, 0},
		{Filtered{Format: RbldnsdIP4Set}, "10.0.0.1-10.0.1.254\n!10.0.0.128-255\n10.9.0.1-10.10.0.1\n", 2, 1},
		{Filtered{Format: RbldnsdIP4Set, Answer: filter}, "10.0.0.1-10.0.1.254\n!10.0.0.128-130\n10.9.0.1-10.10.0.1 :3:\n10.11.0.1-10.12.0.1\n", 2, 2},
		{Filtered{Format: RbldnsdDNSet}, ".example.org\n!a.example.org\nexample.net\n", 2, 1},
		{Filtered{Format: PostfixAccess}, "example.org x\n192.0.2 x\n192.0.2 y\nexample.net DUNNO\n", 2, 1},
		{Filtered{Format: PostfixCIDR, Results: "reject"}, "192.0.2.1 permit\n192.0.2.0/24 reject\n192.0.2.2 reject\n", 1, 1},
		{Filtered{Format: SendmailAccess}, "Connect:example.org\tREJECT\nexample.org\tREJECT\n192.0.2\tREJECT\n", 2, 0},
		{Filtered{Format: IPSet}, "create x hash:net\nadd x 192.0.2.1-192.0.2.9\nadd x 192.0.2.5 nomatch\n", 1, 1},
		{Filtered{Format: NFT}, "add element inet t s { 192.0.2.1, 192.0.2.2,\n192.0.2.3-192.0.2.9 }\n", 3, 0},
	} {
		list, err := loadFeed(t, tc.grammar, lists.Suppress, tc.text)
		must(t, err)
		if s := list.Status(); s.Entries != tc.entries || s.Exceptions != tc.exceptions {
			t.Errorf("%s: %d entries and %d exceptions, want %d and %d\n%s", tc.grammar, s.Entries, s.Exceptions, tc.entries, tc.exceptions, tc.text)
		}
	}
}

// An element without end is refused, and not remembered.
func TestManyWords(t *testing.T) {
	text := "table ip t {\nset s {\ntype ipv4_addr\nelements = { 192.0.2.1 comment" + strings.Repeat("\n x", 100000) + " }\n}\n}\n"
	items, err := parse(NFT, []byte(text), "x")
	var ps *diag.Problems
	if !errors.As(err, &ps) || ps.Total != 1 || !strings.Contains(err.Error(), "too many words") || len(items) != 0 {
		t.Errorf("%d items, %v", len(items), err)
	}
}

// An entry that is read in parts is as wide as all of them together.
func TestPartsAreWide(t *testing.T) {
	filter, err := answer.Parse("127.0.0.2")
	must(t, err)
	for text, grammar := range map[string]listfile.Grammar{
		"11-13\n": Filtered{Format: RbldnsdIP4Set, Answer: filter}, "128/1 :2:\n": Filtered{Format: RbldnsdIP4Set, Answer: filter},
		"create x hash:net\nadd x 11.0.0.0-12.255.255.255\n": IPSet,
	} {
		read := func(rules listfile.Rules) error {
			return grammar.Parse(strings.NewReader(text), "x", rules, func(*listfile.Item) error { return nil })
		}
		if err := read(listfile.Rules{Action: lists.Suppress}); err == nil || !strings.Contains(err.Error(), "too wide") {
			t.Errorf("%s: %v", text, err)
		}
		must(t, read(listfile.Rules{Action: lists.Suppress, AllowWide: true}))
	}
}
