package benchmarks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// coldConns is how many lookups there are at a time.
const coldConns = 8

// cold is what lookups of addresses cost that are new to all servers, by round.
type cold struct {
	rate          []float64 // lookups a second
	with, without []float64 // clients a second, with a lookup of each and without
}

// TestDNSCold compares lookups in a DNS list with those of Postfix's
// reject_rbl_client in the same zone. Both ask rbldnsd itself: a resolver in
// between would have the larger part of the work, and the same for both. One
// client of 16 is on the list; about it Postfix asks twice, as it wants the text,
// too.
//
// A lookup of ehlogate's is a request, of which the CPU time counts that it takes
// more than one about the same client a moment later. One of Postfix's is in a
// session up to RCPT, of which counts what it takes more, in CPU time and in
// time, than where there is no such restriction. So the rate of ehlogate has
// its requests in it, and that of Postfix has not its sessions.
func TestDNSCold(t *testing.T) {
	testenv.Needs(t, "root", "rbldnsd", "Postfix")
	n, rounds := pick(2_000, 64), pick(15, 1)
	fresh := strangers(pick(100_000, 5_000), 16)
	var listed strings.Builder
	for _, c := range fresh {
		if c.entry != "" {
			fmt.Fprintln(&listed, c.addr)
		}
	}
	total := len(fresh)
	take := func() (some []client) {
		if len(fresh) < n {
			t.Fatal("there are no more addresses that are new")
		}
		some, fresh = fresh[:n], fresh[n:]
		return some
	}
	server := newLister(t, listed.String())
	ours, theirs := &cold{}, &cold{}
	begun := cpuTime(t, server.Pid())
	compareNoted(t, "DNS", fmt.Sprintf("CPU of a cold lookup, %d at a time", coldConns), "µs", 0, rounds,
		side{"ehlogate", ours.daemon(t, newAsking(t, server.addr), take)},
		side{"reject_rbl_client", theirs.postfix(t, newRejecting(t, server.addr), take)},
		func() string {
			each := (cpuTime(t, server.Pid()) - begun) * 1e6 / float64(total-len(fresh))
			return fmt.Sprintf("rbldnsd itself takes %s µs", number(each))
		})
	r := row{group: "DNS", what: fmt.Sprintf("cold lookups, %d at a time", coldConns), unit: "/s", peer: "reject_rbl_client"}
	for i := range ours.rate[1:] { // compare does not count the first round either
		a, b := ours.rate[i+1], theirs.rate[i+1]
		r.ours, r.theirs, r.ratios = append(r.ours, a), append(r.theirs, b), append(r.ratios, a/b)
	}
	middle := func(v []float64) float64 { _, m, _ := quartiles(v[1:]); return m }
	r.note = fmt.Sprintf("requests: %.0f/s cold, %.0f/s from memory; sessions: %.0f/s with, %.0f/s without",
		middle(ours.with), middle(ours.without), middle(theirs.with), middle(theirs.without))
	addRow(t, r)
}

// daemon is a round of ehlogate's: requests about clients that are new, and again.
// The figure is the CPU time of a lookup in microseconds.
func (m *cold) daemon(t *testing.T, g *daemon, take func() []client) func() float64 {
	return func() float64 {
		some := take()
		l := newLoad(t, g.socket("memcache"), coldConns, exchanges("memcache", some))
		var used [2]float64
		for again := range used {
			before := cpuTime(t, g.Pid())
			if err := l.runRound(len(some)); err != nil {
				t.Error(err)
			}
			used[again] = cpuTime(t, g.Pid()) - before
		}
		m.addRound(l.rates[0], l.rates[0], l.rates[1])
		return (used[0] - used[1]) * 1e6 / float64(len(some))
	}
}

// postfix is a round of Postfix's: sessions of clients that are new, where they
// are looked up and where not. The figure is as with daemon.
func (m *cold) postfix(t *testing.T, p *postfix, take func() []client) func() float64 {
	for _, service := range []string{"rbl", "plain"} {
		p.populate(t, service)
	}
	return func() float64 {
		for range 10 {
			some := take()
			with, withRate, ok1 := p.visit(t, "rbl", some)
			without, withoutRate, ok2 := p.visit(t, "plain", some)
			if !ok1 || !ok2 {
				continue
			}
			added := 1/withRate - 1/withoutRate
			if added <= 0 { // so few that chance has more to say
				added = 1 / withRate
			}
			m.addRound(1/added, withRate, withoutRate)
			return (with - without) * 1e6 / float64(len(some))
		}
		t.Fatal("the processes of Postfix change all the time")
		return 0
	}
}

func (m *cold) addRound(rate, with, without float64) {
	m.rate, m.with, m.without = append(m.rate, rate), append(m.with, with), append(m.without, without)
}

// newLister starts a rbldnsd that serves addresses, for programs that know of no port but
// 53: Postfix asks the servers that resolv.conf names.
func newLister(t *testing.T, addresses string) *lister53 {
	t.Helper()
	dir := tempDir(t)
	write(t, filepath.Join(dir, "list"), testEntry+addresses)
	addr := free53(t)
	ready := func(context.Context, *mtatest.Log, int64) (bool, error) { return answers53(addr), nil }
	d := mtatest.NewDaemon(tempDir(t), "log", rbldnsdPath, ready, "-n", "-u", "nobody:nogroup", "-c", "0", "-w", dir,
		"-b", addr.String()+"/53", zone+":ip4set:list")
	t.Cleanup(func() {
		if err := d.Kill(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := d.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	return &lister53{d, addr}
}

type lister53 struct {
	*mtatest.Daemon
	addr netip.Addr
}

// free53 is an address of this host with a free port 53.
func free53(t *testing.T) netip.Addr {
	t.Helper()
	var errs error
	for i := range 20 {
		a := netip.AddrFrom4([4]byte{127, 53, byte(os.Getpid()), byte(1 + i)})
		c, err := net.ListenPacket("udp", netip.AddrPortFrom(a, 53).String())
		if err == nil {
			c.Close()
			return a
		}
		errs = errors.Join(errs, err)
	}
	t.Fatalf("this needs an address in 127.53.0.0/16 whose port 53 is free: %v", errs)
	return netip.Addr{}
}

// answers53 asks whether the test entry is listed.
func answers53(addr netip.Addr) bool {
	c, err := net.Dial("udp", netip.AddrPortFrom(addr, 53).String())
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(100 * time.Millisecond))
	buf := make([]byte, 512)
	if _, err := c.Write(dnsQuery(1, netip.AddrFrom4([4]byte{127, 0, 0, 2}))); err != nil {
		return false
	}
	n, err := c.Read(buf)
	if err != nil {
		return false
	}
	_, held, err := dnsAnswer(buf[:n])
	return held && err == nil
}

// newAsking starts an ehlogate that asks that resolver, as long as it takes.
func newAsking(t *testing.T, resolver netip.Addr) *daemon {
	t.Helper()
	return startDaemon(t, fmt.Sprintf(`[guard]
off = true
[dns]
resolvers = [%q]
wait = "10s"
[[list]]
name = "deny"
action = "suppress"
zones = [{zone = %q}]
`, resolver, zone), "")
}

// newRejecting starts a Postfix with a service that asks that resolver about
// clients, and one that does not. Both have the jail, which has a resolv.conf
// of its own.
func newRejecting(t *testing.T, resolver netip.Addr) *postfix {
	t.Helper()
	p := &postfix{}
	var err error
	p.Postfix, err = mtatest.NewPostfix(mtatest.PostfixConfig{
		Dir: tempDir(t),
		Services: []mtatest.Service{
			{Name: "rbl", Chroot: true, Options: map[string]string{"smtpd_recipient_restrictions": "reject_rbl_client " + zone + ", defer"}},
			{Name: "plain", Chroot: true, Options: map[string]string{"smtpd_recipient_restrictions": "defer"}},
		},
		// No process ends within a round, and no client is slowed down for what it is told. A client may send XCLIENT
		// again after it has become another one.
		Main: `max_use = 1000000
max_idle = 3600s
smtpd_authorized_xclient_hosts = static:all
smtpd_soft_error_limit = 1000000
smtpd_hard_error_limit = 1000000
smtpd_junk_command_limit = 1000000
smtpd_error_sleep_time = 0
`,
	})
	if err != nil {
		t.Fatal(err)
	}
	etc := filepath.Join(p.Queue, "etc")
	if err := os.MkdirAll(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(etc, "resolv.conf"), fmt.Sprintf("nameserver %s\n", resolver))
	t.Cleanup(func() {
		if err := p.Stop(soon(t)); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(p.Maillog().Tail(30))
		}
	})
	if err := p.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	return p
}

// visit plays sessions up to RCPT, coldConns at a time, and gives the CPU time of
// all processes of Postfix, in seconds, and the sessions a second. Nothing is
// known of the CPU time if processes have come or gone.
func (p *postfix) visit(t *testing.T, service string, clients []client) (cpu, rate float64, ok bool) {
	before, begun := p.cpuTimes(t, 0), time.Now()
	tally := mtatest.Load(context.Background(), coldConns, coldConns, func(ctx context.Context, i int) (mtatest.Verdict, time.Duration, error) {
		part := clients[i*len(clients)/coldConns : (i+1)*len(clients)/coldConns]
		var steps []session
		for _, c := range part {
			steps = append(steps, upToRCPT(c, service == "rbl"))
		}
		if err := playSessions(ctx, p.Addr(service), "", steps...); err != nil {
			return mtatest.Wrong, 0, err
		}
		return mtatest.Right, 0, nil
	})
	took := time.Since(begun).Seconds()
	if tally.Right != coldConns {
		t.Fatalf("%s: %d of %d connections were right: %s", service, tally.Right, coldConns, strings.Join(tally.Errors, "\n"))
	}
	after := p.cpuTimes(t, 0)
	for pid, used := range after {
		cpu += used - before[pid]
	}
	ok = slices.Equal(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
	return cpu, float64(len(clients)) / took, ok
}

// upToRCPT has the server take the client for another, and plays its session.
// A client that is not on the list is told to come again later, so that no mail is begun,
// which would write to the disk.
func upToRCPT(c client, lookedUp bool) session {
	rcpt := 450
	if lookedUp && c.entry != "" {
		rcpt = 554
	}
	return func(s *mtatest.SMTP) error {
		if r, err := s.XCLIENT(c.addr); err != nil || r.Code != 220 {
			return fmt.Errorf("XCLIENT: %v, %v", r, err)
		}
		for _, step := range []struct {
			command string
			want    int
		}{{"EHLO client.example", 250}, {"MAIL FROM:<sender@example.org>", 250}, {"RCPT TO:<box@mta.test>", rcpt}, {"RSET", 250}} {
			if r, err := s.Command(step.command); err != nil || r.Code != step.want {
				return fmt.Errorf("%s of %s: %v, %v", step.command, c.addr, r, err)
			}
		}
		return nil
	}
}
