package server

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	var ln *net.UnixListener
	err := openSocket(path, opt, "unix", func(lc net.ListenConfig, temporary string) (io.Closer, error) {
		l, err := lc.Listen(context.Background(), "unix", temporary)
		if err != nil {
			return nil, err
		}
		ln = l.(*net.UnixListener)
		ln.SetUnlinkOnClose(false) // or Close would remove a temporary socket of another process
		return ln, nil
	})
	if err != nil {
		return nil, err
	}
	return &unixListener{ln, net.UnixAddr{Name: path, Net: "unix"}}, nil
}

// ListenDatagrams opens a unix socket for datagrams, as [Listen] does for connections.
func ListenDatagrams(path string, opt SocketOptions) (conn *net.UnixConn, err error) {
	err = openSocket(path, opt, "unixgram", func(lc net.ListenConfig, temporary string) (io.Closer, error) {
		c, err := lc.ListenPacket(context.Background(), "unixgram", temporary)
		if err != nil {
			return nil, err
		}
		conn = c.(*net.UnixConn)
		return conn, nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: %w", path, err)
	}
	return conn, nil
}

// openSocket has a socket appear at path. bind opens it at a temporary path.
func openSocket(path string, opt SocketOptions, network string, bind func(net.ListenConfig, string) (io.Closer, error)) error {
	if err := checkPath(path); err != nil {
		return err
	}
	gid, err := groupID(opt.Group)
	if err != nil {
		return err
	}
	unlock, err := lockDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer unlock()
	if err := checkUnused(path, network); err != nil {
		return err
	}
	// Under the lock, a temporary socket can only be left by a process that died.
	if err := checkUnused(path+tempSuffix, network); err != nil {
		return err
	}
	if err := os.Remove(path + tempSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return withHint(filepath.Dir(path), err)
	}
	socket, err := bindForbidden(func(lc net.ListenConfig) (io.Closer, error) { return bind(lc, path+tempSuffix) })
	if err != nil {
		return withHint(filepath.Dir(path), err)
	}
	if err := publishSocket(path, gid, opt); err != nil {
		socket.Close()
		_ = os.Remove(path + tempSuffix) // under the lock, it is that of this process
		return err
	}
	return nil
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

// checkUnused returns an error unless path does not exist, or is a socket on which no other process listens. With datagrams,
// the kernel does not tell which process it is: then this one does not either.
func checkUnused(path, network string) error {
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
	c, err := net.DialUnix(network, nil, &net.UnixAddr{Name: path, Net: network})
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.EAGAIN):
		return fmt.Errorf("another process listens on %s, with a full queue: stop it, or configure another path", path)
	case err != nil:
		return fmt.Errorf("cannot check whether another process listens on %s: stop it and remove the file, or configure another path: %w", path, err)
	}
	defer c.Close()
	if network == "unixgram" {
		return fmt.Errorf("another process reads from %s: stop it, or configure another path", path)
	}
	pid, err := listenerPID(c)
	if errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("a process listens on %s: stop it, or configure another path", path)
	}
	if err != nil {
		return fmt.Errorf("cannot find the process that listens on %s: %w", path, err)
	}
	if pid != os.Getpid() {
		return fmt.Errorf("another process listens on %s (pid %d): stop it, or configure another path", path, pid)
	}
	return nil
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
