// Package listen turns the addresses of the config into listening sockets and serves the connections that arrive on them.
//
// [Open] makes the socket, or it is [Inherited] from a service manager that keeps it open; [Server] looks after what comes
// in: accept errors, the connection cap, panics and the graceful stop. What it guarantees is that no fault of one
// connection, and no shortage in the kernel, costs another connection its answer.
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// SocketOptions says who may connect to a unix socket. They mean nothing to TCP.
type SocketOptions struct {
	Group string      // name or number of the group that owns the socket; empty leaves the group of the process
	Mode  os.FileMode // permission bits; zero means 0660
}

// Listen listens on addr: IP:PORT, [IPv6]:PORT, :PORT for every address of both families, or the absolute path of a unix socket.
//
// 0.0.0.0 is IPv4 only and [::] is IPv6 only, so that both can be listed. Host names are refused: localhost stands for two
// addresses, and a client that tries the other one finds nobody.
//
// A unix socket appears at its path complete, with its group and mode, in one step. What a dead process left there is
// replaced, as is a socket of this very process; another live process is an error, and so is anything that is not a socket.
// Closing the listener leaves the file: a client that finds a dead socket fails faster and clearer than one that finds none.
func Listen(addr string, opt SocketOptions) (net.Listener, error) {
	open := openTCP
	if strings.Contains(addr, "/") {
		open = func(path string) (net.Listener, error) { return openUnix(path, opt) }
	}
	ln, err := open(addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", addr, err)
	}
	return ln, nil
}

// CheckAddress says what is wrong with the form of addr, without opening anything.
func CheckAddress(addr string) error {
	if strings.Contains(addr, "/") {
		return checkPath(addr)
	}
	_, err := tcpNetwork(addr)
	return err
}

func openTCP(addr string) (net.Listener, error) {
	network, err := tcpNetwork(addr)
	if err != nil {
		return nil, err
	}
	ln, err := new(net.ListenConfig).Listen(context.Background(), network, addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("another process is listening there (ss -ltnp shows it): stop it, or configure another port: %w", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("this machine has no such address: %w", err)
	case errors.Is(err, syscall.EAFNOSUPPORT):
		return nil, fmt.Errorf("this process may open no such socket: name the address in a socket unit (systemd: ListenStream=) or allow it (RestrictAddressFamilies=, PrivateNetwork=no): %w", err)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("ports below 1024 need CAP_NET_BIND_SERVICE: configure a higher one: %w", err)
	}
	return ln, err
}

// tcpNetwork checks the form of addr and returns the network that listens on exactly what it says: under plain "tcp" both
// 0.0.0.0 and [::] would mean every address of both families.
func tcpNetwork(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", errors.New("want IP:PORT, [IPv6]:PORT or the absolute path of a unix socket")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("port %q: want a number from 0 to 65535", port)
	}
	if host == "" {
		return "tcp", nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return "", fmt.Errorf("%q is not an IP address: host names are not looked up, write 127.0.0.1:%s or [::1]:%s", host, port, port)
	}
	if ip.Unmap().Is4() {
		return "tcp4", nil
	}
	return "tcp6", nil
}
