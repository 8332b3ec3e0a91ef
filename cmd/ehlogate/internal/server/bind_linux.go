package server

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// bindForbidden has bind make a socket file with mode 0, so that no process may connect yet: Linux gives the file the mode
// that the socket has before bind.
func bindForbidden(bind func(net.ListenConfig) (io.Closer, error)) (io.Closer, error) {
	return bind(net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var modeErr error
		err := raw.Control(func(fd uintptr) { modeErr = syscall.Fchmod(int(fd), 0) })
		return errors.Join(err, modeErr)
	}})
}
