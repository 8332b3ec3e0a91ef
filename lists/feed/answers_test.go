package feed

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/answer"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/listfile"
	"ehlogate/lists/test/testenv"
)

// loadFeed reads a text as a feed of a list that allows wide entries.
func loadFeed(t *testing.T, f listfile.Grammar, action lists.Action, text string) (*listfile.List, error) {
	t.Helper()
	name := writeOld(t, "feed", text)
	return listfile.New(listfile.Spec{Patterns: []string{filewatch.EscapeGlob(name)}, Format: f, Rules: listfile.Rules{Action: action, AllowWide: true}}, time.Now).Load()
}

// randomValue is what may be behind an entry, or before entries as their default.
func randomValue(r *rand.Rand) string {
	return pick(r, ":2:", ":3:x", ":127.0.0.2:", ":127.0.1.3: y", ":127.3:", ":127.0.3:", ":1.2.3.4:", ":127.0.0.300:", ":0:", ":x:", ":3", ":127.0.1.2.5:")
}

// A filter chooses the entries for which rbldnsd returns an answer that it takes, also where entries overlap, repeat or
// exclude each other. Lines that rbldnsd ignores are skipped, and no others.
func TestAnswersAgainstRbldnsd(t *testing.T) {
	testenv.Needs(t, "rbldnsd")
	makers := []func(*rand.Rand) zoneText{randomIP4Set, randomIP6Trie, randomDNSet}
	var zones []zoneText
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 7))
		z := makers[seed%3](r)
		var b strings.Builder
		for line := range strings.Lines(z.text) {
			if r.IntN(3) == 0 {
				b.WriteString(randomValue(r) + "\n")
			}
			if words := strings.FieldsFunc(line, func(c rune) bool { return strings.ContainsRune(" #;\n", c) }); len(words) > 0 && words[0] != "!" && !strings.ContainsAny(line, ":$") && r.IntN(2) == 0 {
				line = words[0] + " " + randomValue(r) + "\n"
			}
			b.WriteString(line)
		}
		zones = append(zones, zoneText{z.format, z.kind, b.String()})
	}
	lookUp, isWarned := startRbldnsd(t, zones, len(zones))
	yes, no := 0, 0
	for i, z := range zones {
		filter, err := answer.Parse(pick(rand.New(rand.NewPCG(uint64(i), 8)), "", "127.0.0.2", "127.0.0.3", "127.0.[0..1].[2..3]"))
		must(t, err)
		list, err := loadFeed(t, Filtered{Format: z.format, Answer: filter}, lists.Suppress, z.text)
		if err != nil { // more bad lines than good ones
			continue
		}
		r := rand.New(rand.NewPCG(uint64(i), 9))
		for _, c := range clientsNear(r, z) {
			want := slices.ContainsFunc(lookUp(questionOf(t, c, i)), func(a netip.Addr) bool {
				b := a.As4()
				_, ok := filter.Takes(b[1], b[2], b[3])
				return ok && b[0] == 127 || filter == (answer.Filter{})
			})
			if got := isMatch(list, c); got != want {
				t.Fatalf("zone %d, answer %s: %+v: matched %v, rbldnsd answers %v\n%s", i, filter, c, got, lookUp(questionOf(t, c, i)), z.text)
			}
			if want {
				yes++
			} else {
				no++
			}
		}
		for _, p := range list.Status().Skipped.First {
			if !isWarned(i, p.Line) {
				t.Errorf("zone %d: skipped %v, which rbldnsd takes\n%s", i, p, z.text)
			}
		}
	}
	if yes < 1000 || no < 1000 {
		t.Errorf("%d listed, %d not", yes, no)
	}
}

// One line that matches all clients, or is a typing mistake near to it, is to rbldnsd what it is here.
func TestWideEntriesAgainstRbldnsd(t *testing.T) {
	testenv.Needs(t, "rbldnsd")
	var zones []zoneText
	for _, line := range []string{"0.0.0.0/0", "0/0", "10.0.0.0/0", "0.0.0.0/1", "128/1", "10.0.0.0/1", "0.0.0.0/00", "0.0.0.0/33", "192.0.2.0/-1", "0.0.0.0-255.255.255.255", "0-255", "0", "1-223",
		"0.0.0.0/0.0.0.0", "192.0.2.0/255.255.255.0", "*", "0.0.0.0", "::/0", "::ffff:0:0/96", "192.0.2.1/24", "192.0.2.300", "192.0.2.01", "192.0.2.09", "192.0.2.011", "192.0.2.0009", "192.0.2.00000009", "192.0.2.0/024",
		"10.0-9 :x:\n!10.1.0"} { // an entry of several pieces whose value is invalid, around an exclusion
		zones = append(zones, zoneText{RbldnsdIP4Set, "ip4set", ":127.0.0.2:x\n203.0.113.1\n" + line + "\n"})
	}
	for _, line := range []string{"::/0", "0/0", "::/1", "2000::/3", "::ffff:0:0/96", "::ffff:0:0/95", "2001:db8::1/32", "2001:db8::/129", "2001:db8::/032", "::", "2000/3", "0.0.0.0/0", "*"} {
		zones = append(zones, zoneText{RbldnsdIP6, "ip6trie", ":127.0.0.2:x\n2001:db9::1\n" + line + "\n"})
	}
	lookUp, isWarned := startRbldnsd(t, zones, len(zones))
	for i, z := range zones {
		list, err := loadFeed(t, z.format, lists.Suppress, z.text)
		must(t, err)
		probes := []string{"198.18.5.5", "192.0.2.9", "10.9.9.9", "192.0.2.1", "0.0.0.0"}
		if z.format == RbldnsdIP6 {
			probes = []string{"2001:db8::5", "fe80::1", "::"}
		}
		for _, probe := range probes {
			c := lists.Client{Addr: netip.MustParseAddr(probe)}
			if got, want := isMatch(list, c), len(lookUp(questionOf(t, c, i))) > 0; got != want {
				t.Errorf("%s: matched %v, listed %v\n%s", probe, got, want, z.text)
			}
		}
		if z.format == RbldnsdIP6 && isMatch(list, lists.Client{Addr: netip.MustParseAddr("192.0.2.9")}) {
			t.Errorf("an IPv4 client is on a list of IPv6 addresses\n%s", z.text)
		}
		skipped := list.Status().Skipped.Total == 1
		if warned := isWarned(i, 3); warned != skipped && !strings.Contains(z.text, "::ffff") {
			t.Errorf("skipped %v, rbldnsd warned %v\n%s", skipped, warned, z.text)
		}
	}
}

func TestAnswersNeedFormat(t *testing.T) {
	for _, f := range Formats() {
		results, answers := Format(f).HasResults(), Format(f).HasAnswers()
		if want := strings.HasPrefix(f, "rbldnsd"); answers != want {
			t.Errorf("%s has answers: %v", f, answers)
		}
		if want := strings.Contains(f, "postfix") || strings.Contains(f, "access"); results != want {
			t.Errorf("%s has results: %v", f, results)
		}
		if got := fmt.Sprint(Filtered{Format: Format(f)}); got != f {
			t.Errorf("%s is called %s", f, got)
		}
	}
}

// With a filter, the lines that count are read again. What stands behind them or before them in the file changes nothing then.
func TestRereadLines(t *testing.T) {
	filter, err := answer.Parse("127.0.0.[2..3]")
	must(t, err)
	for _, tc := range []struct {
		format Format
		text   string
		want   map[string]lists.Status
	}{
		{RbldnsdIP4Set, "192.0.2.0/24 :3:wide\n$MAXRANGE4 16\n198.51.100.0/24\n!192.0.2.7\n192.0.2.9 :4:other\n192.0.2.10 :2:one\n192.0.2.10 :4:other\n",
			map[string]lists.Status{"192.0.2.1": lists.Matched, "192.0.2.7": lists.Exception, "192.0.2.9": lists.Exception, "192.0.2.10": lists.Matched, "198.51.100.1": lists.NoMatch}},
		{RbldnsdIP6, ":4:other\n2001:db8::/32\n:2:x\n2001:db8::/32\n2001:db8:1::/48\n2001:db9::/32 :3:a note\n2001:db9::/32 :4:other\n",
			map[string]lists.Status{"2001:db8::1": lists.Exception, "2001:db8:1::1": lists.Matched, "2001:db9::1": lists.Matched}},
	} {
		l, err := loadFeed(t, Filtered{Format: tc.format, Answer: filter}, lists.Suppress, tc.text)
		must(t, err)
		for addr, want := range tc.want {
			m := l.Lookup(lists.Client{Addr: netip.MustParseAddr(addr)})
			if m.Status != want {
				t.Errorf("%s: %s: got %v, want %v", tc.format, addr, m.Status, want)
			}
			if note := m.Entry(netip.MustParseAddr(addr)).Note; addr == "2001:db9::1" && note != "a note" || addr == "192.0.2.1" && note != "wide" {
				t.Errorf("%s: %s: got the note %q", tc.format, addr, note)
			}
		}
	}
}
