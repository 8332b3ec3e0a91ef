package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// nobodyID is a user without rights, as the one of the service.
const nobodyID = 65534

// TestCheckAgainstStart runs check and serve with each config: check finds what keeps serve from starting, and nothing
// else.
func TestCheckAgainstStart(t *testing.T) {
	testenv.Needs(t, "root")
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listen.Close() })
	copyProgram(t)
	other := listen.Addr().String()
	_, otherPort, _ := net.SplitHostPort(other)
	file := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	socket := func(dead bool) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			l, err := net.Listen("unix", filepath.Join(dir, "memcache"))
			if err != nil {
				t.Fatal(err)
			}
			l.(*net.UnixListener).SetUnlinkOnClose(false)
			if t.Cleanup(func() { l.Close() }); dead {
				l.Close()
			}
		}
	}
	link := func(t *testing.T, dir string) {
		if err := os.Symlink(".", filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
	}
	sticky := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			socket(true)(t, dir)
			err := errors.Join(os.Rename(filepath.Join(dir, "memcache"), filepath.Join(dir, name)), os.Chmod(filepath.Join(dir, name), 0o777),
				os.Chmod(dir, 0o777|os.ModeSticky))
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	const at = "listen.memcache = [\"DIR/memcache\"]\n"
	for name, tc := range map[string]struct {
		config       string
		before       func(t *testing.T, dir string)
		unprivileged bool   // check and serve run without rights
		command      string // that runs both
		says         string // what both say; empty: serve starts
		// Where the two may differ: the daemon runs already; only systemd can make the directory.
		running, warns bool
		anywhere       bool // the config is wrong on every machine
		unseen         bool // check may not see which program listens, and says so
	}{
		"unix socket":                                   {config: at},
		"all protocols":                                 {config: at + "listen.policy = [\"127.0.0.1:0\"]\nlisten.http = [\"[::1]:0\"]\nlisten.milter = [\":0\"]\n"},
		"no group of that name":                         {config: at + "listen.socket_group = \"no-such-group\"\n", says: `unknown group "no-such-group"`},
		"group by number":                               {config: at + "listen.socket_group = \"4711\"\n"},
		"a group of others":                             {config: at + "listen.socket_group = \"0\"\n", unprivileged: true, says: "must be a member"},
		"own group":                                     {config: at + fmt.Sprintf("listen.socket_group = \"%d\"\n", nobodyID), unprivileged: true},
		"no directory":                                  {config: "listen.memcache = [\"DIR/none/memcache\"]\n", says: "none does not exist: create it"},
		"no directory below /run":                       {config: "listen.memcache = [\"/run/ehlogate-none/memcache\"]\n", says: "does not exist: create it", warns: true},
		"a file as directory":                           {config: "listen.memcache = [\"DIR/file/memcache\"]\n", before: file("file"), says: "not a directory"},
		"a file in place of a socket":                   {config: at, before: file("memcache"), says: "is not a socket: remove it"},
		"a file beside a socket":                        {config: at, before: file("memcache~"), says: "memcache~ exists and is not a socket"},
		"a directory of others":                         {config: "listen.memcache = [\"/usr/memcache\"]\n", unprivileged: true, says: "no permission in directory /usr"},
		"a read-only file system":                       {config: "listen.memcache = [\"DIR/ro/memcache\"]\n", command: "mkdir -p DIR/ro && mount -t tmpfs -o ro none DIR/ro", says: "is read-only"},
		"the socket of a dead process":                  {config: at, before: socket(true)},
		"the socket of a program":                       {config: at, before: socket(false), says: "another process listens"},
		"a running daemon":                              {config: at, running: true, says: "another process listens"},
		"a running daemon on a port":                    {config: "listen.memcache = [\"127.0.0.1:PORT\"]\n", running: true, says: "another process listens"},
		"the port of a program":                         {config: fmt.Sprintf("listen.memcache = [%q]\n", other), says: "another process listens"},
		"the same for all addresses":                    {config: fmt.Sprintf("listen.memcache = [\":%s\"]\n", otherPort), says: "another process listens"},
		"the port at another address":                   {config: fmt.Sprintf("listen.memcache = [\"127.0.0.2:%s\"]\n", otherPort)},
		"a low port":                                    {config: "listen.memcache = [\"127.0.0.1:977\"]\n"},
		"a low port without rights":                     {config: "listen.memcache = [\"127.0.0.1:977\"]\n", unprivileged: true, says: "CAP_NET_BIND_SERVICE"},
		"an address of another host":                    {config: "listen.memcache = [\"192.0.2.99:10046\"]\n", says: "does not have this address"},
		"a host name":                                   {config: "listen.http = [\"localhost:10045\"]\n" + at, says: "host names are not looked up", anywhere: true},
		"http alone":                                    {config: "listen.http = [\"127.0.0.1:0\"]\n", says: "no address for mail servers", anywhere: true},
		"one port, all addresses":                       {config: "listen.memcache = [\":PORT\"]\nlisten.policy = [\"127.0.0.1:PORT\"]\n", says: "already used by listen.memcache", anywhere: true},
		"one port, all of IPv6":                         {config: "listen.memcache = [\"[::]:PORT\"]\nlisten.http = [\"[::1]:PORT\"]\n", says: "already used by listen.memcache", anywhere: true},
		"one port, both families":                       {config: "listen.memcache = [\"[::]:PORT\", \"0.0.0.0:PORT\"]\n"},
		"one port, two addresses":                       {config: "listen.memcache = [\"127.0.0.1:PORT\", \"127.0.0.2:PORT\"]\n"},
		"one port, mapped":                              {config: "listen.memcache = [\"127.0.0.1:PORT\", \"[::ffff:127.0.0.1]:PORT\"]\n", says: "already used by listen.memcache", anywhere: true},
		"one port, with a zero":                         {config: "listen.memcache = [\"127.0.0.1:PORT\", \"127.0.0.1:0PORT\"]\n", says: "already used by listen.memcache", anywhere: true},
		"one socket, by a link":                         {config: at + "listen.policy = [\"DIR/link/memcache\"]\n", before: link, says: "already used by listen.memcache", anywhere: true},
		"two sockets, by a link":                        {config: at + "listen.policy = [\"DIR/link/policy\"]\n", before: link},
		"no directories":                                {config: "listen.memcache = [\"DIR/none/memcache\"]\nlisten.policy = [\"DIR/more/policy\"]\n", says: "more does not exist: create it"},
		"a dead socket of others in a sticky directory": {config: at, before: sticky("memcache"), unprivileged: true, says: "memcache"},
		"a left socket of others in a sticky directory": {config: at, before: sticky("memcache~"), unprivileged: true, says: "memcache"},
		"a dead socket of others":                       {config: at, before: socket(true), unprivileged: true, says: "memcache"},
		"the port of a program of another user":         {config: fmt.Sprintf("listen.memcache = [%q]\n", other), unprivileged: true, says: "another process listens", unseen: true},
		"no such config":                                {config: "", says: "no such file", anywhere: true},
		"few open files":                                {config: at, command: "ulimit -n 40"},
		"no directory for the state":                    {config: at + "[guard]\ndomains = [\"example.org\"]\nstate = \"DIR/none/guard.json\"\n", says: "", warns: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("/tmp", "ehlogate-") // the path of a socket is short
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			if tc.before != nil {
				tc.before(t, dir)
			}
			config := strings.NewReplacer("DIR", dir, "PORT", freePort(t)).Replace(tc.config)
			if config != "" {
				if err := os.WriteFile(filepath.Join(dir, "c.toml"), []byte(config), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			run := func(command string) (failed bool, output string) {
				return runEhlogate(t, dir, strings.ReplaceAll(tc.command, "DIR", dir), command, tc.unprivileged)
			}
			if tc.running {
				serveInBackground(t, dir)
			}
			checkFails, checkSays := run("check")
			serveFails, serveSays := run("serve")
			if wantServe := tc.says != ""; serveFails != wantServe || !strings.Contains(serveSays, tc.says) {
				t.Errorf("serve: failed: %v, want %q\n%s", serveFails, tc.says, serveSays)
			}
			wantCheck := tc.says != "" && !tc.running && !tc.warns && !tc.unseen
			if checkFails != wantCheck || !tc.running && !tc.unseen && !strings.Contains(checkSays, tc.says) || strings.Contains(checkSays, "warning") != tc.warns {
				t.Errorf("check: failed: %v, want %v and %q\n%s", checkFails, wantCheck, tc.says, checkSays)
			}
			if !checkFails && !tc.warns && strings.Contains(checkSays, "not checked") == (tc.unprivileged && !tc.unseen) {
				t.Errorf("check does not say what it cannot know:\n%s", checkSays)
			}
			if fails, says := run("check --elsewhere"); fails != tc.anywhere {
				t.Errorf("check --elsewhere: failed: %v\n%s", fails, says)
			}
		})
	}
}

// copyProgram makes the program of TestMain one that every user may run.
func copyProgram(t *testing.T) {
	t.Helper()
	path, err := exec.LookPath("ehlogate")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "ehlogate-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ehlogate"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	old := os.Getenv("PATH")
	t.Cleanup(func() { os.Setenv("PATH", old) })
	os.Setenv("PATH", dir+":"+old) // t.Setenv forbids parallel tests
}

// freePort returns a port that is free, and not one of those that the kernel gives to outgoing connections.
func freePort(t *testing.T) string {
	t.Helper()
	ports, err := mtatest.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(ports[0])
}
