package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ehlogate/lists/test/journaltest"
	"ehlogate/lists/test/testenv"
)

// checkOutput returns what check says of a config, which is never an error.
func checkOutput(t *testing.T, name string) string {
	t.Helper()
	var out, errs strings.Builder
	if code := run(t.Context(), []string{"check", "-c", name}, &out, &errs); code != 0 {
		t.Errorf("check: %d %s", code, errs.String())
	}
	return out.String() + errs.String()
}

// TestCheckLogs: what serve reports of [logs], check warns of in the same words.
func TestCheckLogs(t *testing.T) {
	const conf = "[logs]\nfiles = [\"DIR/mail.log\"]\nstate = \"DIR/logs.json\"\n"
	for name, tc := range map[string]struct {
		config string
		make   func(dir string) error
		want   string // of check alone; empty: what /healthz has
	}{
		"no log":              {config: conf},
		"a directory":         {config: conf, make: func(dir string) error { return os.Mkdir(dir+"/mail.log", 0o755) }},
		"a pipe":              {config: conf, make: func(dir string) error { return syscall.Mkfifo(dir+"/mail.log", 0o644) }},
		"a link to nothing":   {config: conf, make: func(dir string) error { return os.Symlink("none", dir+"/mail.log") }},
		"a socket nowhere":    {config: "[logs]\nsocket = \"DIR/none/log\"\nstate = \"\"\n"},
		"a file for a socket": {config: "[logs]\nsocket = \"DIR/file\"\nstate = \"\"\n", make: func(dir string) error { return os.WriteFile(dir+"/file", nil, 0o644) }},
		"no state": {config: "[logs]\nfiles = [\"DIR/mail.log\"]\nstate = \"DIR/none/logs.json\"\n", make: func(dir string) error { return os.WriteFile(dir+"/mail.log", nil, 0o644) },
			want: "lines that come while ehlogate does not run are not read"},
		"another log": {config: conf, make: func(dir string) error {
			return os.WriteFile(dir+"/mail.log", []byte("Nov 28 05:00:00 mx sshd[1]: a line\n<html>\n"), 0o644)
		}, want: "no line of a mail server is in the last 2: 1 of other programs, 1 in no known form"},
		"a long log": {config: conf, make: func(dir string) error {
			return os.WriteFile(dir+"/mail.log", []byte("cut off\n"+strings.Repeat("Nov 28 05:00:00 mx postfix/smtpd[1]: connect from unknown[192.0.2.1]\n", 10_000)), 0o644)
		}, want: "logs: fine, 1 log"},
		"an empty log": {config: conf, make: func(dir string) error { return os.WriteFile(dir+"/mail.log", nil, 0o644) }, want: "logs: fine, 1 log"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if tc.make != nil {
				if err := tc.make(dir); err != nil {
					t.Fatal(err)
				}
			}
			config := strings.ReplaceAll(tc.config, "DIR", dir)
			d := startDaemon(t, config, nil)
			d.writeFile("check.toml", "listen.memcache = [\"127.0.0.1:0\"]\n"+config) // since the daemon has another name here
			want := tc.want
			if want == "" {
				d.waitUntil("the fault is in /healthz", func() bool { want = d.logFault(); return want != "" })
			}
			if name == "no state" {
				d.waitUntil("serve says so", func() bool { return strings.Contains(d.log.String(), want) })
			}
			said := checkOutput(t, filepath.Join(d.dir, "check.toml"))
			if !strings.Contains(said, want) || strings.Contains(said, "warning") == strings.HasPrefix(want, "logs: fine") {
				t.Errorf("check does not say %q:\n%s", want, said)
			}
		})
	}
}

// logFault returns the error of the first log in /healthz; empty if there is none.
func (d *daemon) logFault() string {
	d.t.Helper()
	var health struct{ Logs []struct{ Error string } }
	_, body := d.getHTTP("/healthz")
	if err := json.Unmarshal([]byte(body), &health); err != nil || len(health.Logs) == 0 {
		d.t.Fatalf("%v in %s", err, body)
	}
	return health.Logs[0].Error
}

// TestCheckLogRights: check, as the user of the service, says what may not be read.
func TestCheckLogRights(t *testing.T) {
	testenv.Needs(t, "root")
	copyProgram(t)
	dir, err := os.MkdirTemp("/tmp", "ehlogate-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	log := filepath.Join(dir, "mail.log")
	err = errors.Join(os.Chmod(dir, 0o755), os.WriteFile(log, nil, 0o640), os.WriteFile(dir+"/c.toml", []byte("[listen]\nmemcache = [\"127.0.0.1:0\"]\n[logs]\nfiles = [\""+log+"\"]\n"), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	for unprivileged, want := range map[bool]string{true: "[logs] files: open " + log + ": permission denied", false: "logs: fine, 1 log (not checked: the rights of the user that serve runs as; ehlogate doctor does)"} {
		if failed, said := runEhlogate(t, dir, "", "check", unprivileged); failed || !strings.Contains(said, want) {
			t.Errorf("unprivileged: %v: no %q in\n%s", unprivileged, want, said)
		}
	}
}

// TestCheckJournal: check says whether there is a journal with mail.
func TestCheckJournal(t *testing.T) {
	j := journaltest.Start(t, "")
	name := filepath.Join(t.TempDir(), "c.toml")
	if err := os.WriteFile(name, []byte("[listen]\nmemcache = [\"127.0.0.1:0\"]\n[logs]\njournal = true\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if said := checkOutput(t, name); !strings.Contains(said, "[logs] journal: no line of a mail server is in the journal") || !strings.Contains(said, "log_file_path") {
		t.Errorf("got %s", said)
	}
	j.Log(2<<3|6, "exim", "a line")
	testenv.Eventually(t, "the journal has it", func() bool { return strings.Contains(checkOutput(t, name), "logs: fine, 1 log") })
	t.Setenv("PATH", t.TempDir())
	if said := checkOutput(t, name); !strings.Contains(said, "[logs] journal: ") || !strings.Contains(said, "the journal needs systemd") {
		t.Errorf("got %s", said)
	}
}

// A time is shown in a unit of which it has at least two, however short it is.
func TestFormatAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 seconds", time.Second: "1 second", 119 * time.Second: "119 seconds", 2 * time.Minute: "2 minutes", 119 * time.Minute: "119 minutes",
		3 * time.Hour: "3 hours", 47 * time.Hour: "47 hours", 7 * 24 * time.Hour: "7 days",
	} {
		if got := formatAge(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

// A path is shown as text, whatever is in it.
func TestCheckEscapesPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a\x1b[31m\u202e")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "c.toml")
	if err := os.WriteFile(name, []byte("[listen]\nmemcache = []\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := checkOutput(t, name); strings.ContainsAny(out, "\x1b\u202e") || !strings.Contains(out, `\x1b[31m\u202e`) {
		t.Errorf("got %q", out)
	}
}
