package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	stdlog "log"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/logschema"
	"ehlogate/lists/test/hostile"
)

// logLine is a line of the log in JSON.
type logLine map[string]any

// parseLog returns the lines of a log in JSON. Each must be an object that the schema describes, and show only what is
// visible.
func parseLog(t *testing.T, text string) (lines []logLine) {
	t.Helper()
	if err := hostile.Check(text); err != nil {
		t.Error(err)
	}
	for row := range strings.Lines(text) {
		var l logLine
		if err := json.Unmarshal([]byte(row), &l); err != nil {
			t.Errorf("%v: %s", err, row)
		} else if err := logschema.Check([]byte(row)); err != nil {
			t.Error(err)
		}
		lines = append(lines, l)
	}
	return lines
}

// startJSONDaemon is startDaemon with a log in JSON, each line of which is checked at the end.
func startJSONDaemon(t *testing.T, conf string, lists map[string]string) (d *daemon) {
	t.Helper()
	t.Cleanup(func() {
		if d != nil {
			parseLog(t, d.log.String())
		}
	})
	return startDaemon(t, "log = { format = \"json\", level = \"debug\" }\n"+conf, lists)
}

// find returns the first line with these fields.
func find(t *testing.T, lines []logLine, want logLine) logLine {
	t.Helper()
	for _, l := range lines {
		same := true
		for k, v := range want {
			same = same && fmt.Sprint(l[k]) == fmt.Sprint(v)
		}
		if same {
			return l
		}
	}
	t.Errorf("no line has %v in\n%v", want, lines)
	return logLine{}
}

// TestJSONLog has a daemon log all kinds of lines, in JSON: each is an object, with one meaning for each field.
func TestJSONLog(t *testing.T) {
	d := startDaemon(t, "[log]\nformat = \"json\"\nlevel = \"debug\"\n"+denyList, map[string]string{"deny.list": "192.0.2.1\nhelo:evil\n"})
	if !d.suppressed("192.0.2.1") {
		t.Error("not suppressed")
	}
	for _, text := range hostile.Texts {
		text = text[:min(len(text), 900)] // within a request
		d.exchange("socketmap", fmt.Sprintf("%d:starttls %s,", len(text)+9, text), ",")
		d.exchange("tcp_table", "get 192.0.2.1%20"+strings.NewReplacer("\r", "", "%", "").Replace(text)+"\n", "\n")
		d.exchange("policy", "request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=192.0.2.1\nclient_name="+text+"\nhelo_name="+text+"\nsasl_username=u\n\n", "\n\n")
	}
	milter := d.connect("milter")
	io.WriteString(milter, "\x00\x00\x00\x01\x80garbage")
	milter.Close()
	stdlog.Print("a line of a library\nin two lines") // as go-milter reports
	d.writeFile("deny.list", "192.0.2.1\n192.0.2.2 xx\u202e\n")
	d.waitUntil("the refused list", func() bool { return strings.Contains(d.log.String(), "list reload failed") })
	conf, err := os.ReadFile(filepath.Join(d.dir, "c.toml"))
	if err != nil {
		t.Fatal(err)
	}
	d.writeFile("c.toml", "\"evil\u202e\" = 1\n"+string(conf))
	d.hup <- syscall.SIGHUP
	d.waitUntil("the refused config", func() bool { return strings.Contains(d.log.String(), "previous config stays in use") })
	d.stop()
	<-d.done
	lines := parseLog(t, d.log.String())
	find(t, lines, logLine{"msg": "listening", "protocol": "memcache", "listener": d.socketPath("memcache")})
	find(t, lines, logLine{"msg": "STARTTLS suppressed", "client": "192.0.2.1", "file": filepath.Join(d.dir, "deny.list"), "line": 1, "entry": "192.0.2.1"})
	find(t, lines, logLine{"client": "192.0.2.1", "helo": "\u202egnp.exe"})
	find(t, lines, logLine{"list": "deny", "file": filepath.Join(d.dir, "deny.list"), "line": 2, "column": 11, "level": "error"})
	find(t, lines, logLine{"file": filepath.Join(d.dir, "c.toml"), "line": 1, "column": 1, "msg": `unknown key "evil\u202e"`})
	find(t, lines, logLine{"reason": "suppressed-submission", "client": "192.0.2.1", "protocol": "policy"})
	find(t, lines, logLine{"msg": "a line of a library\nin two lines", "level": "debug"})
}

// TestJSONStart checks that a daemon that cannot start says why in the format that its config names, also if that config
// is what is wrong.
func TestJSONStart(t *testing.T) {
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken") // a file that is no socket
	for name, text := range map[string]string{
		"taken":      "x",
		"bad.toml":   "nonsense = 1\nmode = \"x\"\n[log]\nformat = \"json\"\n",
		"toml.toml":  "[log]\nformat = \"json\"\n[listen\n",
		"text.toml":  "nonsense = 1\n",
		"good.toml":  "log.format = \"json\"\n",
		"taken.toml": "[log]\nformat = \"json\"\n[listen]\nmemcache = [\"" + taken + "\"]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	start := func(args ...string) (code int, stderr string) {
		var out bytes.Buffer
		code = run(t.Context(), append([]string{"serve"}, args...), io.Discard, &out)
		return code, out.String()
	}
	config := func(name string) string { return filepath.Join(dir, name) }
	code, out := start("-c", config("bad.toml"))
	lines := parseLog(t, out)
	find(t, lines, logLine{"file": config("bad.toml"), "line": 1, "column": 1, "msg": `unknown key "nonsense"`})
	find(t, lines, logLine{"msg": "cannot serve", "exit_status": exitConfig})
	if code != exitConfig {
		t.Errorf("exit code %d", code)
	}
	if code, out = start("-c", config("toml.toml")); code != exitConfig {
		t.Errorf("exit code %d", code)
	}
	find(t, parseLog(t, out), logLine{"file": config("toml.toml"), "line": 3, "level": "error"})
	if code, out = start("-c", config("taken.toml")); code != exitWrong {
		t.Errorf("exit code %d", code)
	}
	find(t, parseLog(t, out), logLine{"msg": "cannot serve", "exit_status": exitWrong})
	if code, out = start("-c", config("good.toml"), "--bogus"); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
	find(t, parseLog(t, out), logLine{"msg": "invalid command line", "error": "unknown flag: --bogus"})
	if _, out = start("-c", config("text.toml")); !strings.Contains(out, "text.toml:1:1: error: unknown key") {
		t.Errorf("in text: %s", out)
	}
}
