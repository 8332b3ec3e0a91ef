package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/server"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists"
	"ehlogate/lists/iptable"
	"ehlogate/lists/lazyregexp"
	"ehlogate/policyd"
	"ehlogate/policyd/memcache"
	"ehlogate/policyd/socketmap"
	"ehlogate/policyd/tcptable"
)

const (
	settle  = 2 * time.Second // an edit of a list takes effect within that
	perList = 2               // addresses, of each list
	samples = 12              // addresses in all: the daemon counts and logs each like a client
)

// compareRunning compares the answers of the daemon behind conn with the config and lists on disk. A list may have
// been edited just now, so two comparisons must agree.
func (e *exam) compareRunning(proto string, conn net.Conn, r *bufio.Reader, p endpoint) {
	d, ok := dialects[proto]
	if !ok || e.compared || e.config.File == "" || e.host.saved != "" {
		return
	}
	e.compared = true
	differs := e.findDifference(d, conn, r)
	if differs == "" {
		return
	}
	select {
	case <-e.ctx.Done():
		return
	case <-time.After(settle):
	}
	if e.findDifference(d, conn, r) == differs {
		e.add(Hazard, "running-differs", Place{File: e.config.File}, "the running daemon does not use the config on disk: "+differs,
			fmt.Sprintf("doctor queried it at %s. The daemon reads its config at a reload only. If the reload fails, journalctl -u ehlogate says why.", p),
			reloadDaemon)
	}
}

// findDifference queries addresses of the lists, and describes the first answer that is not as the files say. It returns
// "" if all are, if the right answers are unknown, or if the daemon does not answer.
func (e *exam) findDifference(d dialect, conn net.Conn, r *bufio.Reader) string {
	cfg := e.config
	live := state.Load(cfg, time.Now).Snapshot()
	if len(live.Unavailable()) > 0 { // the daemon keeps what it had
		e.addUnusableLists(live)
		return ""
	}
	p, whole := live.FileDecisions()
	daemon := d.server(policyd.Backend{Decider: lists.DeciderFunc(p.Review),
		Values: func(lists.Decision) *policyd.Values { return live.Values }, Fault: func(string, []byte) {}})
	now := make([]byte, 4<<10)
	for _, a := range sampleAddresses(e.ctx, live, p, whole) {
		query := d.query(a.String())
		_, would, _ := daemon.Answer(e.ctx, []byte(query), nil)
		_ = conn.SetDeadline(time.Now().Add(dialLimit + cfg.DNS.Wait))
		if _, err := io.WriteString(conn, query); err != nil {
			return ""
		}
		n, err := r.Read(now) // a reply is written at once
		if err != nil {
			return ""
		}
		if is, would := replyText(now[:n]), replyText(would); is != would && is != "" {
			return fmt.Sprintf("for %s it answers %s, and by the files the answer is %s", a, is, would)
		}
		if starttlsWord.Match(now[:n]) {
			e.suppressed = append(e.suppressed, a)
		}
	}
	return ""
}

// sampleAddresses returns addresses for which the decision is certain: some of each list, and one that no careful
// operator lists.
func sampleAddresses(ctx context.Context, live *state.Snapshot, p *lists.Policy, whole bool) (out []netip.Addr) {
	certain := func(a netip.Addr) bool {
		return whole || p.Review(ctx, lists.Client{Addr: a}).Reason == lists.ReasonListed
	}
	for _, list := range live.Files() {
		out = addSamples(out, list.Table(), certain)
	}
	if unlisted := netip.AddrFrom4([4]byte{192, 0, 2, 1}); whole && !slices.Contains(out, unlisted) {
		out = append(out, unlisted)
	}
	return out
}

// addSamples adds addresses that a table has, or nearly has, if they are wanted: perList at most, and samples in all.
func addSamples(out []netip.Addr, table *iptable.Table, wanted func(netip.Addr) bool) []netip.Addr {
	n, looked := 0, 0
	for a := range table.Boundaries() {
		if looked++; n == perList || looked > 1000 || len(out) == samples {
			break
		}
		if !slices.Contains(out, a) && wanted(a) {
			out = append(out, a)
			n++
		}
	}
	return out
}

// dialect is a protocol by which the daemon says what to hide from a client.
type dialect struct {
	server func(policyd.Backend) policyd.Protocol
	query  func(addr string) string
}

var dialects = map[string]dialect{
	memcacheProto: {
		func(b policyd.Backend) policyd.Protocol { return &memcache.Server{Backend: b} },
		func(addr string) string { return "get starttls:" + addr + "\r\n" },
	},
	socketmapProto: {
		func(b policyd.Backend) policyd.Protocol { return &socketmap.Server{Backend: b} },
		func(addr string) string { q := "starttls " + addr; return fmt.Sprintf("%d:%s,", len(q), q) },
	},
	tcpTableProto: {
		func(b policyd.Backend) policyd.Protocol { return &tcptable.Server{Backend: b} },
		func(addr string) string { return "get " + addr + "\n" },
	},
}

// lookupReply matches a reply of a dialect: the keywords to hide, if any.
var lookupReply = lazyregexp.New(`^(?:VALUE .*\r\n|\d+:OK |200 )(.*?)(?:\r\nEND\r\n|,|\n)$|^(?:END|\d+:NOTFOUND|500)\b`)

// replyText returns what a reply hides; "" if it is in another protocol.
func replyText(reply []byte) string {
	switch m := lookupReply.FindSubmatch(reply); {
	case m == nil:
		return ""
	case len(m[1]) == 0:
		return "nothing to hide"
	default:
		return fmt.Sprintf("%q", strings.ReplaceAll(string(m[1]), "%20", " "))
	}
}

// probeLimit bounds what is read from a connection.
const probeLimit = 64 << 10

// probe connects to where ehlogate is expected. away is what it costs if nothing listens there. If the protocol can
// hide keywords, the answers are compared with the lists; for memcache, the version tells which program answers. isOurs
// reports that it is ehlogate.
func (e *exam) probe(p endpoint, proto string, at Place, away Severity) (isOurs bool) {
	if isOurs, done := e.probed[p]; done || e.host.Dial == nil {
		return isOurs
	}
	e.probed[p] = false
	conn, err := e.host.Dial(p.network, p.addr)
	if errors.Is(err, fs.ErrPermission) {
		e.add(Note, "not-examined", at, fmt.Sprintf("cannot connect to ehlogate at %s: %v", p, err),
			"Only root and socket_group of [listen] may connect to the socket. Run doctor as root.", Write{shell, []string{e.command("doctor")}})
		return false
	}
	if err != nil {
		e.add(away, "unreachable", at, fmt.Sprintf("ehlogate is unreachable at %s: %v", p, err),
			"Until it listens there, the mail server does what it is configured to do without ehlogate. If ehlogate runs, compare the address with [listen] in "+
				e.file+", and with the sockets of systemd (systemctl list-sockets).", Write{shell, []string{"systemctl start ehlogate"}})
		return false
	}
	defer conn.Close()
	e.listener, _ = server.PeerCredentials(conn)
	r := bufio.NewReader(io.LimitReader(conn, probeLimit))
	if proto == memcacheProto {
		if e.probed[p] = e.isEhlogate(conn, r, p, at); !e.probed[p] {
			return false
		}
	}
	e.compareRunning(proto, conn, r, p)
	return e.probed[p]
}

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
