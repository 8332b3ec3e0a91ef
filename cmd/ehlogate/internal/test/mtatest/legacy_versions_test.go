package mtatest_test

import (
	"crypto/tls"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// TestVersionReport has Postfix and Sendmail tell ehlogate which version of TLS a client uses: the metric counts each session
// once, and the log says of clients on a legacy list whether they need it.
func TestVersionReport(t *testing.T) {
	testenv.Needs(t, "root", "Postfix", "Sendmail")
	t.Parallel()
	lists, _ := oldLists(t)
	g := startDaemon(t, "versions", "log.level = \"debug\"", nil, lists, map[string]string{"lists/legacy.list": oldClient + "\n"})
	p := startPostfix(t, mtatest.PostfixConfig{Dir: tempDir(t), Services: []mtatest.Service{
		{Name: "policy", Options: map[string]string{"smtpd_sender_restrictions": "check_policy_service { inet:" + g.policy + ", timeout=2s, try_limit=1, default_action=DUNNO }"}},
		{Name: "milter", Options: map[string]string{"smtpd_milters": "{ inet:" + g.milter + ", default_action=accept, connect_timeout=2s, command_timeout=2s }"}},
	}})
	ports, err := mtatest.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	s := runSendmail(t, ports[0], "INPUT_MAIL_FILTER(`ehlogate', `S="+sendmailInet(g.milter)+", T=C:2s;S:2s;R:2s')dnl\n"+
		"LOCAL_CONFIG\nO CipherList=DEFAULT:@SECLEVEL=0\n")
	var want []string
	for _, tc := range []struct {
		protocol string
		addrs    []string
	}{{"policy", []string{p.Addr("policy")}}, {"milter", []string{p.Addr("milter"), s.Addr()}}} {
		for source, action := range map[string]string{oldClient: "legacy", otherClient: "offer"} {
			for version, name := range map[uint16]string{0: "none", tls.VersionTLS10: "TLSv1", tls.VersionTLS11: "TLSv1.1", tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3"} {
				for _, addr := range tc.addrs {
					playVersion(t, addr, source, version)
				}
				want = append(want, fmt.Sprintf("ehlogate_tls_versions_total{action=%q,protocol=%q,version=%q} %d\n", action, tc.protocol, name, len(tc.addrs)))
			}
		}
	}
	slices.Sort(want)
	var got []string
	testenv.Eventually(t, "all sessions are counted", func() bool {
		got = g.metrics(t, `ehlogate_tls_versions_total.* [1-9]\d*\n`)
		return len(got) >= len(want)
	})
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("counted\n%swant\n%s", strings.Join(got, ""), strings.Join(want, ""))
	}
	for _, protocol := range []string{"policy", "milter"} {
		for version, message := range map[string]string{
			"none": "client of a legacy list sent mail without TLS", "TLSv1": "client of a legacy list used old TLS",
			"TLSv1.3": "client of a legacy list used TLS 1.2 or later; it may not need the list",
		} {
			line := fmt.Sprintf(`level=info msg=%q client=%s entry=%s .*list=legacy protocol=%s tls_version=%s`, message, oldClient, oldClient, protocol, version)
			if _, err := g.Log.Await(soon(t), regexp.MustCompile(line), 0); err != nil {
				t.Error(err)
			}
		}
		line := fmt.Sprintf(`level=debug msg="TLS version of a session" client=%s .*protocol=%s tls_version=TLSv1.3`, otherClient, protocol)
		if _, err := g.Log.Await(soon(t), regexp.MustCompile(line), 0); err != nil {
			t.Error(err)
		}
	}
}

// playVersion delivers a message with a version of TLS; 0 is none.
func playVersion(t *testing.T, addr, source string, version uint16) {
	t.Helper()
	c := hello(t, addr, source, "client.example", true)
	defer c.Close()
	if version != 0 {
		if r, err := c.Command("STARTTLS"); err != nil || r.Code != 220 {
			t.Fatalf("%s: STARTTLS: %v, %v", addr, r, err)
		}
		if _, err := c.HandshakeAs(version); err != nil {
			t.Fatalf("%s, %s: %v", addr, tls.VersionName(version), err)
		}
		if r, err := c.EHLO("client.example"); err != nil || r.Code != 250 {
			t.Fatalf("%s: EHLO: %v, %v", addr, r, err)
		}
	}
	for range 2 { // both messages are of one session
		if r, err := c.Deliver("a@client.example", "b@mta.test", "Subject: x\n\nhello\n"); err != nil || r.Code != 250 {
			t.Errorf("%s, %s: %v, %v", addr, source, r, err)
		}
	}
	if r, err := c.Command("QUIT"); err != nil || r.Code != 221 {
		t.Errorf("QUIT: %v, %v", r, err)
	}
}
