package doctor

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
)

// probe connects to where ehlogate is expected. away is what it costs if
// nobody listens there. Only memcache has a question that means nothing to
// the daemon's statistics; the others are connected to, and that is all.
func (e *exam) probe(p endpoint, proto string, at Place, away Severity) {
	if e.host.Dial == nil || e.probed[p] {
		return
	}
	e.probed[p] = true
	conn, err := e.host.Dial(p.network, p.addr)
	if err != nil {
		e.add(Finding{
			ID: "nobody-listens", Severity: away, Place: at,
			What: fmt.Sprintf("nobody answers at %s: %v", p, err),
			Why:  "Until ehlogate serves there, what is said for the case that it is away decides. Start it, or compare the address with [listen] in " + e.gate.File + ".",
		})
		return
	}
	defer conn.Close()
	if proto != memcacheProto {
		return
	}
	_ = conn.SetDeadline(time.Now().Add(dialLimit)) // a connection that takes no deadline still ends by itself
	if _, err := io.WriteString(conn, "version\r\n"); err == nil {
		reply, err := bufio.NewReader(io.LimitReader(conn, 512)).ReadString('\n')
		if err == nil && strings.HasPrefix(reply, "VERSION ehlogate") {
			return
		}
		if reply != "" {
			e.add(Finding{
				ID: "stranger-answers", Severity: Hazard, Place: at,
				What: fmt.Sprintf("somebody else answers at %s: %q", p, strings.TrimSpace(reply)),
				Why:  "The backup decides about everybody, or whoever that is. See who it is with \"ss -ltnp\".",
			})
			return
		}
	}
	e.add(Finding{
		ID: "no-answer", Severity: Hazard, Place: at,
		What: fmt.Sprintf("whoever listens at %s gives no answer within %v", p, dialLimit),
		Why:  "Every client waits for it. Either ehlogate hangs, or this is not ehlogate.",
	})
}
