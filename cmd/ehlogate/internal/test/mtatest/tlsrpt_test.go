package mtatest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/dnstest"
	"ehlogate/lists/test/reporttest"
	"ehlogate/lists/test/testenv"
)

const reportsHeading = "## TLS reports: whose mail a list kept"

// reportMachine is a Debian with a Postfix that has aliases of its own, the package, and a sender of TLS reports.
type reportMachine struct {
	runner
	sender *reporttest.Sender
}

func newReportMachine(t *testing.T) *reportMachine {
	t.Helper()
	m := &reportMachine{runner{startMachine(t), map[string]bool{}}, reporttest.NewSender(t, "sender.example")}
	m.debianMail(t)
	m.write(t, map[string]string{"etc/aliases": "postmaster: root\nown: \"|/bin/cat >>/var/tmp/own\"\n"})
	m.run(t, "postconf -e alias_maps=hash:/etc/aliases alias_database=hash:/etc/aliases mydestination=mta.test maillog_file=/var/log/mail.log "+
		"smtpd_peername_lookup=no smtp_dns_support_level=disabled")
	m.run(t, "newaliases")
	m.run(t, "systemctl restart postfix")
	m.copy(t, "root/1.deb", newPackage(t, "1-1", nil))
	m.run(t, "dpkg -i /root/1.deb")
	var server *dnstest.Server
	if err := m.Network().Do(func() error {
		server = dnstest.StartServer(t, dnstest.NewZone(t, "sender.example", m.sender.Zone()))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.shell(fmt.Sprintf("sed -i 's/^#resolvers = .*/resolvers = [\"%s\"]/' /etc/ehlogate/ehlogate.toml\n"+
		"echo '192.0.2.7  # old printers' >>/etc/ehlogate/lists/deny.list", server.Addr)); err != nil {
		t.Fatal(err)
	}
	return m
}

// mails delivers a message to an alias, and waits for what the log says of it.
func (m *reportMachine) mails(t *testing.T, to, message, want string) {
	t.Helper()
	mark := fmt.Sprintf("report-%d", marks.Add(1))
	err := m.Network().Do(func() error {
		c, err := mtatest.Dial(soon(t), "127.0.0.1:25", "127.0.0.1")
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.Banner(); err != nil {
			return err
		}
		if _, err := c.EHLO("out.sender.example"); err != nil {
			return err
		}
		r, err := c.Deliver(mark+"@sender.example", to, message)
		if err == nil && r.Code != 250 {
			err = fmt.Errorf("%v", r)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	m.logged(t, `from=<`+mark+`@`)
	id := regexp.MustCompile(`(\w+): from=<` + mark + `@`).FindStringSubmatch(m.maillog(t))[1]
	m.logged(t, id+`: to=<`+to+`>.*`+want)
}

func (m *reportMachine) maillog(t *testing.T) string {
	t.Helper()
	text, err := m.Files().ReadFile("var/log/mail.log")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(text)
}

// logged waits for a line in the log of Postfix.
func (m *reportMachine) logged(t *testing.T, pattern string) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	testenv.Eventually(t, "a line "+pattern, func() bool { return re.MatchString(m.maillog(t)) })
}

// TestReportAlias pastes the alias of examples/README.md word for word into a Postfix that has aliases of its own. A report that
// is mailed to it reaches the daemon, and none is returned, whatever it is.
func TestReportAlias(t *testing.T) {
	testenv.Needs(t, "root", "systemd", "debhelper", "Postfix")
	t.Parallel()
	m := newReportMachine(t)
	defer func() {
		if t.Failed() {
			t.Log(m.maillog(t))
		}
	}()
	text, err := os.ReadFile(filepath.Join(repository, "examples/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	steps := below(markdown("examples/README.md", string(text)), reportsHeading)
	if len(steps) == 0 {
		t.Fatal("examples/README.md has no steps for reports")
	}
	m.steps(t, steps...)
	const to, delivered = "tlsrpt@mta.test", `status=sent \(delivered to command: /usr/bin/ehlogate tlsrpt --mail --record\)`
	end := time.Now().UTC().Truncate(24 * time.Hour).Add(-time.Second)
	report := reporttest.Report{To: to, Domain: "mta.test", ID: "r-1", Client: "192.0.2.7", Sessions: 200, Start: end.AddDate(0, 0, -1), End: end}
	health := func() string { return m.run(t, "curl -fsS http://127.0.0.1:10045/healthz") }

	m.mails(t, "own@mta.test", "Subject: own\n\nhello\n", `status=sent \(delivered to command: /bin/cat`)
	m.mails(t, to, m.sender.Message(t, report), delivered) // unsigned
	m.mails(t, to, strings.Replace(m.sender.Signed(t, report), "an aggregate", "no aggregate", 1), delivered)
	m.mails(t, to, reporttest.NewSender(t, "sender.example").Signed(t, report), delivered)
	m.mails(t, to, "Subject: spam\n\nhello\n", delivered)
	m.mails(t, to, "Content-Type: application/tlsrpt+gzip\nContent-Transfer-Encoding: base64\n\nH4sI????\n", delivered)
	if _, err := m.Files().Stat("var/lib/ehlogate/tlsrpt.json"); !os.IsNotExist(err) || strings.Contains(health(), "tlsrpt") {
		t.Errorf("a report that is not believed left a record: %v", err)
	}

	m.run(t, "install -m 600 /dev/null /var/lib/ehlogate/tlsrpt.json.lock") // of root
	m.mails(t, to, m.sender.Signed(t, report), `status=deferred \(temporary failure. Command output: ehlogate: open /var/lib/ehlogate/tlsrpt.json.lock: permission denied`)
	m.run(t, "rm /var/lib/ehlogate/tlsrpt.json.lock")
	m.run(t, "postqueue -f")
	testenv.Eventually(t, "the report is in /healthz", func() bool { return strings.Contains(health(), `"address": "192.0.2.7"`) })
	for _, want := range []string{`"status": "degraded"`, `"list": "deny"`, `"file": "/etc/ehlogate/lists/deny.list"`, `"sessions": 200`, `"organization": "sender.example"`} {
		if got := health(); !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if got := strings.TrimSpace(m.run(t, "stat -c %U:%a /var/lib/ehlogate/tlsrpt.json")); got != "ehlogate:600" {
		t.Errorf("the record belongs to %s", got)
	}
	if got := m.run(t, "curl -fsS http://127.0.0.1:10045/metrics"); !strings.Contains(got, "ehlogate_tlsrpt_sessions{list=\"deny\"} 200\n") {
		t.Errorf("no sessions in the metrics")
	}
	machine.logged(m.machine, t, "mail was not sent: its sender relies on STARTTLS")

	// The same as a file, as root; it counts once, and the daemon still reads the record.
	m.write(t, map[string]string{"root/report.eml": m.sender.Signed(t, report)})
	out, err := m.Run(soon(t), "ehlogate", "tlsrpt", "--record", "/root/report.eml")
	if err == nil || !strings.Contains(out, "192.0.2.7: your line /etc/ehlogate/lists/deny.list:") || !strings.Contains(out, "(192.0.2.7 # old printers) of the list \"deny\" kept 200 sessions") {
		t.Errorf("%v\n%s", err, out)
	}
	report.ID, report.Sessions = "r-2", 5
	m.mails(t, to, m.sender.Signed(t, report), delivered)
	testenv.Eventually(t, "both reports count", func() bool {
		return strings.Contains(m.run(t, "curl -fsS http://127.0.0.1:10045/metrics"), "ehlogate_tlsrpt_sessions{list=\"deny\"} 205\n")
	})
	if log := m.maillog(t); strings.Contains(log, "status=bounced") || strings.Contains(log, "from=<>") {
		t.Error("Postfix returned a report")
	}
	m.testExim(t, report)
}

// testExim passes reports to Exim with the router and the transport of the example.
func (m *reportMachine) testExim(t *testing.T, report reporttest.Report) {
	router, transport, ok := strings.Cut(example(t, "tlsrpt/exim.conf"), "# transports:\n")
	if !ok {
		t.Fatal("examples/tlsrpt/exim.conf has no two parts")
	}
	m.write(t, map[string]string{"etc/exim4/exim4.conf": "primary_hostname = mx.mta.test\ndomainlist local_domains = mta.test\nspool_directory = /var/spool/exim-test\n" +
		"log_file_path = /var/spool/exim-test/%s\nexim_path = /usr/local/sbin/exim\nkeep_environment =\nbegin routers\n" + router + "begin transports\n" + transport})
	if _, err := m.shell(eximWrapper + " && install -d -o Debian-exim -g Debian-exim /var/spool/exim-test"); err != nil {
		t.Fatal(err)
	}
	report.ID, report.Sessions = "r-3", 7
	for name, message := range map[string]string{"signed": m.sender.Signed(t, report), "unsigned": m.sender.Message(t, report), "spam": "Subject: spam\n\nhello\n"} {
		m.write(t, map[string]string{"root/" + name: message})
		if _, err := m.shell("exim -odq -f a@sender.example tlsrpt@mta.test </root/" + name + " && exim -q"); err != nil {
			t.Fatal(err)
		}
	}
	log, err := m.shell("cat /var/spool/exim-test/main; cat /var/spool/exim-test/panic 2>/dev/null || true")
	if got := strings.Count(log, "=> tlsrpt <tlsrpt@mta.test> R=ehlogate_tlsrpt T=ehlogate_tlsrpt"); err != nil || got != 3 || strings.Contains(log, "<= <>") {
		t.Errorf("%d deliveries, %v\n%s", got, err, log)
	}
	testenv.Eventually(t, "the report of Exim counts", func() bool {
		return strings.Contains(m.run(t, "curl -fsS http://127.0.0.1:10045/metrics"), "ehlogate_tlsrpt_sessions{list=\"deny\"} 212\n")
	})
}
