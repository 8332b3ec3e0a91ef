package mtatest_test

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/dnstest"
	"ehlogate/lists/test/testenv"
)

const (
	allowZone, denyZone = "allow.test", "deny.test"
	// dnsWait is the default of dns.wait, and dnsGrace what an answer may take besides.
	dnsWait, dnsGrace = 300 * time.Millisecond, 20 * time.Millisecond
)

// dnsStack is what the ehlogate of a row asks.
type dnsStack struct {
	lists    *dnstest.Rbldnsd
	faulty   *dnstest.Server
	resolver *dnstest.Unbound
	resolve  func() // starts one, where ehlogate asks
}

// dnsFault is a row: something that happens to DNS, and is over after a while.
type dnsFault struct {
	name    string
	opens   []string // the zones whose breakers open; nil: no part is to notice anything
	may     may
	suspect bool // the zone is not to be believed, and nothing but its answers shows it
	stale   bool // a client that was known before is answered from memory, though that is too old
	// faulty: the zones are served by the server for faults and not by rbldnsd; direct: it is the resolver, too.
	faulty, direct bool
	begin, end     func(*testing.T, *dnsStack)
}

func dnsFaults() []dnsFault {
	both, allow, deny := []string{denyZone, allowZone}, []string{allowZone}, []string{denyZone}
	allListed, expired := listHead+"0.0.0.0/1\n128.0.0.0/1\n", "$TIMESTAMP 2000:01:01 2000:01:02\n127.0.0.2\n"
	return []dnsFault{
		{name: "resolver down", opens: both, may: allAway, stale: true,
			begin: func(t *testing.T, s *dnsStack) { s.resolver.Stop(t) },
			end:   func(_ *testing.T, s *dnsStack) { s.resolve() }},
		{name: "resolver drops everything", opens: both, may: allAway, stale: true,
			begin: func(t *testing.T, s *dnsStack) { s.resolver.Pause(t) },
			end:   func(t *testing.T, s *dnsStack) { s.resolver.Resume(t) }},
		dnsFault{name: "resolver takes 2 s", opens: both, may: allAway, stale: true, direct: true}.serving(".", dnstest.Fault{Delay: 2 * time.Second}),
		dnsFault{name: "allow zone lists every address", opens: allow, may: allowLies, suspect: true}.listing(allowZone, allListed),
		dnsFault{name: "deny zone lists every address", opens: deny, may: denyLies, suspect: true}.listing(denyZone, allListed),
		dnsFault{name: "allow zone expired (SERVFAIL)", opens: allow, may: allowAway, stale: true}.listing(allowZone, expired),
		dnsFault{name: "deny zone answers 127.255.255.254", opens: deny, may: asListed}.serving(denyZone, dnstest.Fault{Kind: dnstest.ErrorCode}),
		dnsFault{name: "deny zone was sold, answers 192.0.2.1", opens: deny, may: asListed}.serving(denyZone, dnstest.Fault{Kind: dnstest.Parked}),
		{name: "forged answers before the right ones", may: asListed, faulty: true, direct: true,
			begin: func(_ *testing.T, s *dnsStack) {
				s.faulty.Fail(denyZone, dnstest.Fault{Kind: dnstest.WrongID})
				s.faulty.Fail(allowZone, dnstest.Fault{Kind: dnstest.WrongQuestion})
			},
			end: func(_ *testing.T, s *dnsStack) { s.faulty.Heal() }},
	}
}

// serving has the server for faults do something to all that is below a domain.
func (f dnsFault) serving(domain string, what dnstest.Fault) dnsFault {
	f.faulty = true
	f.begin = func(_ *testing.T, s *dnsStack) { s.faulty.Fail(domain, what) }
	f.end = func(t *testing.T, s *dnsStack) { s.faulty.Heal(); s.flush(t) }
	return f
}

// listing has rbldnsd serve something else as a zone.
func (f dnsFault) listing(zone, text string) dnsFault {
	f.begin = func(t *testing.T, s *dnsStack) {
		s.lists.Set(t, dnstest.Dataset{Zone: zone, Type: "ip4set", Text: text})
	}
	f.end = func(t *testing.T, s *dnsStack) { s.lists.Set(t, listText(zone)); s.flush(t) }
	return f
}

// flush: that a resolver remembers a fault is none of it.
func (s *dnsStack) flush(t *testing.T) {
	if s.resolver != nil {
		s.resolver.Flush(t)
	}
}

// listHead has resolvers forget answers after a second, so that a fault reaches clients that were known before, too.
const listHead = "$TTL 1\n$SOA 1 ns.invalid hostmaster.invalid 1 3600 600 86400 1\n"

// listText is what rbldnsd serves as a zone while all is well, and zoneText the same for the server for faults.
func listText(zone string) dnstest.Dataset {
	held := map[string]string{allowZone: "11.1.0.0/16\n", denyZone: "11.2.0.0/16\n"}[zone]
	return dnstest.Dataset{Zone: zone, Type: "ip4set", Text: listHead + "127.0.0.2\n" + held}
}

func zoneText(t *testing.T, zone string) *dnstest.Zone {
	return dnstest.NewZone(t, zone, "@ 1 SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 1\n2.0.0.127 1 A 127.0.0.2\n"+
		map[string]string{allowZone: "*.1.11 1 A 127.0.0.2\n", denyZone: "*.2.11 1 A 127.0.0.2\n"}[zone])
}

// dnsEnv is a Postfix that has, for each row, a smtpd and a wire to an ehlogate of its own.
type dnsEnv struct {
	*mtatest.Postfix
	wires  []*wire
	delays *delays

	mu    sync.Mutex // for the table: rows may be played at once
	table *faultTable
}

// TestReputationFaults has everything happen to DNS that does happen, while a real Postfix asks.
func TestReputationFaults(t *testing.T) {
	testenv.Needs(t, "root", "Postfix", "rbldnsd", "unbound")
	if !full { // what is measured is measured alone
		t.Parallel()
	}
	faults := dnsFaults()
	r := &dnsEnv{table: newFaultTable(t, "What happens to DNS"), delays: newDelays(t)}
	var services []mtatest.Service
	var params strings.Builder
	for i := range len(faults) + 2 {
		r.wires = append(r.wires, newWire(t))
		s, p := mapped(rowService(i), r.wires[i].addr)
		services = append(services, s)
		params.WriteString(p)
	}
	r.Postfix = startPostfix(t, mtatest.PostfixConfig{Dir: tempDir(t), Services: services, Main: params.String(), Files: backupFiles})
	run := func(name string, row func(*testing.T)) {
		t.Run(name, func(t *testing.T) {
			if !full {
				t.Parallel()
			}
			row(t)
		})
	}
	for i, f := range faults {
		run(f.name, func(t *testing.T) { r.playRow(t, i, f) })
	}
	run("flood", func(t *testing.T) { r.flood(t, len(faults), false) })
	run("flood, and the resolver hangs", func(t *testing.T) { r.flood(t, len(faults)+1, true) })
}

func rowService(i int) string { return fmt.Sprintf("row%d", i) }

// newStack starts the servers of a row, and returns which servers are to be asked.
func newStack(t *testing.T, faulty, direct bool) (s *dnsStack, resolver netip.AddrPort) {
	t.Helper()
	s = &dnsStack{}
	var zones []dnstest.Upstream
	if faulty {
		s.faulty = dnstest.StartServer(t, zoneText(t, denyZone), zoneText(t, allowZone))
		zones = s.faulty.Upstreams()
	} else {
		s.lists = dnstest.StartRbldnsd(t, listText(denyZone), listText(allowZone))
		zones = s.lists.Upstreams()
	}
	if direct {
		return s, s.faulty.Addr
	}
	// A port that no other program takes while the resolver is down, not even as the source port of a connection.
	ports, err := mtatest.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	s.resolve = func() {
		s.resolver = dnstest.StartUnboundWith(t, fmt.Sprintf("interface: 127.0.0.1@%d", ports[0]), zones...)
	}
	s.resolve()
	return s, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(ports[0]))
}

// daemon starts the ehlogate of row i, and gives it when it believes its zones. bounds are more lines of [dns].
func (r *dnsEnv) daemon(t *testing.T, i int, resolver netip.AddrPort, bounds string) *daemon {
	t.Helper()
	lists := fmt.Sprintf(`[dns]
resolvers = [%q]
%s
[guard]
off = true

%s[[list]]
name = "deny"
action = "suppress"
zones = [{zone = %q}]

[[list]]
name = "allow"
action = "offer"
zones = [{zone = %q}]
`, resolver, bounds, hereList, denyZone, allowZone)
	g := startDaemon(t, "dns", "explicit_offer = true\ndefault = \"suppress\"\n", nil, lists, map[string]string{"here.list": hereFile})
	r.wires[i].leadTo(g.memcache)
	g.awaitZones(t, patience, "enabled", denyZone, allowZone)
	return g
}

// playRow plays sessions before, through and after a fault.
func (r *dnsEnv) playRow(t *testing.T, i int, f dnsFault) {
	s, resolver := newStack(t, f.faulty, f.direct)
	g := r.daemon(t, i, resolver, "min_ttl = \"1s\"\nmax_ttl = \"1s\"\n")
	p := &dnsTraffic{wire: r.wires[i], addr: r.Addr(rowService(i)), may: f.may}
	p.acquaint(t)
	before := mtatest.Load(t.Context(), pick(sessionsBefore, 60), dnsAtATime(), p.session)
	if before.Wrong > 0 || before.Unanswered > 0 {
		t.Fatalf("before it: %+v", before)
	}
	if f.suspect { // by what it answers: a zone is tested then, but not twice within five seconds
		g.awaitReputation(t, patience, "a test that is over for long", func(r *reputation) bool {
			return time.Since(r.zone(f.opens[0]).Checked) > 6*time.Second
		})
	}
	p.wire.taken()

	stop := p.start()
	defer stop()
	p.phase.Store(int32(turning))
	f.begin(t, s)
	d := delay{fault: f.name, noticed: f.opens != nil}
	start := time.Now()
	if d.noticed {
		g.awaitZones(t, time.Minute, "disabled", f.opens...)
		d.opened = time.Since(start)
		g.seesBreaker(t, false, f.opens...)
	}
	p.phase.Store(int32(broken))
	p.reach(t, pick(sessionsDuring, 100))
	if f.stale {
		g.awaitReputation(t, patience, "answers that are remembered and too old", func(r *reputation) bool { return r.stale() > 0 })
	}
	d.took, d.stale = p.wire.taken(), g.reputation(t).stale()
	p.phase.Store(int32(turning))
	f.end(t, s)
	start = time.Now()
	if d.noticed {
		g.awaitZones(t, pick(5*time.Minute, time.Minute), "enabled", f.opens...)
		d.closed = time.Since(start)
	}
	g.seesBreaker(t, true, denyZone, allowZone)
	p.phase.Store(int32(healthy))
	p.reach(t, pick(200, 30))
	during := stop()

	r.finishRow(t, g, during, before, d)
}

// finishRow adds a row, and judges it.
func (r *dnsEnv) finishRow(t *testing.T, g *daemon, during, before mtatest.Tally, d delay) {
	t.Helper()
	peak := peakRSS(g.Pid())
	r.mu.Lock()
	r.table.add(faultRow{d.fault, "memcache, of DNS lists", 1, during, before.P99, peak})
	r.mu.Unlock()
	r.delays.add(d)
	if during.Wrong > 0 || during.Unanswered > 0 || during.Backup*4 > during.Sessions {
		t.Errorf("want an answer for each session, by the rules, and of the backup only by chance: %+v", during)
	}
	// How late exactly depends on what else the machine does. But an answer that is much too late has Postfix give up.
	if waited, late := longer(d.took, dnsWait), longer(d.took, time.Second); late > waited/2 {
		t.Errorf("%d answers waited, and %d of them for longer than Postfix does", waited, late)
	}
	if limit := pick(256.0, 512.0); !testenv.RacePrograms && peak > limit {
		t.Errorf("%.0f MiB resident", peak)
	}
}
