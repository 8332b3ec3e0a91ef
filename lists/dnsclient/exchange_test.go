package dnsclient

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// hugeRecords returns a TXT record set that no UDP packet holds.
func hugeRecords() (records []dns.RR) {
	for i := range 200 {
		records = append(records, &dns.TXT{
			Hdr: dns.RR_Header{Name: "a.test.", Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 60},
			Txt: []string{fmt.Sprintf("%03d%s", i, strings.Repeat("x", 250))},
		})
	}
	return records
}

// TestTooLong: a reply that does not fit, with the TC bit or without, is fetched by TCP.
func TestTooLong(t *testing.T) {
	for name, byUDP := range map[string]func(w dns.ResponseWriter, m *dns.Msg){
		"TC":           func(w dns.ResponseWriter, m *dns.Msg) { m.Truncate(512); w.WriteMsg(m) },
		"TC, empty":    func(w dns.ResponseWriter, m *dns.Msg) { m.Answer, m.Truncated = nil, true; w.WriteMsg(m) },
		"cut":          cutTo(700),
		"cut in front": cutTo(30),
		// Between two records nothing looks broken but their number.
		"cut at a record": cutTo(12 + 12 + 2*(12+254)),
		"larger than the buffer": func(w dns.ResponseWriter, m *dns.Msg) {
			m.Answer = m.Answer[:30]
			w.WriteMsg(m)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var tcp atomic.Int32
			s := serve(t, func(w dns.ResponseWriter, r *dns.Msg) {
				m := new(dns.Msg).SetReply(r)
				m.Compress = true
				m.Answer = hugeRecords()
				if !isTCP(w) {
					byUDP(w, m)
					return
				}
				tcp.Add(1)
				w.WriteMsg(m)
			})
			a, err := client(long, 1, s).Query(context.Background(), "a.test", dns.TypeTXT)
			if err != nil {
				t.Fatal(err)
			}
			if len(a.Records) != 200 || tcp.Load() != 1 {
				t.Errorf("%d records after %d questions by TCP", len(a.Records), tcp.Load())
			}
			if last := a.Records[199].(*dns.TXT).Txt[0]; last[:3] != "199" || len(last) != 253 {
				t.Errorf("the last is %q", last)
			}
		})
	}
}

func cutTo(n int) func(dns.ResponseWriter, *dns.Msg) {
	return func(w dns.ResponseWriter, m *dns.Msg) {
		b, err := m.Pack()
		if err != nil {
			panic(err)
		}
		w.Write(b[:n])
	}
}

// TestBadTCP: the server marks its answer as cut, and then TCP goes wrong.
func TestBadTCP(t *testing.T) {
	for name, test := range map[string]struct {
		h    func(w dns.ResponseWriter, r *dns.Msg)
		want Kind
	}{
		"hangs up":    {func(w dns.ResponseWriter, r *dns.Msg) { w.Close() }, Unreachable},
		"silent":      {func(w dns.ResponseWriter, r *dns.Msg) {}, Timeout},
		"other id":    {func(w dns.ResponseWriter, r *dns.Msg) { sendReply(w, r, func(m *dns.Msg) { listed(m); m.Id++ }) }, Malformed},
		"empty frame": {func(w dns.ResponseWriter, r *dns.Msg) { w.Write(nil) }, Malformed},
		"garbage":     {func(w dns.ResponseWriter, r *dns.Msg) { w.Write([]byte(strings.Repeat("x", 60_000))) }, Malformed},
		"cut": {func(w dns.ResponseWriter, r *dns.Msg) {
			sendReply(w, r, func(m *dns.Msg) { m.Answer = hugeRecords(); cutTo(90)(w, m) })
		}, Malformed},
		"truncated":            {tcpSays(func(m *dns.Msg) { m.Answer, m.Truncated = nil, true }), Malformed},
		"truncated, NXDOMAIN":  {tcpSays(func(m *dns.Msg) { m.Answer, m.Truncated, m.Rcode = nil, true, dns.RcodeNameError }), Malformed},
		"truncated, an answer": {tcpSays(func(m *dns.Msg) { m.Truncated = true }), Malformed},
		"other question":       {tcpSays(func(m *dns.Msg) { m.Question[0].Name = "b.test." }), Malformed},
		"other type":           {tcpSays(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeTXT }), Malformed},
		"SERVFAIL":             {fails(dns.RcodeServerFailure), ServFail},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w dns.ResponseWriter, r *dns.Msg) {
				if isTCP(w) {
					test.h(w, r)
					return
				}
				sendReply(w, r, func(m *dns.Msg) { m.Truncated = true })
			})
			c := client(long, 1, s)
			if test.want == Timeout {
				c = client(short, 1, s)
			}
			if a, err := c.Query(context.Background(), "a.test", dns.TypeA); err == nil || KindOf(err) != test.want {
				t.Errorf("got %+v, %v", a, err)
			}
		})
	}
}

// tcpSays makes something of the right answer.
func tcpSays(change func(*dns.Msg)) func(dns.ResponseWriter, *dns.Msg) {
	return func(w dns.ResponseWriter, r *dns.Msg) { sendReply(w, r, func(m *dns.Msg) { listed(m); change(m) }) }
}

// TestShortRead: a connection that ends at any byte of a reply by TCP, its length
// among them, is a failure, whatever the reply was.
func TestShortRead(t *testing.T) {
	var frame atomic.Pointer[[]byte]
	c := client(long, 1, serveFrame(t, &frame))
	for _, full := range []*dns.Msg{message(dns.RcodeSuccess, held), message(dns.RcodeNameError, "--", "test. 30"+soa+"90"), message(dns.RcodeSuccess)} {
		full.SetEdns0(1232, false)
		b, err := full.Pack()
		if err != nil {
			t.Fatal(err)
		}
		whole := append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
		for _, announced := range []bool{true, false} { // the length that the reply has, or the one of what comes
			for n := range len(whole) + 1 {
				cut := slices.Clone(whole[:n])
				if !announced && n >= 2 {
					binary.BigEndian.PutUint16(cut, uint16(n-2))
				}
				frame.Store(&cut)
				if a, err := c.Query(context.Background(), "a.test", dns.TypeA); (err == nil) != (n == len(whole)) {
					t.Fatalf("%d of %d bytes: %+v, %v", n, len(whole), a, err)
				}
			}
		}
	}
}

// serveFrame answers with TC by UDP, and by TCP with these bytes, in which only
// the id is set.
func serveFrame(t *testing.T, frame *atomic.Pointer[[]byte]) netip.AddrPort {
	pc, l := listenBoth(t)
	var done sync.WaitGroup
	t.Cleanup(func() { pc.Close(); l.Close(); done.Wait() })
	done.Go(func() {
		b := make([]byte, 512)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			b[2] |= 0x82
			pc.WriteTo(b[:n], from)
			conn, err := l.Accept()
			if err != nil {
				return
			}
			query := make([]byte, 2+n)
			if _, err := io.ReadFull(conn, query); err != nil {
				t.Error(err)
			}
			out := *frame.Load()
			copy(out[min(2, len(out)):], query[2:4])
			conn.Write(out)
			conn.Close()
		}
	})
	return pc.LocalAddr().(*net.UDPAddr).AddrPort()
}

// TestNoTCP: garbage stays garbage if no server listens for TCP.
func TestNoTCP(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	for flags, want := range map[byte]Kind{0: Malformed, 2: Unreachable} {
		go func() {
			b := make([]byte, 512)
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			b[2] |= 0x80 | flags
			pc.WriteTo(append(b[:n:n], "garbage"...)[:n-3], from)
		}()
		if a, err := client(long, 1, pc.LocalAddr().(*net.UDPAddr).AddrPort()).Query(context.Background(), "a.test", dns.TypeA); err == nil || KindOf(err) != want {
			t.Errorf("flags %d: %+v, %v", flags, a, err)
		}
	}
}

func TestNoEDNS(t *testing.T) {
	for name, h := range map[string]dns.HandlerFunc{
		"FORMERR": fails(dns.RcodeFormatError),
		"NOTIMP":  fails(dns.RcodeNotImplemented),
		"BADVERS": func(w dns.ResponseWriter, r *dns.Msg) {
			sendReply(w, r, func(m *dns.Msg) { m.SetEdns0(512, false); m.Rcode = dns.RcodeBadVers })
		},
		"header only": func(w dns.ResponseWriter, r *dns.Msg) {
			w.Write([]byte{byte(r.Id >> 8), byte(r.Id), 0x80, dns.RcodeFormatError, 0, 1, 0, 0, 0, 0, 0, 1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int32
			s := serve(t, counted(&n, func(w dns.ResponseWriter, r *dns.Msg) {
				if r.IsEdns0() != nil {
					h(w, r)
					return
				}
				lists(w, r)
			}))
			a, err := client(long, 1, s).Query(context.Background(), "a.test", dns.TypeA)
			isHeld(t, a, err)
			if n.Load() != 2 {
				t.Errorf("queried %d times", n.Load())
			}
		})
	}
	for code, want := range map[int]Kind{dns.RcodeFormatError: Malformed, dns.RcodeNotImplemented: Refused} {
		var n atomic.Int32
		s := serve(t, counted(&n, fails(code)))
		if _, err := client(long, 3, s).Query(context.Background(), "a.test", dns.TypeA); KindOf(err) != want || n.Load() != 2 {
			t.Errorf("%v after %d questions", err, n.Load())
		}
	}
}

// BenchmarkAsk is against an echo, so that little of it is the server's.
func BenchmarkAsk(b *testing.B) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	m := new(dns.Msg).SetQuestion("7.2.0.192.bl.test.", dns.TypeA)
	m.Response = true
	m.Answer = []dns.RR{parseRR("7.2.0.192.bl.test. 300 IN A 127.0.0.2")}
	reply, err := m.Pack()
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		uc := pc.(*net.UDPConn)
		for {
			_, from, err := uc.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			copy(reply, buf[:2])
			uc.WriteToUDPAddrPort(reply, from)
		}
	}()
	defer func() { pc.Close(); <-done }()
	c := client(long, 1, pc.LocalAddr().(*net.UDPAddr).AddrPort())
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		if a, err := c.Query(ctx, "7.2.0.192.bl.test", dns.TypeA); err != nil || len(a.Records) != 1 {
			b.Fatal(a, err)
		}
	}
}
