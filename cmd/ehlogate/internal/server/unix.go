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

// lockTimeout is how long to wait for another process that opens a socket in the same directory.
const lockTimeout = 3 * time.Second

const (
	// tempSuffix ends the path of a socket until its group and mode are set; then it is renamed.
	tempSuffix = "~"
	// maxPath is the longest path of a socket: sun_path holds 107 bytes, tempSuffix included.
	maxPath = 107 - len(tempSuffix)
)

// unixListener reports the path to which its socket was renamed; the kernel reports the path of bind.
type unixListener struct {
	*net.UnixListener
	addr net.UnixAddr
}

func (l *unixListener) Addr() net.Addr { return &l.addr }

func checkPath(path string) error {
	if !filepath.IsAbs(path) {
		return errors.New("not an absolute path: write one such as /var/spool/postfix/ehlogate/memcache")
	}
	if len(path) > maxPath {
		return fmt.Errorf("path is too long (%d bytes; the kernel takes %d): choose a shorter one", len(path), maxPath)
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
	unlock, err := lockDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := checkUnused(path); err != nil {
		return nil, err
	}
	// Under the lock, a temporary socket can only be left by a process that died.
	if err := checkUnused(path + tempSuffix); err != nil {
		return nil, err
	}
	if err := os.Remove(path + tempSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, withHint(filepath.Dir(path), err)
	}
	ln, err := bindPrivate(path + tempSuffix)
	if err != nil {
		return nil, err
	}
	if err := publishSocket(path, gid, opt); err != nil {
		ln.Close() // removes the temporary socket
		return nil, err
	}
	ln.SetUnlinkOnClose(false) // or Close would remove a temporary socket of another process
	return &unixListener{ln, net.UnixAddr{Name: path, Net: "unix"}}, nil
}

// lockDir keeps other processes from opening a socket in dir until unlock. Otherwise two processes that start at once
// could both find the path unused, and one would listen on a socket without a path.
func lockDir(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, MissingDirError{dir}
	}
	if err != nil {
		return nil, withHint(dir, err)
	}
	// Any process that may read the directory can lock it. The daemon must report that, not hang at start.
	for end := time.Now().Add(lockTimeout); ; time.Sleep(10 * time.Millisecond) {
		err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { d.Close() }, nil
		}
		if !errors.Is(err, syscall.EINTR) && !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(end) {
			d.Close()
			return nil, fmt.Errorf("cannot lock directory %s; another process may hold a lock (lslocks shows it): %w", dir, err)
		}
	}
}

// checkUnused returns an error unless path does not exist, or is a socket on which no other process listens.
func checkUnused(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if fi.Mode().Type() != fs.ModeSocket {
		return notSocketError(path)
	}
	// No timeout: a connect to a unix socket succeeds or fails at once.
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.EAGAIN):
		return fmt.Errorf("another process listens on %s, with a full queue: stop it, or configure another path", path)
	case err != nil:
		return fmt.Errorf("cannot check whether another process listens on %s: stop it and remove the file, or configure another path: %w", path, err)
	}
	defer c.Close()
	pid, err := listenerPID(c)
	if err != nil {
		return fmt.Errorf("cannot find the process that listens on %s: %w", path, err)
	}
	if pid != os.Getpid() {
		return fmt.Errorf("another process listens on %s (pid %d): stop it, or configure another path", path, pid)
	}
	return nil
}

func listenerPID(c net.Conn) (int, error) {
	cred, err := PeerCredentials(c)
	if err != nil {
		return 0, err
	}
	return int(cred.Pid), nil
}

// PeerCredentials returns which process made the socket file at the other end of a connection, and as which user.
func PeerCredentials(c net.Conn) (cred *syscall.Ucred, err error) {
	unix, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	raw, err := unix.SyscallConn()
	if err != nil {
		return nil, err
	}
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	return cred, errors.Join(err, credErr)
}

// bindPrivate opens a listening socket to which no process may connect yet: Linux gives the file the mode that the socket
// has before bind.
func bindPrivate(path string) (*net.UnixListener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var modeErr error
		err := raw.Control(func(fd uintptr) { modeErr = syscall.Fchmod(int(fd), 0) })
		return errors.Join(err, modeErr)
	}}
	ln, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, withHint(filepath.Dir(path), err)
	}
	return ln.(*net.UnixListener), nil
}

// publishSocket sets the group and then the mode of the temporary socket, and renames it to path.
func publishSocket(path string, gid int, opt SocketOptions) error {
	if gid >= 0 {
		if err := os.Lchown(path+tempSuffix, -1, gid); err != nil {
			return chownError(opt.Group, err)
		}
	}
	mode := opt.Mode.Perm()
	if mode == 0 {
		mode = 0o660
	}
	if err := os.Chmod(path+tempSuffix, mode); err != nil {
		return err
	}
	if err := os.Rename(path+tempSuffix, path); err != nil {
		return withHint(filepath.Dir(path), err)
	}
	return nil
}

// groupID returns the number of a group; -1 if name is empty.
func groupID(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("unknown group %q: create it, or correct socket_group: %w", name, err)
	}
	return strconv.Atoi(g.Gid)
}

// MissingDirError is the error about a unix socket whose directory does not exist.
type MissingDirError struct{ Dir string }

func (e MissingDirError) Error() string {
	return fmt.Sprintf("directory %s does not exist: create it, owned by the user of ehlogate", e.Dir)
}

func notSocketError(path string) error {
	return fmt.Errorf("%s exists and is not a socket: remove it, or configure another path", path)
}

func chownError(group string, err error) error {
	return fmt.Errorf("cannot give the socket to group %q: the user of ehlogate must be a member (systemd: SupplementaryGroups=): %w", group, err)
}

// withHint adds to an error in dir what the operator can do.
func withHint(dir string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission in directory %s: make the user of ehlogate its owner: %w", dir, err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("directory %s is read-only (systemd: add it to ReadWritePaths=): %w", dir, err)
	}
	return fmt.Errorf("in directory %s: %w", dir, err)
}
