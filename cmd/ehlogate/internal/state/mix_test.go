package state

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/test/testenv"
)

// disk is what config and lists say at one moment. Each list has an action and
// some of the addresses 192.0.2.0 to 192.0.2.7.
type disk struct {
	def   string
	order []int
	lists [4]struct {
		action string
		addrs  uint8
	}
}

func (d *disk) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "default = %q\nguard.off = true\n", d.def)
	for _, i := range d.order {
		fmt.Fprintf(&b, "[[list]]\nname = \"%d\"\naction = %q\nfiles = [\"%d.list\"]\n", i, d.lists[i].action, i)
		if i == 3 {
			b.WriteString("format = \"addresses\"\n") // a feed
		}
	}
	return b.String()
}

// text is a list; padding makes list 2 take longer to read than the others.
func (d *disk) text(i int) string {
	var b strings.Builder
	b.WriteString("# list\n198.51.100.1\n")
	for a := range 8 {
		if d.lists[i].addrs&(1<<a) != 0 {
			fmt.Fprintf(&b, "192.0.2.%d\n", a)
		}
	}
	if i == 2 {
		for n := range 5_000 {
			fmt.Fprintf(&b, "10.0.%d.%d\n", n>>8, n&255)
		}
	}
	return b.String()
}

// answers is what that state says about each of the addresses.
func (d *disk) answers() (out string) {
	for a := range 8 {
		action := d.def
		for _, i := range d.order {
			if d.lists[i].addrs&(1<<a) != 0 {
				action = d.lists[i].action
				break
			}
		}
		out += action[:1]
	}
	return out
}

// answers is what a state in force says, by addresses.
func (l *Snapshot) answers() (out string) {
	for a := range 8 {
		c := lists.Client{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(a)})}
		out += l.Policy.Decide(context.Background(), c).Action.String()[:1]
	}
	return out
}

// While lists, their order, their actions and the default are changed at random,
// by replacing one file after another, no reader ever sees anything but what was
// on disk: first an older state, then a newer one, in the end the last.
func TestNoMix(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { t.Parallel(); testNoMix(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func testNoMix(t *testing.T, random *rand.Rand) {
	now := disk{def: "suppress", order: []int{0, 1, 2, 3}}
	for i := range now.lists {
		now.lists[i].action = []string{"offer", "suppress", "offer", "suppress"}[i]
		now.lists[i].addrs = uint8(random.Uint32())
	}
	d := newDir(t, now.config())
	for i := range now.lists {
		d.write(fmt.Sprintf("%d.list", i), now.text(i))
	}
	e := d.engine()
	e.times.quiet, e.times.hold = 200*time.Millisecond, time.Minute // which a busy machine must not use up
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Soon)
	defer cancel()
	reload := make(chan func())
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { e.Run(ctx, reload) })

	var mu sync.Mutex
	config, states := now, []string{now.answers()} // the config in force, and what there was on disk
	// note takes down the state that a file makes which is about to be put in
	// place; a list counts in the order and with the action of the config.
	note := func() {
		mu.Lock()
		defer mu.Unlock()
		in := config
		for i := range in.lists {
			in.lists[i].addrs = now.lists[i].addrs
		}
		states = append(states, in.answers())
	}
	seen := map[string]bool{}
	wg.Go(func() {
		at := 0
		for ctx.Err() == nil {
			got := e.Snapshot().answers()
			mu.Lock()
			next := slices.Index(states[at:], got)
			if next < 0 {
				t.Errorf("a reader saw %s after %s; on disk were, since then, %v\n%s", got, states[at], states[at:], d.log.String())
				cancel()
			} else {
				at += next
			}
			seen[got] = true
			mu.Unlock()
		}
	})
	for range 25 {
		switch n := random.IntN(10); {
		case n < 6: // an address moves from one list into another, into that first
			from, to, bit := random.IntN(4), random.IntN(4), uint8(1)<<random.IntN(8)
			now.lists[to].addrs |= bit
			note()
			d.place(fmt.Sprintf("%d.list", to), now.text(to))
			if from != to {
				now.lists[from].addrs &^= bit
				note()
				d.place(fmt.Sprintf("%d.list", from), now.text(from))
			}
		default:
			random.Shuffle(len(now.order), func(i, j int) { now.order[i], now.order[j] = now.order[j], now.order[i] })
			now.order = slices.Clone(now.order)
			now.def = []string{"offer", "suppress"}[random.IntN(2)]
			now.lists[random.IntN(3)].action = []string{"offer", "suppress"}[random.IntN(2)]
			d.place("c.toml", now.config())
			mu.Lock()
			config = now
			mu.Unlock()
			note()
			done := make(chan struct{})
			select {
			case reload <- func() { close(done) }:
				<-done
			case <-ctx.Done():
			}
			if err := e.ReloadError(); err != nil && ctx.Err() == nil {
				t.Errorf("reload refused: %v", err)
			}
		}
		time.Sleep(time.Duration(random.IntN(30)) * time.Millisecond) // so that looks fall between edits, too
	}
	want := now.answers()
	if err := testenv.Await(ctx, func() (bool, error) { return e.Snapshot().answers() == want, nil }); err != nil {
		t.Errorf("the last state never came in force: got %s, want %s\n%s", e.Snapshot().answers(), want, d.log.String())
	}
	cancel()
	mu.Lock()
	defer mu.Unlock()
	if len(seen) < 3 {
		t.Errorf("only %d states were seen: that proves nothing", len(seen))
	}
}

// place moves a file into place that was written a moment before, so that its
// times show it.
func (d *dir) place(name, text string) {
	d.t.Helper()
	path := filepath.Join(d.path, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
	old := time.Now().Add(-time.Second)
	if err := os.Chtimes(path+".new", old, old); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		d.t.Fatal(err)
	}
}
