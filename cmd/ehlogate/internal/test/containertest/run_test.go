package containertest

import (
	"bufio"
	"encoding/json"
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

// container is the image, run by crun as the Containerfile and the compose files say.
type container struct {
	dir  string // has its files
	name string
	cmd  *exec.Cmd
	done chan struct{}
	exit error // valid after done
}

// mounted has the directories that the container gets from outside, by their names in c.dir.
var mounted = map[string]string{"conf": "/etc/ehlogate", "run": "/run/ehlogate", "state": "/var/lib/ehlogate"}

// inOwnMounts starts crun where it sees cgroup2 alone, which the machine may have beside older ones.
const inOwnMounts = `mount --make-rprivate / && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"`

// crun returns the command line of a verb of crun.
func (c *container) crun(verb string, args ...string) []string {
	return append([]string{"--root", filepath.Join(c.dir, "crun"), "--cgroup-manager=disabled", verb}, args...)
}

// startContainer runs the image with a config, and with files in lists, until the test ends, and waits until it is healthy.
func startContainer(t *testing.T, config string, lists map[string]string) *container {
	t.Helper()
	dir := t.TempDir()
	c := &container{dir: dir, name: filepath.Base(filepath.Dir(dir)) + "-" + filepath.Base(dir)}
	for name := range mounted {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for p := dir; p != os.TempDir() && p != "/"; p = filepath.Dir(p) { // testing keeps other users out
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	output(t, "chown", "65532:65532", filepath.Join(dir, "run"), filepath.Join(dir, "state"))
	output(t, "cp", "-r", filepath.Join(built(t), "ehlogate/lists"), filepath.Join(dir, "conf"))
	c.write(t, "ehlogate.toml", config)
	for name, text := range lists {
		c.write(t, name, text)
	}
	output(t, "sh", "-c", `mkdir "$1/rootfs" && tar -C "$1/rootfs" -xpf "$0"`, filepath.Join(built(t), "root.tar"), dir)
	c.writeBundle(t)
	c.start(t)
	t.Cleanup(func() {
		c.stop(t)
		if t.Failed() {
			t.Log(c.log(t))
		}
	})
	return c
}

// start starts a container that does not run, and waits until it is healthy.
func (c *container) start(t *testing.T) {
	t.Helper()
	log, err := os.Create(filepath.Join(c.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c.cmd = exec.Command("unshare", append([]string{"--mount", "sh", "-euc", inOwnMounts, "sh", "crun"}, c.crun("run", "--bundle", c.dir, c.name)...)...)
	c.cmd.Stdout, c.cmd.Stderr = log, log
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.done = make(chan struct{})
	go func() { c.exit = c.cmd.Wait(); close(c.done) }()
	testenv.Eventually(t, "the container is healthy", func() bool {
		select {
		case <-c.done:
			t.Fatalf("it ended: %v\n%s", c.exit, c.log(t))
		default:
		}
		_, err := c.exec(t, "healthcheck")
		return err == nil
	})
}

// writeBundle writes config.json, which has for crun what the Containerfile and the compose files have for docker.
func (c *container) writeBundle(t *testing.T) {
	t.Helper()
	type object = map[string]any
	mounts := []object{{"destination": "/proc", "type": "proc", "source": "proc"}, {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}}
	for name, at := range mounted {
		options := []string{"bind", "rw"}
		if name == "conf" {
			options[1] = "ro"
		}
		mounts = append(mounts, object{"destination": at, "type": "bind", "source": filepath.Join(c.dir, name), "options": options})
	}
	var namespaces []object
	for _, kind := range []string{"pid", "network", "ipc", "uts", "mount"} {
		namespaces = append(namespaces, object{"type": kind})
	}
	data, err := json.Marshal(object{
		"ociVersion": "1.0.0",
		"root":       object{"path": "rootfs", "readonly": true},
		"process": object{
			"user": object{"uid": 65532, "gid": 65532}, "args": []string{"/usr/bin/ehlogate", "serve"}, "cwd": "/",
			"env":             []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
			"noNewPrivileges": true, "capabilities": object{},
		},
		"mounts": mounts, "linux": object{"namespaces": namespaces},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "config.json"), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// write replaces a file of the config directory, as editors do.
func (c *container) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(c.dir, "conf", name)
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func (c *container) log(t *testing.T) string { return output(t, "cat", filepath.Join(c.dir, "log")) }

// exec runs ehlogate in the container, as "docker exec" does.
func (c *container) exec(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(soon(t), "crun", c.crun("exec", append([]string{c.name, "/usr/bin/ehlogate"}, args...)...)...).CombinedOutput()
	return string(out), err
}

// stop ends the container by SIGTERM, as "docker stop" does. It must end well. A container that ended is no error.
func (c *container) stop(t *testing.T) {
	t.Helper()
	select {
	case <-c.done:
		return
	default:
	}
	began := time.Now()
	output(t, "crun", c.crun("kill", c.name, "TERM")...)
	<-c.done
	t.Logf("SIGTERM ended it in %v", time.Since(began).Round(time.Millisecond))
	if c.exit != nil {
		t.Errorf("it ended with %v\n%s", c.exit, c.log(t))
	}
}

// isSuppressed asks the socket in the volume.
func (c *container) isSuppressed(t *testing.T, client string) bool {
	t.Helper()
	conn, err := net.Dial("unix", filepath.Join(c.dir, "run/memcache"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "get starttls:%s\r\n", client); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.HasPrefix(line, "VALUE")
}

// TestContainer runs the image: as process 1, without rights, on a root that nothing can be written to.
func TestContainer(t *testing.T) {
	testenv.Needs(t, "root", "crun")
	c := startContainer(t, example(t, "ehlogate.toml"), map[string]string{"lists/deny.list": "192.0.2.7\n"})
	if !c.isSuppressed(t, "192.0.2.7") || c.isSuppressed(t, "192.0.2.8") {
		t.Error("got other decisions than the list has")
	}
	c.write(t, "lists/deny.list", "192.0.2.8\n")
	testenv.Eventually(t, "an edit takes effect", func() bool { return c.isSuppressed(t, "192.0.2.8") && !c.isSuppressed(t, "192.0.2.7") })
	if out, err := c.exec(t, "explain", "192.0.2.8"); err != nil || !strings.Contains(out, "the running daemon (pid 1, ") {
		t.Errorf("explain: %v, %s", err, out)
	}
	if out, err := c.exec(t, "doctor"); err == nil || !strings.Contains(out, "run doctor in the container of the mail server") {
		t.Errorf("doctor: %v, %s", err, out)
	}

	var state struct{ PID int }
	if err := json.Unmarshal([]byte(output(t, "crun", c.crun("state", c.name)...)), &state); err != nil {
		t.Fatal(err)
	}
	proc := fmt.Sprintf("/proc/%d/", state.PID)
	status := strings.Join(strings.Fields(output(t, "cat", proc+"status")), " ")
	for _, want := range []string{"Uid: 65532 65532 65532 65532", "Groups: NStgid", "CapPrm: 0000000000000000", "CapBnd: 0000000000000000", "NoNewPrivs: 1"} {
		if !strings.Contains(status, want) {
			t.Errorf("its status lacks %q: %s", want, status)
		}
	}
	readOnly := map[string]bool{}
	for line := range strings.Lines(output(t, "cat", proc+"mountinfo")) {
		f := strings.Fields(line)
		readOnly[f[4]] = strings.HasPrefix(f[5], "ro,")
	}
	for at, want := range map[string]bool{"/": true, "/etc/ehlogate": true, "/run/ehlogate": false, "/var/lib/ehlogate": false} {
		if got, ok := readOnly[at]; got != want || !ok {
			t.Errorf("%s: read-only %v, mounted %v; want %v", at, got, ok, want)
		}
	}
	if got := output(t, "pgrep", "--ns", fmt.Sprint(state.PID), "--nslist", "pid"); got != fmt.Sprintln(state.PID) {
		t.Errorf("processes in it: %q, want one", got)
	}
	c.stop(t)
	if log := c.log(t); !strings.Contains(log, "msg=serving") || !strings.HasSuffix(log, "level=info msg=stopping\n") {
		t.Errorf("log:\n%s", log)
	}
	c.start(t) // the volume has the old socket
	if !c.isSuppressed(t, "192.0.2.8") {
		t.Error("started again: got another decision than the list has")
	}
}
