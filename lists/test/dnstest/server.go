package dnstest

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

var _ dns.Handler = (*Server)(nil)

// Server serves zones by UDP and TCP, and simulates faults. It is the authoritative server of the zones, and a resolver
// that knows no others: queries for other names are REFUSED. It is safe for concurrent use.
type Server struct {
	Addr netip.AddrPort // the same by UDP and TCP

	zones []*Zone       // those below others first
	ended chan struct{} // closed at the end

	mu      sync.Mutex
	faults  map[string]Fault // by canonical zone
	queries map[dns.Question]int
	total   int
	byTCP   int
}

// StartServer serves zones until the test ends.
func StartServer(t testing.TB, zones ...*Zone) *Server {
	t.Helper()
	s := &Server{
		zones:   slices.Clone(zones),
		ended:   make(chan struct{}),
		faults:  make(map[string]Fault),
		queries: make(map[dns.Question]int),
	}
	slices.SortStableFunc(s.zones, func(a, b *Zone) int { return dns.CountLabel(b.name) - dns.CountLabel(a.name) })
	pc, l := listen(t)
	s.Addr = pc.LocalAddr().(*net.UDPAddr).AddrPort()
	pc.(*net.UDPConn).SetReadBuffer(4 << 20) // so that queries are lost on purpose only
	for _, d := range []*dns.Server{{PacketConn: pc, Handler: s}, {Listener: l, Handler: s}} {
		started, done := make(chan struct{}), make(chan error, 1)
		d.NotifyStartedFunc = func() { close(started) }
		go func() { done <- d.ActivateAndServe() }()
		select {
		case <-started:
		case err := <-done:
			t.Fatal(err)
		}
		t.Cleanup(func() {
			d.Shutdown()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { close(s.ended) })
	return s
}

// Fail sets the fault of a domain and of all names below it; Fault{} ends it. Of several domains the one with the
// longest name counts; "." has all names.
func (s *Server) Fail(domain string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[dns.CanonicalName(domain)] = f
}

// Heal ends all faults.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.faults)
}

// QueryCount returns the number of queries for a name, of all types or of these, whatever the reply was.
func (s *Server) QueryCount(name string, types ...uint16) (n int) {
	name = dns.CanonicalName(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	for q, times := range s.queries {
		if q.Name == name && (types == nil || slices.Contains(types, q.Qtype)) {
			n += times
		}
	}
	return n
}

// Names returns the names in the queries so far, sorted.
func (s *Server) Names() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for q := range s.queries {
		names = append(names, q.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Total returns the number of queries, and of those that came by TCP.
func (s *Server) Total() (all, byTCP int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total, s.byTCP
}

// Forget sets the counts to 0.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.queries)
	s.total, s.byTCP = 0, 0
}

// Upstreams returns its zones.
func (s *Server) Upstreams() (all []Upstream) {
	for _, z := range s.zones {
		all = append(all, Upstream{Zone: z.name, Addr: s.Addr, Anchor: z.Anchor()})
	}
	return all
}

// ServeDNS implements [dns.Handler].
func (s *Server) ServeDNS(w dns.ResponseWriter, r *dns.Msg) {
	if len(r.Question) != 1 {
		w.WriteMsg(new(dns.Msg).SetRcodeFormatError(r))
		return
	}
	f := s.countQuery(r.Question[0], isTCP(w))
	if f.Delay > 0 {
		wait := time.NewTimer(f.Delay)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-s.ended:
			return
		}
	}
	f.apply(w, r, s.correctReply(r, isTCP(w)))
}

// countQuery counts a query, and returns the fault that applies.
func (s *Server) countQuery(q dns.Question, tcp bool) Fault {
	q.Name = dns.CanonicalName(q.Name)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries[q]++
	s.total++
	if tcp {
		s.byTCP++
	}
	for name := q.Name; ; {
		if f, ok := s.faults[name]; ok {
			return f
		}
		off, end := dns.NextLabel(name, 0)
		if end {
			return s.faults["."]
		}
		name = name[off:]
	}
}

// correctReply returns the reply without a fault.
func (s *Server) correctReply(r *dns.Msg, tcp bool) *dns.Msg {
	q := r.Question[0]
	m := new(dns.Msg).SetReply(r)
	m.RecursionAvailable, m.Compress = true, true
	opt := r.IsEdns0()
	signatures := opt != nil && opt.Do()
	i := slices.IndexFunc(s.zones, func(z *Zone) bool { return dns.IsSubDomain(z.name, strings.ToLower(q.Name)) })
	if i < 0 || q.Qclass != dns.ClassINET {
		m.Rcode = dns.RcodeRefused
	} else {
		z := s.zones[i]
		m.Authoritative = true
		m.AuthenticatedData = z.authentic.Load() && (signatures || r.AuthenticatedData)
		m.Answer, m.Ns, m.Rcode = z.view.Load().answerQuery(q.Name, q.Qtype, signatures)
	}
	size := dns.MinMsgSize
	if opt != nil {
		size = int(max(opt.UDPSize(), dns.MinMsgSize))
		m.SetEdns0(1232, opt.Do())
	}
	if !tcp {
		m.Truncate(size)
	}
	return m
}

func isTCP(w dns.ResponseWriter) bool { return w.LocalAddr().Network() == "tcp" }
