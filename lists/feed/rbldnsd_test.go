package feed

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"ehlogate/lists"
	"ehlogate/lists/iptable"
	"ehlogate/lists/test/testenv"
)

// rbldnsdPath is where .ci/deps puts it.
const rbldnsdPath = "/var/cache/ehlogate-test/rbldnsd/usr/sbin/rbldnsd"

// zoneText is a data set: its type, and the text of its file.
type zoneText struct {
	format     Format
	kind, text string
}

// startRbldnsd serves data sets, each as the zone N.test. lookUp returns the A records of a name. isWarned reports whether
// rbldnsd has warned about a line of a zone; the zones after mayWarn must not have such lines.
func startRbldnsd(t *testing.T, zones []zoneText, mayWarn int) (lookUp func(name string) []netip.Addr, isWarned func(zone, line int) bool) {
	t.Helper()
	if _, err := os.Stat(rbldnsdPath); err != nil {
		t.Fatalf("rbldnsd is needed (run .ci/deps): %v", err)
	}
	dir, err := os.MkdirTemp("", "rbldnsd")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755)) // it does not stay root
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	addr := free.LocalAddr().(*net.UDPAddr)
	must(t, free.Close())
	args := []string{"-n", "-c", "0", "-w", dir, "-b", fmt.Sprintf("127.0.0.1/%d", addr.Port)}
	if os.Getuid() == 0 {
		args = append(args, "-u", "nobody:nogroup")
	}
	for i, z := range zones {
		base := fmt.Sprintf("zone%d", i)
		must(t, os.WriteFile(filepath.Join(dir, base), []byte(z.text), 0o644))
		args = append(args, fmt.Sprintf("%d.test:%s:%s", i, z.kind, base))
	}
	cmd := exec.CommandContext(t.Context(), rbldnsdPath, args...) // which ends it before Cleanup
	var log lockedBuilder
	cmd.Stdout, cmd.Stderr = &log, &log
	must(t, cmd.Start())
	stopped := make(chan struct{})
	go func() { _ = cmd.Wait(); close(stopped) }()
	t.Cleanup(func() {
		<-stopped
		for line := range strings.Lines(log.String()) {
			var zone int
			if _, err := fmt.Sscanf(line, "rbldnsd: file zone%d(", &zone); err == nil && zone >= mayWarn && !strings.Contains(line, "duplicated entry") && !strings.Contains(line, "special entry") && !strings.Contains(line, "attempt to increase") {
				t.Errorf("rbldnsd refuses what ehlogate accepts: %s", line)
			}
		}
	})

	client := dns.Client{Timeout: time.Second}
	var conn *dns.Conn
	t.Cleanup(func() {
		if conn != nil {
			conn.Close()
		}
	})
	return func(name string) (answers []netip.Addr) {
			t.Helper()
			q := new(dns.Msg).SetQuestion(name, dns.TypeA)
			for until := time.Now().Add(20 * time.Second); ; { // it may be loading, or not there yet
				var err error
				if conn == nil {
					conn, err = client.Dial(addr.String())
					must(t, err)
				}
				m, _, err := client.ExchangeWithConn(q, conn)
				switch {
				case err == nil && m.Rcode == dns.RcodeSuccess && len(m.Answer) > 0:
					for _, rr := range m.Answer {
						if a, ok := rr.(*dns.A); ok {
							answers = append(answers, netip.AddrFrom4([4]byte(a.A.To4())))
						}
					}
					return answers
				case err == nil && m.Rcode == dns.RcodeNameError:
					return nil
				}
				select {
				case <-stopped:
					t.Fatalf("rbldnsd has ended:\n%s", log.String())
				default:
				}
				if time.Now().After(until) {
					t.Fatalf("%s: %v, %v", name, m, err)
				}
				conn.Close()
				conn = nil
			}
		}, func(zone, line int) bool {
			const logged = 5 // warnings about a file; it does not say which are the others
			all := log.String()
			return strings.Contains(all, fmt.Sprintf("file zone%d(%d)", zone, line)) || strings.Count(all, fmt.Sprintf("file zone%d(", zone)) >= logged
		}
}

// lockedBuilder is a strings.Builder that may be read while a program writes to it.
type lockedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuilder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// questionOf returns the name that rbldnsd is asked about a client in zone number i.
func questionOf(t *testing.T, c lists.Client, i int) string {
	t.Helper()
	question := c.Name
	if c.Addr.IsValid() {
		reverse, err := dns.ReverseAddr(c.Addr.String())
		must(t, err)
		question = strings.TrimSuffix(strings.TrimSuffix(reverse, "in-addr.arpa."), "ip6.arpa.")
		question = strings.TrimSuffix(question, ".")
	}
	return fmt.Sprintf("%s.%d.test.", question, i)
}

// rbldnsd and ehlogate agree about random data sets.
func TestAgainstRbldnsd(t *testing.T) {
	testenv.Needs(t, "rbldnsd")
	var zones []zoneText
	makers := []func(*rand.Rand) zoneText{randomIP4Set, randomIP6Trie, randomDNSet}
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 3))
		zones = append(zones, makers[seed%3](r))
	}
	for _, f := range []Format{RbldnsdIP4Set, RbldnsdIP6, RbldnsdDNSet} {
		names, err := filepath.Glob(filepath.Join("testdata", string(f), "good*.rbl"))
		must(t, err)
		for _, name := range names {
			text, err := os.ReadFile(name)
			must(t, err)
			zones = append(zones, zoneText{f, strings.TrimPrefix(string(f), "rbldnsd-"), string(text)})
		}
	}
	lookUp, _ := startRbldnsd(t, zones, 0)
	yes, no := 0, 0
	for i, z := range zones {
		list, _ := load(t, z.format, z.text)
		r := rand.New(rand.NewPCG(uint64(i), 4))
		for _, c := range clientsNear(r, z) {
			listed := len(lookUp(questionOf(t, c, i))) > 0
			if got := isMatch(list, c); got != listed {
				t.Fatalf("zone %d: %+v: matched %v, listed %v\n%s", i, c, got, listed, z.text)
			}
			if listed {
				yes++
			} else {
				no++
			}
		}
	}
	if yes < 2000 || no < 2000 {
		t.Errorf("%d listed, %d not", yes, no)
	}
}

// clientsNear returns clients that are in a zone, and near its entries.
func clientsNear(r *rand.Rand, z zoneText) (out []lists.Client) {
	items, _ := parse(z.format, []byte(z.text), "x")
	for _, it := range items {
		if it.Kind == iptable.Name {
			name := strings.TrimPrefix(it.Name, ".")
			out = append(out, lists.Client{Name: name}, lists.Client{Name: "q." + name}, lists.Client{Name: "q.q." + name})
			continue
		}
		for _, a := range []netip.Addr{it.From, it.To, it.From.Prev(), it.To.Next()} {
			if a.IsValid() && len(out) < 300 {
				out = append(out, lists.Client{Addr: a})
			}
		}
	}
	for range 30 {
		switch z.format {
		case RbldnsdIP4Set:
			out = append(out, lists.Client{Addr: addr4(randomIPv4(r))})
		case RbldnsdIP6:
			out = append(out, lists.Client{Addr: randomIPv6(r)})
		default:
			out = append(out, lists.Client{Name: randomName(r)})
		}
	}
	return out
}

// randomIPv4 is near where the pieces of rbldnsd end.
func randomIPv4(r *rand.Rand) uint32 {
	edges := []uint32{10 << 24, 10<<24 | 1<<8, 10<<24 | 2<<8, 10<<24 | 1<<16, 10<<24 | 2<<16, 11 << 24, 12 << 24, 0, 1<<32 - 1, 10<<24 | 128}
	return pick(r, edges...) + uint32(r.IntN(5)) - 2
}

func randomIP4Set(r *rand.Rand) zoneText {
	var b strings.Builder
	for range 1 + r.IntN(16) {
		a, z := randomIPv4(r), randomIPv4(r)
		if z < a {
			a, z = z, a
		}
		bits := pick(r, 7, 8, 9, 15, 16, 17, 22, 23, 24, 25, 31, 32)
		octets := strings.Split(addr4(a&^hostMask(bits)).String(), ".")
		entry := ""
		switch r.IntN(6) {
		case 0:
			entry = addr4(a).String()
		case 1:
			entry = fmt.Sprintf("%s-%s", addr4(a), addr4(z))
		case 2:
			entry = fmt.Sprintf("%s/%d", strings.Join(octets[:max(1, (bits+7)/8)], "."), bits)
		case 3:
			entry = strings.Join(octets[:2+r.IntN(3)], ".")
		case 4:
			n := 1 + r.IntN(4)
			from := strings.Split(addr4(a).String(), ".")
			to := strings.Split(addr4(z).String(), ".")
			entry = strings.Join(from[:n], ".") + "-" + strings.Join(to[:n], ".")
		case 5:
			n := 1 + r.IntN(4)
			from := strings.Split(addr4(a).String(), ".")
			entry = strings.Join(from[:n], ".") + "-" + pick(r, "255", from[n-1])
		}
		b.WriteString(pick(r, "", "", "", "!", "! ", " ") + entry + pick(r, "", " ", " # x", ";x", " :3:", " some text", " :127.0.0.9: $ x") + "\n")
		if r.IntN(8) == 0 {
			b.WriteString(pick(r, ":4:default", "$TTL 1h", "# x", "", ":7") + "\n")
		}
	}
	return zoneText{RbldnsdIP4Set, "ip4set", b.String()}
}

func randomIPv6(r *rand.Rand) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 5: byte(r.IntN(2)), 7: byte(r.IntN(3)), 9: byte(r.IntN(2)), 15: byte(r.IntN(4))})
}

func randomIP6Trie(r *rand.Rand) zoneText {
	var b strings.Builder
	for range 1 + r.IntN(20) {
		p, _ := randomIPv6(r).Prefix(pick(r, 32, 48, 47, 64, 63, 65, 126, 127, 128, 128))
		entry := p.String()
		switch {
		case p.IsSingleIP() && r.IntN(2) == 0:
			entry = pick(r, p.Addr().String(), p.Addr().StringExpanded(), strings.ToUpper(p.Addr().String()))
		case p.Bits()%16 == 0:
			entry = strings.Join(strings.Split(p.Addr().StringExpanded(), ":")[:p.Bits()/16], ":")
		}
		b.WriteString(pick(r, "", "", "", "!", "! ", " ") + entry + pick(r, "", " ", " # x", ";x", " :3:", " some text", " :127.0.0.9: $ x") + "\n")
	}
	return zoneText{RbldnsdIP6, "ip6trie", b.String()}
}

func randomName(r *rand.Rand) string {
	return pick(r, "", "a.", "b.") + pick(r, "", "x.", "y.") + pick(r, "", "x.") + pick(r, "example", "test")
}

func randomDNSet(r *rand.Rand) zoneText {
	var b strings.Builder
	for range 1 + r.IntN(12) {
		name := pick(r, "", ".", "*.") + randomName(r)
		b.WriteString(pick(r, "", "", "!", "! ") + pick(r, name, strings.ToUpper(name)) + pick(r, "", ".", " ", " # x", " :3:", " some text") + "\n")
	}
	return zoneText{RbldnsdDNSet, "dnset", b.String()}
}

// A range that rbldnsd ignores is an error, and so is one that only list files know.
func TestRangesOfRbldnsd(t *testing.T) {
	for text, want := range map[string]string{
		"127.0.0.0/24": "127.0.0.0-127.0.0.255", "127.0.0": "127.0.0.0-127.0.0.255", "127.0.0.0-127.0.0.255": "127.0.0.0-127.0.0.255", "127.0.0.1-255": "127.0.0.1-127.0.0.255",
		"127.16-127.31": "127.16.0.0-127.31.255.255", "127.16-31": "127.16.0.0-127.31.255.255", "127.16.0/12": "127.16.0.0-127.31.255.255", "127/8": "127.0.0.0-127.255.255.255",
		"127.16.0-31": "127.16.0.0-127.16.31.255", "1-2": "1.0.0.0-2.255.255.255", "0/1": "0.0.0.0-127.255.255.255", "0/0": "", "0.0.0.0/0": "", "10.0.0.0/0": "", "255.255.255.255": "255.255.255.255-255.255.255.255",
		"127-127.0.0": "", "127": "", "": "", "127.0.0.1.1": "", "127.0.0.1/": "", "1..2": "", "-": "", "1-": "", "127.0.0.010": "127.0.0.10-127.0.0.10", "+1.2.3.4": "", "127.0.0.0/+8": "",
	} {
		from, to, msg := parseIP4Range(text)
		if got := fmt.Sprintf("%s-%s", addr4(from), addr4(to)); (msg == "") != (want != "") || want != "" && got != want {
			t.Errorf("%q: %s, %q; want %q", text, got, msg, want)
		}
	}
}
