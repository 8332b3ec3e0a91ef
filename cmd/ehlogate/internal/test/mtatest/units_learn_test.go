package mtatest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/lists/test/testenv"
)

// learnsInUnit is the config of an operator who follows the documents, with short times.
const learnsInUnit = `
[guard]
off = true
[logs]
files = ["/var/log/mail.log"]
[learn]
never = ["lists/never.list"]
[fallback]
sessions = 2
spacing = "1s"
span = "1s"
observe_for = "1s"
watch = ["/etc/postfix/main.cf", "/etc/letsencrypt/live/*/fullchain.pem"]
[[list]]
name = "deny"
action = "suppress"
files = ["lists/deny.list"]
[[list]]
name = "broken"
learn = "fallback"
action = "suppress"
mode = "MODE"
[[list]]
name = "known"
learn = "earned"
action = "offer"
`

// TestServiceLearns: the service of the package learns from a log with the drop-in logs.conf alone. It keeps what it learned
// where only it can read it, sees the files of [fallback] watch, and takes over mode with a reload; the commands of an operator
// work beside it, as root.
func TestServiceLearns(t *testing.T) {
	testenv.Needs(t, "root", "systemd", "debhelper", "Postfix")
	t.Parallel()
	r := &logReader{runner: runner{startMachine(t), map[string]bool{}}, source: "/var/log/mail.log"}
	r.copy(t, "root/ehlogate.deb", newPackage(t, "1-1", nil))
	r.debianMail(t)
	r.run(t, "dpkg -i /root/ehlogate.deb")
	r.run(t, "install -m 0640 -o root -g adm /dev/null /var/log/mail.log")
	r.run(t, "mkdir -p /etc/letsencrypt/archive/mx /etc/letsencrypt/live/mx") // as certbot makes them
	r.run(t, "chmod 0700 /etc/letsencrypt/archive /etc/letsencrypt/live")
	r.write(t, map[string]string{"etc/letsencrypt/archive/mx/fullchain1.pem": "one\n"})
	r.run(t, "ln -s ../../archive/mx/fullchain1.pem /etc/letsencrypt/live/mx/fullchain.pem")
	configure := func(mode string) {
		r.write(t, map[string]string{"etc/ehlogate/ehlogate.toml": strings.Replace(learnsInUnit, "MODE", mode, 1)})
	}
	metric := func(name string) string {
		for line := range strings.Lines(r.run(t, "curl -fsS http://127.0.0.1:10045/metrics")) {
			if value, ok := strings.CutPrefix(line, name+" "); ok {
				return strings.TrimSpace(value)
			}
		}
		return ""
	}
	await := func(name, value string) {
		t.Helper()
		testenv.Eventually(t, name+" is "+value, func() bool { return metric(name) == value })
	}
	const enforced, clients = `ehlogate_learned_enforced{list="broken"}`, `ehlogate_learned_clients{list="broken"}`
	configure("observe")
	r.restart(t, example(t, "systemd/logs.conf"))
	testenv.Eventually(t, "logs are followed", func() bool { return !strings.HasPrefix(metric("ehlogate_learned_followed_seconds")+"0", "0") })

	// What a Postfix logs of a client without a version in common. A later line ends the session.
	at := time.Now().Add(-4 * time.Hour)
	testenv.Eventually(t, "a client is learned", func() bool {
		at = at.Add(5 * time.Minute)
		var lines []string
		for _, text := range []string{"connect from printer.example.org[203.0.113.7]", "SSL_accept error from printer.example.org[203.0.113.7]: -1",
			"warning: TLS library problem: error:0A000102:SSL routines::unsupported protocol:../ssl/x.c:1:", "lost connection after STARTTLS from printer.example.org[203.0.113.7]",
			"disconnect from printer.example.org[203.0.113.7] ehlo=1 starttls=0/1 commands=1/2"} {
			lines = append(lines, fmt.Sprintf("%s mx postfix/smtpd[7]: %s", at.UTC().Format("2006-01-02T15:04:05-07:00"), text))
		}
		lines = append(lines, fmt.Sprintf("%s mx postfix/smtpd[8]: connect from unknown[198.51.100.9]", at.Add(2*time.Minute).UTC().Format("2006-01-02T15:04:05-07:00")))
		if _, err := r.shell("cat >>/var/log/mail.log <<'END'\n" + strings.Join(lines, "\n") + "\nEND"); err != nil {
			t.Fatal(err)
		}
		return metric(clients) == "1"
	})
	if got := strings.TrimSpace(r.run(t, "stat -c %U:%a /var/lib/ehlogate/learned.db")); got != "ehlogate:600" {
		t.Errorf("what was learned belongs to %s", got)
	}
	list := r.run(t, "ehlogate fallback list")
	for _, want := range []string{`list "broken" (suppress): observes: its entries change nothing`, "203.0.113.7 printer.example.org: suppress until "} {
		if !strings.Contains(list, want) {
			t.Errorf("no %q in\n%s", want, list)
		}
	}
	r.answers(t, queries("203.0.113.7", false))
	await(enforced, "0")
	configure("enforce")
	r.run(t, "systemctl reload ehlogate")
	await(enforced, "1")
	r.answers(t, queries("203.0.113.7", true))
	r.run(t, "systemctl restart ehlogate")
	await(clients, "1")
	await(enforced, "1") // it observes until the store is read
	r.answers(t, queries("203.0.113.7", true))

	// An operator's commands, as the document has them, with the files that the package made.
	text, err := os.ReadFile(filepath.Join(repository, "lists/LEARNING.md"))
	if err != nil {
		t.Fatal(err)
	}
	printed := map[string]string{}
	for _, s := range markdown("lists/LEARNING.md", string(text)) {
		if words := strings.Fields(s.text); len(words) > 2 && words[1] == "fallback" {
			if printed[words[2]], err = r.shell(s.text); err != nil {
				t.Errorf("%s: %v", s, err)
			}
		}
	}
	for command, want := range map[string]string{
		"list": "203.0.113.7 printer.example.org: suppress until ", "show": "/smtpd[7]: warning: TLS library problem: error:0A000102:SSL routines::unsupported protocol:",
		"promote": "wrote into /etc/ehlogate/lists/deny.list", "forget": "wrote into /etc/ehlogate/lists/never.list",
		"forbid": "wrote into /etc/ehlogate/lists/never.list", "export": "# what ehlogate learned of clients",
	} {
		if !strings.Contains(printed[command], want) {
			t.Errorf("fallback %s: no %q in\n%s", command, want, printed[command])
		}
	}
	await(clients, "0")
	if got := strings.TrimSpace(r.run(t, "stat -c %U:%a /etc/ehlogate/lists/never.list")); got != "root:644" {
		t.Errorf("the file of [learn] never belongs to %s", got)
	}

	// doctor says that the daemon does not see the certificate, and what to do.
	out, _ := r.Run(soon(t), "ehlogate", "doctor", "-c", "/etc/ehlogate/ehlogate.toml") // Postfix does not query it here, which is an error
	if !strings.Contains(out, "cannot see /etc/letsencrypt/live/mx/fullchain.pem") {
		t.Errorf("doctor does not say that the daemon cannot see the certificate:\n%s", out)
	}
	await("ehlogate_learned_breaker_open", "0")
	r.run(t, "postconf -e smtpd_tls_mandatory_protocols=>=TLSv1.2")
	await("ehlogate_learned_breaker_open", "1")
	if health := r.run(t, "curl -fsS http://127.0.0.1:10045/healthz"); !strings.Contains(health, "/etc/postfix/main.cf changed") {
		t.Error(health)
	}

	// The unit hides /proc/pressure. The cgroup at the root tells the CPU pressure without a drop-in.
	r.write(t, map[string]string{"etc/ehlogate/ehlogate.toml": "default = \"limit\"\nguard.off = true\nlimit.cpu_pressure = \"40%\"\n"})
	r.run(t, "systemctl restart ehlogate")
	testenv.Eventually(t, "the CPU pressure is read", func() bool {
		return strings.Contains(r.run(t, "curl -sS http://127.0.0.1:10045/healthz"), `"file": "/sys/fs/cgroup/cpu.pressure"`)
	})
	await("ehlogate_limit_degraded", "0")
}
