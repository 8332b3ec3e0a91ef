package benchmarks

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/listtest"
	"ehlogate/lists/test/testenv"
)

// exported is a list, and the tables that ehlogate makes of it.
type exported struct {
	*daemon
	config  string
	program string
}

func exportList(t *testing.T, list string) *exported {
	t.Helper()
	program, err := mtatest.Program(false)
	if err != nil {
		t.Fatal(err)
	}
	d := startDaemon(t, "max_entries = 20000000", list)
	return &exported{d, filepath.Join(d.dir, "ehlogate.toml"), program}
}

// write exports a table, and makes a database of one of addresses.
func (e *exported) write(t *testing.T, dir, format, kind string) (table string) {
	t.Helper()
	path := filepath.Join(dir, strings.TrimSuffix(filepath.Base(e.config), ".toml")+"-"+format+"-"+kind)
	e.run(t, path, format)
	table = kind + ":" + path
	if kind != "cidr" {
		if out, err := exec.Command("/usr/sbin/postmap", "-c", dir, table).CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("postmap %s: %v\n%s", table, err, out)
		}
	}
	return table
}

// run exports to a file, and returns the CPU seconds and the largest resident set, in MiB.
func (e *exported) run(t *testing.T, path, format string) (seconds, peak float64) {
	t.Helper()
	return measureRun(t, e.program, "export", "-c", e.config, "--format", format, "-o", path)
}

// lookups are questions to a table.
type lookups struct {
	qs   []netip.Addr
	hits int
}

// timeOf returns the nanoseconds of a lookup: what the questions take longer than the first one.
func (l lookups) timeOf(t *testing.T, p postmap, table string, first netip.Addr) float64 {
	t.Helper()
	load, held := p.queryMap(t, table, []netip.Addr{first})
	if held != 1 {
		t.Fatalf("%s does not have %s", table, first)
	}
	took, held := p.queryMap(t, table, l.qs)
	if held != l.hits {
		t.Fatalf("%s has %d of %d addresses, expected %d", table, held, len(l.qs), l.hits)
	}
	return (took - load) * 1e9 / float64(len(l.qs))
}

// TestTables compares the tables that ehlogate exports with each other, and with the daemon, by Postfix itself. A lookup
// includes what postmap takes to read the question and to print the answer, which the row "postmap itself" has.
func TestTables(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	for _, n := range pick([]int{120_000, 1_000_000}, []int{2_000}) {
		t.Run(fmt.Sprint(n), func(t *testing.T) { compareTables(t, n) })
	}
}

func compareTables(t *testing.T, n int) {
	group := fmt.Sprintf("tables of Postfix, %d addresses", n)
	entries := listtest.Hosts(n)
	set := addresses(entries)
	e := exportList(t, listtest.Format(entries))
	p := newPostmap(t)
	pf, err := mtatest.NewPostfix(mtatest.PostfixConfig{Dir: tempDir(t), Main: "proxy_read_maps = proxy:cidr:" + p.dir + "/ehlogate-postfix-cidr-cidr\n"})
	if err != nil {
		t.Fatal(err)
	}
	live := postmap{pf.Config}
	live.ageConfig(t)
	if err := pf.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := pf.Stop(soon(t)); err != nil {
			t.Error(err)
		}
	}()
	blocks, flat := e.write(t, p.dir, "postfix-cidr", "cidr"), e.write(t, p.dir, "postfix-cidr-flat", "cidr")
	all := listtest.Clients(entries, pick(1<<17, 500))
	some := func(count int) (l lookups) {
		for _, a := range all[:min(count, len(all))] {
			if l.qs = append(l.qs, a); set.holds(a) {
				l.hits++
			}
		}
		return l
	}
	first := entries[0].From
	asks := func(name string, p postmap, table string, l lookups) side {
		return side{name, func() float64 { return l.timeOf(t, p, table, first) }}
	}
	many, few := some(len(all)), some(max(100, 200_000_000/n))
	var speed row
	for range pick(5, 1) {
		ours, theirs := many.timeOf(t, p, blocks, first), few.timeOf(t, p, flat, first)
		speed.ours, speed.theirs = append(speed.ours, 1e9/ours), append(speed.theirs, 1e9/theirs)
		speed.ratios = append(speed.ratios, theirs/ours)
	}
	speed.group, speed.what, speed.unit, speed.peer = group, "lookups a second, postfix-cidr", "/s", "postfix-cidr-flat"
	speed.least = map[int]float64{120_000: 200, 1_000_000: 1000}[n]
	addRow(t, speed)
	ours := asks("postfix-cidr", p, blocks, many)
	memcache := filepath.Join(p.dir, "memcache.cf")
	write(t, memcache, "memcache = unix:"+e.socket("memcache")+"\nkey_format = starttls:%s\n")
	for _, peer := range []side{
		asks("postmap itself", p, "inline:{"+first.String()+"=starttls}", lookups{slices.Repeat([]netip.Addr{first}, len(many.qs)), len(many.qs)}),
		asks("lmdb", p, e.write(t, p.dir, "postfix-addresses", "lmdb"), many),
		asks("cdb", p, e.write(t, p.dir, "postfix-addresses", "cdb"), many),
		asks("hash", p, e.write(t, p.dir, "postfix-addresses", "hash"), many),
		asks("the daemon, memcache over a unix socket", live, "memcache:"+memcache, some(20_000)),
		asks("proxy:cidr", live, "proxy:"+blocks, some(20_000)),
	} {
		compare(t, group, "a lookup, postfix-cidr", "ns", 0, pick(3, 1), ours, peer)
	}
	countVisits(t, group, blocks, many.qs)
	compare(t, group, "postfix-cidr, memory of a process", "MiB", 0, 1,
		side{"", func() float64 { return p.memory(t, blocks, first) }}, side{"postfix-cidr-flat", func() float64 { return p.memory(t, flat, first) }})
	read := func(table string) func() float64 {
		return func() float64 { took, _ := p.queryMap(t, table, []netip.Addr{first}); return took * 1000 }
	}
	compare(t, group, "postfix-cidr, time in which each smtpd reads it (once in max_use = 100 sessions)", "ms", 0, pick(3, 1),
		side{"", read(blocks)}, side{"postfix-cidr-flat", read(flat)})
}

// countVisits counts how many lines Postfix visits for a client.
func countVisits(t *testing.T, group, table string, qs []netip.Addr) {
	t.Helper()
	text, err := os.ReadFile(table[len("cidr:"):])
	if err != nil {
		t.Fatal(err)
	}
	model, err := listtest.ParseCIDR(string(text))
	if err != nil {
		t.Fatal(err)
	}
	sum, most := 0, 0
	for _, a := range qs {
		_, visited := model.Lookup(a)
		sum, most = sum+visited, max(most, visited)
	}
	single(t, group, "postfix-cidr, lines that a lookup visits on average", "", float64(sum)/float64(len(qs)), 0, fmt.Sprintf("of %d lines; at most %d", len(model), most))
}

// TestExport measures exports of large lists.
func TestExport(t *testing.T) {
	for _, n := range pick([]int{1_000_000, 10_000_000}, []int{2_000}) {
		e := exportList(t, listtest.Format(listtest.Hosts(n)))
		group := fmt.Sprintf("export of %d addresses", n)
		begun := time.Now()
		seconds, peak := e.run(t, filepath.Join(tempDir(t), "table"), "postfix-cidr")
		took := time.Since(begun)
		_, loaded := measureRun(t, e.program, "check", "-c", e.config)
		addRow(t, row{group: group, what: "postfix-cidr to a file, largest resident memory", unit: "MiB", peer: "check",
			ours: []float64{peak}, theirs: []float64{loaded}, ratios: []float64{peak / loaded},
			note: fmt.Sprintf("in %.1f s, of them %.1f s CPU", took.Seconds(), seconds)})
	}
}
