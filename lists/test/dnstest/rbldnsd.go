package dnstest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Dataset is what rbldnsd serves in a zone, as rbldnsd(8) describes it. It may
// set what is served with every answer: $TTL, and $SOA, without which nobody
// remembers that something is not listed.
type Dataset struct {
	Zone string // bl.test
	Type string // ip4set, ip6trie, dnset, generic and so on
	Text string
}

// Rbldnsd is a running rbldnsd. It answers by UDP only, and for its zones only.
type Rbldnsd struct {
	*process
	sets   []Dataset
	serial int
}

// StartRbldnsd serves the datasets. Some of the same zone, of different types,
// are served together.
func StartRbldnsd(t testing.TB, sets ...Dataset) *Rbldnsd {
	t.Helper()
	r := &Rbldnsd{process: newProcess(t, "rbldnsd"), sets: slices.Clone(sets)}
	r.args = func() []string {
		// It looks for changes when it is told to, and does not run as root.
		args := []string{"-n", "-c", "0", "-w", r.dir, "-b", fmt.Sprintf("%s/%d", r.Addr.Addr(), r.Addr.Port())}
		if os.Geteuid() == 0 {
			args = append(args, "-u", "nobody:nogroup")
		}
		for i, s := range r.sets {
			args = append(args, fmt.Sprintf("%s:%s:%s", strings.TrimSuffix(s.Zone, "."), s.Type, file(i)))
		}
		return append(args, strings.TrimSuffix(marker, ".")+":generic:marker")
	}
	r.ready = func() error { return r.says(marker, r.mark()) }
	for i := range r.sets {
		r.put(t, file(i), func() string { return r.sets[i].Text })
	}
	r.put(t, "marker", r.marker)
	r.first(t)
	return r
}

func file(i int) string { return fmt.Sprintf("set%d", i) }

// mark is another at each change, and for each rbldnsd.
func (r *Rbldnsd) mark() string { return fmt.Sprintf("%s %d", r.dir, r.serial) }

func (r *Rbldnsd) marker() string { return fmt.Sprintf("@ 1 TXT %q\n", r.mark()) }

// put writes a file with a time of its own, because rbldnsd tells a change by
// size and time in seconds.
func (r *Rbldnsd) put(t testing.TB, name string, text func() string) {
	t.Helper()
	r.serial++
	r.write(t, name, text())
	stamp := time.Unix(1_000_000_000+int64(r.serial), 0)
	if err := os.Chtimes(r.file(name), stamp, stamp); err != nil {
		t.Fatal(err)
	}
}

// Set serves datasets in place of those of the same zone and type, and returns
// when they are.
func (r *Rbldnsd) Set(t testing.TB, sets ...Dataset) {
	t.Helper()
	for _, s := range sets {
		i := slices.IndexFunc(r.sets, func(o Dataset) bool { return o.Zone == s.Zone && o.Type == s.Type })
		if i < 0 {
			t.Fatalf("rbldnsd was not started with an %s of %s", s.Type, s.Zone)
		}
		r.sets[i] = s
		r.put(t, file(i), func() string { return s.Text })
	}
	r.Reload(t)
}

// Reload has rbldnsd look at its files, and at the clock: a dataset with
// $TIMESTAMP ends so, and its zone with it. It returns when that is done.
func (r *Rbldnsd) Reload(t testing.TB) {
	t.Helper()
	r.put(t, "marker", r.marker)
	r.signal(t, syscall.SIGHUP)
	for end := time.Now().Add(patience); ; time.Sleep(every) {
		err := r.ready()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("rbldnsd does not reload: %v\n%s", err, r.Log())
		}
	}
}

// Upstreams are its zones.
func (r *Rbldnsd) Upstreams() (all []Upstream) {
	for _, s := range r.sets {
		if u := (Upstream{Zone: s.Zone, Addr: r.Addr}); !slices.Contains(all, u) {
			all = append(all, u)
		}
	}
	return all
}
