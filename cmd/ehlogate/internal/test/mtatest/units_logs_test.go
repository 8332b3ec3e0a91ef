package mtatest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"ehlogate/lists/test/testenv"
)

// logReader is a machine with the package, on which a real Postfix logs.
type logReader struct {
	runner
	source string // the log that ehlogate reads
}

// config has ehlogate read a log.
func (r *logReader) config(t *testing.T, source, setting string) {
	t.Helper()
	r.source = source
	r.write(t, map[string]string{"etc/ehlogate/ehlogate.toml": "[logs]\n" + setting + "\n" + unitsLists, "etc/ehlogate/deny.list": unitsDeny})
}

// restart restarts the service with a drop-in, or without one.
func (r *logReader) restart(t *testing.T, dropIn string) {
	t.Helper()
	const dir = "etc/systemd/system/ehlogate.service.d"
	if err := r.Files().RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if dropIn != "" {
		r.write(t, map[string]string{dir + "/logs.conf": dropIn})
	}
	r.run(t, "systemctl daemon-reload")
	r.run(t, "systemctl restart ehlogate")
}

// metric returns the value of a metric of the log.
func (r *logReader) metric(t *testing.T, name string) (value float64) {
	t.Helper()
	prefix := fmt.Sprintf("%s{source=%q} ", name, r.source)
	for line := range strings.Lines(r.run(t, "curl -fsS http://127.0.0.1:10045/metrics")) {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			fmt.Sscan(rest, &value)
			return value
		}
	}
	t.Fatalf("no %s", prefix)
	return 0
}

// reads checks that lines of a session are read, and that denied clients still are.
func (r *logReader) reads(t *testing.T) {
	t.Helper()
	before := r.metric(t, "ehlogate_log_lines_total")
	testenv.Eventually(t, "ehlogate reads the lines of a session from "+r.source, func() bool {
		if _, _, err := r.session(soon(t), throughCache, unlisted); err != nil {
			t.Fatal(err)
		}
		return r.metric(t, "ehlogate_log_lines_total") >= before+2
	})
	if r.metric(t, "ehlogate_log_degraded") != 0 || r.metric(t, "ehlogate_log_unread_lines_total") != 0 {
		t.Errorf("%s is degraded, or has lines that were not understood", r.source)
	}
	r.answers(t, queries("192.0.2.7", true))
	r.diagnosed(t, false)
}

// diagnosed checks that doctor says so if the service cannot read the log.
func (r *logReader) diagnosed(t *testing.T, want bool) {
	t.Helper()
	out, _ := r.Run(soon(t), "ehlogate", "doctor", "-c", "/etc/ehlogate/ehlogate.toml") // Postfix does not query it here, which is an error
	if got := strings.Contains(out, "the daemon cannot read"); got != want || !strings.Contains(out, "Postfix") {
		t.Errorf("doctor says that the daemon cannot read the log: %v, want %v\n%s", got, want, out)
	}
}

// followAdvice runs the commands that doctor shows for a log that the daemon cannot read.
func (r *logReader) followAdvice(t *testing.T) {
	t.Helper()
	out, _ := r.Run(soon(t), "ehlogate", "doctor", "--json")
	var report struct {
		Findings []struct {
			ID    string `json:"id"`
			Write struct {
				Lines []string `json:"lines"`
			} `json:"write"`
		} `json:"findings"`
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, f := range report.Findings {
		if f.ID != "log-forbidden" {
			continue
		}
		if _, err := r.Run(soon(t), "sh", "-ec", strings.Join(f.Write.Lines, "\n")); err != nil {
			t.Error(err)
		}
		return
	}
	t.Errorf("no advice\n%s", out)
}

// fails waits until the log is degraded, with a text in /healthz.
func (r *logReader) fails(t *testing.T, want string) {
	t.Helper()
	var health string
	testenv.Eventually(t, r.source+" is degraded: "+want, func() bool {
		health = r.run(t, "curl -fsS http://127.0.0.1:10045/healthz")
		return strings.Contains(health, `"status": "degraded"`) && strings.Contains(health, want)
	})
	r.answers(t, queries("192.0.2.7", true))
	r.diagnosed(t, true)
}

// TestServiceReadsLogs: the service of the package reads a file, and the journal, with the drop-in for each as its head says,
// and with nothing less than what stands in it.
func TestServiceReadsLogs(t *testing.T) {
	testenv.Needs(t, "root", "systemd", "debhelper", "Postfix")
	t.Parallel()
	r := &logReader{runner: runner{startMachine(t), map[string]bool{}}}
	r.copy(t, "root/ehlogate.deb", newPackage(t, "1-1", nil))
	r.debianMail(t)
	r.run(t, "dpkg -i /root/ehlogate.deb")
	r.run(t, "systemd-tmpfiles --create --prefix=/run/log/journal") // gives it its group, as at the boot of a whole system
	for _, c := range []struct{ name, source, setting, forbidden string }{
		{"logs.conf", "/var/log/mail.log", `files = ["/var/log/mail.log"]`, "permission denied"},
		{"logs-journal.conf", "journal", "journal = true", "journalctl"},
	} {
		t.Run(c.source, func(t *testing.T) {
			if c.source != "journal" { // as rsyslog and logrotate of Debian make it
				r.run(t, "install -m 0640 -o root -g adm /dev/null "+c.source)
				r.run(t, "postconf -e maillog_file="+c.source)
			} else {
				r.run(t, "postconf -X maillog_file")
			}
			r.run(t, "systemctl stop postfix")
			r.run(t, "systemctl start postfix")
			r.config(t, c.source, c.setting)
			r.restart(t, "")
			r.fails(t, c.forbidden)
			r.followAdvice(t)
			r.reads(t)
			r.restart(t, "")
			r.steps(t, exampleSteps(t, "systemd/"+c.name)...)
			r.reads(t)

			lines := strings.Split(example(t, "systemd/"+c.name), "\n")
			for i, line := range lines {
				if !strings.Contains(line, "=") || line[0] == '#' {
					continue
				}
				r.restart(t, strings.Join(append(append([]string{}, lines[:i]...), lines[i+1:]...), "\n"))
				r.fails(t, c.forbidden)
			}
		})
	}
}
