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

// Server serves zones by UDP and TCP, and has their faults. It may be asked as
// the server with authority, and as a resolver that knows nothing but them;
// whatever is elsewhere is REFUSED. Its methods may be called by many at once.
type Server struct {
	Addr netip.AddrPort // the same by UDP and TCP

	zones []*Zone       // those below others first
	ended chan struct{} // closed at the end

	mu     sync.Mutex
	faults map[string]Fault // by canonical zone
	asked  map[dns.Question]int
	total  int
	byTCP  int
}

// StartServer serves zones until the test ends.
func StartServer(t testing.TB, zones ...*Zone) *Server {
	t.Helper()
	s := &Server{
		zones:  slices.Clone(zones),
		ended:  make(chan struct{}),
		faults: make(map[string]Fault),
		asked:  make(map[dns.Question]int),
	}
	slices.SortStableFunc(s.zones, func(a, b *Zone) int { return dns.CountLabel(b.name) - dns.CountLabel(a.name) })
	pc, l := listen(t)
	s.Addr = pc.LocalAddr().(*net.UDPAddr).AddrPort()
	pc.(*net.UDPConn).SetReadBuffer(4 << 20) // what is dropped is to be dropped on purpose
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

// Fail gives a fault to a domain and what is below it, in place of the one that
// it has, and Fault{} takes it away. The one of the smallest domain counts; "."
// is everything.
func (s *Server) Fail(domain string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[dns.CanonicalName(domain)] = f
}

// Heal takes all faults away.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.faults)
}

// Asked is how often a name was asked for, in all types or in these, whatever
// came of it.
func (s *Server) Asked(name string, types ...uint16) (n int) {
	name = dns.CanonicalName(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	for q, times := range s.asked {
		if q.Name == name && (types == nil || slices.Contains(types, q.Qtype)) {
			n += times
		}
	}
	return n
}

// Names are those that were asked for, in order.
func (s *Server) Names() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for q := range s.asked {
		names = append(names, q.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Total is how many questions came, and how many of them by TCP.
func (s *Server) Total() (all, byTCP int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total, s.byTCP
}

// Forget begins to count anew.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.asked)
	s.total, s.byTCP = 0, 0
}

// Upstreams are its zones.
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
	f := s.note(r.Question[0], isTCP(w))
	if f.Delay > 0 {
		wait := time.NewTimer(f.Delay)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-s.ended:
			return
		}
	}
	f.apply(w, r, s.answer(r, isTCP(w)))
}

// note counts a question, and gives the fault that it meets.
func (s *Server) note(q dns.Question, tcp bool) Fault {
	q.Name = dns.CanonicalName(q.Name)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[q]++
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

// answer gives the right one.
func (s *Server) answer(r *dns.Msg, tcp bool) *dns.Msg {
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
		m.AuthenticatedData = z.vouched.Load() && (signatures || r.AuthenticatedData)
		m.Answer, m.Ns, m.Rcode = z.view.Load().find(q.Name, q.Qtype, signatures)
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
