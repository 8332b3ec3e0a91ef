package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"ehlogate/lists/test/testenv"
)

// TestProcessAlerts records a daemon in a process of its own, to which its HTTP socket is passed as by systemd. It cannot open
// an address of [listen], and is started again and again.
func TestProcessAlerts(t *testing.T) {
	testenv.Needs(t, "promtool")
	dir := t.TempDir()
	socket, err := net.Listen("unix", filepath.Join(dir, "http.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	passed, err := socket.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer passed.Close()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket.Addr().String())
	}}}
	config, taken := filepath.Join(dir, "c.toml"), filepath.Join(dir, "memcache.sock")
	if err := os.WriteFile(config, []byte(fmt.Sprintf("log.format = \"json\"\n[listen]\nmemcache = [%q]\n", taken)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := recording{interval: 5}
	record := func(firing ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-c", `LISTEN_PID=$$ exec ehlogate serve -c "$0"`, config)
		cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=http")
		cmd.ExtraFiles = []*os.File{passed}
		var log bytes.Buffer
		cmd.Stderr = &log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		response, err := client.Get("http://localhost/metrics") // which waits until the daemon answers
		if err == nil {
			r.addSamples(parseSamples(t, response.Body), firing...)
			response.Body.Close()
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		lines := parseLog(t, log.String())
		if len(firing) > 0 {
			find(t, lines, logLine{"msg": "cannot listen on this address; the other sockets are served", "protocol": "memcache", "listener": taken})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	const restarts, unserved = `EhlogateRestarts severity="ticket"`, `EhlogateAddressNotServed severity="ticket"`
	record()
	if err := os.RemoveAll(taken); err != nil { // the socket
		t.Fatal(err)
	}
	if err := os.Mkdir(taken, 0o700); err != nil {
		t.Fatal(err)
	}
	record(unserved)
	record(unserved)
	record(unserved)
	record(unserved, restarts)
	r.test(t)
}

// TestEachAlertIsTested checks that each alert says what is wrong and what to do, and is named by a recording in which it
// fires. TestAlerts has one in which none does.
func TestEachAlertIsTested(t *testing.T) {
	rules, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob("alerts*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var recordings strings.Builder
	for _, name := range sources {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		recordings.Write(text)
	}
	alerts := strings.Split(string(rules), "- alert: ")[1:]
	for _, alert := range alerts {
		name, rest, _ := strings.Cut(alert, "\n")
		if !regexp.MustCompile("[\"`]" + name + " ").MatchString(recordings.String()) {
			t.Errorf("no recording has %s fire", name)
		}
		for _, want := range []string{`(?m)^ {8}expr: `, `(?m)^ {8}labels: \{severity: (page|ticket)\}$`, `(?m)^ {10}summary: ".{20,}"$`, `(?m)^ {10}description: ".{20,}"$`} {
			if !regexp.MustCompile(want).MatchString(rest) {
				t.Errorf("%s lacks %s", name, want)
			}
		}
	}
	if len(alerts) < 20 {
		t.Errorf("got %d alerts", len(alerts))
	}
}
