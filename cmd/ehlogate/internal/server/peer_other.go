//go:build !linux

package server

import (
	"errors"
	"net"
)

// PeerCredentials is for Linux. Elsewhere it returns errors.ErrUnsupported.
func PeerCredentials(net.Conn) (*Credentials, error) { return nil, errors.ErrUnsupported }
