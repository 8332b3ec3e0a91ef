package mtatest_test

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// The two smtpds: through the map with a backup, and through the one without.
const (
	throughCache = "127.0.0.1:25"
	throughMap   = "127.0.0.1:26"
)

// startMail starts the machine's own Postfix, as this machine has it installed, on the files of examples/postfix: both
// smtpds are chrooted.
func (m machine) startMail(t *testing.T) {
	t.Helper()
	master, err := m.Files().ReadFile("usr/share/postfix/master.cf.dist")
	if err != nil {
		t.Fatalf("postfix is needed (run .ci/deps): %v", err)
	}
	smtpd := regexp.MustCompile(`(?m)^smtp +inet .*$`)
	m.write(t, map[string]string{
		"etc/postfix/main.cf": `compatibility_level = 3.6
myhostname = mx.mta.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
smtpd_peername_lookup = no
smtpd_tls_security_level = may
smtpd_tls_cert_file = none
smtpd_client_connection_count_limit = 0
smtpd_client_event_limit_exceptions = static:all
`,
		"etc/postfix/ehlogate.cf": example(t, "postfix/ehlogate.cf"),
		"etc/postfix/master.cf": smtpd.ReplaceAllString(string(master), `127.0.0.1:25 inet n - y - - smtpd
`+strings.ReplaceAll(example(t, "postfix/master.cf"), "$", "$$")+`
127.0.0.1:26 inet n - y - - smtpd
  -o smtpd_discard_ehlo_keyword_address_maps=socketmap:unix:ehlogate/socketmap:starttls`),
	})
	m.run(t, "systemctl start postfix")
}

// session plays one session in the machine, and reports whether STARTTLS was offered.
func (m machine) session(ctx context.Context, addr, source string) (offered bool, took time.Duration, err error) {
	err = m.Network().Do(func() error {
		r, err := mtatest.Session(ctx, addr, source, "client.example")
		offered, took = r.Reply.Offers("STARTTLS"), r.EHLO
		return err
	})
	return offered, took, err
}

// offers checks which clients are offered STARTTLS through one of the smtpds.
func (m machine) offers(t *testing.T, addr string, want map[string]bool) {
	t.Helper()
	for source, want := range want {
		offered, _, err := m.session(soon(t), addr, source)
		if err != nil || offered != want {
			t.Errorf("%s at %s: offered %v, %v; want %v", source, addr, offered, err, want)
		}
	}
}

// mailLoad plays sessions through an smtpd until the returned function is called, and then until there have been enough.
// backup is what it means that STARTTLS is offered to a denied client.
func (m machine) mailLoad(t *testing.T, addr string, backup mtatest.Verdict, enough int64) (stop func() mtatest.Tally) {
	ctx, cancel := context.WithCancel(context.Background())
	var over sync.WaitGroup
	var tally mtatest.Tally
	var played atomic.Int64
	stopping := make(chan struct{})
	over.Go(func() {
		tally = mtatest.Load(ctx, 0, 4, func(ctx context.Context, i int) (mtatest.Verdict, time.Duration, error) {
			ctx, cancelSession := context.WithTimeout(ctx, patience)
			defer cancelSession()
			source := []string{denied, unlisted}[i%2]
			offered, took, err := m.session(ctx, addr, source)
			if played.Add(1) >= enough {
				select {
				case <-stopping:
					cancel()
				default:
				}
			}
			switch {
			case err != nil:
				return mtatest.Unanswered, took, err
			case offered == (source == unlisted):
				return mtatest.Right, took, nil
			case offered:
				return backup, took, fmt.Errorf("%s was offered STARTTLS after %v", source, took)
			}
			return mtatest.Wrong, took, fmt.Errorf("%s was not offered STARTTLS", source)
		})
	})
	stop = sync.OnceValue(func() mtatest.Tally {
		close(stopping)
		over.Wait()
		return tally
	})
	t.Cleanup(func() { cancel(); stop() })
	return stop
}

// TestPackage installs the Debian package beside a Postfix that asks it, upgrades it while mail comes in, removes and purges
// it.
func TestPackage(t *testing.T) {
	testenv.Needs(t, "root", "systemd", "debhelper", "Postfix")
	t.Parallel()
	m := startMachine(t)
	for i, version := range []string{"1-1", "2-1", "3-1"} {
		m.copy(t, fmt.Sprintf("root/%d.deb", i), newPackage(t, version, nil))
	}
	m.startMail(t)
	all, some := map[string]bool{denied: true, unlisted: true}, map[string]bool{denied: false, unlisted: true}
	m.offers(t, throughCache, all) // by the backup: nothing is there yet

	m.run(t, "dpkg -i /root/0.deb")
	m.run(t, "systemctl is-enabled ehlogate.service ehlogate.socket ehlogate-http.socket")
	m.answers(t, queries(denied, false))
	const list = "etc/ehlogate/lists/deny.list"
	shipped, err := m.Files().ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	edited := string(shipped) + denied + "\n"
	m.write(t, map[string]string{list: edited})
	kept := func(t *testing.T) {
		t.Helper()
		if text, err := m.Files().ReadFile(list); err != nil || string(text) != edited {
			t.Errorf("the edited list: %q, %v", text, err)
		}
	}
	testenv.Eventually(t, "the edited list", func() bool { return m.sendQuestion(soon(t), queries(denied, true)[0]) == nil })
	m.answers(t, queries(denied, true))
	m.offers(t, throughCache, some)
	m.offers(t, throughMap, some)

	t.Run("upgraded", func(t *testing.T) {
		open := m.held(t)
		rows := newFaultTable(t, "What happens to the package, on a real systemd")
		before := map[string]mtatest.Tally{}
		for _, addr := range []string{throughCache, throughMap} {
			before[addr] = m.mailLoad(t, addr, mtatest.Wrong, sessionsBefore)()
		}
		const enough = 2500 // sessions through each
		cache := m.mailLoad(t, throughCache, mtatest.Backup, enough)
		table := m.mailLoad(t, throughMap, mtatest.Wrong, enough) // it has no backup
		knocks := m.knocking(t, queue+"memcache", queue+"socketmap", queue+"policy", queue+"milter")
		for _, deb := range []string{"/root/1.deb", "/root/2.deb"} {
			before := m.show(t, "MainPID")
			m.run(t, "dpkg -i "+deb)
			if after := m.show(t, "MainPID"); after == before || after == "0" || m.show(t, "ActiveState") != "active" {
				t.Errorf("%s: process %s, before %s", deb, after, before)
			}
		}
		t.Logf("%d connections, none refused", knocks())
		for addr, tally := range map[string]mtatest.Tally{throughCache: cache(), throughMap: table()} {
			var peak float64
			status := m.run(t, "cat /proc/"+m.show(t, "MainPID")+"/status")
			if _, err := fmt.Sscanf(strings.Join(field(status, "VmHWM"), " "), "%f kB", &peak); err != nil {
				t.Error(err)
			}
			through := map[string]string{throughCache: held, throughMap: socketmap}[addr]
			rows.add(faultRow{"dpkg -i of a newer version", through, 2, tally, before[addr].P99, peak / 1024})
			// A smtpd may lose the one answer that it waits for at that moment, and has a backup for that.
			if tally.Sessions < enough || tally.Right+tally.Backup != tally.Sessions || tally.Backup*100 > tally.Sessions {
				t.Errorf("%s: %+v", addr, tally)
			}
		}
		if after := m.held(t); !maps.Equal(after, open) {
			t.Errorf("sockets %v, before %v", after, open)
		}
		if version := m.run(t, "dpkg-query -Wf ${Version} ehlogate"); version != "3-1" {
			t.Errorf("version %s", version)
		}
		kept(t)
	})

	t.Run("removed", func(t *testing.T) {
		m.run(t, "systemctl enable --now ehlogate-export.path ehlogate-export.timer")
		testenv.Eventually(t, "a table", func() bool { _, err := m.Files().Stat(keptTable); return err == nil })
		m.run(t, "dpkg -r ehlogate")
		for _, unit := range []string{"ehlogate-export.path", "ehlogate-export.timer"} {
			if state, err := m.Show(soon(t), unit, "ActiveState"); err != nil || state != "inactive" {
				t.Errorf("%s is %q, %v", unit, state, err)
			}
		}
		if state := m.show(t, "ActiveState"); state != "inactive" {
			t.Errorf("it is %s", state)
		}
		for addr := range m.sockets(t) {
			if isOurSocket(addr) {
				t.Errorf("a program listens on %s", addr)
			}
		}
		kept(t)
		m.offers(t, throughCache, all)
	})

	t.Run("purged", func(t *testing.T) {
		m.run(t, "dpkg -P ehlogate")
		if err := m.Files().Remove(keptTable); err != nil { // which Postfix may still name as its backup
			t.Error(err)
		}
		if left := m.run(t, "find /etc /usr /lib/systemd /run /var/lib /var/spool /var/log -name *ehlogate* -not -path /etc/postfix/*"); left != "" {
			t.Errorf("there is still\n%s", left)
		}
		m.offers(t, throughCache, all)
	})
}
