package doctor

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
)

// probeLimit bounds what is read from a connection.
const probeLimit = 64 << 10

// probe connects to where ehlogate is expected. away is what it costs if nothing listens there. Through memcache it is asked
// which program it is; through all that hides keywords, what it answers now; to the others a connection is all that is made.
func (e *exam) probe(p endpoint, proto string, at Place, away Severity) {
	if e.host.Dial == nil || e.probed[p] {
		return
	}
	e.probed[p] = true
	conn, err := e.host.Dial(p.network, p.addr)
	if err != nil {
		e.add(Finding{
			ID: "unreachable", Severity: away, Place: at,
			What: fmt.Sprintf("ehlogate is unreachable at %s: %v", p, err),
			Why: "Until it serves there, what is configured for the case that it is away decides. If it runs, compare the address with [listen] in " +
				e.gate.File + ", and with the sockets of systemd (systemctl list-sockets).",
			Write: Write{shell, []string{"systemctl start ehlogate"}},
		})
		return
	}
	defer conn.Close()
	r := bufio.NewReader(io.LimitReader(conn, probeLimit))
	if proto != memcacheProto {
		e.running(e.ctx, proto, conn, r, p)
		return
	}
	_ = conn.SetDeadline(time.Now().Add(dialLimit)) // a connection that takes no deadline still ends by itself
	if _, err := io.WriteString(conn, "version\r\n"); err == nil {
		reply, err := r.ReadString('\n')
		if err == nil && strings.HasPrefix(reply, "VERSION ehlogate") {
			e.running(e.ctx, proto, conn, r, p)
			return
		}
		if reply != "" {
			e.add(Finding{
				ID: "stranger-answers", Severity: Hazard, Place: at,
				What: fmt.Sprintf("another program than ehlogate answers at %s: %q", p, strings.TrimSpace(reply)),
				Why:  "That program decides about all clients, or the backup. \"ss -lntxp\" shows which program it is.",
			})
			return
		}
	}
	e.add(Finding{
		ID: "no-answer", Severity: Hazard, Place: at,
		What: fmt.Sprintf("what listens at %s gives no answer within %v", p, dialLimit),
		Why:  "Every client waits for it. Either ehlogate hangs, or another program listens there.",
	})
}
