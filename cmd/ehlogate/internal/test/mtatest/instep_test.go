package mtatest_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"ehlogate/lists/test/testenv"
)

// keptTable is where ehlogate-export.service writes.
const keptTable = "etc/postfix/ehlogate.cidr"

// TestInStep runs the units that keep a table in step under a real systemd, with a real Postfix that has this table as its
// backup: what it says once ehlogate is down is what the lists said before. Then Postfix has the table in place of the map.
func TestInStep(t *testing.T) {
	testenv.Needs(t, "root", "systemd", "Postfix")
	t.Parallel()
	m := newUnits(t)
	m.startMail(t)
	const config = "explicit_offer = true\n" + unitsLists
	deny := func(text string) { m.write(t, map[string]string{"etc/ehlogate/deny.list": text}) }
	deny(denied + "\n")
	m.write(t, map[string]string{
		"etc/ehlogate/ehlogate.toml":                            config,
		"etc/systemd/system/ehlogate-export.timer.d/often.conf": "[Timer]\nOnActiveSec=\nOnActiveSec=1s\nOnUnitInactiveSec=1s\n",
	})
	m.run(t, "systemctl daemon-reload")
	m.run(t, "systemctl reload ehlogate")
	m.run(t, "systemctl enable --now ehlogate-export.timer")
	table := func() string {
		text, err := m.Files().ReadFile(keptTable)
		if err != nil {
			return ""
		}
		return string(text)
	}
	holds := func(addr string) func() bool {
		return func() bool { return strings.Contains(table(), addr+"/32\tstarttls\n") }
	}
	testenv.Eventually(t, "the table at first", holds(denied))
	m.run(t, "postconf -e own_memcache=unix:ehlogate/memcache own_key_format=starttls:%s own_max_try=1 own_timeout=1 own_backup=cidr:/"+keptTable)
	m.run(t, "postconf -P 127.0.0.1:25/inet/smtpd_discard_ehlo_keyword_address_maps=memcache:own")
	m.run(t, "postfix reload")
	doctor := func() string {
		t.Helper()
		out, _ := m.Run(soon(t), "ehlogate", "doctor", "--no-connect") // it fails if there is a hazard
		return out
	}
	// runs waits for two more runs, of which the second began after now, and returns how often Postfix was reloaded so far.
	runs := func() int {
		t.Helper()
		for range 2 {
			before, err := m.Show(soon(t), "ehlogate-export.service", "ExecMainStartTimestampMonotonic")
			if err != nil {
				t.Fatal(err)
			}
			testenv.Eventually(t, "another run", func() bool {
				start, err := m.Show(soon(t), "ehlogate-export.service", "ExecMainStartTimestampMonotonic")
				return err == nil && start != before && start != "0"
			})
		}
		journal, err := m.Journal(soon(t), "ehlogate-export.service")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(journal, "updated from the lists")
	}
	// ends waits until a run is over that ends so; while one is under way, the unit is activating.
	ends := func(want string) {
		t.Helper()
		testenv.Eventually(t, "a run that ends "+want, func() bool {
			state, err := m.Show(soon(t), "ehlogate-export.service", "ActiveState")
			if err != nil {
				t.Fatal(err)
			}
			return state == want
		})
	}
	all, first, second := map[string]bool{denied: true, unlisted: true}, map[string]bool{denied: false, unlisted: true}, map[string]bool{denied: true, unlisted: false}

	// away has ehlogate killed, and not started again, while something is done.
	away := func(do func()) {
		t.Helper()
		m.killAndStop(t, "ehlogate.socket", "ehlogate-http.socket", "ehlogate.service")
		do()
		m.run(t, "systemctl start ehlogate.service ehlogate.socket ehlogate-http.socket")
	}

	t.Run("nothing changes", func(t *testing.T) {
		if before, after := runs(), runs(); before != after {
			t.Errorf("%d tables were written, and then %d", before, after)
		}
		m.offers(t, throughCache, first)
		away(func() { m.offers(t, throughCache, first) })
	})
	t.Run("an edit", func(t *testing.T) {
		before := runs()
		m.run(t, "systemctl stop ehlogate-export.timer")
		deny(unlisted + "\n")
		if out := doctor(); !strings.Contains(out, "[table-behind]") || !strings.Contains(out, unlisted) {
			t.Errorf("doctor says\n%s", out)
		}
		m.run(t, "systemctl start ehlogate-export.timer")
		testenv.Eventually(t, "the table after an edit", holds(unlisted))
		if after := runs(); after != before+1 {
			t.Errorf("%d tables were written for one edit", after-before)
		}
		if out := doctor(); strings.Contains(out, "[table-") {
			t.Errorf("doctor says\n%s", out)
		}
		away(func() { m.offers(t, throughCache, second) })
	})
	for _, broken := range []string{"192.0.2.300\n", "", unlisted} {
		t.Run(fmt.Sprintf("an unavailable list: %q", broken), func(t *testing.T) {
			before := table()
			deny(broken)
			runs()
			if now := table(); now != before {
				t.Errorf("the table is\n%s", now)
			}
			ends("failed")
			if out := doctor(); !strings.Contains(out, "[table-stays-behind]") {
				t.Errorf("doctor says\n%s", out)
			}
			away(func() { m.offers(t, throughCache, second) })
		})
	}
	t.Run("a list that is gone", func(t *testing.T) {
		before := table()
		if err := m.Files().Remove("etc/ehlogate/deny.list"); err != nil {
			t.Fatal(err)
		}
		runs()
		if now := table(); now != before {
			t.Errorf("the table is\n%s", now)
		}
		deny("# empty on purpose\n")
		testenv.Eventually(t, "an empty table", func() bool { return !holds(unlisted)() && table() != "" })
		runs()
		away(func() { m.offers(t, throughCache, all) })
	})
	t.Run("an entry that expires", func(t *testing.T) {
		deny(denied + " until=" + time.Now().Add(10*time.Second).UTC().Format(time.RFC3339) + "\n" + unlisted + "\n")
		testenv.Eventually(t, "the table", holds(denied))
		testenv.Eventually(t, "the table without it", func() bool { return !holds(denied)() && holds(unlisted)() })
		runs()
		away(func() { m.offers(t, throughCache, second) })
	})
	t.Run("while Postfix does not run", func(t *testing.T) {
		m.run(t, "postfix stop")
		deny(denied + "\n")
		testenv.Eventually(t, "the table", holds(denied))
		runs()
		ends("inactive")
		m.run(t, "postfix start")
		away(func() { m.offers(t, throughCache, first) })
	})
	const dropIn = "etc/systemd/system/ehlogate-export.service.d/flags.conf"
	var lines string
	t.Run("an entry that no table can hold", func(t *testing.T) {
		deny(denied + "\nhelo:bot.example\n")
		ends("failed")
		out := doctor()
		_, said, ok := strings.Cut(out, dropIn+", then \"systemctl daemon-reload && systemctl start ehlogate-export\":\n")
		if !ok || !strings.Contains(out, "[table-stays-behind]") {
			t.Fatalf("doctor says\n%s", out)
		}
		said, _, _ = strings.Cut(said, "\n\n")
		for l := range strings.Lines(said) {
			lines += strings.TrimSpace(l) + "\n"
		}
		m.write(t, map[string]string{dropIn: lines})
		m.run(t, "systemctl daemon-reload")
		testenv.Eventually(t, "a table without it", func() bool { return strings.Contains(table(), "--without-names\n") })
		ends("inactive")
		if out := doctor(); strings.Contains(out, "[table-") || strings.Contains(out, "[export-unit") {
			t.Errorf("doctor says\n%s", out)
		}
		deny(unlisted + "\nhelo:bot.example\n")
		testenv.Eventually(t, "the table", holds(unlisted))
		runs()
		away(func() { m.offers(t, throughCache, second) })
	})
	t.Run("a reload that fails", func(t *testing.T) {
		m.write(t, map[string]string{dropIn: regexp.MustCompile(`--then ".*"`).ReplaceAllString(lines, "--then false")})
		m.run(t, "systemctl daemon-reload")
		deny(denied + "\n")
		testenv.Eventually(t, "the table", holds(denied))
		ends("failed")
		if out := doctor(); !strings.Contains(out, "[table-not-reloaded]") {
			t.Errorf("doctor says\n%s", out)
		}
		m.write(t, map[string]string{dropIn: lines})
		m.run(t, "systemctl daemon-reload")
		ends("inactive")
		if out := doctor(); strings.Contains(out, "[table-") {
			t.Errorf("doctor says\n%s", out)
		}
		away(func() { m.offers(t, throughCache, first) })
	})
	journal, err := m.Journal(soon(t), "ehlogate-export.service")
	if err != nil || strings.Contains(journal, "Finished") || strings.Contains(journal, "remains running") {
		t.Errorf("%v\n%s", err, journal)
	}
	t.Run("without a daemon", func(t *testing.T) { playStatic(t, m) })
}
