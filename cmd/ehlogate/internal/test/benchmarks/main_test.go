package benchmarks

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// peers are the programs to compare with that are in this test program itself,
// by name. It runs as one of them if the environment says so.
var peers = map[string]func(args []string) error{}

const peerVariable = "EHLOGATE_TEST_PEER"

func TestMain(m *testing.M) {
	testenv.LeaveRaceDetectorToPrograms()
	if peer := os.Getenv(peerVariable); peer != "" {
		if err := peers[peer](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(func() int {
		defer mtatest.RemovePrograms()
		if code := m.Run(); code != 0 {
			return code // what was measured before stays
		}
		if err := writeTable(os.Getenv("EHLOGATE_TEST_TABLE")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}())
}

// soon is a context for what ought to happen within a minute.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := mtatest.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// daemon is a running ehlogate with one deny list.
type daemon struct {
	*mtatest.Daemon
	dir  string // of its config; the list is deny.list there
	list string // the path of that list
}

// socket is the path of its unix socket for a protocol, by its name in [listen].
func (g *daemon) socket(protocol string) string { return filepath.Join(g.dir, protocol+".sock") }

// protocols that a daemon serves, each on a unix socket; http for the metrics.
var protocols = []string{"memcache", "socketmap", "tcp_table", "policy", "milter", "http"}

// newDaemon describes an ehlogate that suppresses what list holds; an empty list
// is none. It is not started. settings are lines for the top of its config.
func newDaemon(t testing.TB, settings, list string) *daemon {
	t.Helper()
	return newDaemonAt(t, settings, list, nil)
}

// newDaemonAt is newDaemon with another address for some protocols.
func newDaemonAt(t testing.TB, settings, list string, also map[string]string) *daemon {
	t.Helper()
	g := &daemon{dir: tempDir(t)}
	config := settings + "\n[listen]\n"
	for _, p := range protocols {
		config += fmt.Sprintf("%s = [%q", p, g.socket(p))
		if addr := also[p]; addr != "" {
			config += fmt.Sprintf(", %q", addr)
		}
		config += "]\n"
	}
	config += "socket_mode = \"0666\"\n"
	files := map[string]string{}
	if list != "" {
		g.list = filepath.Join(g.dir, "deny.list")
		files["deny.list"] = list
		config += "[[list]]\nname = \"deny\"\naction = \"suppress\"\nfiles = [\"deny.list\"]\n"
	}
	g.Daemon = mtatest.NewFixture(t, mtatest.Fixture{
		Dir: g.dir, Config: config, Files: files, Ready: mtatest.ReadyLog(regexp.MustCompile("msg=serving")),
		// Elsewhere: ehlogate watches the directory of a list, and would wake up for each line that it writes.
		LogDir: tempDir(t),
	})
	return g
}

// startDaemon is newDaemon, started.
func startDaemon(t testing.TB, settings, list string) *daemon {
	t.Helper()
	g := newDaemon(t, settings, list)
	if err := g.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	return g
}

// startPeer starts this test program as the peer of that name. It is ready
// when it listens on the unix socket that its first argument names.
func startPeer(t testing.TB, name string, args ...string) *mtatest.Daemon {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := mtatest.NewDaemon(tempDir(t), "log", "/usr/bin/env", mtatest.ReadyDial(args[0]),
		append([]string{peerVariable + "=" + name, self}, args...)...)
	if err := d.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Kill(soon(t)); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(strings.TrimSpace(d.Log.Tail(20)))
		}
	})
	return d
}
