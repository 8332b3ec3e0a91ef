package main

import (
	"net"
	"slices"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/listen"
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
// opens what else [listen] names. Defaults are not opened if there are held
// ones.
func openSockets(l *config.Listen, log *logrus.Logger) (sockets []socket, err error) {
	held, err := listen.Inherited()
	if err != nil {
		log.WithError(err).Error("no answer on a socket that was passed by the service manager")
	}
	defer func() {
		if err != nil {
			for _, s := range sockets {
				s.Close()
			}
		}
	}()
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
		return sockets, nil
	}
	for _, protocol := range config.Protocols {
		for _, addr := range l.Of(protocol) {
			if slices.ContainsFunc(held, func(h listen.Held) bool { return h.At(addr) }) {
				continue
			}
			ln, err := listen.Open(addr, listen.SocketOptions{Group: l.SocketGroup, Mode: l.SocketMode})
			if err != nil {
				return sockets, err
			}
			s := socket{protocol, ln}
			sockets = append(sockets, s)
			s.warn(log)
			log.WithFields(logrus.Fields{"protocol": protocol, "addr": ln.Addr().String()}).Info("listening")
		}
	}
	return sockets, nil
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
// address stands in [listen] or its defaults, or its file is named so.
func spokenOn(h listen.Held, l *config.Listen) string {
	if slices.Contains(config.Protocols, h.Name) {
		return h.Name
	}
	for _, protocol := range config.Protocols {
		if slices.ContainsFunc(l.Of(protocol), h.At) {
			return protocol
		}
	}
	if slices.Contains(config.Protocols, h.File()) {
		return h.File()
	}
	return unknown
}
