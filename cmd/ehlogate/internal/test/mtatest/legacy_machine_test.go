package mtatest_test

import (
	"crypto/tls"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/cmd/ehlogate/internal/test/netns"
	"ehlogate/lists/test/testenv"
)

// legacyHeading is the section of examples/README.md with the steps for old TLS.
const legacyHeading = "## Old TLS for some clients"

// The clients and the addresses of the server, which has two of each family.
const (
	legacyOld, legacyOther   = "192.0.2.30", "192.0.2.31" // the first stands in the steps
	legacyOld6, legacyOther6 = "2001:db8::30", "2001:db8::31"
	legacySecond             = "192.0.2.2"
	legacySecond6            = "2001:db8::2"
)

// opensslHardened has OpenSSL refuse TLS 1.0 to all programs that do not set versions themselves.
var opensslHardened = map[string]string{"etc/ssl/openssl.cnf": opensslDefaults("MinProtocol = TLSv1.2\nCipherString = DEFAULT@SECLEVEL=2")["ssl/openssl.cnf"]}

// legacyMachine is a Debian with a Postfix, and a network with its clients.
type legacyMachine struct {
	runner
	clients *netns.Namespace
}

// newLegacyMachine boots it with the package, and with settings of an operator's own: in main.cf, and on the service on port 25.
func newLegacyMachine(t *testing.T) *legacyMachine {
	t.Helper()
	m := &legacyMachine{runner: runner{startMachine(t), map[string]bool{}}}
	n, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	m.clients = n
	if err := netns.Link(t.Context(), m.Network(), "eth0", n, "eth0"); err != nil {
		t.Fatal(err)
	}
	for n, addrs := range map[*netns.Namespace]string{
		m.Network(): "192.0.2.1/24 " + legacySecond + "/24 2001:db8::1/64 " + legacySecond6 + "/64",
		n:           legacyOld + "/24 " + legacyOther + "/24 " + legacyOld6 + "/64 " + legacyOther6 + "/64",
	} {
		lines := ""
		for addr := range strings.FieldsSeq(addrs) {
			lines += "addr add " + addr + " dev eth0"
			if strings.Contains(addr, ":") {
				lines += " nodad"
			}
			lines += "\n"
		}
		if _, err := n.Pipe(t.Context(), lines, "ip", "-batch", "-"); err != nil {
			t.Fatal(err)
		}
	}
	m.debianMail(t)
	dir := tempDir(t)
	if err := mtatest.WriteCert(dir, "mx.mta.test", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	m.copy(t, "etc/postfix/cert.pem", filepath.Join(dir, "cert.pem"))
	m.copy(t, "etc/postfix/key.pem", filepath.Join(dir, "key.pem"))
	m.write(t, opensslHardened) // Postfix sets versions and level itself
	m.run(t, "postconf -e smtpd_tls_cert_file=/etc/postfix/cert.pem smtpd_tls_key_file=/etc/postfix/key.pem smtpd_tls_loglevel=1 "+
		"maillog_file=/var/log/mail.log mydestination=mta.test local_recipient_maps= local_transport=discard mynetworks=127.0.0.1 "+
		"smtpd_peername_lookup=no smtpd_tls_exclude_ciphers=SHA1,kRSA smtpd_tls_mandatory_exclude_ciphers=SHA1 smtpd_tls_ciphers=high tls_preempt_cipherlist=yes")
	m.run(t, "postconf -P smtp/inet/smtpd_banner=own smtp/inet/smtpd_sender_restrictions=check_sender_access,inline:{bad@client.example=REJECT}")
	m.run(t, "systemctl restart postfix")
	m.copy(t, "root/1.deb", newPackage(t, "1-1", nil))
	m.run(t, "dpkg -i /root/1.deb")
	return m
}

// dial connects from an address to the server at another.
func (m *legacyMachine) dial(t *testing.T, source, server, port string) (c *mtatest.SMTP, err error) {
	t.Helper()
	err = m.clients.Do(func() (err error) {
		c, err = mtatest.Dial(soon(t), net.JoinHostPort(server, port), source)
		return err
	})
	return c, err
}

// wants checks which clients get TLS 1.0, of each family, at both addresses of the server; all get 1.2 and 1.3.
func (m *legacyMachine) wants(t *testing.T, what string, listed bool) {
	t.Helper()
	err := m.clients.Do(func() error {
		for source, want := range map[string]bool{legacyOld: listed, legacyOther: false, legacyOld6: listed, legacyOther6: false} {
			server := legacySecond
			if strings.Contains(source, ":") {
				server = legacySecond6
			}
			wantOld(t, what, net.JoinHostPort(server, "25"), source, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// list replaces the list, and waits until the sets in the kernel have so many elements of IPv4.
func (m *legacyMachine) list(t *testing.T, text, elements string) {
	t.Helper()
	m.write(t, map[string]string{"etc/ehlogate/lists/legacy.list": text})
	m.awaitSet(t, elements)
}

func (m *legacyMachine) awaitSet(t *testing.T, elements string) {
	t.Helper()
	testenv.Eventually(t, "the set has "+elements, func() bool {
		out, err := m.Run(soon(t), "nft", "list", "set", "inet", "ehlogate_legacy", "clients4")
		return err == nil && strings.Contains(out, elements) && (elements != "" || !strings.Contains(out, "elements"))
	})
}

// logged waits for a line in the log of Postfix.
func (m *legacyMachine) logged(t *testing.T, pattern string) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	testenv.Eventually(t, "a line "+pattern, func() bool {
		text, err := m.Files().ReadFile("var/log/mail.log")
		return err == nil && re.Match(text)
	})
}

// testOwnSettings checks that the second smtpd has the settings of the one on port 25, in main.cf and on the service.
func (m *legacyMachine) testOwnSettings(t *testing.T) {
	c, err := m.dial(t, legacyOld, legacySecond, "25")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if r, err := c.Banner(); err != nil || r.Code != 220 || r.Text[0] != "own" {
		t.Errorf("banner: %v, %v; want the operator's", r, err)
	}
	for from, want := range map[string]int{"bad@client.example": 554, "good@client.example": 250} {
		if r, err := c.EHLO("client.example"); err != nil || r.Code != 250 {
			t.Fatalf("EHLO: %v, %v", r, err)
		}
		if r, err := c.Deliver(from, "b@mta.test", "Subject: x\n\nhello\n"); err != nil || r.Code != want {
			t.Errorf("%s: %v, %v; want %d", from, r, err, want)
		}
	}
	if r, err := c.Command("RSET"); err != nil || r.Code != 250 {
		t.Fatalf("RSET: %v, %v", r, err)
	}
	if r, err := c.Deliver("a@client.example", "b@elsewhere.example", "Subject: x\n\nhello\n"); err != nil || r.Code != 454 && r.Code != 554 {
		t.Errorf("a message to another domain: %v, %v; want it refused", r, err)
	}
}

// testLimits checks that one client gets ten connections, of the second smtpd alone.
func (m *legacyMachine) testLimits(t *testing.T) {
	for i := range 11 {
		c, err := m.dial(t, legacyOld, legacySecond, "25")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		want := 220
		if i == 10 {
			want = 421
		}
		if r, err := c.Banner(); err != nil || r.Code != want {
			t.Errorf("connection %d: %v, %v; want %d", i+1, r, err, want)
		}
	}
	err := m.clients.Do(func() error { return sendOver(t, net.JoinHostPort(legacySecond, "25"), legacyOther, tls.VersionTLS13) })
	if err != nil {
		t.Error(err)
	}
}

// must returns a value that could be read.
func must(text []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return text
}
