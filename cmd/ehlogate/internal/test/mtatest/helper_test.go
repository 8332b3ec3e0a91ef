package mtatest_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// patience is how long a test waits for anything that ought to happen soon.
const patience = testenv.Soon

// muchLater is how much longer than a timeout a client waits at most, on a busy machine.
const muchLater = 10 * time.Second

// quickest plays something again, at most twice, while it takes longer than the limit, and returns the shortest time. On a busy
// machine one may take long by chance; what waits for one timeout too many always does.
func quickest(limit time.Duration, play func() time.Duration) time.Duration {
	took := play()
	for again := 0; again < 2 && took > limit; again++ {
		took = min(took, play())
	}
	return took
}

// soon returns a context that ends after patience.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// tempDir returns a new directory for servers; it is removed after everything that the test started later is stopped.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := mtatest.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// startPostfix starts an instance that lives as long as the test.
func startPostfix(t *testing.T, cfg mtatest.PostfixConfig) *mtatest.Postfix {
	t.Helper()
	p, err := mtatest.NewPostfix(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(soon(t)); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(p.Maillog().Tail(60))
		}
	})
	if err := p.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	return p
}

// ehlo plays one session and returns the reply to EHLO. Anything but a proper reply ends the test.
func ehlo(t *testing.T, addr, source string) mtatest.Reply {
	t.Helper()
	r, err := mtatest.Session(soon(t), addr, source, "client.example")
	if err != nil {
		t.Fatalf("session from %s with %s: %v", source, addr, err)
	}
	return r.Reply
}

func TestMain(m *testing.M) {
	testenv.LeaveRaceDetectorToPrograms()
	os.Exit(func() int {
		// nohup(1) has SIGHUP ignored, and a shell cannot trap what was ignored when it began.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
		dir, err := mtatest.TempDir()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		defer mtatest.RemovePrograms()
		packageTree = sync.OnceValues(func() (string, error) { return buildPackage(filepath.Join(dir, "package")) })
		flag.Parse()
		if err := runSixAtOnce(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if code := m.Run(); code != 0 {
			return code // what was measured before stays
		}
		if err := writeTables(os.Getenv("EHLOGATE_TEST_TABLE")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}())
}

// runSixAtOnce lets six tests run at a time, unless -parallel is given: most of them wait for timeouts of mail servers.
func runSixAtOnce() error {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return nil
	}
	return flag.Set("test.parallel", "6")
}

// daemon is an ehlogate with a configuration of its own.
type daemon struct {
	*mtatest.Daemon
	dir                            string // of its configuration and lists
	config                         string // the text of its configuration
	memcache, socketmap, tcp, http string // where it listens, host:port
	policy, milter                 string
}

// startDaemon writes a configuration for an ehlogate named name, and starts it; it lives as long as the test. settings are
// lines for the top of the file; sockets are more addresses to listen on, by protocol; lists is the text of the lists'
// sections, and files the content of the list files.
func startDaemon(t *testing.T, name, settings string, sockets map[string]string, lists string, files map[string]string) *daemon {
	t.Helper()
	return startDaemonUnder(t, nil, name, settings, sockets, lists, files)
}

// startDaemonUnder is startDaemon for a command that runs ehlogate: its words, in which DIR stands for the directory of the
// configuration.
func startDaemonUnder(t *testing.T, command []string, name, settings string, sockets map[string]string, lists string, files map[string]string) *daemon {
	t.Helper()
	ports, err := mtatest.FreePorts(6)
	if err != nil {
		t.Fatal(err)
	}
	g := &daemon{dir: filepath.Join(tempDir(t), name)}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	listen := "[listen]\n"
	var all []string
	for i, p := range []struct {
		protocol string
		addr     *string
	}{{"memcache", &g.memcache}, {"socketmap", &g.socketmap}, {"tcp_table", &g.tcp}, {"http", &g.http}, {"policy", &g.policy}, {"milter", &g.milter}} {
		*p.addr = fmt.Sprintf("127.0.0.1:%d", ports[i])
		addrs := []string{fmt.Sprintf("%q", *p.addr)}
		all = append(all, *p.addr)
		if more := sockets[p.protocol]; more != "" {
			addrs = append(addrs, fmt.Sprintf("%q", more))
			all = append(all, more)
		}
		listen += fmt.Sprintf("%s = [%s]\n", p.protocol, strings.Join(addrs, ", "))
	}
	g.config = settings + "\n" + listen + "socket_group = \"postfix\"\nsocket_mode = \"0660\"\n\n" + lists
	g.Daemon = mtatest.StartFixture(t, mtatest.Fixture{
		Dir: g.dir, Config: g.config, Files: files, Race: testenv.RacePrograms, Command: command, Ready: mtatest.ReadyDial(all...),
	})
	return g
}

// metrics returns those lines of the daemon's metrics that begin with re. They count what has happened by now; a line of the
// log may still be on its way.
func (g *daemon) metrics(t *testing.T, re string) []string {
	t.Helper()
	resp, err := http.Get("http://" + g.http + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(?m)^`+re).FindAllString(string(body), -1)
}

// lists returns what the daemon says of its lists, by name.
func (g *daemon) lists(t *testing.T) map[string]listState {
	t.Helper()
	req, err := http.NewRequestWithContext(soon(t), http.MethodGet, "http://"+g.http+"/api/v1/lists", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var all []listState
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		t.Fatalf("/api/v1/lists: %v", err)
	}
	lists := map[string]listState{}
	for _, l := range all {
		lists[l.Name] = l
	}
	return lists
}

// listState is a part of what /api/v1/lists tells of one list.
type listState struct {
	Name, Action, Mode, Error string
	Entries                   int
}

// write replaces a file in the daemon's directory as an editor does: a new file beside it takes its name.
func (g *daemon) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(g.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// memcacheCF is the memcache table file by which Postfix asks the daemon at addr ("inet:..." or "unix:...").
func memcacheCF(addr, keyFormat string, maxTry int, backup string) string {
	return fmt.Sprintf("memcache = %s\nkey_format = %s\nmax_try = %d\ntimeout = 1\nbackup = %s\n", addr, keyFormat, maxTry, backup)
}

// hides makes a smtpd with a table that tells its clients apart.
func hides(name, table string) mtatest.Service {
	return mtatest.Service{Name: name, Options: map[string]string{
		"smtpd_discard_ehlo_keyword_address_maps": table,
		"smtpd_discard_ehlo_keywords":             "chunking",
	}}
}
