package feed

import (
	"fmt"
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
			testenv.Eventually(t, "rbldnsd has written its warnings", func() bool { return strings.Contains(log.String(), ") started (") })
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
