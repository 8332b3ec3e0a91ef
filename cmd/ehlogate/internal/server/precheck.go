package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Precheck returns an error if Listen is certain to fail on addr, without opening it. It takes neither a lock nor the
// address: daemon, the name of the program, may be running. An address that the service manager keeps is never opened.
//
// What only the user of the daemon would find is not examined, unless this process has that user.
func Precheck(addr string, opt SocketOptions, daemon string) error {
	name, pid := findListener(addr)
	if pid == 1 || name == "systemd" {
		return nil
	}
	check := precheckTCP
	if strings.Contains(addr, "/") {
		check = func(path string) error { return precheckUnix(path, opt) }
	}
	err := check(addr)
	if err == nil && pid == 0 && hasListener(addr) {
		return UnseenListenerError{addr}
	}
	if err == nil && pid != 0 && name != daemon {
		err = fmt.Errorf("another process listens there (%s, pid %d): stop it, or configure another address", name, pid)
	}
	if err != nil {
		return fmt.Errorf("cannot listen on %q: %w", addr, err)
	}
	return nil
}

// UnseenListenerError means that a process listens at an address, and this user may not see which: it may be the daemon.
type UnseenListenerError struct{ Addr string }

func (e UnseenListenerError) Error() string { return "which process listens on " + e.Addr }

func precheckUnix(path string, opt SocketOptions) error {
	if err := checkPath(path); err != nil {
		return err
	}
	gid, err := groupID(opt.Group)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 && gid >= 0 && gid != os.Getegid() {
		if groups, err := os.Getgroups(); err == nil && !slices.Contains(groups, gid) {
			return chownError(opt.Group, syscall.EPERM)
		}
	}
	const search, write, read = 1, 2, 4 // access(2)
	dir := filepath.Dir(path)
	for _, name := range []string{path, path + tempSuffix} {
		fi, err := os.Lstat(name)
		if err == nil && fi.Mode().Type() != fs.ModeSocket {
			return notSocketError(name)
		}
		if err == nil && (syscall.Access(name, write) != nil || !mayReplace(fi, dir)) {
			return fmt.Errorf("%s belongs to another user, and this user may not replace it: remove it, or configure another directory", name)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := syscall.Access(dir, search|write|read); errors.Is(err, fs.ErrNotExist) {
		return MissingDirError{dir}
	} else if err != nil {
		return withHint(dir, err)
	}
	return nil
}

// mayReplace reports whether this process may rename another file to one in dir.
func mayReplace(file fs.FileInfo, dir string) bool {
	parent, err := os.Stat(dir)
	if uid := os.Geteuid(); err == nil && parent.Mode()&fs.ModeSticky != 0 && uid != 0 {
		return ownerOf(file) == uid || ownerOf(parent) == uid
	}
	return true
}

func ownerOf(file fs.FileInfo) int { return int(file.Sys().(*syscall.Stat_t).Uid) }

// precheckTCP has the kernel choose a port, so that no client finds one open that is about to close.
func precheckTCP(addr string) error {
	network, err := tcpNetwork(addr)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if os.Geteuid() == 0 || !isPrivileged(port) {
		port = "0"
	}
	ln, err := listenTCP(network, net.JoinHostPort(host, port))
	if err == nil {
		return ln.Close()
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil // Precheck knows more
	}
	return err
}

// isPrivileged reports whether only processes with CAP_NET_BIND_SERVICE may listen on a port.
func isPrivileged(port string) bool {
	first := 1024
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			first = n
		}
	}
	n, err := strconv.Atoi(port)
	return err == nil && n > 0 && n < first
}
