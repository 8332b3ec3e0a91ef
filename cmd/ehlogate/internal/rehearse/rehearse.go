// Package rehearse tries rules of nftables out where they can hurt nobody: in a
// network namespace that has interfaces of the same names and with the same
// addresses as this machine, neighbours at the other end of each, and somebody
// far away. Connections are made there, and it is seen which of them arrive, and
// which rule kept the others from it. So nothing has to be known about what a
// rule means, and nothing of this machine's network is touched.
//
// Neighbours are one of each network, and some of each set that the rules have.
// The rules that the machine has already are loaded before them. What is not
// tried, of what could matter, is said.
package rehearse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/user"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ehlogate/cmd/ehlogate/internal/test/netns"
)

// patience is how long a connection may take that nobody answers: its first
// packet is sent again after a second.
const patience = 2500 * time.Millisecond

// Outcome is what came of a connection.
type Outcome int

// The outcomes.
const (
	Passed Outcome = iota // it arrived where it was meant for
	Caught                // a rule sent it elsewhere
	Lost                  // it arrived nowhere
)

// Trial is one connection.
type Trial struct {
	// In is the interface through which it came; empty for one that this machine
	// itself opened.
	In      string
	From    netip.Addr
	To      netip.AddrPort
	Own     bool // mail that the gateway sends on
	Inward  bool // from far away to a neighbour
	Outcome Outcome
	Rule    string // if not Passed: the rule that decided, with its table and chain, if one is known
	// Blocked is the rule that keeps a connection that was redirected to a port of
	// this machine from getting there; "no rule" if none is known.
	Blocked string

	source *netns.Namespace
	port   uint16 // of the source, which tells trials apart
}

// Result is what was tried.
type Result struct {
	Trials  []Trial
	Untried []string // what was not, in words
}

// Try loads a file for nft -f, and makes the trials that there are for a machine.
// It fails if the rules cannot be loaded, if nothing can be tried, or if there
// can be no namespaces (CAP_SYS_ADMIN).
func Try(ctx context.Context, m Machine, file string) (Result, error) {
	var r Result
	m, r.Untried = m.bounded()
	s, err := build(ctx, m)
	if err != nil {
		return r, err
	}
	defer s.close()
	if err := s.before(ctx, m.Rules); err != nil {
		r.Untried = append(r.Untried, "how these rules and those that the machine has work together, which cannot be loaded here: "+err.Error())
	}
	if err := s.load(ctx, file); err != nil {
		return r, err
	}
	if err := s.invite(ctx, m); err != nil {
		return r, err
	}
	r.Trials = s.trials()
	for _, f := range []struct {
		far  netip.Addr
		name string
	}{{far4, "IPv4"}, {far6, "IPv6"}} {
		if s.has(f.far.Is4()) && s.out(f.far) == nil {
			r.Untried = append(r.Untried, f.name+", by which this machine reaches nobody far away")
		}
	}
	t, err := s.trace(ctx)
	if err != nil {
		return r, err
	}
	defer t.stop()
	if err := s.run(ctx, r.Trials); err != nil {
		return r, err
	}
	if err := s.knock(ctx, t, lastKnock, patience); err != nil {
		return r, err
	}
	for i := range r.Trials {
		if r.Trials[i].Outcome != Passed {
			r.Trials[i].Rule, r.Trials[i].Outcome = t.decided(r.Trials[i].port)
		}
	}
	return r, s.arrive(ctx, t, r.Trials)
}

// firstPort is the source of the first trial.
const firstPort = 20000

// Ports that are tried: what servers deliver to, and what is for submission (RFC
// 8314, RFC 6409).
var ports = []uint16{25, 465, 587}

// trials are what is worth trying on the stage.
func (s *scene) trials() (all []Trial) {
	add := func(t Trial) {
		t.port = firstPort + uint16(len(all))
		all = append(all, t)
	}
	for _, own := range s.own {
		if far := s.far(own); far.IsValid() {
			add(Trial{From: own, To: netip.AddrPortFrom(far, 25), Own: true, source: s.gateway})
		}
	}
	for _, l := range s.links {
		for _, own := range l.addrs {
			if far := s.far(own); far.IsValid() {
				add(Trial{From: own, To: netip.AddrPortFrom(far, 25), Own: true, source: s.gateway})
			}
		}
		for _, near := range l.near {
			far := s.far(near.addr)
			if !far.IsValid() || l == s.out(near.addr) {
				continue
			}
			if near.relay {
				add(Trial{In: l.name, From: near.addr, To: netip.AddrPortFrom(far, 25), Own: true, source: l.ns})
				continue
			}
			for _, port := range ports {
				add(Trial{In: l.name, From: near.addr, To: netip.AddrPortFrom(far, port), source: l.ns})
			}
			out := s.out(near.addr)
			add(Trial{In: out.name, From: far, To: netip.AddrPortFrom(near.addr, 25), Inward: true, source: out.ns})
		}
	}
	return all
}

// atOnce is how many connections are made at a time: each has a thread.
const atOnce = 32

// run makes the connections.
func (s *scene) run(ctx context.Context, trials []Trial) error {
	var wg sync.WaitGroup
	errs := make([]error, len(trials))
	room := make(chan struct{}, atOnce)
	for i := range trials {
		room <- struct{}{}
		wg.Go(func() {
			errs[i] = trials[i].connect(ctx)
			<-room
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (t *Trial) connect(ctx context.Context) error {
	dialer := net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(t.From, t.port))}
	return t.source.Do(func() error {
		if t.Own && t.In == "" { // rules may know the user (meta skuid)
			defer asPostfix()()
		}
		conn, err := dialer.DialContext(ctx, "tcp", t.To.String())
		switch {
		case err == nil:
			return conn.Close()
		case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EADDRINUSE), ctx.Err() != nil:
			return fmt.Errorf("trying a connection from %s: %w", t.From, err)
		}
		t.Outcome = Lost
		return nil
	})
}

// asPostfix has this thread open sockets as the user of Postfix, if there is one,
// until the function that it returns is called.
func asPostfix() (back func()) {
	u, err := user.Lookup("postfix")
	if err != nil {
		return func() {}
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return func() {}
	}
	before, err := unix.SetfsuidRetUid(uid)
	if err != nil {
		return func() {}
	}
	return func() { _, _ = unix.SetfsuidRetUid(before) }
}

// here finds the port of this machine to which a rule redirects.
var here = regexp.MustCompile(`\bredirect to :(\d+)`)

// arrive looks whether what is redirected to a port of this machine gets there,
// if somebody listens.
func (s *scene) arrive(ctx context.Context, t *trace, trials []Trial) error {
	var again []Trial
	var which []int
	listening := map[string]bool{}
	for i, trial := range trials {
		m := here.FindStringSubmatch(trial.Rule)
		if trial.Outcome != Caught || trial.In == "" || m == nil {
			continue
		}
		if at := ":" + m[1]; !listening[at] { // of both families
			listening[at] = true
			if err := s.listen(s.gateway, at); err != nil {
				return err
			}
		}
		trial.Outcome, trial.port = Passed, trial.port+uint16(len(trials))
		again, which = append(again, trial), append(which, i)
	}
	if err := s.run(ctx, again); err != nil {
		return err
	}
	if err := s.knock(ctx, t, finalKnock, patience); err != nil {
		return err
	}
	for i, trial := range again {
		if trial.Outcome == Passed {
			continue
		}
		trials[which[i]].Blocked = cmp.Or(t.blocked(trial.port), "no rule")
	}
	return nil
}
