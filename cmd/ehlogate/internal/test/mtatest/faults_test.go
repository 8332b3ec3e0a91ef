package mtatest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// faultLists and faultFiles make a daemon that denies every other address of those from which newTraffic connects.
const faultLists = "[[list]]\nname   = \"deny\"\naction = \"suppress\"\nfiles  = [\"deny.list\"]\n"

func faultFiles() map[string]string {
	var b strings.Builder
	for i := 10; i < 210; i += 2 {
		fmt.Fprintf(&b, "127.0.0.%d\n", i)
	}
	return map[string]string{"deny.list": b.String()}
}

// variant is one way of asking, under fault.
type variant struct {
	name    string // in the table
	service string
	backup  bool          // there is a backup that hides DSN; without, it is empty
	hung    time.Duration // how long a client waits while ehlogate hangs; 0: there is no telling
}

// faultVariants are measured by TestFaults. The wait for a hung ehlogate is one second a try and one between two tries,
// for the question, and, where the backup has an answer, again for storing it. Through proxymap a client also waits for
// those before it, because one proxymap asks for several smtpd. Those through socketmap are expected to fail.
var faultVariants = []variant{
	{"memcache, max_try=1", "one", true, 2 * time.Second},
	{"memcache, max_try=1, empty backup", "onenull", false, 1 * time.Second},
	{"memcache, max_try=2", "two", true, 6 * time.Second},
	{"memcache, max_try=2, empty backup", "twonull", false, 3 * time.Second},
	{"proxy:memcache, max_try=1", "proxyone", true, 0},
	{"proxy:memcache, max_try=1, empty backup", "proxyonenull", false, 0},
	{"socketmap", "socketmap", false, 0},
}

// newTraffic returns a load function: session i comes from one of 200 addresses, of which the list denies the even ones.
// limit is how long a session may take.
func newTraffic(addr string, backup bool, limit time.Duration) func(context.Context, int) (mtatest.Verdict, time.Duration, error) {
	return func(ctx context.Context, i int) (mtatest.Verdict, time.Duration, error) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		last := 10 + i%200
		r, err := mtatest.Session(ctx, addr, fmt.Sprintf("127.0.0.%d", last), "client.example")
		if err != nil {
			return mtatest.Unanswered, 0, err
		}
		verdict := judge(r.Reply, last%2 == 0, backup)
		if verdict == mtatest.Wrong {
			err = fmt.Errorf("from 127.0.0.%d: %v", last, r.Reply)
		}
		return verdict, r.EHLO, err
	}
}

// judge returns which source gave an answer: the lists hide STARTTLS from the denied and nothing else, the backup hides DSN from
// every client, an empty backup hides nothing. An empty backup and the lists say the same of a client that is not denied.
func judge(r mtatest.Reply, denied, backup bool) mtatest.Verdict {
	starttls, dsn := r.Offers("STARTTLS"), r.Offers("DSN")
	switch {
	case dsn && starttls == !denied:
		return mtatest.Right
	case starttls && dsn == !backup:
		return mtatest.Backup
	}
	return mtatest.Wrong
}

// faults is what the parts of TestFaults share.
type faults struct {
	*mtatest.Postfix
	explicit, plain *daemon // behind the variants with a backup that hides something, and behind the others
	table           *table
}

// TestFaults measures what clients see while ehlogate is down, is killed under load, restarts, or hangs.
func TestFaults(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	f := newFaults(t)
	f.measure(t, "serving", 100, 10, f.allRight)
	f.onEach(t, func(g *daemon) error { _, err := g.Term(soon(t)); return err })
	f.measure(t, "down", 100, 10, f.checkDown)
	f.onEach(t, func(g *daemon) error { return g.Start(soon(t)) })
	f.measure(t, "started again", 100, 10, f.allRight)
	f.disturb(t, "restarted under load", func(g *daemon) error { return g.Restart(soon(t)) })
	f.disturb(t, "killed under load, started again", func(g *daemon) error {
		if err := g.Kill(soon(t)); err != nil {
			return err
		}
		return g.Start(soon(t))
	})
	f.onEach(t, func(g *daemon) error { return g.Hang(soon(t)) })
	f.measure(t, "hung", 20, 4, f.checkHung)
	f.onEach(t, (*daemon).Resume)
	f.measure(t, "running on", 100, 10, f.allRight)
}

func newFaults(t *testing.T) *faults {
	dir := tempDir(t)
	etc := mtatest.LayoutOf(dir).Config
	f := &faults{
		explicit: startDaemon(t, "explicit", "explicit_offer = true\n", nil, faultLists, faultFiles()),
		plain:    startDaemon(t, "plain", "", nil, faultLists, faultFiles()),
		table:    newTable(t, "Postfix smtpd"),
	}
	memcache := func(name string) string { return "memcache:" + etc + "/" + name + ".cf" }
	service := func(name, table string) mtatest.Service {
		return mtatest.Service{Name: name, Options: map[string]string{"smtpd_discard_ehlo_keyword_address_maps": table}}
	}
	static, empty := "cidr:"+etc+"/backup.cidr", "cidr:/dev/null"
	f.Postfix = startPostfix(t, mtatest.PostfixConfig{
		Dir: dir,
		Services: []mtatest.Service{
			service("one", memcache("one")), service("onenull", memcache("onenull")),
			service("two", memcache("two")), service("twonull", memcache("twonull")),
			service("proxyone", "proxy:"+memcache("one")), service("proxyonenull", "proxy:"+memcache("onenull")),
			service("socketmap", "socketmap:inet:"+f.plain.socketmap+":starttls"),
		},
		Main: fmt.Sprintf("proxy_read_maps = proxy:%s, proxy:%s", memcache("one"), memcache("onenull")),
		Files: map[string]string{
			"one.cf":      memcacheCF("inet:"+f.explicit.memcache, "starttls:%s", 1, static),
			"onenull.cf":  memcacheCF("inet:"+f.plain.memcache, "starttls:%s", 1, empty),
			"two.cf":      memcacheCF("inet:"+f.explicit.memcache, "starttls:%s", 2, static),
			"twonull.cf":  memcacheCF("inet:"+f.plain.memcache, "starttls:%s", 2, empty),
			"backup.cidr": "0.0.0.0/0 dsn\n",
		},
	})
	return f
}

// onEach does the same to both daemons.
func (f *faults) onEach(t *testing.T, do func(*daemon) error) {
	t.Helper()
	for _, g := range []*daemon{f.explicit, f.plain} {
		if err := do(g); err != nil {
			t.Fatal(err)
		}
	}
}

// measure plays n sessions against every variant at the same time, adds the rows, and has each judged.
func (f *faults) measure(t *testing.T, fault string, n, concurrency int, check func(*testing.T, variant, mtatest.Tally)) {
	t.Helper()
	var wg sync.WaitGroup
	for _, v := range faultVariants {
		n, limit := n, patience
		if v.service == "socketmap" && fault == "hung" {
			n, limit = concurrency, 5*time.Second // it would be 100 s
		}
		wg.Go(func() {
			tally := mtatest.Load(context.Background(), n, concurrency, newTraffic(f.Addr(v.service), v.backup, limit))
			note := ""
			if strings.HasPrefix(v.service, "proxy") && fault == "hung" {
				note = "clients wait for those that share their proxymap"
			}
			f.table.add(row{variant: v.name, fault: fault, clients: concurrency, tally: tally, note: note})
			check(t, v, tally)
		})
	}
	wg.Wait()
}

// disturb plays sessions against every variant, does something to the daemons in the midst of it, and goes on for a while;
// after that the lists must answer again.
func (f *faults) disturb(t *testing.T, fault string, do func(*daemon) error) {
	t.Helper()
	const before, after, concurrency = 50, 100, 4
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	played := make(chan int, 1<<16) // the index of the variant, at the end of each session
	var wg sync.WaitGroup
	for i, v := range faultVariants {
		play := newTraffic(f.Addr(v.service), v.backup, patience)
		wg.Go(func() {
			tally := mtatest.Load(ctx, 0, concurrency, func(running context.Context, n int) (mtatest.Verdict, time.Duration, error) {
				defer func() {
					select {
					case played <- i:
					case <-ctx.Done():
					}
				}()
				return play(running, n)
			})
			f.table.add(row{variant: v.name, fault: fault, clients: concurrency, tally: tally})
			f.nothingLost(t, v, tally)
		})
	}
	eachPlays(t, played, before)
	f.onEach(t, do)
	eachPlays(t, played, after)
	cancel()
	wg.Wait()
	for _, v := range faultVariants {
		f.allRight(t, v, mtatest.Load(context.Background(), 50, concurrency, newTraffic(f.Addr(v.service), v.backup, patience)))
	}
}

// eachPlays waits until so many sessions of every variant have ended.
func eachPlays(t *testing.T, played <-chan int, want int) {
	t.Helper()
	ctx := soon(t)
	count := make([]int, len(faultVariants))
	for slices.Min(count) < want {
		select {
		case i := <-played:
			count[i]++
		case <-ctx.Done():
			t.Fatalf("sessions by variant in %v: %v", patience, count)
		}
	}
}

// allRight wants every session answered by the lists.
func (f *faults) allRight(t *testing.T, v variant, tally mtatest.Tally) {
	if tally.Right != tally.Sessions {
		t.Errorf("%s: want the lists' answer always: %+v", v.name, tally)
	}
}

// nothingLost wants every session answered, by the lists or by the backup. socketmap may lose what it likes.
func (f *faults) nothingLost(t *testing.T, v variant, tally mtatest.Tally) {
	if v.service != "socketmap" && (tally.Unanswered > 0 || tally.Wrong > 0) {
		t.Errorf("%s: want every session answered by the lists or the backup: %+v", v.name, tally)
	}
}

// checkDown wants every session answered by the backup; through socketmap, which has none, it wants them all refused.
func (f *faults) checkDown(t *testing.T, v variant, tally mtatest.Tally) {
	f.nothingLost(t, v, tally)
	if v.backup && tally.Backup != tally.Sessions {
		t.Errorf("%s: want the backup's answer always: %+v", v.name, tally)
	}
	refused := func(reason string) bool { return strings.Contains(reason, "to EHLO: 421 ") }
	if v.service == "socketmap" && (tally.Unanswered != tally.Sessions || len(tally.Errors) == 0 || !allTrue(tally.Errors, refused)) {
		t.Errorf("%s: want a 421 always: %+v", v.name, tally)
	}
}

// checkHung wants the same, but each answer in its time; through socketmap it wants none at all.
func (f *faults) checkHung(t *testing.T, v variant, tally mtatest.Tally) {
	f.nothingLost(t, v, tally)
	if v.backup && tally.Backup != tally.Sessions {
		t.Errorf("%s: want the backup's answer always: %+v", v.name, tally)
	}
	if late := v.hung + muchLater; v.hung > 0 && (tally.Max < v.hung || tally.Max > late) {
		t.Errorf("%s: want the longest wait between %v and %v: %+v", v.name, v.hung, late, tally)
	}
	if v.service == "socketmap" && tally.Unanswered != tally.Sessions {
		t.Errorf("%s: want no answer within the time that we wait: %+v", v.name, tally)
	}
}

// allTrue reports whether ok is true of all values.
func allTrue(values []string, ok func(string) bool) bool {
	return !slices.ContainsFunc(values, func(v string) bool { return !ok(v) })
}
