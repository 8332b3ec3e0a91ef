package doctor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists"
	"ehlogate/policyd"
	"ehlogate/policyd/memcache"
	"ehlogate/policyd/socketmap"
	"ehlogate/policyd/tcptable"
)

const (
	settle      = 2 * time.Second // an edit of a list takes effect within that
	comparisons = 4               // at most
	perList     = 2               // addresses, of each list
	samples     = 12              // addresses in all: the daemon counts and logs each like a client
)

// compareRunning compares the answers of the daemon behind conn with the config and lists on disk. A list may have
// been edited just now, so two comparisons must agree.
func (e *exam) compareRunning(proto string, conn net.Conn, r *bufio.Reader, p endpoint) {
	ctx, cfg := e.ctx, e.config
	d, ok := dialects[proto]
	if !ok || e.compared || cfg.File == "" || e.host.Saved {
		return
	}
	e.compared = true
	var before []string
	for range comparisons {
		differs, written, ok := e.findDifferences(ctx, d, conn, r)
		if !ok || len(differs) == 0 {
			return
		}
		age := time.Since(written)
		if slices.Equal(differs, before) && (age > settle || age < -settle) { // a time in the future says nothing
			e.add(Hazard, "running-differs", Place{File: cfg.File}, "the running daemon does not use the config on disk: "+differs[0],
				fmt.Sprintf("doctor queried it at %s. The daemon reads its config at a reload only. If the reload fails, journalctl -u ehlogate says why.", p),
				Write{shell, []string{"systemctl reload ehlogate"}})
			return
		}
		before = differs
		select {
		case <-ctx.Done():
			return
		case <-time.After(settle):
		}
	}
}

// findDifferences queries addresses of the lists. ok is false if the right answers are unknown, or the daemon does
// not answer.
func (e *exam) findDifferences(ctx context.Context, d dialect, conn net.Conn, r *bufio.Reader) (out []string, written time.Time, ok bool) {
	cfg := e.config
	live := state.Load(cfg, time.Now).Snapshot()
	if len(live.Unavailable()) > 0 { // the daemon keeps what it had
		return nil, written, false
	}
	for _, list := range live.Files() {
		if t := list.Files().LastWritten(); t.After(written) {
			written = t
		}
	}
	p, whole := fileDecisions(cfg, live)
	server := d.server(policyd.Backend{Decider: lists.DeciderFunc(p.Review),
		Keywords: func(lists.Decision) *policyd.Keywords { return live.Keywords }, Fault: func(string, []byte) {}})
	for _, a := range sampleAddresses(ctx, live, p, whole) {
		query := d.query(a.String())
		_, reply, _ := server.Answer(ctx, []byte(query), nil)
		would, _ := d.read(bufio.NewReader(bytes.NewReader(reply)))
		_ = conn.SetDeadline(time.Now().Add(dialLimit + cfg.DNS.Wait))
		if _, err := io.WriteString(conn, query); err != nil {
			return nil, written, false
		}
		now, err := d.read(r)
		if err != nil {
			return nil, written, false
		}
		if now != would {
			out = append(out, fmt.Sprintf("for %s it answers %s, and by the files the answer is %s", a, keywordsText(now), keywordsText(would)))
		}
	}
	return out, written, true
}

// fileDecisions returns the policy as far as files alone decide: up to the first list that depends on DNS or on a
// commitment. whole reports whether that is all of it, with the default.
func fileDecisions(cfg *config.Config, live *state.Snapshot) (p *lists.Policy, whole bool) {
	policy := *live.Policy
	n := slices.IndexFunc(cfg.Lists, func(l config.List) bool { // a feed is overridden by a commitment to STARTTLS
		return l.IsDNSList() || policy.Guard != nil && l.IsExternal()
	})
	if cfg.DNS.VerifyNames {
		for i, l := range policy.Lists {
			if u, ok := l.Source.(lists.NameUser); ok && u.UsesNames() && (n < 0 || i < n) {
				n = i
			}
		}
	}
	whole = n < 0 && policy.Limit == nil && policy.Guard == nil
	if n >= 0 {
		policy.Lists = policy.Lists[:n]
	}
	policy.Guard, policy.Limit, policy.FailOpen, policy.Names, policy.Wait = nil, nil, nil, nil, 0
	return &policy, whole
}

// sampleAddresses returns addresses for which the decision is certain: some of each list, and one that no careful
// operator lists.
func sampleAddresses(ctx context.Context, live *state.Snapshot, p *lists.Policy, whole bool) (out []netip.Addr) {
	certain := func(a netip.Addr) bool {
		return whole || p.Review(ctx, lists.Client{Addr: a}).Reason == lists.ReasonListed
	}
	for _, list := range live.Files() {
		n, looked := 0, 0
		for a := range list.Table().Boundaries() {
			if looked++; n == perList || looked > 1000 || len(out) == samples {
				break
			}
			if !slices.Contains(out, a) && certain(a) {
				out = append(out, a)
				n++
			}
		}
	}
	if unlisted := netip.AddrFrom4([4]byte{192, 0, 2, 1}); whole && !slices.Contains(out, unlisted) {
		out = append(out, unlisted)
	}
	return out
}

// dialect is a protocol by which the daemon says what to hide from a client.
type dialect struct {
	server func(policyd.Backend) policyd.Protocol
	query  func(addr string) string
	read   func(r *bufio.Reader) (keywords string, err error) // the reply; empty if nothing is to be hidden
}

var dialects = map[string]dialect{
	memcacheProto: {
		func(b policyd.Backend) policyd.Protocol { return &memcache.Server{Backend: b} },
		func(addr string) string { return "get starttls:" + addr + "\r\n" }, readMemcache,
	},
	socketmapProto: {
		func(b policyd.Backend) policyd.Protocol { return &socketmap.Server{Backend: b} },
		func(addr string) string { q := "starttls " + addr; return fmt.Sprintf("%d:%s,", len(q), q) }, readSocketmap,
	},
	tcpTableProto: {
		func(b policyd.Backend) policyd.Protocol { return &tcptable.Server{Backend: b} },
		func(addr string) string { return "get " + addr + "\n" }, readTCPTable,
	},
}

func readMemcache(r *bufio.Reader) (keywords string, err error) {
	for {
		l, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		switch l = strings.TrimSpace(l); {
		case l == "END":
			return keywords, nil
		case !strings.HasPrefix(l, "VALUE "):
			keywords = l
		}
	}
}

func readSocketmap(r *bufio.Reader) (keywords string, err error) {
	var length uint16
	if _, err := fmt.Fscanf(r, "%d:", &length); err != nil {
		return "", err
	}
	reply := make([]byte, int(length)+len(","))
	if _, err := io.ReadFull(r, reply); err != nil {
		return "", err
	}
	return textOf(string(reply[:length]), "OK", "NOTFOUND")
}

func readTCPTable(r *bufio.Reader) (keywords string, err error) {
	l, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	keywords, err = textOf(strings.TrimSpace(l), "200", "500")
	return strings.ReplaceAll(keywords, "%20", " "), err
}

// textOf returns the text behind the status found, and no text with the status missing.
func textOf(reply, found, missing string) (string, error) {
	switch status, text, _ := strings.Cut(reply, " "); status {
	case found:
		return text, nil
	case missing:
		return "", nil
	}
	return "", errors.New("a reply in another protocol")
}

func keywordsText(keywords string) string {
	if keywords == "" {
		return "nothing to hide"
	}
	return fmt.Sprintf("%q", keywords)
}
