package doctor

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// probeLimit bounds what is read from a connection.
const probeLimit = 64 << 10

// probe connects to where ehlogate is expected. away is what it costs if nothing listens there. If the protocol can
// hide keywords, the answers are compared with the lists; for memcache, the version tells which program answers.
func (e *exam) probe(p endpoint, proto string, at Place, away Severity) {
	if e.host.Dial == nil || e.probed[p] {
		return
	}
	e.probed[p] = true
	conn, err := e.host.Dial(p.network, p.addr)
	if err != nil {
		e.add(away, "unreachable", at, fmt.Sprintf("ehlogate is unreachable at %s: %v", p, err),
			"Until it listens there, the mail server does what it is configured to do without ehlogate. If ehlogate runs, compare the address with [listen] in "+
				e.file+", and with the sockets of systemd (systemctl list-sockets).", Write{shell, []string{"systemctl start ehlogate"}})
		return
	}
	defer conn.Close()
	r := bufio.NewReader(io.LimitReader(conn, probeLimit))
	if proto == memcacheProto && !e.isEhlogate(conn, r, p, at) {
		return
	}
	e.compareRunning(proto, conn, r, p)
}

// isEhlogate reports whether ehlogate answers at the other end of conn.
func (e *exam) isEhlogate(conn net.Conn, r *bufio.Reader, p endpoint, at Place) bool {
	_ = conn.SetDeadline(time.Now().Add(dialLimit)) // a connection without deadlines still ends by itself
	var reply string
	_, err := io.WriteString(conn, "version\r\n")
	if err == nil {
		reply, err = r.ReadString('\n')
	}
	switch {
	case err == nil && strings.HasPrefix(reply, "VERSION ehlogate"):
		return true
	case reply != "":
		e.add(Hazard, "other-program-answers", at, fmt.Sprintf("a program other than ehlogate answers at %s: %q", p, strings.TrimSpace(reply)),
			"That program decides about all clients, or the backup does. \"ss -lntxp\" shows which program it is.")
	default:
		e.add(Hazard, "no-answer", at, fmt.Sprintf("timeout: no answer at %s within %v", p, dialLimit),
			"Every client waits for it. Either ehlogate hangs, or another program listens there.")
	}
	return false
}
