//go:build !linux

package server

import (
	"io"
	"net"
	"syscall"
)

// bindForbidden has bind make a socket file with mode 0, so that no process may connect yet.
func bindForbidden(bind func(net.ListenConfig) (io.Closer, error)) (io.Closer, error) {
	defer syscall.Umask(syscall.Umask(0o777))
	return bind(net.ListenConfig{})
}
