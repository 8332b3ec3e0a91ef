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

// InheritedSocket is a listening socket that somebody else opened and keeps open: systemd (systemd.socket(5)), or whoever passes
// sockets as it does (sd_listen_fds(3)). Connections to it wait while we are replaced. Closing it closes our end alone.
type InheritedSocket struct {
	net.Listener
	// Name is FileDescriptorName= of the socket unit; by default the name of the unit.
	Name string
}

// Inherited returns the sockets that were passed to this process. They can be taken once; programs that we start do not get
// them. An error tells of one that we cannot accept connections from.
func Inherited() ([]InheritedSocket, error) {
	var held []InheritedSocket
	var errs []error
	for _, f := range activation.Files(true) {
		ln, err := listener(f)
		if err != nil {
			errs = append(errs, fmt.Errorf("%q: %w", f.Name(), err))
		} else {
			held = append(held, InheritedSocket{ln, f.Name()})
		}
		f.Close() // the listener has a descriptor of its own
	}
	return held, errors.Join(errs...)
}

func listener(f *os.File) (net.Listener, error) {
	listening, err := syscall.GetsockoptInt(int(f.Fd()), syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	if err != nil {
		return nil, fmt.Errorf("not a socket: %w", err)
	}
	if listening == 0 {
		return nil, errors.New("not a listening stream socket: it needs ListenStream= and Accept=no")
	}
	return net.FileListener(f)
}

// Matches tells whether the socket is what [Open] would make of addr, or is in the way of it.
func (h InheritedSocket) Matches(addr string) bool {
	switch at := h.Addr().(type) {
	case *net.UnixAddr:
		return at.Name == filepath.Clean(addr) || sameFile(at.Name, addr)
	case *net.TCPAddr:
		have := at.AddrPort()
		if want, err := netip.ParseAddrPort(addr); err == nil {
			return netip.AddrPortFrom(want.Addr().Unmap(), want.Port()) == netip.AddrPortFrom(have.Addr().Unmap(), have.Port())
		}
		return have.Addr().IsUnspecified() && addr == fmt.Sprintf(":%d", have.Port())
	}
	return false
}

// sameFile tells whether two paths lead to one file, as /run and /var/run do.
func sameFile(a, b string) bool {
	fa, err := os.Stat(a)
	if err != nil {
		return false
	}
	fb, err := os.Stat(b)
	return err == nil && os.SameFile(fa, fb)
}

// BaseName is the last part of the path of a unix socket, and empty for others.
func (h InheritedSocket) BaseName() string {
	if at, ok := h.Addr().(*net.UnixAddr); ok {
		return filepath.Base(at.Name)
	}
	return ""
}
