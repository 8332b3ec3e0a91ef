package mtatest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/cmd/ehlogate/internal/test/netns"
	"ehlogate/lists/test/testenv"
)

// sendingFiles returns the files of examples/sending-network, by their path on a gateway.
func sendingFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{
		"etc/ehlogate/ehlogate.toml":      example(t, "sending-network/ehlogate.toml"),
		"etc/ehlogate/port25.nft":         example(t, "sending-network/port25.nft"),
		"etc/ehlogate/lists/trusted.list": example(t, "sending-network/lists/trusted.list"),
		"etc/ehlogate/lists/denied.list":  example(t, "sending-network/lists/denied.list"),
	}
	units, err := os.ReadDir(filepath.Join(examples, "sending-network/systemd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range units {
		files["etc/systemd/system/"+u.Name()] = example(t, "sending-network/systemd/"+u.Name())
	}
	return files
}

// TestSendingUnits runs the units of the gateway under a real systemd, in a network that has its interfaces.
func TestSendingUnits(t *testing.T) {
	testenv.Needs(t, "root", "systemd", "nft")
	t.Parallel()
	m := newUnits(t)
	for name, addr := range map[string]string{"eth1": "192.0.2.1/24", "eth0": "198.51.100.2/24"} {
		n, err := netns.New()
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		if err := netns.Link(t.Context(), m.Network(), name, n, "peer"); err != nil {
			t.Fatal(err)
		}
		m.run(t, "ip addr add "+addr+" dev "+name)
	}
	m.run(t, "ip route add default via 198.51.100.1")
	// check-rules sets net.* in a namespace of its own, which a machine with its own kernel allows.
	m.run(t, "mount --bind /proc/sys/net /proc/sys/net")
	m.run(t, "mount -o remount,bind,rw /proc/sys/net")
	m.write(t, sendingFiles(t))
	m.copy(t, "usr/local/sbin/check-rules", checkRules(t))
	m.write(t, map[string]string{"etc/systemd/system/ehlogate-trusted.timer.d/often.conf": "[Timer]\nOnActiveSec=\nOnUnitInactiveSec=\nOnActiveSec=1s\nOnUnitInactiveSec=1s\n"})
	m.run(t, "systemctl daemon-reload")
	m.run(t, "systemctl reload ehlogate.service")

	set := func() string {
		out, _ := m.Run(soon(t), "nft", "list", "set", "inet", "ehlogate", "trusted4")
		return out
	}
	journal := func(unit, text string) {
		t.Helper()
		testenv.Eventually(t, text, func() bool {
			said, err := m.Journal(soon(t), unit)
			return err == nil && strings.Contains(said, text)
		})
	}
	const unit = "ehlogate-port25.service"
	trust := func(lines string) { m.write(t, map[string]string{"etc/ehlogate/lists/trusted.list": lines}) }

	t.Run("a list that cannot be read: nothing is loaded", func(t *testing.T) {
		trust("192.0.2.300\n")
		if out, err := m.Run(soon(t), "systemctl", "start", unit); err == nil {
			t.Errorf("the unit starts: %s", out)
		}
		journal(unit, "nothing is exported, since a list cannot be loaded")
		if out := m.run(t, "nft list tables"); out != "" {
			t.Errorf("loaded: %s", out)
		}
		m.run(t, "systemctl reset-failed "+unit)
		m.run(t, "systemctl stop "+unit) // systemd would start it again
	})
	t.Run("start", func(t *testing.T) {
		m.write(t, map[string]string{"etc/nftables.conf": "flush ruleset\ntable inet filter { }\n"})
		m.run(t, "systemctl start nftables.service")
		trust("192.0.2.30\n")
		m.run(t, "systemctl enable --now "+unit)
		if got := set(); !strings.Contains(got, "{ 192.0.2.30 }") {
			t.Errorf("%s", got)
		}
		if state := strings.TrimSpace(m.run(t, "systemctl is-active ehlogate-trusted.timer")); state != "active" {
			t.Errorf("the timer is %s", state)
		}
	})
	t.Run("edit", func(t *testing.T) {
		trust("192.0.2.30\n192.0.2.31-192.0.2.33\n")
		testenv.Eventually(t, "the set is updated", func() bool { return strings.Contains(set(), "192.0.2.30-192.0.2.33") })
		journal("ehlogate-trusted.service", "inet ehlogate trusted: 1 added, 1 removed, 1 now")
		trust("192.0.2.300\n")
		journal("ehlogate-trusted.service", "the sets inet ehlogate trusted4 and trusted6 stay as they are")
		if got := set(); !strings.Contains(got, "192.0.2.30-192.0.2.33") {
			t.Errorf("%s", got)
		}
		trust("192.0.2.30\n")
		testenv.Eventually(t, "the set is updated", func() bool { return strings.Contains(set(), "{ 192.0.2.30 }") })
		if said, err := m.Journal(soon(t), "ehlogate-trusted.service"); err != nil || strings.Contains(said, "Finished") {
			t.Errorf("the journal has runs that change nothing: %v\n%s", err, said)
		}
	})
	t.Run("a loop is refused", func(t *testing.T) {
		rules := example(t, "sending-network/port25.nft")
		m.write(t, map[string]string{"etc/ehlogate/port25.nft": strings.Replace(rules, "hook prerouting priority dstnat\n\t\tiifname != $inside return", "hook output priority -100", 1)})
		before := m.run(t, "nft list ruleset")
		if out, err := m.Run(soon(t), "systemctl", "reload", unit); err == nil {
			t.Errorf("the rules are loaded: %s", out)
		}
		journal(unit, "hazard: a loop: mail that 192.0.2.1 delivers to 192.31.196.25:25 is intercepted")
		if after := m.run(t, "nft list ruleset"); after != before {
			t.Errorf("the rules were\n%s, and are\n%s", before, after)
		}
		m.write(t, map[string]string{"etc/ehlogate/port25.nft": rules})
		m.run(t, "systemctl reload "+unit)
	})
	t.Run("a firewall that flushes all rules", func(t *testing.T) {
		back := func(after string) {
			t.Helper()
			testenv.Eventually(t, after+": the rules are there again", func() bool { return strings.Contains(set(), "{ 192.0.2.30 }") })
			testenv.Eventually(t, after+": the unit is active", func() bool {
				out, _ := m.Run(soon(t), "systemctl", "is-active", unit) // it fails while it is not
				return out == "active\n"
			})
		}
		for _, verb := range []string{"restart", "reload", "stop", "start"} {
			m.run(t, "systemctl "+verb+" nftables.service")
			if verb != "stop" {
				back(verb)
			}
		}
		m.run(t, "nft flush ruleset")
		back("flush")
		trust("192.0.2.300\n") // the trusted machines stay those of before
		m.run(t, "systemctl reload nftables.service")
		back("reload with a broken list")
		trust("192.0.2.30\n")
		m.run(t, "systemctl reload nftables.service")
	})
	t.Run("stop", func(t *testing.T) {
		m.run(t, "systemctl stop "+unit)
		if out := m.run(t, "nft list tables"); out != "table inet filter\n" {
			t.Errorf("left: %s", out)
		}
		if out, err := m.Run(soon(t), "systemctl", "is-active", "ehlogate-trusted.timer"); err == nil {
			t.Errorf("the timer is %s", out)
		}
	})
}

// TestSendingUnitFiles has systemd-analyze verify the units.
func TestSendingUnitFiles(t *testing.T) {
	testenv.Needs(t, "systemd")
	t.Parallel()
	path, err := mtatest.Program(testenv.RacePrograms)
	if err != nil {
		t.Fatal(err)
	}
	dir := tempDir(t)
	args := []string{"verify", "--man=no"}
	for name, text := range sendingFiles(t) {
		if filepath.Dir(name) == "etc/systemd/system" {
			file := filepath.Join(dir, filepath.Base(name))
			if err := os.WriteFile(file, []byte(strings.NewReplacer("/usr/bin/ehlogate", path, "/usr/local/sbin/check-rules", checkRules(t)).Replace(text)), 0o644); err != nil {
				t.Fatal(err)
			}
			args = append(args, file)
		}
	}
	if out, err := exec.CommandContext(soon(t), "systemd-analyze", args...).CombinedOutput(); err != nil || len(out) > 0 || len(args) < 5 {
		t.Errorf("%v: %v\n%s", args, err, out)
	}
}
