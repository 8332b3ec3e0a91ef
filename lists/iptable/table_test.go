package iptable_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/iptable"
	"ehlogate/lists/listfile"
	"ehlogate/lists/test/listtest"
)

// oracle returns the entry that decides about c, or nil. It compares all entries one by one.
func oracle(items []listfile.Item, c lists.Client, now time.Time) (*listfile.Item, lists.Status) {
	var winners [3]*listfile.Item
	for i := range items {
		it := &items[i]
		if !it.Until.IsZero() && !now.Before(it.Until) || !matches(it, c) {
			continue
		}
		w := winners[it.Kind]
		if w == nil || closer(it, w) || !closer(w, it) && (it.Exception && !w.Exception || it.Exception == w.Exception) {
			winners[it.Kind] = it
		}
	}
	var first *listfile.Item
	for _, w := range winners {
		if w != nil && w.Exception {
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

func matches(it *listfile.Item, c lists.Client) bool {
	name := c.Name
	switch it.Kind {
	case iptable.Address:
		return c.Addr.IsValid() && c.Addr.Is4() == it.From.Is4() && !c.Addr.Less(it.From) && !it.To.Less(c.Addr)
	case iptable.HELO:
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

func closer(a, b *listfile.Item) bool {
	if a.Kind == iptable.Address {
		return sizeOf(a).Cmp(sizeOf(b)) < 0
	}
	return len(a.Name) > len(b.Name)
}

func sizeOf(it *listfile.Item) *big.Int {
	from, to := new(big.Int).SetBytes(it.From.AsSlice()), new(big.Int).SetBytes(it.To.AsSlice())
	return to.Sub(to, from)
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func randomClient(r *rand.Rand) lists.Client {
	var c lists.Client
	switch r.IntN(8) {
	case 0:
	case 1, 2, 3:
		c.Addr = listtest.CrowdedIPv6(r)
	default:
		c.Addr = listtest.CrowdedIPv4(r)
	}
	names := []string{"", "a.x.test", "b.a.x.test", "c.x.test", "x.test", "test.example", "q.test.example", ".x.test", "..", "."}
	c.Name, c.HELO = names[r.IntN(7)], names[r.IntN(len(names))]
	return c
}

func build(t testing.TB, text string, rules listfile.Rules) (*iptable.Table, []listfile.Item) {
	t.Helper()
	var b iptable.Builder
	var items []listfile.Item
	b.BeginFile("test.list", 0)
	if err := listfile.Parse(strings.NewReader(text), "test.list", rules, func(it *listfile.Item) error {
		items = append(items, *it)
		return b.Add(&it.Item)
	}); err != nil {
		t.Fatal(err)
	}
	return b.Table(), items
}

// compare fails if table and oracle differ.
func compare(t *testing.T, table *iptable.Table, items []listfile.Item, c lists.Client, now time.Time) {
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
		text := listtest.Random(r, 1+r.IntN(60), epoch)
		table, items := build(t, text, listfile.Rules{Action: lists.Suppress, AllowWide: true})
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
		text := listtest.Random(r, 1+r.IntN(20), epoch)
		table, _ := build(t, text, listfile.Rules{AnyAction: true})
		bounds := make(map[netip.Addr]bool)
		last := netip.Addr{}
		for a := range table.Boundaries() {
			if last.IsValid() && !last.Less(a) {
				t.Fatalf("%s after %s", a, last)
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

// From FullIndexFrom segments on all upper halves are indexed.
func TestIndexAgainstOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	var b strings.Builder
	for i := range iptable.FullIndexFrom {
		// The upper half of an address takes few values, the lowest and
		// the highest among them.
		a := [4]byte{[]byte{0, 10, 255}[r.IntN(3)], []byte{0, 7, 255}[r.IntN(3)], byte(i >> 8), byte(i)}
		fmt.Fprintln(&b, netip.AddrFrom4(a))
	}
	table, items := build(t, b.String(), listfile.Rules{Action: lists.Suppress})
	if !table.HasFullIndex() {
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
		matched := status == lists.Matched
		if matched != want || matched && table.Entry(id, a).Line != line {
			t.Fatalf("%s: matched %v, want %v in line %d", a, matched, want, line)
		}
	}
}

// The ends of both address spaces are where arithmetic overflows.
func TestEdges(t *testing.T) {
	text := "0.0.0.0\n255.255.255.255\n255.255.255.0-255.255.255.255\n::\nffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\nffff::/16\n!255.255.255.254 until=2026-01-02\n0.0.0.0/0\n::/0\n"
	table, items := build(t, text, listfile.Rules{AnyAction: true})
	for _, s := range []string{"0.0.0.0", "0.0.0.1", "255.255.255.255", "255.255.255.254", "255.255.255.253", "255.255.254.255",
		"::", "::1", "ffff::", "fffe::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"} {
		for _, now := range []time.Time{epoch, epoch.AddDate(1, 0, 0)} {
			compare(t, table, items, lists.Client{Addr: netip.MustParseAddr(s)}, now)
		}
	}
}

// An entry counts again if the clock is set back.
func TestClockSetBack(t *testing.T) {
	table, _ := build(t, "192.0.2.0/24\n192.0.2.1 until=2026-01-01 # note\n", listfile.Rules{})
	c := lists.Client{Addr: netip.MustParseAddr("192.0.2.1")}
	for _, tc := range []struct {
		now  time.Time
		line int
	}{{epoch, 2}, {epoch.Add(24*time.Hour - 1), 2}, {epoch.Add(24 * time.Hour), 1}, {epoch, 2}} {
		id, status := table.Lookup(c, func() time.Time { return tc.now })
		if e := table.Entry(id, c.Addr); status != lists.Matched || e.Line != tc.line || (e.Note == "note") != (tc.line == 2) {
			t.Errorf("at %s: %v by %+v, want line %d", tc.now, status, e, tc.line)
		}
	}
}

// The epoch is an instant like any other.
func TestUntilEpoch(t *testing.T) {
	table, _ := build(t, "192.0.2.1 until=1970-01-01T00:00:00Z\n", listfile.Rules{})
	if _, status := table.Lookup(lists.Client{Addr: netip.MustParseAddr("192.0.2.1")}, time.Now); status != lists.NoMatch {
		t.Error("an entry that ended in 1970 counts")
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	table, _ := build(t, "192.0.2.0/24\n2001:db8::/32 until=2030-01-01\n.example.net\n", listfile.Rules{Action: lists.Suppress})
	for _, c := range []lists.Client{
		{Addr: netip.MustParseAddr("192.0.2.9")}, {Addr: netip.MustParseAddr("2001:db8::1")},
		{Addr: netip.MustParseAddr("203.0.113.1"), Name: "mail.example.net"},
	} {
		if n := testing.AllocsPerRun(100, func() { table.Lookup(c, time.Now) }); n != 0 {
			t.Errorf("%+v: %v allocations", c, n)
		}
	}
}
