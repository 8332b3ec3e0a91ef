package listfile

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
)

// oracle says what the design's section 2 says, word for word and slowly: the
// entry that holds c, or nil.
func oracle(items []Item, c lists.Client, now time.Time) (*Item, lists.Status) {
	var winners [3]*Item
	for i := range items {
		it := &items[i]
		if !it.Until.IsZero() && !now.Before(it.Until) || !holds(it, c) {
			continue
		}
		w := winners[it.Kind]
		if w == nil || closer(it, w) || !closer(w, it) && (it.Hole && !w.Hole || it.Hole == w.Hole) {
			winners[it.Kind] = it
		}
	}
	var first *Item
	for _, w := range winners {
		if w != nil && w.Hole {
			return w, lists.Exception
		}
		if first == nil {
			first = w
		}
	}
	if first == nil {
		return nil, lists.NoMatch
	}
	return first, lists.Matched
}

func holds(it *Item, c lists.Client) bool {
	name := c.Name
	switch it.Kind {
	case Address:
		return c.Addr.IsValid() && c.Addr.Is4() == it.From.Is4() && !c.Addr.Less(it.From) && !it.To.Less(c.Addr)
	case HELO:
		name = c.HELO
	}
	if name == "" {
		return false
	}
	if it.Name == "." {
		return true
	}
	if strings.HasPrefix(it.Name, ".") {
		return strings.HasSuffix(name, it.Name) && len(name) > len(it.Name)
	}
	return name == it.Name
}

func closer(a, b *Item) bool {
	if a.Kind == Address {
		x, y := keyOf(a.To).minus(keyOf(a.From)), keyOf(b.To).minus(keyOf(b.From))
		return x.less(y)
	}
	return len(a.Name) > len(b.Name)
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// randomV4 is at the end of the addresses, or where the upper half changes.
func randomV4(r *rand.Rand) netip.Addr {
	if r.IntN(3) == 0 {
		return addr4(10<<24 | 1<<16 - 16 + r.Uint32N(32))
	}
	return addr4(1<<32 - 64 + r.Uint32N(64))
}

// randomList writes a list over a small space, so that entries meet.
func randomList(r *rand.Rand, n int) string {
	var b strings.Builder
	names := []string{"a.x.test", "b.a.x.test", ".x.test", ".a.x.test", ".test.example", "x.test"}
	v4 := func() netip.Addr { return randomV4(r) }
	v6 := func() netip.Addr {
		return netip.AddrFrom16([16]byte{0: 0xff, 7: byte(r.IntN(2)), 14: byte(r.IntN(2)), 15: byte(r.IntN(256))})
	}
	for range n {
		if r.IntN(5) == 0 {
			b.WriteString("# a comment\n")
		}
		hole := r.IntN(4) == 0
		entry := ""
		addr := v4
		if r.IntN(2) == 0 {
			addr = v6
		}
		switch r.IntN(8) {
		case 0:
			entry = names[r.IntN(len(names))]
		case 1:
			entry, hole = "helo:"+strings.Replace(names[r.IntN(len(names))], ".", "*.", 1), false
			if !strings.HasPrefix(entry, "helo:*.") {
				entry = strings.Replace(entry, "*", "", 1)
			}
		case 2, 3, 4:
			x, y := addr(), addr()
			for x.Is4() && x.As4()[0] != y.As4()[0] && r.IntN(50) > 0 {
				y = addr() // what spans half of the addresses takes its time
			}
			if y.Less(x) {
				x, y = y, x
			}
			entry = x.String() + "-" + y.String()
		default:
			x := addr()
			p, _ := x.Prefix(x.BitLen() - r.IntN(7))
			entry = p.String()
		}
		if hole {
			b.WriteString("!")
		}
		b.WriteString(entry)
		if r.IntN(3) == 0 {
			fmt.Fprintf(&b, " until=%s", epoch.Add(time.Duration(r.IntN(10))*time.Hour).Format(time.RFC3339))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func randomClient(r *rand.Rand) lists.Client {
	var c lists.Client
	switch r.IntN(8) {
	case 0:
	case 1, 2, 3:
		c.Addr = netip.AddrFrom16([16]byte{0: 0xff, 7: byte(r.IntN(2)), 14: byte(r.IntN(2)), 15: byte(r.IntN(256))})
	default:
		c.Addr = randomV4(r)
	}
	names := []string{"", "a.x.test", "b.a.x.test", "c.x.test", "x.test", "test.example", "q.test.example", ".x.test", "..", "."}
	c.Name, c.HELO = names[r.IntN(7)], names[r.IntN(len(names))]
	return c
}

func build(t testing.TB, text string, rules Rules) (*Table, []Item) {
	t.Helper()
	var b builder
	var items []Item
	b.file("test.list", 0)
	if err := Parse(strings.NewReader(text), "test.list", rules, func(it *Item) error {
		items = append(items, *it)
		return b.add(it)
	}); err != nil {
		t.Fatal(err)
	}
	return b.table(), items
}

// compare asks table and oracle the same and fails if they differ.
func compare(t *testing.T, table *Table, items []Item, c lists.Client, now time.Time) {
	t.Helper()
	want, status := oracle(items, c, now)
	id, got := table.Lookup(c, func() time.Time { return now })
	if got != status {
		t.Fatalf("%+v at %s: status %v, want %v by %v", c, now, got, status, want)
	}
	if want == nil {
		return
	}
	e := table.Entry(id, c.Addr)
	if e.Line != want.Line || e.Text != want.String() || !e.Until.Equal(want.Until) || e.File != "test.list" {
		t.Fatalf("%+v at %s: got %+v, want %s in line %d", c, now, e, want, want.Line)
	}
}

func TestTableAgainstOracle(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		text := randomList(r, 1+r.IntN(60))
		table, items := build(t, text, Rules{Action: lists.Suppress, AllowWide: true})
		for range 400 {
			compare(t, table, items, randomClient(r), epoch.Add(time.Duration(r.IntN(12))*time.Hour-time.Hour))
		}
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, text)
		}
	}
}

// Between two boundaries nothing changes.
func TestBoundaries(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		text := randomList(r, 1+r.IntN(20))
		table, _ := build(t, text, Rules{AnyAction: true})
		bounds := make(map[netip.Addr]bool)
		last := netip.Addr{}
		for a := range table.Boundaries() {
			if last.IsValid() && !last.Less(a) {
				t.Fatalf("%s behind %s", a, last)
			}
			bounds[a], last = true, a
		}
		for _, from := range []string{"10.0.255.240", "255.255.255.190", "ff00::", "ff00::100", "ff00:0:0:1::", "ff00:0:0:1::100"} {
			a := netip.MustParseAddr(from)
			id, status := table.Lookup(lists.Client{Addr: a}, func() time.Time { return epoch })
			for range 300 {
				if a = a.Next(); !a.IsValid() {
					break
				}
				nextID, next := table.Lookup(lists.Client{Addr: a}, func() time.Time { return epoch })
				if (nextID != id || next != status) && !bounds[a] {
					t.Fatalf("seed %d: the answer changes at %s\n%s", seed, a, text)
				}
				id, status = nextID, next
			}
		}
	}
}

// Above indexFrom segments an index joins in.
func TestIndexAgainstOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	var b strings.Builder
	for i := range indexFrom {
		// The upper half of an address takes few values, the lowest and
		// the highest among them.
		a := [4]byte{[]byte{0, 10, 255}[r.IntN(3)], []byte{0, 7, 255}[r.IntN(3)], byte(i >> 8), byte(i)}
		fmt.Fprintln(&b, netip.AddrFrom4(a))
	}
	table, items := build(t, b.String(), Rules{Action: lists.Suppress})
	if table.v4.tops != nil {
		t.Fatal("no index of all upper halves")
	}
	byAddr := make(map[netip.Addr]int)
	for _, it := range items {
		byAddr[it.From] = it.Line
	}
	for range 300000 {
		a := netip.AddrFrom4([4]byte{[]byte{0, 1, 10, 255}[r.IntN(4)], []byte{0, 7, 8, 255}[r.IntN(4)], byte(r.IntN(128)), byte(r.IntN(256))})
		id, status := table.Lookup(lists.Client{Addr: a}, time.Now)
		line, want := byAddr[a]
		held := status == lists.Matched
		if held != want || held && table.Entry(id, a).Line != line {
			t.Fatalf("%s: held %v, want %v in line %d", a, held, want, line)
		}
	}
}

// The ends of both address spaces are where arithmetic overflows.
func TestEdges(t *testing.T) {
	text := "0.0.0.0\n255.255.255.255\n255.255.255.0-255.255.255.255\n::\nffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\nffff::/16\n!255.255.255.254 until=2026-01-02\n0.0.0.0/0\n::/0\n"
	table, items := build(t, text, Rules{AnyAction: true})
	for _, s := range []string{"0.0.0.0", "0.0.0.1", "255.255.255.255", "255.255.255.254", "255.255.255.253", "255.255.254.255",
		"::", "::1", "ffff::", "fffe::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"} {
		for _, now := range []time.Time{epoch, epoch.AddDate(1, 0, 0)} {
			compare(t, table, items, lists.Client{Addr: netip.MustParseAddr(s)}, now)
		}
	}
}

// An entry counts again if the clock is set back.
func TestClockSetBack(t *testing.T) {
	table, _ := build(t, "192.0.2.0/24\n192.0.2.1 until=2026-01-01 # note\n", Rules{})
	c := lists.Client{Addr: netip.MustParseAddr("192.0.2.1")}
	for _, tc := range []struct {
		now  time.Time
		line int
	}{{epoch, 2}, {epoch.Add(24*time.Hour - 1), 2}, {epoch.Add(24 * time.Hour), 1}, {epoch, 2}} {
		id, held := table.Lookup(c, func() time.Time { return tc.now })
		if e := table.Entry(id, c.Addr); held != lists.Matched || e.Line != tc.line || (e.Note == "note") != (tc.line == 2) {
			t.Errorf("at %s: held %v by %+v, want line %d", tc.now, held, e, tc.line)
		}
	}
}

// The epoch is an instant like any other.
func TestUntilEpoch(t *testing.T) {
	table, _ := build(t, "192.0.2.1 until=1970-01-01T00:00:00Z\n", Rules{})
	if _, held := table.Lookup(lists.Client{Addr: netip.MustParseAddr("192.0.2.1")}, time.Now); held != lists.NoMatch {
		t.Error("an entry that ended in 1970 counts")
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	table, _ := build(t, "192.0.2.0/24\n2001:db8::/32 until=2030-01-01\n.example.net\n", Rules{Action: lists.Suppress})
	for _, c := range []lists.Client{
		{Addr: netip.MustParseAddr("192.0.2.9")}, {Addr: netip.MustParseAddr("2001:db8::1")},
		{Addr: netip.MustParseAddr("203.0.113.1"), Name: "mail.example.net"},
	} {
		if n := testing.AllocsPerRun(100, func() { table.Lookup(c, time.Now) }); n != 0 {
			t.Errorf("%+v: %v allocations", c, n)
		}
	}
}
