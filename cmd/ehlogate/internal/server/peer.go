package server

import "net"

// Credentials are the process at the other end of a connection, and its user and group.
type Credentials struct {
	PID      int
	UID, GID uint32
}

func listenerPID(c net.Conn) (int, error) {
	cred, err := PeerCredentials(c)
	if err != nil {
		return 0, err
	}
	return cred.PID, nil
}
