package feed

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ehlogate/lists"
	"ehlogate/lists/test/testenv"
)

// sendmailRoot is where .ci/deps puts Sendmail.
const sendmailRoot = "/var/cache/ehlogate-test/sendmail"

// sendmailConf begins a sendmail.mc. "$|" in the input of sendmail -bt is text, which the ruleset Translate makes the
// operator.
const sendmailConf = `include(` + "`" + sendmailRoot + `/usr/share/sendmail/cf/m4/cf.m4')dnl
OSTYPE(` + "`linux'" + `)dnl
define(` + "`confDONT_PROBE_INTERFACES', `True'" + `)dnl
define(` + "`confDONT_BLAME_SENDMAIL', `TrustStickyBit'" + `)dnl
define(` + "`confSERVICE_SWITCH_FILE', `DIR/switch'" + `)dnl
FEATURE(` + "`access_db', `hash -T<TMPF> DIR/access'" + `)dnl
MAILER(` + "`smtp'" + `)dnl
LOCAL_RULESETS
STranslate
R$* $$| $*	$: $1 $| $2
`

// queryAccess returns what the ruleset check_relay of Sendmail says about clients: "OK", "RELAY", or why it refuses them.
func queryAccess(t *testing.T, text string, clients []lists.Client) (results []string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"access": text, "switch": "hosts files\naliases files\npasswd files\n", "mc": strings.ReplaceAll(sendmailConf, "DIR", dir)} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	var input strings.Builder
	for _, c := range clients {
		addr := c.Addr.String()
		if c.Addr.Is6() {
			groups := strings.Split(c.Addr.StringExpanded(), ":")
			for i, g := range groups {
				groups[i] = strings.TrimLeft(g[:3], "0") + g[3:]
			}
			addr = "IPv6:" + strings.Join(groups, ":")
		}
		name := c.Name
		if name == "" {
			name = "[" + addr + "]"
		}
		fmt.Fprintf(&input, "Translate,Basic_check_relay %s $| %s\n", name, addr)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Soon)
	defer cancel()
	// makemap reports bad lines, and writes the others. A host name without a dot makes Sendmail wait for a minute.
	cmd := exec.CommandContext(ctx, "sh", "-ec", fmt.Sprintf(`cd %[1]s; %[2]s/usr/bin/m4 mc >cf 2>/dev/null; %[2]s/usr/sbin/makemap -C /dev/null hash access <access 2>/dev/null || :
hostname mx.test; exec %[2]s/usr/libexec/sendmail/sendmail -bt -C %[1]s/cf`, dir, sendmailRoot))
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+sendmailRoot+"/usr/lib/x86_64-linux-gnu")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS}
	cmd.Stdin = strings.NewReader(input.String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("sendmail -bt: %v\n%s", err, out)
	}
	last := ""
	for line := range strings.Lines(string(out) + "> Translate input:\n") {
		_, result, ok := strings.Cut(line, "returns: ")
		switch {
		case ok && strings.Contains(line, "Basic_check_rela"):
			last = strings.TrimSpace(result)
		case strings.Contains(line, "ranslate") && strings.Contains(line, "input:") && last != "":
			results = append(results, last)
			last = ""
		}
	}
	if len(results) != len(clients) {
		t.Fatalf("%d results about %d clients:\n%s", len(results), len(clients), out)
	}
	return results
}

// Sendmail and ehlogate agree about access maps with rules for clients, and for other things, among bad lines.
func TestAccessAgainstSendmail(t *testing.T) {
	testenv.Needs(t, "root", "Sendmail")
	tables, refused, accepted := 0, 0, 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 12))
		v4 := func() netip.Addr {
			return netip.AddrFrom4([4]byte{10, byte(r.IntN(2)), byte(r.IntN(2)), byte(r.IntN(4))})
		}
		v6 := func() netip.Addr {
			return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 5: byte(r.IntN(2)), 7: byte(r.IntN(2)), 15: byte(r.IntN(3))})
		}
		name := func() string { return pick(r, "", "a.", "b.") + pick(r, "x.", "y.") + pick(r, "example", "test") }
		hasNames := r.IntN(2) == 0
		var b strings.Builder
		for range 1 + r.IntN(16) {
			key := ""
			switch r.IntN(4) {
			case 0, 1:
				key = strings.Join(strings.Split(v4().String(), ".")[:1+r.IntN(4)], ".")
			case 2:
				groups := strings.Split(v6().StringExpanded(), ":")
				for i, g := range groups {
					groups[i] = strings.TrimLeft(g[:3], "0") + g[3:]
				}
				key = "IPv6:" + strings.Join(groups[:pick(r, 2, 3, 4, 5, 8)], ":")
			case 3:
				if key = name(); !hasNames {
					key = "From:" + key
				}
			}
			if r.IntN(8) == 0 {
				key = pick(r, "10.0.0.0/8", "[10.0.0.1]", ".example", "2001:db8::1", "IPv6:2001:db8::1", "x@example", "GreetPause:10", "10.", "", "10.0.0.01", "0.0.0.0/0", "IPv6:0", "IPv6:::ffff:0:0/96")
			}
			fmt.Fprintf(&b, "%s%s\t%s\n", pick(r, "Connect:", "connect:", "CONNECT:", ""), key,
				pick(r, "REJECT", "reject", "OK", "RELAY", "550 go away", "DISCARD", "ERROR:5.7.1:550 no", "SKIP", "DUNNO", "", "QUARANTINE:x"))
		}
		list, err := loadFeed(t, Filtered{Format: SendmailAccess, Results: "reject 550 discard error skip dunno quarantine"}, lists.Suppress, b.String())
		if err != nil {
			continue // hardly a good line, or a name on the list and an exception for an address
		}
		tables++
		var clients []lists.Client
		for range 60 {
			clients = append(clients, lists.Client{Addr: v4(), Name: pick(r, "", name(), "q."+name())}, lists.Client{Addr: v6()})
		}
		for i, result := range queryAccess(t, b.String(), clients) {
			want := result != "OK" && result != "RELAY"
			if got := isMatch(list, clients[i]); got != want {
				t.Fatalf("seed %d: %+v: matched %v, Sendmail says %q\n%s", seed, clients[i], got, result, b.String())
			}
			if want {
				refused++
			} else {
				accepted++
			}
		}
	}
	if tables < 20 || refused < 300 || accepted < 300 {
		t.Errorf("%d tables, %d clients refused, %d accepted", tables, refused, accepted)
	}
}

// An exception for an address with nothing wider on the list is left out, so that names may be on the list; else it is an
// error, since the mail server looks up names first.
func TestExceptionsBesideNames(t *testing.T) {
	for format, text := range map[Format]string{
		SendmailAccess: "Connect:localhost\tRELAY\nConnect:127.0.0.1\tRELAY\n192.168\tRELAY\nConnect:spam.example\tREJECT\nConnect:192.0.2\tREJECT\n",
		PostfixAccess:  "localhost OK\n127.0.0.1 OK\n192.168 OK\nspam.example REJECT\n192.0.2 REJECT\n",
	} {
		list, err := loadFeed(t, Filtered{Format: format, Results: "reject"}, lists.Suppress, text)
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		for _, c := range []struct {
			lists.Client
			want bool
		}{
			{lists.Client{Addr: netip.MustParseAddr("127.0.0.1"), Name: "q.spam.example"}, true}, {lists.Client{Addr: netip.MustParseAddr("127.0.0.1"), Name: "localhost"}, false},
			{lists.Client{Addr: netip.MustParseAddr("192.0.2.1")}, true}, {lists.Client{Addr: netip.MustParseAddr("192.0.2.1"), Name: "localhost"}, false},
		} {
			if got := isMatch(list, c.Client); got != c.want {
				t.Errorf("%s: %+v: matched %v", format, c.Client, got)
			}
		}
		if _, err := loadFeed(t, Filtered{Format: format, Results: "reject"}, lists.Suppress, text+"192.0.2.7 OK\n"); err == nil || !strings.Contains(err.Error(), "!192.0.2.7 is an exception, and a host name is on the list") {
			t.Errorf("%s: an exception within a network on the list, and a name: %v", format, err)
		}
	}
}

// A file in which no line is about clients would silently be an empty list: it is another file, or was written by "ehlogate
// export", of which nothing is read back.
func TestNothingAboutClients(t *testing.T) {
	for text, isRead := range map[string]bool{
		"Srv_Features:192.0.2.1\tS\n": false, "From:spam@example.org\tREJECT\nuser@\tREJECT\n": false, "# none\n": true,
		"From:spam@example.org\tREJECT\nConnect:192.0.2.1\tREJECT\n": true, "Srv_Features:192.0.2.1\tS\n192.0.2.1\tREJECT\n": true,
	} {
		_, err := loadFeed(t, Filtered{Format: SendmailAccess}, lists.Suppress, text)
		if isRead != (err == nil) || err != nil && !strings.Contains(err.Error(), ":1:1: no line of the file is about clients") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
