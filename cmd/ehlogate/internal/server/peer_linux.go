package server

import (
	"errors"
	"net"
	"syscall"
)

// PeerCredentials returns which process made the socket file at the other end of a connection, and as which user.
func PeerCredentials(c net.Conn) (*Credentials, error) {
	unix, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	raw, err := unix.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *syscall.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err := errors.Join(err, credErr); err != nil {
		return nil, err
	}
	return &Credentials{PID: int(cred.Pid), UID: cred.Uid, GID: cred.Gid}, nil
}
