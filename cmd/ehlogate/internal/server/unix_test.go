package server

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// someGroup is a group other than the process's own, if the process may hand a file to one.
func someGroup(t *testing.T) int {
	if os.Geteuid() == 0 {
		return 4242
	}
	groups, err := os.Getgroups()
	must(t, err)
	for _, g := range groups {
		if g != os.Getegid() {
			return g
		}
	}
	return os.Getegid()
}

// deadSocket leaves at path what a killed server leaves.
func deadSocket(t *testing.T, path string) {
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	ln.SetUnlinkOnClose(false)
	must(t, ln.Close())
}

func TestOpenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memcache")
	gid := someGroup(t)
	ln, err := Listen(path, SocketOptions{Group: strconv.Itoa(gid), Mode: 0o620})
	must(t, err)
	if got := ln.Addr().String(); got != path {
		t.Errorf("the listener says it is at %s", got)
	}
	fi, err := os.Lstat(path)
	must(t, err)
	if fi.Mode() != fs.ModeSocket|0o620 || int(fi.Sys().(*syscall.Stat_t).Gid) != gid {
		t.Errorf("mode %v, group %d", fi.Mode(), fi.Sys().(*syscall.Stat_t).Gid)
	}
	r := serve(t, &Server{Handler: echo}, ln)
	must(t, ask(dial(t, ln.Addr()), "hello"))
	deadSocket(t, path+tempSuffix) // another process opens the path again
	r.stop()
	<-r.done
	names, err := filepath.Glob(filepath.Dir(path) + "/*")
	must(t, err)
	if len(names) != 2 || names[0] != path || names[1] != path+tempSuffix {
		t.Errorf("after the stop the directory holds %q", names)
	}
}

func TestOpenUnixDefaults(t *testing.T) {
	dir := t.TempDir()
	// As long as it may be, and with what two dead processes left.
	path := filepath.Join(dir, strings.Repeat("s", maxPath-len(dir)-1))
	deadSocket(t, path)
	deadSocket(t, path+tempSuffix)
	ln, err := Listen(path, SocketOptions{})
	must(t, err)
	defer ln.Close()
	fi, err := os.Lstat(path)
	must(t, err)
	if fi.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("mode %v", fi.Mode())
	}
	dial(t, ln.Addr())
	if _, err := Listen(path+"s", SocketOptions{}); err == nil || !strings.Contains(err.Error(), "choose a shorter one") {
		t.Errorf("one byte longer: %v", err)
	}
}

func TestOpenUnixErrors(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.WriteFile(in("file"), []byte("keep me"), 0o600))
	must(t, os.Symlink(in("nowhere"), in("link")))
	must(t, os.WriteFile(in("half~"), []byte("keep me"), 0o600))
	taken := in("taken")
	if got := child(t, "owner", taken).line(); got != "ready" {
		t.Fatal(got)
	}
	before, err := os.ReadDir(dir)
	must(t, err)
	for _, tc := range []struct {
		path string
		opt  SocketOptions
		want string
	}{
		{"ehlogate/memcache", SocketOptions{}, "not an absolute path"},
		{in("file"), SocketOptions{}, "is not a socket: remove it"},
		{in("link"), SocketOptions{}, "is not a socket: remove it"},
		{in("half"), SocketOptions{}, "half~ exists and is not a socket: remove it"},
		{dir + "/", SocketOptions{}, "is not a socket: remove it"},
		{in("file/s"), SocketOptions{}, "not a directory"},
		{in("no/such/s"), SocketOptions{}, "no/such does not exist: create it"},
		{in("s"), SocketOptions{Group: "no such group"}, `unknown group "no such group": create it`},
		{taken, SocketOptions{}, "another process listens on " + taken + " (pid "},
	} {
		ln, err := Listen(tc.path, tc.opt)
		if err == nil {
			ln.Close()
			t.Errorf("%s: no error", tc.path)
		} else if !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %q, want %q in it", tc.path, err, tc.want)
		}
	}
	must(t, ask(dial(t, &net.UnixAddr{Name: taken, Net: "unix"}), "still there"))
	after, err := os.ReadDir(dir)
	must(t, err)
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("the directory held %v, now %v", before, after)
	}
}

// ownerChild answers on a path until its standard input ends.
func ownerChild() {
	ln, err := Listen(os.Args[1], SocketOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go echo(context.Background(), c)
		}
	}()
	io.Copy(io.Discard, os.Stdin)
}

func TestOpenUnixPermission(t *testing.T) {
	dir := t.TempDir()
	closed, shared := filepath.Join(dir, "closed"), filepath.Join(dir, "shared")
	must(t, os.Mkdir(closed, 0o700))
	must(t, os.Mkdir(shared, 0o700))
	private, err := Listen(shared+"/private", SocketOptions{Mode: 0o600})
	must(t, err)
	defer private.Close()
	// Not by the umask.
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	must(t, os.Chmod(dir, 0o755))
	must(t, os.Chmod(shared, 0o777))
	must(t, os.Chmod(closed, 0o555))
	must(t, os.Chmod(shared+"/private", 0))

	for _, tc := range []struct {
		path string
		opt  SocketOptions
		want string
	}{
		{closed + "/s", SocketOptions{}, "no permission in directory " + closed},
		{shared + "/private", SocketOptions{}, "cannot check whether another process listens"},
		{shared + "/s", SocketOptions{Group: "4242"}, "must be a member"},
	} {
		var err error
		unprivileged(func() { _, err = Listen(tc.path, tc.opt) })
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q in it", tc.path, err, tc.want)
		}
	}
	if names, _ := filepath.Glob(shared + "/*"); len(names) != 1 {
		t.Errorf("left behind: %q", names)
	}
}

// unprivileged runs f without root's power over files. Only one thread gives it up, and it ends with the goroutine that
// stays locked to it.
func unprivileged(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			syscall.Setfsgid(65534)
			syscall.Setfsuid(65534)
		}
		f()
	}()
	<-done
}

// TestOpenUnixQueueFull meets a server so busy, or so stuck, that it cannot even be connected to: alive all the same.
func TestOpenUnixQueueFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(t, err)
	defer syscall.Close(fd)
	must(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}))
	must(t, syscall.Listen(fd, 0))
	dial(t, &net.UnixAddr{Name: path, Net: "unix"})
	if _, err := Listen(path, SocketOptions{}); err == nil || !strings.Contains(err.Error(), "full queue") {
		t.Error(err)
	}
}

func TestListenDatagrams(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for range 2 { // the second replaces what the first left
		c, err := ListenDatagrams(path, SocketOptions{Mode: 0o640})
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode() != os.ModeSocket|0o640 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		if _, err := ListenDatagrams(path, SocketOptions{}); err == nil || !strings.Contains(err.Error(), "another process reads from "+path) {
			t.Errorf("got %v", err)
		}
		sender, err := net.Dial("unixgram", path)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		_, err = sender.Write([]byte("hello"))
		n, readErr := c.Read(buf)
		if err != nil || readErr != nil || string(buf[:n]) != "hello" {
			t.Errorf("%q, %v, %v", buf[:n], err, readErr)
		}
		sender.Close()
		c.Close()
	}
	l, err := Listen(path+"2", SocketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for path, want := range map[string]string{path + "2": "whether another process listens", "log": "not an absolute path", filepath.Dir(path): "is not a socket",
		filepath.Join(path+"3", "log"): "does not exist", path + strings.Repeat("x", 110): "too long"} {
		if _, err := ListenDatagrams(path, SocketOptions{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
	if all, err := os.ReadDir(filepath.Dir(path)); err != nil || len(all) != 2 {
		t.Errorf("%v, %v", all, err)
	}
}
