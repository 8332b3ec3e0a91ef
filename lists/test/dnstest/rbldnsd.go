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

// Dataset is what rbldnsd serves in a zone, as in rbldnsd(8). Its text may have $TTL, and $SOA, without which resolvers
// do not cache that a name is not listed.
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

// StartRbldnsd serves the datasets. Those of one zone, of different types, are served together.
func StartRbldnsd(t testing.TB, sets ...Dataset) *Rbldnsd {
	t.Helper()
	r := &Rbldnsd{process: newProcess(t, "rbldnsd"), sets: slices.Clone(sets)}
	r.args = func() []string {
		// It looks for changes at a signal, and does not run as root.
		args := []string{"-n", "-c", "0", "-w", r.dir, "-b", fmt.Sprintf("%s/%d", r.Addr.Addr(), r.Addr.Port())}
		if os.Geteuid() == 0 {
			args = append(args, "-u", "nobody:nogroup")
		}
		for i, s := range r.sets {
			args = append(args, fmt.Sprintf("%s:%s:%s", strings.TrimSuffix(s.Zone, "."), s.Type, datasetFile(i)))
		}
		return append(args, strings.TrimSuffix(markerName, ".")+":generic:marker")
	}
	r.ready = func() error { return r.checkMarker(markerName, r.markerText()) }
	for i := range r.sets {
		r.writeStamped(t, datasetFile(i), func() string { return r.sets[i].Text })
	}
	r.writeStamped(t, "marker", r.markerZone)
	r.startOnFreePort(t)
	return r
}

func datasetFile(i int) string { return fmt.Sprintf("set%d", i) }

// markerText is another at each change, and for each rbldnsd.
func (r *Rbldnsd) markerText() string { return fmt.Sprintf("%s %d", r.dir, r.serial) }

func (r *Rbldnsd) markerZone() string { return fmt.Sprintf("@ 1 TXT %q\n", r.markerText()) }

// writeStamped writes a file with a time of its own, because rbldnsd notices a change by size and time in seconds.
func (r *Rbldnsd) writeStamped(t testing.TB, name string, text func() string) {
	t.Helper()
	r.serial++
	r.writeFile(t, name, text())
	stamp := time.Unix(1_000_000_000+int64(r.serial), 0)
	if err := os.Chtimes(r.filePath(name), stamp, stamp); err != nil {
		t.Fatal(err)
	}
}

// Set serves datasets in place of those of the same zone and type, and returns when that is done.
func (r *Rbldnsd) Set(t testing.TB, sets ...Dataset) {
	t.Helper()
	for _, s := range sets {
		i := slices.IndexFunc(r.sets, func(o Dataset) bool { return o.Zone == s.Zone && o.Type == s.Type })
		if i < 0 {
			t.Fatalf("rbldnsd was not started with an %s of %s", s.Type, s.Zone)
		}
		r.sets[i] = s
		r.writeStamped(t, datasetFile(i), func() string { return s.Text })
	}
	r.Reload(t)
}

// Reload makes rbldnsd look at its files, and at the clock, which ends a dataset with $TIMESTAMP, and its zone. It
// returns when that is done.
func (r *Rbldnsd) Reload(t testing.TB) {
	t.Helper()
	r.writeStamped(t, "marker", r.markerZone)
	r.sendSignal(t, syscall.SIGHUP)
	for end := time.Now().Add(waitTimeout); ; time.Sleep(pollInterval) {
		err := r.ready()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("rbldnsd does not reload: %v\n%s", err, r.Log())
		}
	}
}

// Upstreams returns its zones.
func (r *Rbldnsd) Upstreams() (all []Upstream) {
	for _, s := range r.sets {
		if u := (Upstream{Zone: s.Zone, Addr: r.Addr}); !slices.Contains(all, u) {
			all = append(all, u)
		}
	}
	return all
}
