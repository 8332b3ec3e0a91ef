package earned

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"

	"ehlogate/lists"
)

// Tables are what a map would be, through all changes, and one that was made stays as it was.
func TestMembers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func() client {
		if r.IntN(2) == 0 {
			return client(r.Uint32N(3000) + 1)
		}
		return client(0x20010db8<<32 | r.Uint64N(3000))
	}
	var m members
	reset := func() (old *Table, was map[client]bool) { return m.snapshot(), map[client]bool{} }
	m = newMembers(nil)
	want := map[client]bool{}
	old, was := reset()
	for i := range 60_000 {
		c, to := random(), r.IntN(3) > 0
		if changed := m.change(c, to); changed != (want[c] != to) {
			t.Fatalf("changed: %v", changed)
		}
		if want[c] = to; !to {
			delete(want, c)
		}
		if i%5000 != 0 {
			continue
		}
		table := m.snapshot()
		if table.Count() != len(want) || m.count() != len(want) || table != m.snapshot() {
			t.Fatalf("got %d and %d clients, want %d", table.Count(), m.count(), len(want))
		}
		for c := range client(3000) {
			for _, c := range []client{c + 1, 0x20010db8<<32 + c} {
				if table.has(c) != want[c] || m.has(c) != want[c] || old.has(c) != was[c] {
					t.Fatalf("%s: got %v and %v, want %v; before %v, want %v", c, table.has(c), m.has(c), want[c], old.has(c), was[c])
				}
			}
		}
		if old, was = reset(); true {
			for c := range want {
				was[c] = true
			}
		}
	}
}

// One more client copies as many others as changed since the base was made, and not all.
func TestOverlay(t *testing.T) {
	all := make([]client, 1_000_000)
	for i := range all {
		all[i] = client(i + 1)
	}
	m := newMembers(all)
	for i := range client(2000) {
		before := m.snapshot()
		m.change(2_000_000+i, true)
		m.change(1+i, false)
		after := m.snapshot()
		if &before.base.slots[0] != &after.base.slots[0] {
			t.Fatalf("the base is made again after %d changes", 2*i)
		}
		if n := len(after.added.slots) + len(after.removed.slots); n > 4*int(i+2) {
			t.Fatalf("%d slots for %d changes", n, 2*(i+1))
		}
	}
	for i := range client(40_000) {
		m.change(3_000_000+i, true)
	}
	if n := len(m.added) + len(m.removed); n > 1_000_000/32 || m.count() != 1_040_000 {
		t.Errorf("%d clients, %d beside the base", m.count(), n)
	}
}

// fixed is a source that matches one address.
type fixed string

func (f fixed) Lookup(c lists.Client) lists.Match {
	if c.Addr.String() == string(f) {
		return lists.Match{Status: lists.Matched}
	}
	return lists.Match{}
}

func TestList(t *testing.T) {
	w := newWorld(t, Defaults(), Environment{})
	w.earn(good)
	w.earn("2001:db8::1")
	const never = "203.0.113.9"
	w.earn(never)
	l := NewList(fixed(never))
	find := func(addr string) lists.Match {
		return l.Lookup(lists.Client{Addr: netip.MustParseAddr(addr), Name: "mail.example.org"})
	}
	if got := find(good).Status; got != lists.Unavailable {
		t.Errorf("before the first table: %v", got)
	}
	l.Publish(w.learner.Table())
	for addr, want := range map[string]string{good: good, "2001:db8::7": "2001:db8::/64"} {
		if m := find(addr); m.Status != lists.Matched || m.Entry(netip.MustParseAddr(addr)).Text != want {
			t.Errorf("%s: got %+v", addr, m.Entry(netip.MustParseAddr(addr)))
		}
	}
	for _, addr := range []string{never, "198.51.100.8", "2001:db8:0:1::1", "::1", "::", "0.0.0.0", "::c633:6407", "fe80::1"} {
		if m := find(addr); m.Status != lists.NoMatch {
			t.Errorf("%s: got %+v", addr, m)
		}
	}
	if m := l.Lookup(lists.Client{}); m.Status != lists.NoMatch || (&Table{}).Has(netip.Addr{}) {
		t.Errorf("no address: got %+v", m)
	}
	for _, addr := range []string{good, never, "2001:db8::1", "2001:db8:0:1::1"} {
		c := lists.Client{Addr: netip.MustParseAddr(addr)}
		l := NewList(nil)
		l.Publish(w.learner.Table())
		if n := testing.AllocsPerRun(100, func() { l.Lookup(c) }); n != 0 {
			t.Errorf("%s: %v allocations", addr, n)
		}
	}
}

// Clients are looked up while others are learned.
func TestConcurrent(t *testing.T) {
	w := newWorld(t, Defaults(), Environment{})
	w.earn(good)
	l := NewList(nil)
	l.Publish(w.learner.Table())
	ctx, stop := context.WithCancel(t.Context())
	var lookups sync.WaitGroup
	for range 2 {
		lookups.Go(func() {
			for ctx.Err() == nil {
				if got := l.Lookup(lists.Client{Addr: netip.MustParseAddr(good)}).Status; got != lists.Matched {
					t.Errorf("got %v", got)
					return
				}
			}
		})
	}
	for i := range client(3 * minChanges) {
		w.learner.members.change(1+i, true)
		if i%7 == 0 {
			w.learner.members.change(1+i/2, false)
		}
		l.Publish(w.learner.Table())
	}
	stop()
	lookups.Wait()
}
