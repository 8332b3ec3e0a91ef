package benchmarks

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/earned"
	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
	"ehlogate/lists/test/listtest"
	"ehlogate/lists/test/testenv"
)

// TestEarned compares a list of a million clients that earned their offer with a list file of the same addresses, and
// measures how long it takes to have it after a start, and to add a client.
func TestEarned(t *testing.T) {
	entries := slices.DeleteFunc(listtest.Hosts(pick(1_010_000, 2_000)), func(e listtest.Entry) bool { return lists.MayBeShared(e.From) })
	path := filepath.Join(tempDir(t), "allow.list")
	write(t, path, listtest.Format(entries))
	file := readTable(t, path)

	g := newEarnedStore(t)
	g.deliver(entries)
	all := distinct(listtest.Clients(entries, pick(3<<20, 8_000)), pick(1<<20, 4_000))
	held := 0
	for _, a := range all {
		_, status := file.Lookup(lists.Client{Addr: a}, time.Now)
		if (status == lists.Matched) != g.learner.Table().Has(a) {
			t.Fatalf("%s: the list file and what was learned differ", a)
		}
		if status == lists.Matched {
			held++
		}
	}
	list := earned.NewList(nil)
	count := func() (n int) {
		for _, a := range all {
			if list.Lookup(lists.Client{Addr: a}).Status == lists.Matched {
				n++
			}
		}
		return n
	}
	const group = "a million earned clients"
	lookup := func(what string) {
		t.Helper()
		list.Publish(g.learner.Table())
		compare(t, group, what, "ns", 2, pick(7, 1), side{"ehlogate", func() float64 { return lookupTime(t, len(all), held, count) }},
			side{"a list file", func() float64 { return lookupTime(t, len(all), held, func() int { return countTable(file, all) }) }})
	}
	lookup("lookup, some changed since the table was made")

	var starts []float64
	for range pick(5, 1) {
		starts = append(starts, g.start())
	}
	lookup("lookup")
	_, start, _ := quartiles(starts)
	single(t, group, "start: a table of what is in the store", "s", start, 1, "")
	begun := time.Now()
	g.open()
	single(t, group, "to open and check the store, before that", "s", time.Since(begun).Seconds(), 0, "")

	single(t, group, "memory for each", "bytes", g.memory()/float64(len(entries)), 16, "the list file: 7")
	size, err := g.store.Size()
	if err != nil {
		t.Fatal(err)
	}
	single(t, group, "on the disk for each", "bytes", float64(size)/float64(len(entries)), 0, "")

	g.start()
	const more = 1000
	begun = time.Now()
	for i := range more {
		g.deliver([]listtest.Entry{{From: netip.AddrFrom4([4]byte{224, 1, byte(i >> 8), byte(i)})}})
	}
	single(t, group, "one more: transaction and table", "ms", time.Since(begun).Seconds()*1e3/more, 0, "")
}

// earnedStore is a store, and what learns into it.
type earnedStore struct {
	t       *testing.T
	path    string
	store   *learnstore.Store
	learner *earned.Learner
	now     learnstore.Moment
}

func newEarnedStore(t *testing.T) *earnedStore {
	g := &earnedStore{t: t, path: filepath.Join(tempDir(t), "learned.db"), now: learnstore.Moment{Wall: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)}}
	g.open()
	g.start()
	t.Cleanup(func() { g.store.Close() })
	return g
}

func (g *earnedStore) open() {
	g.t.Helper()
	if g.store != nil {
		if err := g.store.Close(); err != nil {
			g.t.Fatal(err)
		}
	}
	var err error
	if g.store, err = learnstore.Open(g.path, time.Now); err != nil {
		g.t.Fatal(err)
	}
}

// start makes a learner and its table, and returns how long that took, in seconds. One delivery is enough to be earned.
func (g *earnedStore) start() float64 {
	g.t.Helper()
	o := earned.Defaults()
	o.Days, o.Sessions, o.MaxClients = 1, 1, 4_000_000
	begun := time.Now()
	g.learner = earned.New(o, earned.Environment{}, nil)
	err := g.store.Update(func(tx learnstore.Tx) error { return g.learner.Tick(tx, g.now) })
	if err != nil {
		g.t.Fatal(err)
	}
	g.learner.Table()
	return time.Since(begun).Seconds()
}

// memory returns how many bytes a learner takes with its table.
func (g *earnedStore) memory() float64 {
	g.t.Helper()
	g.learner = nil
	runtime.GC() // what the pools of bbolt have outlives the first collection
	runtime.GC()
	_, kept := testenv.MeasureHeap(func() any {
		g.start()
		return g.learner
	})
	return float64(kept)
}

// deliver makes clients deliver mail, many in a transaction.
func (g *earnedStore) deliver(clients []listtest.Entry) {
	g.t.Helper()
	for i := 0; i < len(clients); i += 100_000 {
		err := g.store.Update(func(tx learnstore.Tx) error {
			for _, e := range clients[i:min(i+100_000, len(clients))] {
				s := maillog.Session{Time: g.now.Wall, End: g.now.Wall, Service: maillog.ServiceSMTP, Addr: e.From, Mail: maillog.MailAccepted}
				if err := g.learner.Add(tx, g.now, &s); err != nil {
					return fmt.Errorf("%s: %w", e.From, err)
				}
			}
			return nil
		})
		if err != nil {
			g.t.Fatal(err)
		}
	}
	g.learner.Table()
}
