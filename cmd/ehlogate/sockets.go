package main

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/server"
)

// socket is a listening socket and the protocol that is spoken on it.
type socket struct {
	protocol string
	net.Listener
}

// unknown is the protocol of an inherited socket whose protocol is not known.
const unknown = "unknown"

// openSockets returns the sockets that the service manager passed, and opens the other addresses of [listen]. The defaults
// are not opened if there are inherited sockets. With inherited ones, an address that cannot be opened is no error, so that
// the others are served; missing has these addresses.
func openSockets(inherited []server.InheritedSocket, l *config.Listen, log *logrus.Logger) (sockets []socket, missing []string, err error) {
	var errs []error // all of them: an operator mends them at once
	for _, h := range inherited {
		s := socket{protocolOf(h, l), h}
		sockets = append(sockets, s)
		s.warnIfReachable(log)
		log := log.WithFields(logrus.Fields{"protocol": s.protocol, "listener": h.Addr().String(), "inherited": h.Name})
		if s.protocol == unknown {
			log.Error("unknown protocol for inherited socket; set FileDescriptorName= in its unit, or name its address in [listen]")
		} else {
			log.Info("listening")
		}
	}
	if len(inherited) > 0 && !l.Explicit {
		return sockets, nil, nil
	}
	for _, protocol := range config.Protocols {
		for _, addr := range l.Addresses[protocol] {
			log := log.WithFields(logrus.Fields{"protocol": protocol, "listener": addr})
			if i := slices.IndexFunc(inherited, func(h server.InheritedSocket) bool { return h.Matches(addr) }); i >= 0 {
				if is := protocolOf(inherited[i], l); is != protocol {
					log.Errorf("the systemd unit of this socket selects %s, [listen] selects %s: using that of the unit", is, protocol)
					missing = append(missing, protocol+" on "+addr)
				}
				continue
			}
			ln, err := server.Listen(addr, server.SocketOptions{Group: l.SocketGroup, Mode: l.SocketMode})
			switch {
			case err == nil:
				s := socket{protocol, ln}
				sockets = append(sockets, s)
				s.warnIfReachable(log.Logger)
				log.Info("listening")
			case len(inherited) > 0:
				log.WithError(err).Error("cannot listen on this address; the other sockets are served")
				missing = append(missing, protocol+" on "+addr)
			default:
				errs = append(errs, err)
			}
		}
	}
	if len(errs) > 0 {
		for _, s := range sockets {
			s.Close()
		}
		return nil, nil, errors.Join(errs...)
	}
	return sockets, missing, nil
}

// hangUp closes each connection to inherited sockets for some time, and then the sockets. To a mail server a closed
// connection does less harm than one that waits; and a connection that waits has systemd start the daemon again at once,
// until it closes the sockets (TriggerLimitBurst=, systemd.socket(5)).
func hangUp(ctx context.Context, inherited []server.InheritedSocket, duration time.Duration) {
	if len(inherited) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	var all sync.WaitGroup
	for _, h := range inherited {
		context.AfterFunc(ctx, func() { h.Close() })
		all.Go(func() {
			for {
				c, err := h.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		})
	}
	all.Wait()
	<-ctx.Done()
}

// warnIfReachable warns of a socket that other machines can reach: it has no authentication.
func (s socket) warnIfReachable(log *logrus.Logger) {
	if at, ok := s.Addr().(*net.TCPAddr); ok && !at.IP.IsLoopback() {
		log.WithFields(logrus.Fields{"protocol": s.protocol, "listener": at.String()}).
			Warn("other machines may reach this socket, and it has no authentication: let a firewall admit only mail servers")
	}
}

func protocolOf(h server.InheritedSocket, l *config.Listen) string {
	return cmp.Or(l.ProtocolOf(h.Name, h.Matches, h.BaseName()), unknown)
}
