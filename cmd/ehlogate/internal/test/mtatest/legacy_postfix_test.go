package mtatest_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ehlogate/lists/test/testenv"
)

// TestLegacyPostfix takes the steps for old TLS from examples/README.md, word for word, on a Debian whose Postfix has settings
// of its own, and plays clients that speak TLS 1.0 alone, from another network.
func TestLegacyPostfix(t *testing.T) {
	testenv.Needs(t, "root", "systemd", "debhelper", "Postfix", "nft")
	t.Parallel()
	m := newLegacyMachine(t)
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(repository, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, s := range below(markdown("README.md", read("README.md")), connectHeading) {
		if s.item == "3." || s.item == "4." {
			m.steps(t, s)
		}
	}
	var screened step            // in place of the first command, behind postscreen
	steps := map[string][]step{} // by number
	for _, s := range below(markdown("examples/README.md", read("examples/README.md")), legacyHeading) {
		switch {
		case strings.Contains(s.text, "smtpd/pass"):
			screened = s
		case !strings.Contains(s.text, "replay"):
			steps[s.item] = append(steps[s.item], s)
		}
	}
	for _, n := range []string{"1.", "2.", "3.", "4."} {
		if len(steps[n]) != 1 {
			t.Fatalf("step %s: got %v, want one block", n, steps[n])
		}
	}
	m.steps(t, steps[""][0])
	m.steps(t, steps["1."]...)
	m.steps(t, steps["2."]...)
	m.wants(t, "before the redirect", false)
	m.write(t, map[string]string{"etc/systemd/system/ehlogate-legacy-clients.timer.d/often.conf": "[Timer]\nOnActiveSec=\nOnUnitInactiveSec=\nOnActiveSec=1s\nOnUnitInactiveSec=1s\n"})
	m.steps(t, steps["3."]...)
	m.wants(t, "no client is on the list", false)
	if c, err := m.dial(t, legacyOther, legacySecond, "10026"); err == nil {
		c.Close()
		t.Error("port 10026 is open to a client that is not redirected")
	}
	m.steps(t, steps["4."]...)
	m.awaitSet(t, "{ "+legacyOld+" }")
	listed := string(must(m.Files().ReadFile("etc/ehlogate/lists/legacy.list"))) + legacyOld6 + "\n"
	m.list(t, listed+"192.0.2.99\n", "{ "+legacyOld+", 192.0.2.99 }")
	m.wants(t, "listed", true)
	if out := m.run(t, "ehlogate doctor"); strings.Contains(out, "[legacy-") {
		t.Errorf("doctor:\n%s", out)
	}
	for _, client := range []string{legacyOld, legacyOld6} {
		m.logged(t, `postfix/legacy/smtpd\[\d+\]: Anonymous TLS connection established from \S*\[`+client+`\]: TLSv1 with`)
	}

	t.Run("the operator's settings", func(t *testing.T) { m.testOwnSettings(t) })
	t.Run("limits", func(t *testing.T) { m.testLimits(t) })
	t.Run("ehlogate is down", func(t *testing.T) {
		m.killAndStop(t, "ehlogate.socket", "ehlogate-http.socket", "ehlogate.service")
		m.wants(t, "ehlogate is down", true) // the sets are in the kernel
		m.run(t, "systemctl start ehlogate.socket ehlogate-http.socket ehlogate.service")
	})
	t.Run("a list that cannot be read", func(t *testing.T) {
		m.write(t, map[string]string{"etc/ehlogate/lists/legacy.list": "192.0.2.300\n"})
		testenv.Eventually(t, "the journal says why", func() bool {
			said, err := m.Journal(soon(t), "ehlogate-legacy-clients.service")
			return err == nil && strings.Contains(said, "the sets inet ehlogate_legacy clients4 and clients6 stay as they are")
		})
		m.wants(t, "the list cannot be read", true)
	})
	t.Run("an empty list", func(t *testing.T) {
		m.list(t, "# none\n", "")
		m.wants(t, "the list is empty", false)
		m.list(t, listed, "{ "+legacyOld+" }")
		m.wants(t, "listed again", true)
	})
	t.Run("all rules are flushed", func(t *testing.T) {
		m.run(t, "systemctl stop ehlogate-legacy-clients.timer")
		m.run(t, "nft flush ruleset")
		m.wants(t, "without rules", false)
		m.run(t, "systemctl start ehlogate-legacy-clients.timer")
		m.awaitSet(t, "{ "+legacyOld+" }")
		m.wants(t, "the rules are there again", true)
	})
	t.Run("stopped", func(t *testing.T) {
		m.run(t, "systemctl stop ehlogate-legacy")
		if out := m.run(t, "nft list tables"); out != "" {
			t.Errorf("there is still %s", out)
		}
		m.wants(t, "stopped", false)
	})
	t.Run("without the second smtpd", func(t *testing.T) {
		if out, err := m.shell("postconf -MX 10026/inet && postfix reload && ! systemctl start ehlogate-legacy"); err != nil {
			t.Errorf("the unit starts: %v\n%s", err, out)
		}
		if said, err := m.Journal(soon(t), "ehlogate-legacy.service"); err != nil || !strings.Contains(said, "master.cf has no service 10026 inet") {
			t.Errorf("the journal: %v\n%s", err, said)
		}
		if out := m.run(t, "nft list tables"); out != "" {
			t.Errorf("loaded: %s", out)
		}
		m.wants(t, "without the second smtpd", false)
	})
	t.Run("behind postscreen", func(t *testing.T) {
		m.run(t, "systemctl stop ehlogate-legacy") // systemd would start it again
		if out, err := m.shell("postconf -M 'smtp/inet=smtp inet n - y - 1 postscreen' 'smtpd/pass=smtpd pass - - y - - smtpd' && " +
			"postconf -P smtpd/pass/smtpd_banner=own smtpd/pass/smtpd_sender_restrictions=check_sender_access,inline:{bad@client.example=REJECT}"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		first, rest, _ := strings.Cut(steps["1."][0].text, "\n")
		if !strings.HasPrefix(first, "postconf -M smtp/inet | ") {
			t.Fatalf("the first line is %q", first)
		}
		m.steps(t, screened, step{doc: "the rest", text: rest + "\npostfix reload"})
		m.run(t, "systemctl start ehlogate-legacy")
		m.awaitSet(t, "{ "+legacyOld+" }")
		err := m.clients.Do(func() error {
			wantOld(t, "behind postscreen", net.JoinHostPort(legacySecond, "25"), legacyOld, true)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if c, err := m.dial(t, legacyOther, legacySecond, "25"); err == nil { // any other client meets postscreen
			c.Close()
		}
		m.logged(t, `postfix/postscreen\[\d+\]: CONNECT from \[`+legacyOther+`\]`)
		m.testOwnSettings(t)
	})
}
