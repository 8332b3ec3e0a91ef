package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
)

// InheritedSocket is a listening socket that the service manager opened and keeps open: systemd (systemd.socket(5)), or
// another parent process that passes sockets in the same way (sd_listen_fds(3)). Connections to it wait in the kernel
// while the daemon restarts. Close closes the daemon's file descriptor only.
type InheritedSocket struct {
	net.Listener
	// Name is FileDescriptorName= of the socket unit; by default the name of the unit.
	Name string
}

// Inherited returns the sockets that were passed to this process. It works once, and child processes do not inherit them
// again. The error, if any, is about sockets that cannot be used; the others are returned.
func Inherited() ([]InheritedSocket, error) {
	var inherited []InheritedSocket
	var errs []error
	for _, f := range activation.Files(true) {
		ln, err := newListener(f)
		if err != nil {
			errs = append(errs, fmt.Errorf("%q: %w", f.Name(), err))
		} else {
			inherited = append(inherited, InheritedSocket{ln, f.Name()})
		}
		f.Close() // the listener has a descriptor of its own
	}
	return inherited, errors.Join(errs...)
}

func newListener(f *os.File) (net.Listener, error) {
	listening, err := syscall.GetsockoptInt(int(f.Fd()), syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	if err != nil {
		return nil, fmt.Errorf("not a socket: %w", err)
	}
	if listening == 0 {
		return nil, errors.New("not a listening stream socket: set ListenStream= and Accept=no in the socket unit")
	}
	return net.FileListener(f)
}

// Matches reports whether the socket is bound to addr, so that [Listen] would fail or replace it.
func (s InheritedSocket) Matches(addr string) bool {
	switch at := s.Addr().(type) {
	case *net.UnixAddr:
		return at.Name == filepath.Clean(addr) || SameFile(at.Name, addr)
	case *net.TCPAddr:
		have := at.AddrPort()
		if want, err := netip.ParseAddrPort(addr); err == nil {
			return netip.AddrPortFrom(want.Addr().Unmap(), want.Port()) == netip.AddrPortFrom(have.Addr().Unmap(), have.Port())
		}
		return have.Addr().IsUnspecified() && addr == fmt.Sprintf(":%d", have.Port())
	}
	return false
}

// SameFile reports whether two paths lead to one file, as /run and /var/run do.
func SameFile(a, b string) bool {
	fa, errA := os.Stat(a)
	fb, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(fa, fb)
}

// BaseName returns the file name of a unix socket without its directory, "" for other sockets.
func (s InheritedSocket) BaseName() string {
	if at, ok := s.Addr().(*net.UnixAddr); ok {
		return filepath.Base(at.Name)
	}
	return ""
}
