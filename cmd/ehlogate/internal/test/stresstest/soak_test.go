package stresstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ehlogate/lists/test/testenv"
)

// shares are how many of a hundred questions a protocol gets, and how many go together.
var shares = []struct {
	protocol      string
	percent, many int
}{{"memcache", 28, 8}, {"socketmap", 24, 8}, {"tcp_table", 24, 8}, {"policy", 16, 8}, {"milter", 8, 4}}

// TestSoak asks many questions of all protocols while lists and config are read again and again. Every answer has to be
// right, and the daemon as large as it was. SOAK is how many questions.
func TestSoak(t *testing.T) {
	testenv.Needs(t, "a minute")
	total := 200_000
	if n := os.Getenv("EHLOGATE_TEST_SOAK"); n != "" {
		var err error
		total, err = strconv.Atoi(n)
		must(t, err)
	}
	g := start(t, testenv.RacePrograms, "unix", "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, to := range g.targets { // whatever is made once
		k, err := newTalk(to)
		must(t, err)
		must(t, k.exchange(newExchange(to.Protocol, client(0))))
		k.Close()
	}
	rest := g.footprint(t)
	var done atomic.Int64
	var asking, beside sync.WaitGroup
	for _, s := range shares {
		const conns = 2
		for i := range conns {
			asking.Go(func() {
				if err := playSoak(ctx, g.targets[s.protocol], i, total*s.percent/100/conns, s.many, &done); err != nil {
					t.Error(err)
					cancel()
				}
			})
		}
	}
	reloads, pages := 0, 0
	beside.Go(func() { reloads = g.reload(ctx, t) })
	beside.Go(func() {
		v := visitor{target: g.targets["http"], every: 50 * time.Millisecond, renew: 100}
		v.visit(ctx)
		if pages = len(v.took); len(v.wrong)+len(v.missed) > 0 || pages == 0 {
			t.Errorf("HTTP: %d answers, wrong %v, missed %v", pages, v.wrong, v.missed)
		}
	})

	ended := make(chan struct{})
	go func() { asking.Wait(); close(ended) }()
	start, quarter := time.Now(), 0
	tick, next := time.NewTicker(50*time.Millisecond), 5*time.Second
	defer tick.Stop()
	for open := true; open; {
		select {
		case <-ended:
			open = false
		case <-tick.C:
		}
		n, took := int(done.Load()), time.Since(start)
		if quarter == 0 && n >= total/4 {
			quarter = g.status(t, "VmRSS")
		}
		if !open || took > next {
			next = took + 5*time.Second
			t.Logf("%9d questions of %d, %6.0f a second, RSS %d KiB", n, total, float64(n)/took.Seconds(), g.status(t, "VmRSS"))
		}
	}
	end := g.status(t, "VmRSS")
	cancel()
	beside.Wait()
	g.settles(t, rest)
	after := g.footprint(t)
	t.Logf("%d questions and %d by HTTP in %s, %d reloads; RSS %d KiB at a quarter, %d at the end; "+
		"goroutines %d, then %d; descriptors %d, then %d",
		done.Load(), pages, time.Since(start).Round(time.Second), reloads, quarter, end,
		rest.goroutines, after.goroutines, rest.files, after.files)
	tolerance := quarter/10 + 4<<10 // what the garbage collector's timing makes of it
	if testenv.RacePrograms {
		tolerance = quarter
	}
	if end > quarter+tolerance {
		t.Errorf("RSS grew from %d KiB to %d", quarter, end)
	}
	if reloads < 4 {
		t.Errorf("%d reloads", reloads)
	}
	m := g.metrics(t)
	for name, n := range m {
		if n > 0 && (strings.HasPrefix(name, "ehlogate_protocol_errors_total") || strings.Contains(name, "reload_failures_total")) {
			t.Errorf("%s %v", name, n)
		}
	}
}

// playSoak asks n questions, many at a time, and comes anew from time to time.
func playSoak(ctx context.Context, to Target, which, n, many int, done *atomic.Int64) error {
	var batches []exchange
	for i := range 30 {
		var b exchange
		for j := range many {
			x := newExchange(to.Protocol, client(7*which+many*i+j))
			b.request, b.reply = append(b.request, x.request...), append(b.reply, x.reply...)
		}
		batches = append(batches, b)
	}
	var k *talk
	defer func() {
		if k != nil {
			k.Close()
		}
	}()
	for i := 0; i*many < n && ctx.Err() == nil; i++ {
		if i%500 == 0 {
			if k != nil {
				k.Close()
			}
			var err error
			if k, err = newTalk(to); err != nil {
				return err
			}
		}
		if err := k.exchange(batches[i%len(batches)]); err != nil {
			return fmt.Errorf("%s: %w", to.Protocol, err)
		}
		done.Add(int64(many))
	}
	return nil
}

// reload edits the deny list so that a client comes and goes, and sees that it does; every second time it is the signal that
// has the lists read. It gives how often, when ctx ends.
func (g *daemon) reload(ctx context.Context, t *testing.T) (n int) {
	k, err := newTalk(g.targets["memcache"])
	if err != nil {
		t.Error(err)
		return 0
	}
	defer k.Close()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	path := filepath.Join(g.dir, "deny.list")
	for ; ctx.Err() == nil; n++ {
		client, text := asked{"198.51.100.1", "offer"}, list
		if n%2 == 0 {
			client.action, text = "suppress", list+"198.51.100.1\n"
		}
		err := os.WriteFile(path+".new", slices.Concat([]byte(text), fmt.Appendf(nil, "# edit %d\n", n)), 0o644)
		if err == nil { // its times tell that it was complete before it was moved, so that it is read at once
			old := time.Now().Add(-time.Minute)
			err = errors.Join(os.Chtimes(path+".new", old, old), os.Rename(path+".new", path))
		}
		if err == nil && n%4 < 2 {
			err = g.HUP()
		}
		if err != nil {
			t.Error(err)
			return n
		}
		for end := time.Now().Add(patience); k.exchange(newExchange("memcache", client)) != nil; <-tick.C {
			if time.Now().After(end) {
				t.Errorf("edit %d took no effect", n)
				return n
			}
			k.Close() // a wrong answer may be longer than the right one
			if k, err = newTalk(g.targets["memcache"]); err != nil {
				t.Error(err)
				return n
			}
		}
	}
	return n
}
