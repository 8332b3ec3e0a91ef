package fallback

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/listfile"
	"ehlogate/lists/maillog"
)

// answer is a source with one answer.
type answer lists.Status

func (a answer) Lookup(lists.Client) lists.Match { return lists.Match{Status: lists.Status(a)} }

// The operator's list of clients that never match counts at once, and one that is unavailable might have any client.
func TestListOfNever(t *testing.T) {
	w := newWorld(t, nil)
	w.learn(client, noCipher)
	for never, want := range map[lists.Status]bool{
		lists.NoMatch: true, lists.Exception: true, lists.Matched: false, lists.Unavailable: false, lists.Pending: false,
	} {
		l := NewList(lists.Suppress, answer(never), w.clock)
		if isReviewed(l, client) {
			t.Error("matches before a table was published")
		}
		if l.Publish(w.Table()); isReviewed(l, client) != want || connect(l, client) != want {
			t.Errorf("status %v: %v, want %v", never, isReviewed(l, client), want)
		}
	}
}

// Lookups go on while tables change and the rules collect what they counted.
func TestConcurrentLookups(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MinSessions = 1 << 30 })
	w.learn(client, noCipher)
	w.suppress.clock = func() time.Time { return epoch } // w sets its own while lookups go on
	var done sync.WaitGroup
	var answered [4]int
	for i := range answered {
		done.Go(func() {
			for range 10_000 {
				if connect(w.suppress, client) {
					answered[i]++
				}
				isReviewed(w.suppress, client)
			}
		})
	}
	for range 100 {
		w.wait(time.Second)
	}
	done.Wait()
	w.wait(time.Second)
	e, sum := w.entryOf(client), 0
	for _, n := range answered {
		sum += n
	}
	if e.sessions != sum || e.probes != 4000 {
		t.Errorf("%d sessions and %d probes, of %d answered", e.sessions, e.probes, sum)
	}
}

// addrAt returns the n-th address of the lists that are compared.
func addrAt(n int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)}) }

// BenchmarkLookup compares a learned list with a list file of the same 200 clients.
func BenchmarkLookup(b *testing.B) {
	w := newWorld(b, func(o *Options) { o.MinSessions, o.MaxEntries = 1<<30, 200*nearShare })
	begin := time.Now()
	w.suppress.clock = func() time.Time { return epoch.Add(time.Since(begin)) } // it costs what that of the machine costs
	var file strings.Builder
	for i := range 200 {
		c := lists.Client{Addr: addrAt(i * 5)}
		if made, err := w.makeEntry(w.tx, w.now, c, lists.Suppress, &evidence{class: classByName[noCipher]}); !made || err != nil {
			b.Fatal(err)
		}
		fmt.Fprintln(&file, c.Addr)
	}
	w.publish()
	path := filepath.Join(b.TempDir(), "same.list")
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	same, err := listfile.New(listfile.Spec{Patterns: []string{path}, Rules: listfile.Rules{Action: lists.Suppress}}, time.Now).Load()
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		offset int
	}{{"match", 0}, {"none", 1}} {
		ns := map[string]float64{}
		for _, source := range []struct {
			name   string
			lookup func(lists.Client) lists.Match
		}{{"file", same.Lookup}, {"learned", w.suppress.LookupSession}} {
			b.Run(c.name+"/"+source.name, func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					source.lookup(lists.Client{Addr: addrAt(i%200*5 + c.offset)})
					i++
				}
				ns[source.name] = float64(b.Elapsed().Nanoseconds()) / float64(b.N)
				if base := ns["file"]; source.name == "learned" && base > 0 {
					b.ReportMetric(ns["learned"]/base, "x-file")
				}
			})
		}
	}
}

// BenchmarkAdd has the sessions of clients that complete TLS, and of clients that fail, each for the first time.
func BenchmarkAdd(b *testing.B) {
	for name, change := range map[string]func(*maillog.Session){"success": succeeds("TLSv1.3"), "failure": fails(noCipher)} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, nil)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				s := maillog.Session{End: w.now.Wall, Service: maillog.ServiceSMTP, Addr: addrAt(i), Name: "mail.printer.example"}
				change(&s)
				if err := w.Add(w.tx, w.now, &s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Lookups allocate nothing.
func TestLookupAllocatesNothing(t *testing.T) {
	w := newWorld(t, nil)
	w.learn(client, noCipher)
	for _, addr := range []string{client, "192.0.2.26"} {
		c := lists.Client{Addr: netip.MustParseAddr(addr)}
		if n := testing.AllocsPerRun(100, func() { w.suppress.LookupSession(c); w.suppress.Lookup(c) }); n != 0 {
			t.Errorf("%s: %v allocations", addr, n)
		}
	}
}
