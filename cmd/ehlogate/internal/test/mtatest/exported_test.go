package mtatest_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/cmd/ehlogate/internal/test/netns"
	"ehlogate/lists/test/testenv"
)

// openNetwork is a network in which every address is a client's, and the servers' too.
func openNetwork(t *testing.T) *netns.Namespace {
	t.Helper()
	n, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	for _, line := range []string{"ip route add local default dev lo", "ip -6 route add local default dev lo", "sysctl -q net.ipv6.ip_nonlocal_bind=1"} {
		words := strings.Fields(line)
		if _, err := n.Run(t.Context(), words[0], words[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// exported is a policy, the program that exports it, and addresses on both sides of its borders.
type exported struct {
	binary, dir, config string
	clients             []string
}

func newExported(t *testing.T, def string) exported {
	t.Helper()
	path, err := mtatest.Program(testenv.RacePrograms)
	if err != nil {
		t.Fatal(err)
	}
	x := exported{binary: path, dir: tempDir(t)}
	x.config = filepath.Join(x.dir, "ehlogate.toml")
	for name, text := range map[string]string{
		"ehlogate.toml": fmt.Sprintf("default = %q\nguard.off = true\n[[list]]\nname = \"allow\"\naction = \"offer\"\nfiles = [\"allow.list\"]\n"+
			"[[list]]\nname = \"deny\"\naction = \"suppress\"\nfiles = [\"deny.list\"]\n"+
			"[[list]]\nname = \"strangers\"\nhide = [\"dsn\"]\nfiles = [\"strangers.list\"]\n", def),
		"allow.list":     "192.0.2.64/27\n2001:db8:0:1::/64\n198.51.100.7\n",
		"strangers.list": "192.0.2.96/27\n192.0.3.0/24\n203.0.113.4-203.0.113.5\n2001:db8:0:1::/64\n!192.0.2.13\n",
		"deny.list":      "192.0.2.0/24\n!192.0.2.13\n10.0.0.0/8\n!10.1.0.0/20\n2001:db8::/32\n!2001:db8::1\n203.0.113.5-203.0.113.9\n",
	} {
		if err := os.WriteFile(filepath.Join(x.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	x.clients = strings.Fields(`192.0.1.255 192.0.2.0 192.0.2.12 192.0.2.13 192.0.2.63 192.0.2.64 192.0.2.95 192.0.2.96 192.0.3.0 10.0.0.1 10.1.15.255
		10.1.16.0 11.0.0.1 198.51.100.7 203.0.113.4 203.0.113.5 203.0.113.9 203.0.113.10 2001:db8::1 2001:db8::2 2001:db8:0:1::1 2001:db8:0:2::1
		2001:db8:1:0:5::1 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 2001:db9::1`)
	return x
}

// runExport runs the program about the policy.
func (x exported) runExport(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(soon(t), x.binary, append(args, "-c", x.config)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// hidesDSN finds what explain says of a client from which DSN is hidden.
var hidesDSN = regexp.MustCompile(`(?m)^ +hides +DSN: `)

// compare plays a session of each client with a server, and holds what it is offered against what explain says.
func (x exported) compare(t *testing.T, n *netns.Namespace, v4, v6 string) {
	t.Helper()
	seen, shown := map[bool]int{}, map[bool]int{}
	for _, client := range x.clients {
		addr := v4
		if netip.MustParseAddr(client).Is6() {
			addr = v6
		}
		r := session(t, n, addr, client)
		says := x.runExport(t, "explain", client)
		if suppressed := strings.HasPrefix(says, client+": suppress"); r.Offers("STARTTLS") == suppressed {
			t.Errorf("%s: the server says %v, ehlogate\n%s", client, r, says)
		}
		if hidden := hidesDSN.MatchString(says); r.Offers("DSN") == hidden {
			t.Errorf("%s: the server says %v, ehlogate\n%s", client, r, says)
		}
		seen[r.Offers("STARTTLS")]++
		shown[r.Offers("DSN")]++
	}
	if seen[true] < 4 || seen[false] < 4 || shown[true] < 4 || shown[false] < 4 {
		t.Errorf("%v, %v: too few of a kind", seen, shown)
	}
}

// session plays a session in a network, and returns the reply to EHLO.
func session(t *testing.T, n *netns.Namespace, addr, source string) (r mtatest.Reply) {
	t.Helper()
	err := n.Do(func() error {
		s, err := mtatest.Session(soon(t), addr, source, "client.example")
		r = s.Reply
		return err
	})
	if err != nil {
		t.Fatalf("session from %s with %s: %v", source, addr, err)
	}
	return r
}

// TestExportedExim has a real Exim offer STARTTLS by an exported list, used as its head says.
func TestExportedExim(t *testing.T) {
	testenv.Needs(t, "root", "Exim")
	t.Parallel()
	for _, def := range []string{"offer", "suppress"} {
		x := newExported(t, def)
		n := openNetwork(t)
		list := filepath.Join(x.dir, "ehlogate.hosts")
		var settings strings.Builder
		for file, flags := range map[string][]string{list: nil, filepath.Join(x.dir, "ehlogate-dsn.hosts"): {"--keyword", "dsn"}} {
			x.runExport(t, append([]string{"export", "--format", "exim-hosts", "-o", file}, flags...)...)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			setting := regexp.MustCompile(`(?m)^# +(\w+_advertise_hosts = .*\n)`).FindStringSubmatch(string(text))
			if setting == nil {
				t.Fatalf("no setting in\n%s", text)
			}
			settings.WriteString(strings.ReplaceAll(setting[1], "/etc/exim4", x.dir))
		}
		ports, err := mtatest.FreePorts(1)
		if err != nil {
			t.Fatal(err)
		}
		e, err := mtatest.NewExim(mtatest.EximConfig{Dir: tempDir(t), Port: ports[0], Main: strings.ReplaceAll(
			settings.String(), "{25}", fmt.Sprintf("{%d}", ports[0]))})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := e.Stop(soon(t)); err != nil {
				t.Error(err)
			}
		}()
		if err := n.Do(func() error { return e.Start(soon(t)) }); err != nil {
			t.Fatal(err)
		}
		x.compare(t, n, e.Addr(), e.Addr6())
		// The head says how a list that is missing offers STARTTLS to every client.
		if err := os.Remove(list); err != nil {
			t.Fatal(err)
		}
		if s := session(t, n, e.Addr(), "192.0.2.1"); !s.Offers("STARTTLS") {
			t.Errorf("without the file: %v", s)
		}
	}
}

// TestExportedSendmail has a real Sendmail offer STARTTLS by lines of the access map, used as their head says.
func TestExportedSendmail(t *testing.T) {
	testenv.Needs(t, "root", "Sendmail")
	t.Parallel()
	for _, def := range []string{"offer", "suppress"} {
		x := newExported(t, def)
		n := openNetwork(t)
		access := filepath.Join(x.dir, "access")
		const root = "/var/cache/ehlogate-test/sendmail"
		makemap := fmt.Sprintf("LD_LIBRARY_PATH=%s/usr/lib/x86_64-linux-gnu %[1]s/usr/sbin/makemap -C /dev/null hash %[2]s <%[2]s", root, access)
		x.runExport(t, "export", "--format", "sendmail-access", "-o", access, "--if-changed", "--then", makemap)
		text, err := os.ReadFile(access)
		if err != nil {
			t.Fatal(err)
		}
		ports, err := mtatest.FreePorts(2)
		if err != nil {
			t.Fatal(err)
		}
		var rules strings.Builder
		for _, rule := range regexp.MustCompile(`(?m)^#     (R.*\n)`).FindAllStringSubmatch(string(text), -1) {
			rules.WriteString(strings.Replace(rule[1], "R25\t", fmt.Sprintf("R%d\t", ports[0]), 1))
		}
		// On its first port Sendmail is what others deliver to, on the second a submission service.
		s, err := mtatest.NewSendmail(mtatest.SendmailConfig{Dir: tempDir(t), Port: ports[0],
			Features: fmt.Sprintf("DAEMON_OPTIONS(`Name=MSA, Addr=127.0.0.1, Port=%d, M=A')dnl\nFEATURE(`access_db', `hash -T<TMPF> %s')dnl\n", ports[1], access),
			MC:       "LOCAL_SRV_FEATURES\n" + rules.String()})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Stop(soon(t)); err != nil {
				t.Error(err)
			}
		}()
		if err := n.Do(func() error { return s.Start(soon(t)) }); err != nil {
			t.Fatal(err)
		}
		x.compare(t, n, s.Addr(), s.Addr6())
		if r := session(t, n, fmt.Sprintf("127.0.0.1:%d", ports[1]), "192.0.2.1"); !r.Offers("STARTTLS") {
			t.Errorf("submission: %v", r)
		}
	}
}
