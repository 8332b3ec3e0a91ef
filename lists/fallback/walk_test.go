package fallback

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/maillog"
)

// oracle knows what happened to the clients of a walk, and judges tables by simple means of its own.
type oracle struct {
	*world
	completed, modern map[string]time.Duration   // when a client last completed TLS, by the time for which logs were followed
	failed            map[string][]time.Duration // when a client failed in a way that says incapable
	suppressed        map[int64]int              // sessions, by hour
	sessions          map[int64]int
}

// walkClients are clients in one network, in networks of their own, behind a NAT, and scanners.
var walkClients = []string{
	"192.0.2.1", "192.0.2.2", "198.51.100.1", "203.0.113.1", "2001:db8:1:1::1", "2001:db8:1:1::2", "2001:db8:1:2::1", "2001:db8:2::1",
	"10.0.0.1", "100.64.0.1", "192.88.1.1", "192.88.2.1", "192.88.3.1", "192.88.4.1",
}

// TestWalk walks through random sessions, clocks, causes of the breaker, transactions that fail, and restarts. In no
// sequence is a client suppressed that completed TLS before, nor more than the limits, nor longer than its life, nor an
// address that did not fail itself.
func TestWalk(t *testing.T) {
	learned := 0
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		store := newCountingStore()
		w := newWorld(t, func(o *Options) {
			o.Legacy, o.MaxEntries, o.MinSessions = seed%2 == 0, 3, 5
			o.Neighbors, o.Immunity = day, 20*day
			o.Rest = 20 * time.Minute
		})
		w.tx = store
		o := &oracle{w, map[string]time.Duration{}, map[string]time.Duration{}, map[string][]time.Duration{}, map[int64]int{}, map[int64]int{}}
		w.Reload()
		for range 1500 {
			o.step(random)
			o.judge(fmt.Sprintf("seed %d", seed))
			if t.Failed() {
				return
			}
		}
		for _, e := range w.events {
			if e.Kind == EventLearned {
				learned++
			}
		}
	}
	if t.Logf("%d entries were made", learned); learned < 100 {
		t.Errorf("only %d entries were made: the walk proves little", learned)
	}
}

func (o *oracle) step(random *rand.Rand) {
	addr := walkClients[random.IntN(len(walkClients))]
	switch random.IntN(40) {
	case 0:
		o.now.Wall = o.now.Wall.Add(time.Duration(random.IntN(100)-50) * time.Hour)
		o.wait(0)
	case 1:
		if random.IntN(5) == 0 {
			_ = o.OpenBreaker(o.tx, o.now, "test")
			o.publish()
		}
	case 2:
		o.start(o.options)
	case 3: // a transaction is not committed
		before := o.tx.(*countingStore).clone()
		o.wait(time.Second)
		o.add(addr, o.randomSession(random, addr, false))
		o.tx = before
		o.Reload()
		o.wait(0)
	case 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17:
		o.wait(time.Duration(random.IntN(15)) * time.Minute)
	case 18:
		o.wait(time.Duration(random.IntN(48)) * time.Hour)
	case 19, 20, 21:
		for range random.IntN(20) {
			if connect(o.suppress, addr) {
				o.suppressed[int64(o.now.Followed/time.Hour)]++
			}
			connect(o.legacy, addr)
		}
	default:
		o.add(addr, o.randomSession(random, addr, true))
	}
}

// randomSession is a session, of which the oracle takes notice if it counts. Most clients that failed keep to their way.
func (o *oracle) randomSession(random *rand.Rand, addr string, counts bool) func(*maillog.Session) {
	change := fails([]string{noCipher, oldVersion, noKeyShare, "lost-connection", "wrong-version-number"}[random.IntN(5)])
	if random.IntN(8) > 0 {
		change = fails([]string{noCipher, oldVersion, noKeyShare}[len(addr)%3])
	}
	if counts {
		o.sessions[int64(o.now.Followed/time.Hour)]++
	}
	name := []string{"", "a.example", "mail." + addr + ".example"}[random.IntN(3)]
	switch n := random.IntN(50); {
	case n < 3:
		version := []string{"TLSv1", "TLSv1.2", "TLSv1.3", ""}[random.IntN(4)]
		change = succeeds(version)
		if counts {
			o.completed[addr] = o.now.Followed
			if e := o.entryOf(addr); version != "TLSv1" && (e == nil || e.action == lists.Suppress) {
				o.modern[addr] = o.now.Followed
			}
		}
	case n < 8:
		change = delivers(n % 2)
	case counts:
		o.failed[addr] = append(o.failed[addr], o.now.Followed)
	}
	ends := o.now.Wall.Add(-time.Duration(random.IntN(3)) * time.Minute)
	if random.IntN(20) == 0 {
		ends = ends.Add(-time.Duration(random.IntN(1000)) * time.Hour)
	}
	return func(s *maillog.Session) {
		change(s)
		ending(ends)(s)
		s.Name = name
	}
}

// judge judges the tables that are published.
func (o *oracle) judge(what string) {
	o.Helper()
	t := o.suppress.table.Load()
	if t.Len() > o.options.MaxEntries || len(o.entries) > o.options.MaxEntries {
		o.Errorf("%s: %d entries, %d of them live", what, len(o.entries), t.Len())
	}
	for _, e := range t.entries {
		addr := e.addr.String()
		at, completed := o.completed[addr]
		if e.action == lists.Legacy {
			at, completed = o.modern[addr]
		}
		if completed && o.now.Followed-at < o.options.Immunity {
			o.Errorf("%s: %s is on the %s list, and completed TLS %v ago", what, addr, e.action, o.now.Followed-at)
		}
		failures := o.failed[addr]
		if n := len(failures); n < 3 || failures[n-1]-failures[0] < time.Hour || o.now.Followed-failures[n-1] > 2*o.options.MaxLife {
			o.Errorf("%s: %s has an entry after failures at %v, now %v", what, addr, failures, o.now.Followed)
		}
		if left := e.until.Followed - o.now.Followed; left <= 0 || left > o.options.MaxLife || !e.until.Wall.After(o.now.Wall) {
			o.Errorf("%s: an entry lives until %v, now %v", what, e.until, o.now)
		}
		if made := o.entryOf(addr).made; o.now.Followed-made.Followed >= o.options.TotalLife {
			o.Errorf("%s: an entry is %v old", what, o.now.Followed-made.Followed)
		}
		if lists.MayBeShared(e.addr) {
			o.Errorf("%s: %s may be shared", what, addr)
		}
		for _, near := range []netip.Addr{e.addr.Prev(), e.addr.Next()} {
			if isIn(o.suppress, near.String()) && o.failed[near.String()] == nil {
				o.Errorf("%s: %s is in the list", what, near)
			}
		}
	}
	hour := int64(o.now.Followed / time.Hour)
	share := int(o.options.MaxShare * float64(max(o.sessions[hour], o.sessions[hour-1])))
	if got := o.suppressed[hour]; got > max(o.options.MinSessions, share) {
		o.Errorf("%s: %d sessions suppressed in an hour", what, got)
	}
}
