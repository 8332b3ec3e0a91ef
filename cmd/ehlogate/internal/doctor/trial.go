package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"ehlogate/lists"
	"ehlogate/policyd"
)

// standIn answers the mail server's own program in the place of ehlogate, so that the program shows what its clients
// would be offered. It serves one protocol on a port of loopback.
type standIn struct {
	net.Listener
	mu      sync.Mutex
	queried map[netip.Addr]bool
	done    sync.WaitGroup
}

// trialClient returns the address of a client of a trial, from a network that is in examples only (RFC 5737). The
// standIn suppresses those with odd numbers.
func trialClient(number int, suppressed bool) netip.Addr {
	last := 2 * (number % 127)
	if suppressed {
		last++
	}
	return netip.AddrFrom4([4]byte{203, 0, 113, byte(last)})
}

// startStandIn starts a standIn. It hides these keywords too from clients that it suppresses.
func startStandIn(ctx context.Context, proto string, hide lists.Keywords) (*standIn, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &standIn{Listener: l, queried: make(map[netip.Addr]bool)}
	server := dialects[proto].server(policyd.Backend{
		Decider: lists.DeciderFunc(func(_ context.Context, c lists.Client) (d lists.Decision) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.queried[c.Addr] = true
			if c.Addr.AsSlice()[len(c.Addr.AsSlice())-1]%2 == 1 {
				d.Action, d.Hidden = lists.Suppress, &lists.Hidden{Keywords: hide}
			}
			return d
		}),
		Values: func(lists.Decision) *policyd.Values { return policyd.NewValues(nil, false) },
		Fault:  func(string, []byte) {},
	})
	s.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.done.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(programLimit)) // a connection without deadlines still ends by itself
				policyd.Serve(ctx, c, server, func(string, []byte) {})
			})
		}
	})
	return s, nil
}

func (s *standIn) port() string { return fmt.Sprint(s.Addr().(*net.TCPAddr).Port) }

func (s *standIn) wasQueried(client netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queried[client]
}

func (s *standIn) stop() {
	s.Close()
	s.done.Wait()
}

// verdict is what a client would be offered.
type verdict int

const (
	offered verdict = iota
	hidden
	refused // the client gets an error in place of the banner
)

// trial is what one service of the mail server would do with clients about which ehlogate was queried.
type trial struct {
	service    string // as shown
	port       string
	submission bool // clients log in there
	local      bool // only this machine reaches it
	queried    bool
	suppressed verdict  // for a client that ehlogate suppresses
	shown      []string // the keywords that this client is offered, if that is known
	allowed    verdict  // for one that it does not
	down       verdict  // for any client while ehlogate is down
}

// isSubmissionPort reports whether mail programs hand in mail at a port.
func isSubmissionPort(port string) bool {
	return slices.Contains([]string{"submission", "587", "submissions", "smtps", "urd", "465"}, port)
}

// portNumber returns the number of a port that may have the name of a service.
func portNumber(port string) string {
	if n, err := net.LookupPort("tcp", strings.ToLower(port)); err == nil {
		return fmt.Sprint(n)
	}
	return port
}

// isLoopbackHost reports whether only this machine reaches an address.
func isLoopbackHost(host string) bool {
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// tryServer runs the trials of a mail server, in a directory for copies of its configuration, and judges them.
func (e *exam) tryServer(server string, at Place, run func(dir string) ([]trial, error), exempt func(ports []string) []Write) {
	if !e.host.Trial {
		return
	}
	var trials []trial
	dir, err := os.MkdirTemp("", "ehlogate-doctor-")
	if err == nil {
		defer os.RemoveAll(dir)
		trials, err = run(dir)
	}
	if err != nil {
		e.addUnread(at, "what "+server+" offers", err)
		return
	}
	e.judgeTrials(server, at, trials, exempt)
}

// judgeTrials reports what is wrong with what the services do. exempt returns what to write so that those ports query
// nothing.
func (e *exam) judgeTrials(server string, at Place, trials []trial, exempt func(ports []string) []Write) {
	var serves, queried, hides bool
	var submission, hidesAll, down, shows []trial
	isPublic := func(t trial) bool { return !t.submission && !t.local && t.port == "25" }
	hasPublic := slices.ContainsFunc(trials, isPublic)
	for _, t := range trials {
		if t.queried && t.allowed == offered && t.down != offered {
			down = append(down, t)
		}
		switch {
		case t.submission:
			if t.suppressed != offered || t.queried && t.allowed != offered {
				submission = append(submission, t)
			}
			continue
		case t.queried && t.allowed == hidden:
			hidesAll = append(hidesAll, t)
		}
		if hasPublic && !isPublic(t) {
			continue // what other mail servers do not reach
		}
		serves, queried = true, queried || t.queried
		if t.queried && t.suppressed == hidden {
			hides = true
		} else if t.suppressed == offered {
			shows = append(shows, t)
		}
	}
	if len(submission) > 0 {
		var ports []string
		for _, t := range submission {
			ports = append(ports, t.port)
		}
		e.add(Hazard, "submission-queries", at, submissionAsks+" on "+submission[0].service,
			"A suppressed client sends its password in the clear there, or cannot send at all.", exempt(ports)...)
	}
	for _, t := range hidesAll {
		e.add(Hazard, "starttls-hidden-from-all", at, "STARTTLS is hidden on "+t.service+" from clients that ehlogate allows",
			server+" was run with doctor in the place of ehlogate: a client that no list suppresses was not offered STARTTLS. Compare the setting with the example.")
	}
	for _, t := range down {
		what := "STARTTLS is hidden from all clients of " + t.service + " while ehlogate is down"
		if t.down == refused {
			what = "all clients of " + t.service + " are refused while ehlogate is down"
		}
		e.add(Hazard, "harm-while-down", at, what, server+" was run with nothing at the address of ehlogate. Compare the setting with the example: any answer but one that hides STARTTLS must offer it.")
	}
	switch {
	case !serves || len(hidesAll) > 0:
	case hides:
		for _, t := range shows {
			e.add(Warning, "port-not-queried", at, t.service+" offers STARTTLS to suppressed clients, and another service does not",
				server+" was run with doctor in the place of ehlogate. Other mail servers connect to both.")
		}
	case queried:
		e.add(Hazard, "hides-nothing", at, server+" queries ehlogate and does not use the answer",
			server+" was run with doctor in the place of ehlogate: a client that ehlogate suppresses was offered STARTTLS. Compare the setting with the example.")
	default:
		e.add(Warning, "ehlogate-not-queried", at, server+" has the address of ehlogate, and does not query it for STARTTLS",
			server+" was run with doctor in the place of ehlogate: for a client that delivers mail, nothing was queried. No client is suppressed. Compare the setting with the example.")
	}
}
