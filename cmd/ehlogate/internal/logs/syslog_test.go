package logs

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/lists/test/testenv"
)

// unpacked returns a command of a package that .ci/deps unpacked.
func unpacked(t *testing.T, name, path string, args ...string) *exec.Cmd {
	t.Helper()
	dir := "/var/cache/ehlogate-test/" + name
	if _, err := os.Stat(dir + path); err != nil {
		t.Fatalf("%v: run .ci/deps", err)
	}
	cmd := exec.CommandContext(t.Context(), dir+path, args...)
	libs, err := filepath.Glob(dir + "/usr/lib/*-linux-*") // none if this machine has them
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(libs, ":"))
	return cmd
}

// rsyslog is a running rsyslogd that writes what it is sent to a log.
type rsyslog struct {
	t   *testing.T
	dir string
	log string
	cmd *exec.Cmd
	to  net.Conn
}

// startRsyslog starts rsyslogd with more lines of rsyslog.conf(5).
func startRsyslog(t *testing.T, more string) *rsyslog {
	t.Helper()
	testenv.Needs(t, "root", "rsyslog", "logrotate")
	r := &rsyslog{t: t, dir: t.TempDir()}
	r.log = filepath.Join(r.dir, "mail.log")
	modules, err := filepath.Glob("/var/cache/ehlogate-test/rsyslog/usr/lib/*/rsyslog")
	if err != nil || len(modules) == 0 {
		t.Fatal("no rsyslog: run .ci/deps")
	}
	input := filepath.Join(r.dir, "devlog")
	conf := fmt.Sprintf("module(load=\"imuxsock\" SysSock.Use=\"off\")\ninput(type=\"imuxsock\" Socket=%q RateLimit.Interval=\"0\")\n"+
		"action(type=\"omfile\" file=%q template=\"RSYSLOG_FileFormat\")\n%s", input, r.log, more)
	r.write("rsyslog.conf", conf)
	r.cmd = unpacked(t, "rsyslog", "/usr/sbin/rsyslogd", "-n", "-f", filepath.Join(r.dir, "rsyslog.conf"), "-i", filepath.Join(r.dir, "pid"), "-M", modules[0])
	var out bytes.Buffer
	r.cmd.Stdout, r.cmd.Stderr = &out, &out
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	testenv.Eventually(t, "rsyslogd listens", func() bool {
		r.to, err = net.Dial("unixgram", input)
		return err == nil
	})
	t.Cleanup(func() { r.to.Close() })
	return r
}

func (r *rsyslog) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// send logs a line with a number, as a mail server does.
func (r *rsyslog) send(n int) {
	r.t.Helper()
	at := time.Now().Format(time.Stamp)
	if _, err := fmt.Fprintf(r.to, "<22>%s postfix/smtpd[7]: disconnect from unknown[192.0.2.%d] ehlo=1 quit=1 commands=2", at, 1+n%250); err != nil {
		r.t.Fatal(err)
	}
}

// rotate runs logrotate once.
func (r *rsyslog) rotate(how string) {
	r.t.Helper()
	r.write("logrotate.conf", fmt.Sprintf("%s {\n su root root\n rotate 9\n %s\n}\n", r.log, how))
	testenv.Eventually(r.t, "there is a log, and no part with this second in its name", func() bool {
		cmd := unpacked(r.t, "logrotate", "/usr/sbin/logrotate", "-f", "-s", filepath.Join(r.dir, "state"), filepath.Join(r.dir, "logrotate.conf"))
		return cmd.Run() == nil
	})
}

// A log that rsyslogd writes and logrotate rotates, in all the ways that it has, is read to the last line while the mail
// server goes on.
func TestLogrotate(t *testing.T) {
	hup := func(r *rsyslog) string {
		return fmt.Sprintf("postrotate\n kill -HUP %d\n endscript", r.cmd.Process.Pid)
	}
	for name, how := range map[string]func(r *rsyslog) string{
		"create":       func(r *rsyslog) string { return "create 0640 root adm\n delaycompress\n compress\n " + hup(r) },
		"nocreate":     func(r *rsyslog) string { return "nocreate\n " + hup(r) },
		"dateext":      func(r *rsyslog) string { return "dateext\n dateformat -%Y%m%d-%s\n create\n " + hup(r) },
		"compress":     func(r *rsyslog) string { return "create\n compress\n " + hup(r) },
		"copytruncate": func(*rsyslog) string { return "copytruncate" },
	} {
		t.Run(name, func(t *testing.T) {
			r := startRsyslog(t, "")
			appendTo(t, r.log, "")
			s := start(t, Options{Files: []string{r.log}, State: filepath.Join(r.dir, "logs.json")})
			testenv.Eventually(t, "the log is open", func() bool { return s.position().Files[r.log] != nil })
			sent := 0
			send := func(n int) {
				for range n {
					r.send(sent)
					sent++
				}
			}
			for range 3 {
				send(200)
				// Lines that come while logrotate copies are lost by logrotate itself, as its manual says; and those that are
				// compressed between two looks are lost here.
				quick := name == "nocreate" || name == "dateext"
				testenv.Eventually(t, "rsyslogd has written", func() bool { return quick || s.lines(r.log).All >= uint64(sent) })
				r.rotate(how(r))
				send(200)
			}
			s.awaitLines(r.log, uint64(sent))
			if n := s.lines(r.log).Unread; n != 0 {
				t.Errorf("%d lines were not understood", n)
			}
		})
	}
}
