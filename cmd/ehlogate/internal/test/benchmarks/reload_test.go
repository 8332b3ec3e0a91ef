package benchmarks

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestReload measures what a reload of a large list does to the clients that query meanwhile, and to the memory.
func TestReload(t *testing.T) {
	list, clients := million()
	r := newReloads(t, list, clients)
	g := startDaemon(t, "", list+marks(0))
	p99 := row{group: "reload", what: "p99 while a list is reloaded, memcache, 8 connections, open loop", unit: "µs", peer: "before", goal: 2}
	peak := row{group: "reload", what: "largest RSS in a reload", unit: "MiB", peer: "before", goal: 2.2}
	var times, after []float64
	for i := range pick(10, 2) {
		m := r.measure(t, g, i+1)
		if i == 0 {
			continue // the first grows the heap to what it is from then on
		}
		p99.ours, p99.theirs, p99.ratios = append(p99.ours, m.p99), append(p99.theirs, m.p99Before), append(p99.ratios, m.p99/m.p99Before)
		peak.ours, peak.theirs, peak.ratios = append(peak.ours, m.rssPeak), append(peak.theirs, m.rssBefore), append(peak.ratios, m.rssPeak/m.rssBefore)
		times, after = append(times, m.seconds), append(after, m.rssAfter)
	}
	_, took, _ := quartiles(times)
	_, rssAfter, _ := quartiles(after)
	p99.note = fmt.Sprintf("at %.0f requests/s; a reload takes %.2f s", r.rate, took)
	addRow(t, p99)
	addRow(t, peak)
	single(t, "reload", "RSS after a reload", "MiB", rssAfter, 40, "65 without the return of memory to the system")
	single(t, "reload", fmt.Sprintf("failed of %d requests", r.requests), "", float64(r.failed), 0, "one would fail the test")
	faultless(t, g)
}

// TestReloadPriority measures what it is worth to load a large list in a thread of low priority, on one processor and on
// all. A daemon with GOMAXPROCS in its environment does not do that.
func TestReloadPriority(t *testing.T) {
	list, clients := million()
	r := newReloads(t, list, clients)
	for _, processors := range []int{1, runtime.NumCPU()} {
		var with, without *daemon
		start := func() {
			with = startDaemon(t, "", list+marks(0))
			t.Setenv("GOMAXPROCS", strconv.Itoa(processors))
			without = startDaemon(t, "", list+marks(0))
			os.Unsetenv("GOMAXPROCS")
		}
		what, goal, rate := "all processors", 0.0, r.rate
		if processors == 1 {
			what, goal, r.rate = "one processor", 1, min(rate, 2000) // it answers and loads
			onOneProcessor(t, start)
		} else {
			start()
		}
		generation := map[*daemon]int{}
		p99 := func(g *daemon) func() float64 {
			return func() float64 {
				generation[g]++
				return r.measure(t, g, generation[g]).p99
			}
		}
		compareNoted(t, "reload", "p99 while a list is reloaded by a thread of low priority, "+what, "µs", goal, pick(10, 1),
			side{"low priority", p99(with)}, side{"without", p99(without)}, func() string { return fmt.Sprintf("at %.0f requests/s", r.rate) })
		r.rate = rate
		faultless(t, with)
		faultless(t, without)
	}
}

// onOneProcessor calls start so that the processes that it starts have one processor only.
func onOneProcessor(t *testing.T, start func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	for cpu := range 1024 { // CPU_SETSIZE
		if all.IsSet(cpu) {
			one.Set(cpu)
			break
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.SchedSetaffinity(0, &all); err != nil {
			t.Error(err)
		}
	}()
	start()
}

// reloads measures reloads of one list.
type reloads struct {
	list             string
	asked            []exchange
	rate             float64
	requests, failed int
}

// reloadConns is the number of connections by which reloads are measured.
const reloadConns = 8

func newReloads(t *testing.T, list string, clients []client) *reloads {
	t.Helper()
	asked := exchanges("memcache", clients)
	_, socket, echoed := startEcho(t, "memcache", asked)
	r := &reloads{list: list, asked: asked, rate: openRate(t, socket, reloadConns, echoed)}
	if !full {
		r.rate = min(r.rate, 2000)
	}
	return r
}

// measured is what one reload did: p99 in microseconds, RSS in MiB.
type measured struct {
	p99, p99Before               float64
	rssBefore, rssPeak, rssAfter float64
	seconds                      float64
}

// measure replaces the list of g by the given generation of it while an open loop runs.
func (r *reloads) measure(t *testing.T, g *daemon, generation int) (m measured) {
	t.Helper()
	next := g.list + ".new"
	write(t, next, r.list+marks(generation))

	ctx, stop := context.WithCancel(soon(t))
	type result struct {
		got      []timing
		failures int
		err      error
	}
	done := make(chan result, 1)
	start := time.Now()
	go func() {
		got, failures, err := openLoop(ctx, g.socket("memcache"), reloadConns, r.asked, r.rate, int(60*r.rate))
		done <- result{got, failures, err}
	}()
	time.Sleep(pick(time.Second, 100*time.Millisecond)) // what is measured before
	m.rssBefore, _ = residentSet(t, g.Pid())
	resetPeak(t, g.Pid())
	if err := os.Rename(next, g.list); err != nil {
		t.Fatal(err)
	}
	from := time.Since(start)
	awaitMark(t, g, generation)
	until := time.Since(start)
	_, m.rssPeak = residentSet(t, g.Pid())
	time.Sleep(200 * time.Millisecond) // what was due until then is asked, too, if the loop is late
	stop()
	res := <-done
	m.rssAfter, _ = residentSet(t, g.Pid())
	r.requests, r.failed = r.requests+len(res.got), r.failed+res.failures
	if res.err != nil || res.failures > 0 {
		t.Errorf("%d failures in a reload: %v", res.failures, res.err)
	}
	var before, during []timing
	for _, x := range res.got {
		if x.due < from {
			before = append(before, x)
		} else if x.due < until {
			during = append(during, x)
		}
	}
	if len(before) == 0 || len(during) == 0 {
		t.Fatalf("%d requests before the reload and %d in it", len(before), len(during))
	}
	m.p99, m.p99Before, m.seconds = quantile99(during), quantile99(before), (until - from).Seconds()
	return m
}

// marks are lines by which one generation of a list is told from another.
func marks(generation int) string {
	var b strings.Builder
	for i := range 4 {
		fmt.Fprintf(&b, "127.100.%d.%d\n", generation, i)
	}
	return b.String()
}

// awaitMark waits until a generation of the list is in use.
func awaitMark(t testing.TB, g *daemon, generation int) {
	t.Helper()
	ctx := soon(t)
	addr := fmt.Sprintf("127.100.%d.0", generation)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	request := []byte("get starttls:" + addr + "\r\n")
	yes, no := []byte("VALUE starttls:"+addr+" 0 8\r\nstarttls\r\nEND\r\n"), []byte("END\r\n")
	l := newLoad(t, g.socket("memcache"), 1, []exchange{{request, yes}})
	conn, buf := l.askers[0].conn, make([]byte, 100)
	for {
		if _, err := conn.Write(request); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buf)
		switch {
		case err != nil:
			t.Fatal(err)
		case bytes.Equal(buf[:n], yes):
			return
		case !bytes.Equal(buf[:n], no):
			t.Fatalf("asking for %s: answered %q", addr, buf[:n])
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the list of generation %d: got the answers of an older one for a minute, want its own", generation)
		}
	}
}

// What a process takes that has nothing to serve.
func TestIdle(t *testing.T) {
	g := startDaemon(t, "", "")
	l := newLoad(t, g.socket("memcache"), 1, []exchange{{[]byte("get starttls:192.0.2.1\r\n"), []byte("END\r\n")}})
	if err := l.runRound(1); err != nil {
		t.Fatal(err)
	}
	now, peak := residentSet(t, g.Pid())
	single(t, "memory", "idle, without lists: RSS", "MiB", now, 16, "")
	single(t, "memory", "the same, the largest so far", "MiB", peak, 0, "")
	single(t, "memory", "of that, without what is in files: the program", "MiB", ownMemory(t, g.Pid()), 0, "")
	faultless(t, g)
}
