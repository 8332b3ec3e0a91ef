package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// lockWait is how long another process that opens a socket in the same directory is waited for.
const lockWait = 3 * time.Second

const (
	// draft is what the path of a socket ends in until group and mode are right and it is renamed.
	draft = "~"
	// maxPath is how long the path of a socket can be: sun_path holds 107 bytes, and the draft must fit too.
	maxPath = 107 - len(draft)
)

// unixListener answers to the path it was renamed to; the kernel keeps reporting the name it was bound to.
type unixListener struct {
	*net.UnixListener
	addr net.UnixAddr
}

func (l *unixListener) Addr() net.Addr { return &l.addr }

func checkPath(path string) error {
	if !filepath.IsAbs(path) {
		return errors.New("the path of a socket must be absolute, like /var/spool/postfix/ehlogate/memcache")
	}
	if len(path) > maxPath {
		return fmt.Errorf("the path has %d bytes, the kernel has room for %d: choose a shorter one", len(path), maxPath)
	}
	return nil
}

func openUnix(path string, opt SocketOptions) (net.Listener, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	gid, err := groupID(opt.Group)
	if err != nil {
		return nil, err
	}
	unlock, err := lock(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := claim(path); err != nil {
		return nil, err
	}
	// Under the lock a draft can only be what a process left that died half-way.
	if err := claim(path + draft); err != nil {
		return nil, err
	}
	if err := os.Remove(path + draft); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove the leftover of an earlier start: %w", err)
	}
	ln, err := bind(path + draft)
	if err != nil {
		return nil, err
	}
	if err := publish(path, gid, opt); err != nil {
		ln.Close() // removes the draft
		return nil, err
	}
	ln.SetUnlinkOnClose(false) // or Close would remove the draft of whoever is opening the path by then
	return &unixListener{ln, net.UnixAddr{Name: path, Net: "unix"}}, nil
}

// lock keeps every other process that opens a socket in dir out, until unlock: two that start at once would otherwise both
// find the path free, and the one whose file is renamed over would never hear a client.
func lock(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the directory %s does not exist: create it, owned by the user ehlogate runs as", dir)
	}
	if err != nil {
		return nil, hint(dir, err)
	}
	// Anybody who may read the directory can hold a lock on it, and must not keep us from starting without a word.
	for end := time.Now().Add(lockWait); ; time.Sleep(10 * time.Millisecond) {
		err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { d.Close() }, nil
		}
		if !errors.Is(err, syscall.EINTR) && !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(end) {
			d.Close()
			return nil, fmt.Errorf("lock the directory %s, on which another process may hold a lock (lslocks shows it): %w", dir, err)
		}
	}
}

// claim returns nil if path is free, or holds a socket that nobody but this process answers on.
func claim(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if fi.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket: move it away, or configure another path", path)
	}
	// No timeout: connecting to a unix socket is done, or has failed, at once.
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.EAGAIN):
		return fmt.Errorf("another process is listening on %s, its queue is full: stop it, or configure another path", path)
	case err != nil:
		return fmt.Errorf("cannot tell whether another process is answering on %s: stop it and remove the file, or configure another path: %w", path, err)
	}
	defer c.Close()
	pid, err := peer(c)
	if err != nil {
		return fmt.Errorf("ask who is answering on %s: %w", path, err)
	}
	if pid != os.Getpid() {
		return fmt.Errorf("another process is answering on %s (pid %d): stop it, or configure another path", path, pid)
	}
	return nil
}

// peer returns the process that made the socket listen which c is connected to.
func peer(c *net.UnixConn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *syscall.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err := errors.Join(err, credErr); err != nil {
		return 0, err
	}
	return int(cred.Pid), nil
}

// bind makes a listening socket that nobody may connect to yet: Linux gives the file the mode that the socket has before it
// is bound.
func bind(path string) (*net.UnixListener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var modeErr error
		err := raw.Control(func(fd uintptr) { modeErr = syscall.Fchmod(int(fd), 0) })
		return errors.Join(err, modeErr)
	}}
	ln, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, hint(filepath.Dir(path), err)
	}
	return ln.(*net.UnixListener), nil
}

// publish gives the draft its group and then its mode, and moves it to path.
func publish(path string, gid int, opt SocketOptions) error {
	if gid >= 0 {
		if err := os.Lchown(path+draft, -1, gid); err != nil {
			return fmt.Errorf("hand the socket to group %q: the user ehlogate runs as must be a member (systemd: SupplementaryGroups=): %w", opt.Group, err)
		}
	}
	mode := opt.Mode.Perm()
	if mode == 0 {
		mode = 0o660
	}
	if err := os.Chmod(path+draft, mode); err != nil {
		return err
	}
	if err := os.Rename(path+draft, path); err != nil {
		return hint(filepath.Dir(path), err)
	}
	return nil
}

// groupID returns the number of a group, -1 for none.
func groupID(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("no group %q on this machine: create it, or correct socket_group: %w", name, err)
	}
	return strconv.Atoi(g.Gid)
}

// hint says what to do about an err met in dir.
func hint(dir string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission in the directory %s: make the user ehlogate runs as its owner: %w", dir, err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("the directory %s is read-only (systemd: add it to ReadWritePaths=): %w", dir, err)
	}
	return fmt.Errorf("in the directory %s: %w", dir, err)
}
