// Package server opens the listening sockets and serves the connections on them.
//
// A socket is opened by [Listen], or [Inherited] from the service manager (socket activation). [Server] handles accept
// errors, the connection cap, panics and graceful shutdown: no fault of one connection, and no shortage of resources in
// the kernel, costs another connection its reply.
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// SocketOptions are the permissions of a unix socket: which processes may connect. TCP ignores them.
type SocketOptions struct {
	Group string      // name or number of the group that owns the socket; empty: the group of the process
	Mode  os.FileMode // permission bits; zero means 0660
}

// Listen listens on addr: IP:PORT, [IPv6]:PORT, :PORT for every address of both families, or the absolute path of a unix socket.
//
// 0.0.0.0 is IPv4 only and [::] is IPv6 only, so that both can be listed. Host names are refused: localhost stands for two
// addresses, and a client that tries the other one is refused.
//
// A unix socket appears at its path complete, with its group and mode, in one step. It replaces a socket that a dead
// process left there, or that this process opened. A socket on which another process listens is an error, as is any other
// kind of file. Closing the listener leaves the file: a client fails faster, and with a clearer error, at a dead socket
// than at a missing one.
func Listen(addr string, opt SocketOptions) (net.Listener, error) {
	open := openTCP
	if strings.Contains(addr, "/") {
		open = func(path string) (net.Listener, error) { return openUnix(path, opt) }
	}
	ln, err := open(addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: %w", addr, err)
	}
	return ln, nil
}

// CheckAddress returns an error if Listen would refuse the syntax of addr. It opens nothing.
func CheckAddress(addr string) error {
	if strings.Contains(addr, "/") {
		return checkPath(addr)
	}
	_, err := tcpNetwork(addr)
	return err
}

// Conflict reports whether only one of two addresses can be listened on. For unix sockets, both may be the path of one file.
func Conflict(a, b string) bool {
	if strings.Contains(a, "/") || strings.Contains(b, "/") {
		a, b = filepath.Clean(a), filepath.Clean(b)
		return a == b || filepath.Base(a) == filepath.Base(b) && SameFile(filepath.Dir(a), filepath.Dir(b))
	}
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	ipA, _ := netip.ParseAddr(hostA)
	ipB, _ := netip.ParseAddr(hostB)
	numA, _ := strconv.ParseUint(portA, 10, 16)
	numB, _ := strconv.ParseUint(portB, 10, 16)
	return errA == nil && errB == nil && numA == numB && numA != 0 && overlaps(ipA, ipB)
}

func openTCP(addr string) (net.Listener, error) {
	network, err := tcpNetwork(addr)
	if err != nil {
		return nil, err
	}
	return listenTCP(network, addr)
}

func listenTCP(network, addr string) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(context.Background(), network, addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("another process listens there (ss -ltnp shows it): stop it, or configure another port: %w", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("this host does not have this address: %w", err)
	case errors.Is(err, syscall.EAFNOSUPPORT):
		return nil, fmt.Errorf("the sandbox of the service forbids this address family: use a socket unit (ListenStream=), or allow it (RestrictAddressFamilies=, PrivateNetwork=no): %w", err)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("ports below 1024 need CAP_NET_BIND_SERVICE: configure a higher port: %w", err)
	}
	return ln, err
}

// tcpNetwork checks the syntax of addr and returns the network to listen on: with plain "tcp", both 0.0.0.0 and [::] would
// mean every address of both families.
func tcpNetwork(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", errors.New("must be IP:PORT, [IPv6]:PORT or the absolute path of a unix socket")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("invalid port %q: must be a number from 0 to 65535", port)
	}
	if host == "" {
		return "tcp", nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return "", fmt.Errorf("invalid IP address %q (host names are not looked up): write 127.0.0.1:%s or [::1]:%s", host, port, port)
	}
	if ip.Unmap().Is4() {
		return "tcp4", nil
	}
	return "tcp6", nil
}
