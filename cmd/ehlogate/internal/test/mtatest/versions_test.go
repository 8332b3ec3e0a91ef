package mtatest_test

import (
	"crypto/tls"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// versionOf returns the numbers of the first version in what a command prints.
func versionOf(t *testing.T, name string, args ...string) []int {
	t.Helper()
	out, err := exec.CommandContext(soon(t), name, args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var numbers []int
	for word := range strings.SplitSeq(regexp.MustCompile(`\d+(\.\d+)*`).FindString(string(out)), ".") {
		n, err := strconv.Atoi(word)
		if err != nil {
			t.Fatalf("%s %q prints no version: %s", name, args, out)
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// TestPostfixVersions holds what the documents and doctor say differs between versions of Postfix.
func TestPostfixVersions(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	g := startDaemon(t, "versions", "", nil, testLists, testFiles)
	dir := tempDir(t)
	etc := mtatest.LayoutOf(dir).Config
	dead, err := mtatest.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	p := startPostfix(t, mtatest.PostfixConfig{
		Dir: dir,
		Services: []mtatest.Service{
			hides("digest", "memcache:"+etc+"/digest.cf"),
			{Name: "milter", Options: map[string]string{"smtpd_milters": fmt.Sprintf("inet:127.0.0.1:%d", dead[0])}},
			{Name: "plain"},
		},
		Files: map[string]string{"digest.cf": memcacheCF("inet:"+g.memcache, "starttls:%s", 1, "cidr:/dev/null") + "key_digest = sha256\n"},
	})
	version := versionOf(t, "postconf", "-dh", "-c", p.Config, "mail_version")
	since := func(numbers ...int) bool { return slices.Compare(version, numbers) >= 0 }

	// With key_digest of 3.11, no key is an address.
	if r := ehlo(t, p.Addr("digest"), denied); r.Offers("STARTTLS") != since(3, 11) {
		t.Errorf("Postfix %v with key_digest: got %v, want STARTTLS only from 3.11 on", version, r)
	}
	// A milter without default_action: tempfail, or (3.10) the end of the session.
	c, err := mtatest.Dial(soon(t), p.Addr("milter"), unlisted)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := c.Banner()
	for _, command := range []string{"EHLO client.example", "MAIL FROM:<>"} {
		if err == nil && r.Code/100 == 2 {
			r, err = c.Command(command)
		}
	}
	if want := map[bool]int{false: 451, true: 421}[since(3, 10)]; err != nil || r.Code != want {
		t.Errorf("Postfix %v while a milter is unreachable: got %v, %v; want %d", version, r, err, want)
	}
	// A client that sends commands before it may (3.9).
	c, err = mtatest.Dial(soon(t), p.Addr("plain"), unlisted)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if r, err := c.Banner(); err != nil || r.Code != 220 {
		t.Fatalf("banner: %v, %v", r, err)
	}
	r, err = c.SendRaw("HELO client.example\r\nMAIL FROM:<>\r\n")
	if err == nil && r.Code == 250 {
		r, err = c.SendRaw("")
	}
	if want := map[bool]int{false: 250, true: 554}[since(3, 9)]; err != nil || r.Code != want {
		t.Errorf("Postfix %v, commands at once without PIPELINING: got %v, %v; want %d", version, r, err, want)
	}
}

// TestOldTLS holds what the documents say of a client that speaks TLS 1.0 alone, at servers with the defaults of Debian.
func TestOldTLS(t *testing.T) {
	testenv.Needs(t, "root", "Postfix", "Sendmail", "Exim")
	t.Parallel()
	ports, err := mtatest.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	p := startPostfix(t, mtatest.PostfixConfig{Dir: tempDir(t), Services: []mtatest.Service{
		{Name: "default"},
		{Name: "strict", Options: map[string]string{"smtpd_tls_protocols": ">=TLSv1.2"}},
		{Name: "legacy", Options: map[string]string{"smtpd_tls_protocols": ">=TLSv1"}},
	}})
	for _, tc := range []struct {
		server, addr string
		delivers     bool
	}{
		{"Postfix", p.Addr("default"), true},
		{"Postfix with smtpd_tls_protocols = >=TLSv1.2", p.Addr("strict"), false},
		{"Postfix with smtpd_tls_protocols = >=TLSv1", p.Addr("legacy"), true},
		{"Sendmail", runSendmail(t, ports[0], "").Addr(), false},
		{"Exim", runExim(t, ports[1], "").Addr(), true},
	} {
		c := hello(t, tc.addr, unlisted, "client.example", true)
		defer c.Close()
		if r, err := c.Command("STARTTLS"); err != nil || r.Code != 220 {
			t.Errorf("%s: STARTTLS: %v, %v", tc.server, r, err)
			continue
		}
		_, err := c.HandshakeAs(tls.VersionTLS10)
		if (err == nil) != tc.delivers {
			t.Errorf("%s: handshake of TLS 1.0: got %v, want success: %v", tc.server, err, tc.delivers)
		}
		if err != nil || !tc.delivers {
			continue
		}
		if r, err := c.EHLO("client.example"); err != nil || r.Code != 250 {
			t.Errorf("%s: EHLO over TLS 1.0: %v, %v", tc.server, r, err)
		}
		if r, err := c.Deliver("a@client.example", "b@mta.test", "Subject: x\n\nhello\n"); err != nil || r.Code != 250 {
			t.Errorf("%s: a message over TLS 1.0: %v, %v", tc.server, r, err)
		}
	}
}

// TestNotifyReload checks that with Type=notify-reload, which systemd has since 253, a reload has ended when systemctl
// returns, as the unit says; an older systemd does not know the type.
func TestNotifyReload(t *testing.T) {
	testenv.Needs(t, "root", "systemd", "Postfix")
	t.Parallel()
	m := newUnits(t)
	m.write(t, map[string]string{"etc/systemd/system/ehlogate.service.d/type.conf": "[Service]\nType=notify-reload\nExecReload=\n"})
	m.run(t, "systemctl daemon-reload")
	m.run(t, "systemctl restart ehlogate")
	if version := versionOf(t, "systemctl", "--version"); version[0] < 253 {
		if typ := m.show(t, "Type"); typ != "notify" {
			t.Errorf("systemd %v: got type %s, want notify", version, typ)
		}
		return
	}
	before := m.show(t, "MainPID")
	for _, addr := range []string{"192.0.2.9", "192.0.2.10", "192.0.2.11", "192.0.2.12"} {
		m.write(t, map[string]string{
			"etc/ehlogate/ehlogate.toml":     strings.Replace(unitsLists, "deny.list", addr+".list", 1),
			"etc/ehlogate/" + addr + ".list": addr + "\n",
		})
		m.run(t, "systemctl reload ehlogate")
		m.answers(t, queries(addr, true)) // at once
	}
	if after := m.show(t, "MainPID"); after != before {
		t.Errorf("process %s, before %s", after, before)
	}
}
