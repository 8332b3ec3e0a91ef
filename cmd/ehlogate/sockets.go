package main

import (
	"context"
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

// unknown is the protocol of a held socket of which we do not know what it is
// for.
const unknown = "unknown"

// openSockets takes the sockets that the service manager holds for us, and
// opens what else [listen] names; defaults are not opened if there are held
// ones. With held ones the rest is served even if an address cannot be opened:
// missing tells of those.
func openSockets(held []server.InheritedSocket, l *config.Listen, log *logrus.Logger) (sockets []socket, missing []string, err error) {
	for _, h := range held {
		s := socket{spokenOn(h, l), h}
		sockets = append(sockets, s)
		s.warn(log)
		log := log.WithFields(logrus.Fields{"protocol": s.protocol, "addr": h.Addr().String(), "held": h.Name})
		if s.protocol == unknown {
			log.Error("nobody is answered on this socket: give its unit FileDescriptorName= with what is to be spoken, or name its address in [listen]")
		} else {
			log.Info("listening")
		}
	}
	if len(held) > 0 && !l.Explicit {
		return sockets, nil, nil
	}
	for _, protocol := range config.Protocols {
		for _, addr := range l.Addresses(protocol) {
			log := log.WithFields(logrus.Fields{"protocol": protocol, "addr": addr})
			if i := slices.IndexFunc(held, func(h server.InheritedSocket) bool { return h.Matches(addr) }); i >= 0 {
				if is := spokenOn(held[i], l); is != protocol {
					log.Errorf("the unit of this socket says that %s is spoken there, [listen] says %s: the unit counts", is, protocol)
					missing = append(missing, protocol+" on "+addr)
				}
				continue
			}
			ln, err := server.Listen(addr, server.SocketOptions{Group: l.SocketGroup, Mode: l.SocketMode})
			switch {
			case err == nil:
				s := socket{protocol, ln}
				sockets = append(sockets, s)
				s.warn(log.Logger)
				log.Info("listening")
			case len(held) > 0:
				log.WithError(err).Error("this address is not served, others are")
				missing = append(missing, protocol+" on "+addr)
			default:
				for _, s := range sockets {
					s.Close()
				}
				return nil, nil, err
			}
		}
	}
	return sockets, missing, nil
}

// hangUp closes each connection to held sockets, for a time: to be hung up on
// is better than to wait, and one that waits has us started again at once,
// until systemd closes the sockets (TriggerLimitBurst=, systemd.socket(5)).
func hangUp(ctx context.Context, held []server.InheritedSocket, long time.Duration) {
	if len(held) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	var all sync.WaitGroup
	for _, h := range held {
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

// warn tells of a socket that others than this machine can reach: nobody has
// to say there who he is.
func (s socket) warn(log *logrus.Logger) {
	if at, ok := s.Addr().(*net.TCPAddr); ok && !at.IP.IsLoopback() {
		log.WithFields(logrus.Fields{"protocol": s.protocol, "addr": at.String()}).
			Warn("other machines may reach this socket, and whoever does may ask: see that a firewall lets in only those who should")
	}
}

// spokenOn tells the protocol of a held socket: its name says it, or its
// address stands in [listen], or in the defaults, or its file is named so.
func spokenOn(h server.InheritedSocket, l *config.Listen) string {
	if slices.Contains(config.Protocols, h.Name) {
		return h.Name
	}
	for _, l := range []*config.Listen{l, &config.Defaults().Listen} {
		for _, protocol := range config.Protocols {
			if slices.ContainsFunc(l.Addresses(protocol), h.Matches) {
				return protocol
			}
		}
	}
	if slices.Contains(config.Protocols, h.BaseName()) {
		return h.BaseName()
	}
	return unknown
}
