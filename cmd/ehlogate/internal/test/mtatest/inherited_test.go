package mtatest_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// newHolder describes an ehlogate that is kept running with a config; nothing runs yet.
func newHolder(t *testing.T, config string, files map[string]string) (h *mtatest.Holder, dir string) {
	t.Helper()
	path, err := mtatest.Program(testenv.RacePrograms)
	if err != nil {
		t.Fatal(err)
	}
	dir = tempDir(t)
	mtatest.Fixture{Dir: dir, Config: config, Files: files}.WriteFiles(t)
	h = mtatest.NewHolder(dir, path, "serve", "-c", filepath.Join(dir, "ehlogate.toml"))
	t.Cleanup(func() {
		if err := h.Stop(soon(t)); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(h.Log.Tail(60))
		}
	})
	return h, dir
}

func listenFor(t *testing.T, h *mtatest.Holder, name, addr string) {
	t.Helper()
	if err := h.ListenFor(name, addr); err != nil {
		t.Fatal(err)
	}
}

// askAt sends a question and returns the first line of what comes back, and "" if the connection is closed.
func askAt(t *testing.T, addr, question string) string {
	t.Helper()
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	c, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	_, _ = fmt.Fprint(c, question) // a daemon that hangs up need not have read it
	line, _ := bufio.NewReader(c).ReadString('\n')
	if line == "" {
		if _, err := c.Read(make([]byte, 1)); os.IsTimeout(err) {
			t.Errorf("%s: neither an answer nor the end", addr)
		}
	}
	return strings.TrimSpace(line)
}

const heldLists = "[[list]]\nname = \"deny\"\naction = \"suppress\"\nfiles = [\"deny.list\"]\n"

// TestHeldSockets checks that it is known what to speak on each socket that is passed: by its name, its address, its file;
// and that no client waits on one of which that is not known.
func TestHeldSockets(t *testing.T) {
	t.Parallel()
	const memcache, tcp = "get starttls:192.0.2.1\r\n", "get 192.0.2.1\n"
	files := map[string]string{"deny.list": "192.0.2.1\n"}

	t.Run("without [listen]", func(t *testing.T) {
		h, dir := newHolder(t, heldLists, files)
		in := func(name string) string { return filepath.Join(dir, name) }
		listenFor(t, h, "memcache", in("anything"))
		listenFor(t, h, "ehlogate.socket", in("socketmap"))
		listenFor(t, h, "ehlogate.socket", in("nonsense"))
		listenFor(t, h, "http", "127.0.0.1:0")
		datagrams, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: in("datagrams"), Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer datagrams.Close()
		f, err := datagrams.File()
		if err != nil {
			t.Fatal(err)
		}
		h.PassFile("policy", f)
		if err := h.Start(soon(t)); err != nil {
			t.Fatal(err)
		}
		for addr, want := range map[string]string{in("anything"): "VALUE starttls:192.0.2.1 0 8", in("nonsense"): ""} {
			if got := askAt(t, addr, memcache); got != want {
				t.Errorf("%s: %q, want %q", addr, got, want)
			}
		}
		c, err := net.Dial("unix", in("socketmap"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "18:starttls 192.0.2.1,")
		if got, err := bufio.NewReader(c).ReadString(','); got != "11:OK starttls," {
			t.Errorf("socketmap: %q, %v", got, err)
		}
		for re, want := range map[string]int{"msg=listening": 3, "unknown protocol for inherited socket": 1, "not a listening stream socket": 1} {
			if _, err := h.Log.Await(soon(t), regexp.MustCompile(re), 0); err != nil {
				t.Error(err)
			}
			if got, _ := h.Log.Lines(regexp.MustCompile(re), 0); len(got) != want {
				t.Errorf("%d lines say %s, want %d: %q", len(got), re, want, got)
			}
		}
	})

	t.Run("with [listen]", func(t *testing.T) {
		ports, err := mtatest.FreePorts(2)
		if err != nil {
			t.Fatal(err)
		}
		held, own := fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
		h, _ := newHolder(t, fmt.Sprintf("[listen]\ntcp_table = [%q]\nmemcache = [%q]\n%s", held, own, heldLists), files)
		listenFor(t, h, "ehlogate-loopback.socket", held)
		if err := h.Start(soon(t)); err != nil {
			t.Fatal(err)
		}
		if got := askAt(t, held, tcp); got != "200 starttls" {
			t.Errorf("tcp_table: %q", got)
		}
		if got := askAt(t, own, memcache); got != "VALUE starttls:192.0.2.1 0 8" {
			t.Errorf("memcache: %q", got)
		}
	})
}

// TestHeldSocketsWrong has a config that does not fit the sockets: what can be served is, and /healthz tells of the rest.
func TestHeldSocketsWrong(t *testing.T) {
	t.Parallel()
	ports, err := mtatest.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	other, web := fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
	config := fmt.Sprintf("[listen]\nmax_connections = 10\nmemcache = [%q, \"192.0.2.1:10046\"]\n%s", other, heldLists)
	h, dir := newHolder(t, config, map[string]string{"deny.list": "192.0.2.1\n"})
	at := filepath.Join(dir, "tcp_table")
	listenFor(t, h, "policy", other)
	listenFor(t, h, "ehlogate.socket", at)
	listenFor(t, h, "http", web)
	if err := h.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	if got := askAt(t, at, "get 192.0.2.1\n"); got != "200 starttls" {
		t.Errorf("tcp_table: %q", got)
	}
	resp, err := http.Get("http://" + web + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "memcache on "+other) ||
		!strings.Contains(string(body), "memcache on 192.0.2.1:10046") {
		t.Errorf("%s, %v: %s", resp.Status, err, body)
	}

	// With a config that cannot be used it cannot start. The connection of a client is closed, and it does not wait.
	file := filepath.Join(dir, "ehlogate.toml")
	if err := os.WriteFile(file, []byte("nonsense = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := h.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := askAt(t, at, "get 192.0.2.1\n"); got != "" {
		t.Errorf("without a config: %q", got)
	}
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := h.AwaitReady(soon(t), 2); err != nil {
		t.Fatal(err)
	}
	if got := askAt(t, at, "get 192.0.2.1\n"); got != "200 starttls" {
		t.Errorf("tcp_table, with the config repaired: %q", got)
	}
}

// TestNotify checks what the service manager is told: ready, reloading and ready again, whether the config was good; and
// that a process that hangs is ended and another takes over, while clients that ask meanwhile wait.
func TestNotify(t *testing.T) {
	t.Parallel()
	h, dir := newHolder(t, heldLists, map[string]string{"deny.list": "192.0.2.1\n"})
	h.Watchdog = 3 * time.Second
	at := filepath.Join(dir, "tcp_table")
	listenFor(t, h, "ehlogate.socket", at)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(h.Start(soon(t)))
	must(h.Signal(syscall.SIGHUP))
	must(h.AwaitReady(soon(t), 2))
	if h.CountStates("RELOADING=1") != 1 {
		t.Errorf("RELOADING=1: got it %d times, want 1", h.CountStates("RELOADING=1"))
	}
	must(os.WriteFile(filepath.Join(dir, "ehlogate.toml"), []byte("nonsense = 1\n"), 0o644))
	must(h.Signal(syscall.SIGHUP))
	must(h.AwaitReady(soon(t), 3))
	must(h.AwaitState(soon(t), "STATUS=reload failed; previous config stays in use: "+dir+`/ehlogate.toml:1:1: unknown key "nonsense"`, 1))
	must(os.WriteFile(filepath.Join(dir, "ehlogate.toml"), []byte(heldLists), 0o644))

	must(h.AwaitState(soon(t), "WATCHDOG=1", 5)) // longer than it may be silent
	if n := h.Starts(); n != 1 {
		t.Errorf("started %d times", n)
	}
	must(h.Signal(syscall.SIGSTOP))
	testenv.Eventually(t, "it stands still", func() bool { return h.Stopped() }) // else it may take the question, and be ended over it
	if got := askAt(t, at, "get 192.0.2.1\n"); got != "200 starttls" {
		t.Errorf("answered %q", got)
	}
	if n := h.Starts(); n != 2 {
		t.Errorf("started %d times", n)
	}
}
