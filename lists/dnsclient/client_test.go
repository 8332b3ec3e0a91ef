package dnsclient

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// long is a Timeout that no test waits for; short is one that some do.
const (
	long  = 20 * time.Second
	short = 50 * time.Millisecond
)

// listenBoth listens on loopback, on the same port by UDP and TCP.
func listenBoth(t testing.TB) (pc net.PacketConn, l net.Listener) {
	t.Helper()
	var err error
	for range 20 { // another program may have the port for TCP
		if pc, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if l, err = net.Listen("tcp", pc.LocalAddr().String()); err == nil {
			return pc, l
		}
		pc.Close()
	}
	t.Fatal(err)
	return nil, nil
}

// serve starts a server on loopback, on the same port by UDP and TCP.
func serve(t testing.TB, h dns.HandlerFunc) netip.AddrPort {
	t.Helper()
	pc, l := listenBoth(t)
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: h}, {Listener: l, Handler: h}} {
		started, done := make(chan struct{}), make(chan error, 1)
		s.NotifyStartedFunc = func() { close(started) }
		go func() { done <- s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() {
			s.Shutdown()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	return pc.LocalAddr().(*net.UDPAddr).AddrPort()
}

// closed returns an address where no server listens.
func closed(t *testing.T) netip.AddrPort {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	return pc.LocalAddr().(*net.UDPAddr).AddrPort()
}

func client(timeout time.Duration, tries int, servers ...netip.AddrPort) *Client {
	return New(Options{Servers: servers, Timeout: timeout, Tries: tries})
}

func isTCP(w dns.ResponseWriter) bool { return w.LocalAddr().Network() == "tcp" }

// sendReply sends a reply to r as change makes it.
func sendReply(w dns.ResponseWriter, r *dns.Msg, change func(*dns.Msg)) {
	m := new(dns.Msg).SetReply(r)
	m.RecursionAvailable = true
	if change != nil {
		change(m)
	}
	w.WriteMsg(m)
}

func parseRR(s string) dns.RR {
	r, err := dns.NewRR(s)
	if err != nil || r == nil {
		panic(s)
	}
	return r
}

const held = "a.test. 300 IN A 127.0.0.2"

func listed(m *dns.Msg) { m.Answer = append(m.Answer, parseRR(held)) }

func fails(code int) dns.HandlerFunc {
	return func(w dns.ResponseWriter, r *dns.Msg) { sendReply(w, r, func(m *dns.Msg) { m.Rcode = code }) }
}

func silent(dns.ResponseWriter, *dns.Msg) {}

func lists(w dns.ResponseWriter, r *dns.Msg) { sendReply(w, r, listed) }

func counted(n *atomic.Int32, h dns.HandlerFunc) dns.HandlerFunc {
	return func(w dns.ResponseWriter, r *dns.Msg) { n.Add(1); h(w, r) }
}

// isHeld fails unless a is the answer that held is in.
func isHeld(t *testing.T, a Answer, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Records) != 1 || a.Records[0].(*dns.A).A.String() != "127.0.0.2" || a.TTL != 300*time.Second {
		t.Fatalf("got %+v", a)
	}
}

func TestQuestion(t *testing.T) {
	type received struct {
		m     *dns.Msg
		bytes int
		from  string
	}
	got := make(chan received, 1)
	s := serve(t, func(w dns.ResponseWriter, r *dns.Msg) {
		got <- received{r, r.Len(), w.RemoteAddr().String()}
		sendReply(w, r, func(m *dns.Msg) { listed(m); m.AuthenticatedData = true })
	})
	c := client(long, 1, s)
	a, err := c.Query(context.Background(), "a.test", dns.TypeA)
	isHeld(t, a, err)
	if !a.Authentic || a.Server != s {
		t.Errorf("got %+v", a)
	}
	first := <-got
	m := first.m
	if e := m.IsEdns0(); e == nil || e.UDPSize() != 1232 || e.Do() {
		t.Errorf("EDNS: %v", e)
	}
	if !m.RecursionDesired || !m.AuthenticatedData || m.CheckingDisabled || m.Question[0].Name != "a.test." {
		t.Errorf("received %v", m)
	}
	if a, err = c.Query(context.Background(), "a.test.", dns.TypeA); err != nil {
		t.Fatal(err)
	}
	second := <-got
	if _, err = c.Query(context.Background(), "a.test", dns.TypeA); err != nil {
		t.Fatal(err)
	}
	third := <-got
	// A random id or port may come twice, but hardly three times.
	if first.m.Id == second.m.Id && first.m.Id == third.m.Id || first.from == second.from && first.from == third.from {
		t.Errorf("ids %d, %d, %d, sources %s, %s, %s", first.m.Id, second.m.Id, third.m.Id, first.from, second.from, third.from)
	}
}

func TestNoName(t *testing.T) {
	for _, name := range []string{strings.Repeat("a", 64) + ".test", strings.Repeat("a.", 130), "a..test"} {
		var e *Error
		_, err := client(long, 1, closed(t)).Query(context.Background(), name, dns.TypeA)
		if !errors.As(err, &e) || e.Kind != Malformed || e.Server.IsValid() {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestNoServer(t *testing.T) {
	if _, err := New(Options{}).Query(context.Background(), "a.test", dns.TypeA); KindOf(err) != Unreachable || !errors.Is(err, errNoServer) {
		t.Error(err)
	}
}

// TestImpostors: what is no reply to the query does not end the wait.
func TestImpostors(t *testing.T) {
	for name, change := range map[string]func(*dns.Msg){
		"id":             func(m *dns.Msg) { m.Id++ },
		"name":           func(m *dns.Msg) { m.Question[0].Name = "b.test." },
		"longer name":    func(m *dns.Msg) { m.Question[0].Name = "a.test.test." },
		"type":           func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA },
		"class":          func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS },
		"no reply":       func(m *dns.Msg) { m.Response = false },
		"opcode":         func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify },
		"no question":    func(m *dns.Msg) { m.Question = nil },
		"nothing at all": func(m *dns.Msg) { *m = dns.Msg{MsgHdr: m.MsgHdr} },
		"two questions":  func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w dns.ResponseWriter, r *dns.Msg) {
				sendReply(w, r, func(m *dns.Msg) { m.Answer = append(m.Answer, parseRR("a.test. 1 IN A 192.0.2.1")); change(m) })
				w.Write([]byte{byte(r.Id >> 8), byte(r.Id), 0x80})
				sendReply(w, r, listed)
			})
			a, err := client(long, 1, s).Query(context.Background(), "a.test", dns.TypeA)
			isHeld(t, a, err)
		})
	}
	// Alone, it is as if nothing had come.
	s := serve(t, func(w dns.ResponseWriter, r *dns.Msg) { sendReply(w, r, func(m *dns.Msg) { listed(m); m.Id++ }) })
	if _, err := client(short, 1, s).Query(context.Background(), "a.test", dns.TypeA); KindOf(err) != Timeout {
		t.Error(err)
	}
}

func TestCase(t *testing.T) {
	s := serve(t, func(w dns.ResponseWriter, r *dns.Msg) {
		sendReply(w, r, func(m *dns.Msg) {
			m.Question[0].Name = "A.tEst."
			m.Answer = []dns.RR{parseRR("a.TEST. 300 IN CNAME B.test."), parseRR("b.tesT. 400 IN A 127.0.0.2")}
		})
	})
	a, err := client(long, 1, s).Query(context.Background(), "a.Test", dns.TypeA)
	isHeld(t, a, err)
}

func TestDrop(t *testing.T) {
	var n atomic.Int32
	s := serve(t, counted(&n, silent))
	_, err := client(short, 2, s).Query(context.Background(), "a.test", dns.TypeA)
	if KindOf(err) != Timeout || n.Load() != 2 {
		t.Errorf("%v after %d questions", err, n.Load())
	}
	if got, want := err.Error(), "a.test A: timeout from "+s.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s = serve(t, func(w dns.ResponseWriter, r *dns.Msg) {
		if n.Add(1) > 3 { // the first packet is lost
			lists(w, r)
		}
	})
	a, err := client(short, 9, s).Query(context.Background(), "a.test", dns.TypeA)
	isHeld(t, a, err)
}

func TestContext(t *testing.T) {
	for name, h := range map[string]dns.HandlerFunc{
		"UDP": silent,
		"TCP": func(w dns.ResponseWriter, r *dns.Msg) {
			if !isTCP(w) {
				sendReply(w, r, func(m *dns.Msg) { m.Truncated = true })
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			s := serve(t, func(w dns.ResponseWriter, r *dns.Msg) {
				h(w, r)
				if name == "UDP" || isTCP(w) {
					cancel()
				}
			})
			begun := time.Now()
			_, err := client(long, 3, s).Query(ctx, "a.test", dns.TypeA)
			if KindOf(err) != Timeout || !errors.Is(err, context.Canceled) || time.Since(begun) >= long {
				t.Errorf("%v after %s", err, time.Since(begun))
			}
		})
	}
	var n atomic.Int32
	s := serve(t, counted(&n, lists))
	ctx, cancel := context.WithTimeout(context.Background(), -1)
	defer cancel()
	c := client(long, 3, s, s)
	if _, err := c.Query(ctx, "a.test", dns.TypeA); KindOf(err) != Timeout || !errors.Is(err, context.DeadlineExceeded) || n.Load() != 0 {
		t.Errorf("%v after %d questions", err, n.Load())
	}
	if !c.failed[0].IsZero() {
		t.Error("a server that was not queried counts as failed")
	}
}

func TestRefusedPort(t *testing.T) {
	begun := time.Now()
	_, err := client(long, 3, closed(t)).Query(context.Background(), "a.test", dns.TypeA)
	if KindOf(err) != Unreachable || time.Since(begun) >= long {
		t.Errorf("%v after %s", err, time.Since(begun))
	}
	if !regexp.MustCompile(`^a\.test A: unreachable from 127\.0\.0\.1:\d+: read: connection refused$`).MatchString(err.Error()) {
		t.Errorf("got %q", err)
	}
	a, err := client(long, 2, closed(t), serve(t, lists)).Query(context.Background(), "a.test", dns.TypeA)
	isHeld(t, a, err)
}
