package server

import (
	"errors"
	"net"
	"syscall"
)

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
