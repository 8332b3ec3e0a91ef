package benchmarks

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/listtest"
	"ehlogate/lists/test/testenv"
)

// TestRbldnsd starts ehlogate and rbldnsd on the same file, and measures the
// time to the first right answer and what memory that takes.
func TestRbldnsd(t *testing.T) {
	testenv.Needs(t, "rbldnsd")
	entries := listtest.Hosts(pick(1_000_000, 2_000))
	g := newDaemon(t, "", listtest.Format(entries))
	held := entries[len(entries)-1].From
	free := addresses(entries).notIn(held)
	peer := newRbldnsd(t, g.list)

	var ours, theirs []start
	begin := func(s *served, into *[]start) func() float64 {
		return func() float64 {
			*into = append(*into, s.start(t, held, free))
			s.stopServer(t)
			return (*into)[len(*into)-1].seconds
		}
	}
	const group = "a million addresses"
	compare(t, group, "process start to first right answer", "s", 1, pick(7, 1),
		side{"ehlogate", begin(servedDaemon(t, g), &ours)}, side{"rbldnsd", begin(&peer.served, &theirs)})

	also := func(what, unit string, goal float64, note string, of func(start) float64) {
		r := row{group: group, what: what, unit: unit, goal: goal, peer: "rbldnsd", note: note}
		for i := range ours[1:] { // compare does not count the first round either
			a, b := of(ours[i+1]), of(theirs[i+1])
			r.ours, r.theirs, r.ratios = append(r.ours, a), append(r.theirs, b), append(r.ratios, a/b)
		}
		addRow(t, r)
	}
	also("CPU time until then", "s", 0, "", func(s start) float64 { return s.cpu })
	also("resident memory, once it is steady", "MiB", 1, "", func(s start) float64 { return s.steady })
	also("of that, without what is in files: the program, libraries", "MiB", 1, "", func(s start) float64 { return s.own })
	also("resident memory at the first answer", "MiB", 0, "", func(s start) float64 { return s.first })
	also("largest resident memory until then", "MiB", 0, "", func(s start) float64 { return s.peak })
}

// ipv4 is a set of IPv4 addresses.
type ipv4 map[[4]byte]struct{}

func addresses(entries []listtest.Entry) ipv4 {
	set := make(ipv4, len(entries))
	for _, e := range entries {
		set[e.From.As4()] = struct{}{}
	}
	return set
}

func (set ipv4) holds(a netip.Addr) bool {
	_, ok := set[a.As4()]
	return ok
}

// notIn gives an address that is not in the set, near a.
func (set ipv4) notIn(a netip.Addr) netip.Addr {
	for set.holds(a) {
		a = a.Next()
	}
	return a
}

// served is a program that serves a list, and a way to ask it.
type served struct {
	*mtatest.Daemon
	ask func(netip.Addr) (bool, error) // fails as long as there is no answer
}

// start is what the start of a program cost.
type start struct {
	seconds, cpu        float64 // to the first right answer
	first, peak, steady float64 // MiB resident: at that answer, at most until then, and later
	own                 float64 // MiB of steady that are in no file
}

// start starts the program and asks until it knows that held is held.
func (s *served) start(t testing.TB, held, free netip.Addr) (m start) {
	t.Helper()
	begun := time.Now()
	if err := s.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	for {
		ok, err := s.ask(held)
		if ok && err == nil {
			break
		}
		if !s.Running() || time.Since(begun) > 2*time.Minute {
			t.Fatalf("no right answer from %s: %t, %v\n%s", s.Path, ok, err, s.Log.Tail(20))
		}
		time.Sleep(200 * time.Microsecond)
	}
	m.seconds, m.cpu = time.Since(begun).Seconds(), cpuTime(t, s.Pid())
	m.first, m.peak = residentSet(t, s.Pid())
	if ok, err := s.ask(free); ok || err != nil {
		t.Fatalf("asked about %v, which is in no list: %t, %v", free, ok, err)
	}
	m.steady = steadyRSS(t, s.Pid())
	m.own = ownMemory(t, s.Pid())
	return m
}

func (s *served) stopServer(t testing.TB) {
	t.Helper()
	if code, err := s.Term(soon(t)); err != nil || code != 0 {
		t.Fatalf("%s ended with %d, %v", s.Path, code, err)
	}
}

// steadyRSS waits until the resident set does not change any more, because
// Go gives memory back some time after it was freed.
func steadyRSS(t testing.TB, pid int) float64 {
	t.Helper()
	const every = 20 * time.Millisecond
	quiet := pick(time.Second, 2*every)
	last, _ := residentSet(t, pid)
	since := time.Now()
	for began := since; time.Since(since) < quiet && time.Since(began) < 20*time.Second; {
		time.Sleep(every)
		if now, _ := residentSet(t, pid); now < 0.99*last || now > 1.01*last {
			last, since = now, time.Now()
		}
	}
	now, _ := residentSet(t, pid)
	return now
}

// servedDaemon is g, asked by memcache.
func servedDaemon(t testing.TB, g *daemon) *served {
	g.Ready = nil // ask finds out
	return &served{g.Daemon, func(a netip.Addr) (bool, error) {
		c, err := net.DialTimeout("unix", g.socket("memcache"), time.Second)
		if err != nil {
			return false, err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Second))
		if _, err := fmt.Fprintf(c, "get starttls:%v\r\n", a); err != nil {
			return false, err
		}
		r := bufio.NewReader(c)
		line, err := r.ReadString('\n')
		if err != nil || line == "END\r\n" {
			return false, err
		}
		line, err = r.ReadString('\n')
		if err == nil && line != "starttls\r\n" {
			err = fmt.Errorf("unexpected answer %q", line)
		}
		return true, err
	}}
}

// rbldnsdPath is where .ci/deps puts it.
const rbldnsdPath = "/var/cache/ehlogate-test/rbldnsd/usr/sbin/rbldnsd"

// rbldnsd is one that serves a file of addresses.
type rbldnsd struct {
	served
	conn net.Conn
}

func newRbldnsd(t testing.TB, list string) *rbldnsd {
	t.Helper()
	if _, err := os.Stat(rbldnsdPath); err != nil {
		t.Fatalf("rbldnsd is needed (run .ci/deps): %v", err)
	}
	ports, err := mtatest.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	// It does not run as root, and does not look for changes here.
	d := mtatest.NewDaemon(tempDir(t), "log", rbldnsdPath, nil, "-n", "-u", "nobody:nogroup", "-c", "0", "-w", filepath.Dir(list),
		"-b", fmt.Sprintf("127.0.0.1/%d", ports[0]), zone+":ip4set:"+filepath.Base(list))
	t.Cleanup(func() {
		if err := d.Kill(context.Background()); err != nil {
			t.Error(err)
		}
	})
	c, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", ports[0]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	id, buf := uint16(0), make([]byte, 512)
	return &rbldnsd{served{d, func(a netip.Addr) (bool, error) {
		id++
		// It answers all that came while it was loading.
		c.SetDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := c.Write(dnsQuery(id, a)); err != nil {
			return false, err
		}
		for {
			n, err := c.Read(buf)
			if err != nil {
				return false, err
			}
			if got, held, err := dnsAnswer(buf[:n]); err != nil || got == id {
				return held, err
			}
		}
	}}, c}
}

// flood asks about all addresses and gives the CPU time that it took the
// server, in seconds.
func (r *rbldnsd) flood(t *testing.T, qs []netip.Addr, hits int) float64 {
	t.Helper()
	const batch = 64 // fits the buffer of a socket
	before, held, buf := cpuTime(t, r.Pid()), 0, make([]byte, 512)
	r.conn.SetDeadline(time.Now().Add(time.Minute))
	for from := 0; from < len(qs); from += batch {
		part := qs[from:min(from+batch, len(qs))]
		for i, a := range part {
			if _, err := r.conn.Write(dnsQuery(uint16(i), a)); err != nil {
				t.Fatal(err)
			}
		}
		for range part {
			n, err := r.conn.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok, err := dnsAnswer(buf[:n]); err != nil {
				t.Fatal(err)
			} else if ok {
				held++
			}
		}
	}
	if held != hits {
		t.Fatalf("rbldnsd holds %d of %d addresses, expected %d", held, len(qs), hits)
	}
	return cpuTime(t, r.Pid()) - before
}

// zone is what rbldnsd serves.
const zone = "bl.test"

// dnsQuery asks for the A record of an address in the zone, RFC 1035 and 5782.
func dnsQuery(id uint16, a netip.Addr) []byte {
	q := []byte{byte(id >> 8), byte(id), 0, 0, 0, 1, 0, 0, 0, 0, 0, 0} // no flags, one question
	b := a.As4()
	slices.Reverse(b[:])
	for label := range strings.SplitSeq(netip.AddrFrom4(b).String()+"."+zone, ".") {
		q = append(append(q, byte(len(label))), label...)
	}
	return append(q, 0, 0, 1, 0, 1) // end of name, A, IN
}

func dnsAnswer(b []byte) (id uint16, held bool, err error) {
	if len(b) < 12 || b[2]&0x80 == 0 {
		return 0, false, errors.New("what came is no DNS answer")
	}
	id = uint16(b[0])<<8 | uint16(b[1])
	switch code := b[3] & 0xf; {
	case code == 0:
		return id, b[6]|b[7] != 0, nil // how many records it has
	case code == 3: // no such name
		return id, false, nil
	default:
		return id, false, fmt.Errorf("DNS answer with code %d", code)
	}
}
