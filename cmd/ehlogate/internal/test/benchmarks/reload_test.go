package benchmarks

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// What a reload of a large list does to those who ask meanwhile, and to the
// memory.
func TestReload(t *testing.T) {
	list, clients := million()
	g := startGate(t, "", list+marks(0))
	ours := exchanges("memcache", clients)
	_, socket, theirs := startEcho(t, "memcache", ours)
	const conns = 8
	rate := openRate(t, socket, conns, theirs)
	if !full {
		rate = min(rate, 2000)
	}
	p99 := row{group: "reload", what: "p99 while a list is reloaded, memcache, 8 connections, open loop", unit: "µs", peer: "before", goal: 2}
	peak := row{group: "reload", what: "largest RSS in a reload", unit: "MiB", peer: "before", goal: 2.2}
	var requests, failed int
	var times []float64
	for i := range pick(10, 2) {
		next := g.list + ".new"
		write(t, next, list+marks(i+1))

		ctx, stop := context.WithCancel(soon(t))
		type result struct {
			got      []timing
			failures int
			err      error
		}
		done := make(chan result, 1)
		start := time.Now()
		go func() {
			got, failures, err := openLoop(ctx, g.socket("memcache"), conns, ours, rate, int(60*rate))
			done <- result{got, failures, err}
		}()
		time.Sleep(pick(time.Second, 100*time.Millisecond)) // what is measured before
		rssBefore, _ := rss(t, g.Pid())
		resetPeak(t, g.Pid())
		if err := os.Rename(next, g.list); err != nil {
			t.Fatal(err)
		}
		from := time.Since(start)
		awaitMark(t, g, i+1)
		until := time.Since(start)
		_, rssPeak := rss(t, g.Pid())
		time.Sleep(200 * time.Millisecond) // what was due until then is asked, too, if the loop is late
		stop()
		r := <-done
		requests, failed = requests+len(r.got), failed+r.failures
		if r.err != nil || r.failures > 0 {
			t.Errorf("%d failures in a reload: %v", r.failures, r.err)
		}
		var before, during []timing
		for _, x := range r.got {
			if x.due < from {
				before = append(before, x)
			} else if x.due < until {
				during = append(during, x)
			}
		}
		if len(before) == 0 || len(during) == 0 {
			t.Fatalf("%d requests before the reload and %d in it", len(before), len(during))
		}
		if i == 0 {
			continue // the first grows the heap to what it is from then on
		}
		a, b := quantile99(during), quantile99(before)
		p99.ours, p99.theirs, p99.ratios = append(p99.ours, a), append(p99.theirs, b), append(p99.ratios, a/b)
		peak.ours, peak.theirs, peak.ratios = append(peak.ours, rssPeak), append(peak.theirs, rssBefore), append(peak.ratios, rssPeak/rssBefore)
		times = append(times, (until - from).Seconds())
	}
	_, took, _ := quartiles(times)
	p99.note = fmt.Sprintf("at %.0f requests/s; a reload takes %.2f s", rate, took)
	add(t, p99)
	add(t, peak)
	single(t, "reload", fmt.Sprintf("failed of %d requests", requests), "", float64(failed), 0, "one would fail the test")
	faultless(t, g)
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
func awaitMark(t testing.TB, g *gate, generation int) {
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
			t.Fatal("the new list was never taken")
		}
	}
}

// What a process takes that has nothing to serve.
func TestIdle(t *testing.T) {
	g := startGate(t, "", "")
	l := newLoad(t, g.socket("memcache"), 1, []exchange{{[]byte("get starttls:192.0.2.1\r\n"), []byte("END\r\n")}})
	if err := l.run(1); err != nil {
		t.Fatal(err)
	}
	now, peak := rss(t, g.Pid())
	single(t, "memory", "idle, without lists: RSS", "MiB", now, 16, "")
	single(t, "memory", "the same, the largest so far", "MiB", peak, 0, "")
	faultless(t, g)
}
