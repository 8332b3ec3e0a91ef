package listfile

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/iptable"
	"ehlogate/lists/uselog"
)

// TestUseLog checks which sessions are noted, and that a list that is read again keeps what was noted.
func TestUseLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deny.list")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	log := uselog.New(map[uint64]uselog.Use{UseKey(&iptable.Item{Kind: iptable.Name, Name: "mail.example.org"}): {Since: 100, Last: 200}}, first)
	list := New(Spec{Patterns: []string{path}, Rules: Rules{Action: lists.Suppress}}, time.Now).WithUseLog(log)
	load := func() {
		t.Helper()
		next, err := list.ReadSnapshot(filewatch.StatFiles([]string{path}, nil), nil, false)
		if err != nil || next.Status().Err != nil {
			t.Fatal(err, next)
		}
		list = next
	}
	uses := func() string {
		var out []string
		all := log.Uses()
		for _, it := range []iptable.Item{
			{From: netip.MustParseAddr("192.0.2.0"), To: netip.MustParseAddr("192.0.2.255")}, {Exception: true, From: netip.MustParseAddr("192.0.2.7"), To: netip.MustParseAddr("192.0.2.7")},
			{From: netip.MustParseAddr("198.51.100.1"), To: netip.MustParseAddr("198.51.100.1")}, {Kind: iptable.Name, Name: "mail.example.org"},
		} {
			use, ok := all[UseKey(&it)]
			out = append(out, fmt.Sprintf("%v %d %d", ok, int(use.Since)-int(uselog.DayOf(first)), int(use.Last)-int(uselog.DayOf(first))))
		}
		return strings.Join(out, ", ")
	}
	const never = -20786
	check := func(want ...any) {
		t.Helper()
		if got, want := uses(), fmt.Sprintf("%v %d %d, %v %d %d, %v %d %d, %v %d %d", want...); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	client := func(addr string) lists.Client { return lists.Client{Addr: netip.MustParseAddr(addr)} }
	write("192.0.2.0/24\n!192.0.2.7\n198.51.100.1 # a\nmail.example.org\n")
	load()
	check(true, 0, never, true, 0, never, true, 0, never, true, 100+never, 200+never)
	list.Lookup(client("192.0.2.1")) // for a report: no session
	list.LookupSession(client("203.0.113.1"))
	check(true, 0, never, true, 0, never, true, 0, never, true, 100+never, 200+never)
	list.LookupSession(client("192.0.2.1"))
	list.LookupSession(client("192.0.2.7"))
	check(true, 0, 0, true, 0, 0, true, 0, never, true, 100+never, 200+never)

	before := list
	log.SetToday(first.AddDate(0, 0, 3))
	write("# other lines\n\n198.51.100.1 until=2099-01-01 # b\n192.0.2.0/24\nmail.example.org\n")
	load()
	before.LookupSession(client("192.0.2.1")) // of a session that began before
	list.LookupSession(lists.Client{Name: "mail.example.org"})
	check(true, 0, 3, false, never, never, true, 0, never, true, 100+never, 3)
	write("192.0.2.0/33\n") // is refused
	if next, err := list.ReadSnapshot(filewatch.StatFiles([]string{path}, nil), nil, false); err != nil || next.Status().Err == nil {
		t.Fatal(err)
	} else {
		list = next
	}
	list.LookupSession(client("198.51.100.1"))
	check(true, 0, 3, false, never, never, true, 0, 3, true, 100+never, 3)
	if n := testing.AllocsPerRun(100, func() { list.LookupSession(client("192.0.2.1")) }); n != 0 {
		t.Errorf("%v allocations", n)
	}

	write(strings.Repeat("192.0.2.1\n", uselog.MaxEntries+1))
	load()
	list.LookupSession(client("192.0.2.1"))
	if n := len(log.Uses()); n > 4 {
		t.Errorf("%d entries of a long list are counted", n)
	}
}

// BenchmarkUseLog compares a lookup that is noted with one that is not.
func BenchmarkUseLog(b *testing.B) {
	path := filepath.Join(b.TempDir(), "deny.list")
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, "10.%d.%d.%d\n", i/2500, i/10%250, i%10*20)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	list := New(Spec{Patterns: []string{path}, Rules: Rules{Action: lists.Suppress}}, time.Now).WithUseLog(uselog.New(nil, time.Now()))
	list, err := list.ReadSnapshot(filewatch.StatFiles([]string{path}, nil), nil, false)
	if err != nil {
		b.Fatal(err)
	}
	clients := make([]lists.Client, 4096)
	for i := range clients {
		n := i * 7 % 10_000
		clients[i].Addr = netip.AddrFrom4([4]byte{10, byte(n / 2500), byte(n / 10 % 250), byte(n % 10 * 20)})
	}
	var plain, noted time.Duration
	lookups := [2]func(lists.Client) lists.Match{list.Lookup, list.LookupSession}
	for b.Loop() {
		for i, total := range []*time.Duration{&plain, &noted} {
			start := time.Now()
			for _, c := range clients {
				lookups[i](c)
			}
			*total += time.Since(start)
		}
	}
	b.ReportMetric(float64(plain.Nanoseconds())/float64(b.N*len(clients)), "plain-ns")
	b.ReportMetric(float64(noted.Nanoseconds())/float64(b.N*len(clients)), "noted-ns")
	b.ReportMetric(float64(noted)/float64(plain), "ratio")
}
