package milter

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-milter"
	"go.uber.org/goleak"

	"ehlogate/lists"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deny and require are addresses of which decide says so; a client that is
// bad.example, or says so, is suppressed as far as its names are known.
var (
	deny    = netip.MustParseAddr("192.0.2.1")
	require = netip.MustParseAddr("2001:db8::1")
)

type decide struct{}

func (decide) Decide(_ context.Context, c lists.Client) (d lists.Decision) {
	switch {
	case c.HELO == "bad.example", c.Name == "bad.example", c.Addr == deny:
		d.Action, d.List = lists.Suppress, &lists.List{Name: "deny"}
	case c.Addr == require:
		d.Action, d.List = lists.Require, &lists.List{Name: "strict"}
	}
	return d
}

// record is what a Server told.
type record struct {
	mu       sync.Mutex
	outcomes []string
	faults   []string
}

func (r *record) server(cfg Options) *Server {
	return &Server{
		Decider: decide{},
		Options: func(lists.Decision) Options { return cfg },
		Outcome: func(o lists.Outcome, c lists.Client, _ lists.Decision) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.outcomes = append(r.outcomes, o.String())
		},
		Fault: func(reason string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.faults = append(r.faults, reason)
		},
	}
}

var config = Options{RequireReply: "450 4.7.0 TLS required"}

// start serves one connection and gives a client session on it; end closes it
// and waits for the server. offer is what this mail server can do.
func start(t *testing.T, s *Server, offer milter.OptAction) (session *milter.ClientSession, end func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		s.Serve(t.Context(), c)
	}()
	client := milter.NewClientWithOptions("tcp", ln.Addr().String(), milter.ClientOptions{
		ActionMask:   offer,
		ProtocolMask: milter.OptNoRcptTo | milter.OptNoBody | milter.OptNoHeaders | milter.OptNoEOH,
		ReadTimeout:  20 * time.Second, WriteTimeout: 20 * time.Second,
	})
	session, err = client.Session()
	if err != nil {
		t.Fatal(err)
	}
	return session, func() {
		session.Close()
		client.Close()
		ln.Close()
		<-done
	}
}

// say runs steps of an SMTP session and gives what was answered to MAIL.
func sendPackets(t *testing.T, s *milter.ClientSession, steps ...string) (replies []string) {
	t.Helper()
	for _, step := range steps {
		verb, arg, _ := strings.Cut(step, " ")
		var a *milter.Action
		var err error
		switch verb {
		case "connect":
			host, addr, _ := strings.Cut(arg, " ")
			family := milter.FamilyInet
			if strings.Contains(addr, ":") {
				family = milter.FamilyInet6
			}
			a, err = s.Conn(host, family, 4711, addr)
		case "macros":
			kv := strings.Split(arg, " ")
			err = s.Macros(milter.Code(kv[0][0]), kv[1:]...)
		case "helo":
			a, err = s.Helo(arg)
		case "mail":
			a, err = s.Mail(arg, nil)
		case "abort":
			err = s.Abort()
		}
		if err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		if verb == "mail" {
			if a.Code == milter.ActReplyCode {
				replies = append(replies, fmt.Sprintf("%d %s", a.SMTPCode, a.SMTPText))
			} else {
				replies = append(replies, string(rune(a.Code)))
			}
		} else if a != nil && a.Code != milter.ActContinue {
			t.Fatalf("%s: answered %c", step, a.Code)
		}
	}
	return replies
}

// all is what Postfix and Sendmail offer.
const all = milter.OptAddHeader | milter.OptChangeHeader | milter.OptSetSymList

func TestSessions(t *testing.T) {
	const refused, listed = "450 4.7.0 TLS required", "macros M {client_port} 4711"
	for _, tc := range []struct {
		name     string
		steps    []string
		replies  []string
		outcomes []string
		faults   []string
	}{
		{"offered", []string{"connect mx.example 198.51.100.1", "helo mx.example", listed, "mail a@example"}, []string{"c"}, nil, nil},
		{"suppressed, told once", []string{"connect mx.example 192.0.2.1", "helo mx.example", listed, "mail a@example", "abort", listed, "mail b@example"}, []string{"c", "c"}, []string{"suppressed"}, nil},
		{"suppressed and encrypted", []string{"connect mx.example 192.0.2.1", "helo mx.example", "macros H {tls_version} TLSv1.3", "helo mx.example", listed, "mail a@example"}, []string{"c"}, []string{"suppressed", "suppressed-encrypted"}, nil},
		{"suppressed and encrypted, without a second EHLO", []string{"connect mx.example 192.0.2.1", "helo mx.example", listed + " {tls_version} TLSv1.3", "mail a@example"}, []string{"c"}, []string{"suppressed", "suppressed-encrypted"}, nil},
		{"suppressed and logged in", []string{"connect mx.example 192.0.2.1", "helo x", listed + " {auth_type} PLAIN", "mail a@example"}, []string{"c"}, []string{"suppressed", "suppressed-submission"}, nil},
		{"suppressed on submission, in the clear", []string{"macros C {daemon_port} 587", "connect mx.example 192.0.2.1", "helo x", listed, "mail a@example"}, []string{"c"}, []string{"suppressed-submission"}, nil},
		{"suppressed on submission, before STARTTLS and behind it", []string{"macros C {daemon_port} 587", "connect mx.example 192.0.2.1", "helo x", listed + " {tls_version} TLSv1.3", "mail a@example"}, []string{"c"}, nil, nil},
		{"require unmet, again and again", []string{"connect mx.example 2001:db8::1", "helo x", listed, "mail a@example", "abort", listed, "mail b@example"}, []string{refused, refused}, []string{"require-unmet"}, nil},
		{"require unmet, then met", []string{"connect mx.example 2001:db8::1", "helo x", listed, "mail a@example", listed + " {tls_version} TLSv1.3", "mail b@example"}, []string{refused, "c"}, []string{"require-unmet"}, nil},
		{"require unmet, without a HELO", []string{"connect mx.example 2001:db8::1", listed, "mail a@example"}, []string{refused}, []string{"require-unmet"}, nil},
		{"require met; the macro is of an earlier packet", []string{"connect mx.example 2001:db8::1", "helo x", "macros H {tls_version} TLSv1.3", "helo x", "macros M i 4711", "mail a@example"}, []string{"c"}, nil, nil},
		{"require, and no telling", []string{"macros C {client_port} 4711", "connect mx.example 2001:db8::1", "macros H j mx", "helo x", "macros M i 4711", "mail a@example"}, []string{"c"}, nil, []string{"macros"}},
		{"require on the address, but not on all that is known", []string{"connect mx.example 2001:db8::1", "helo bad.example", listed, "mail a@example"}, []string{"c"}, nil, nil},
		{"require on the address, but not on the name", []string{"macros C {client_resolve} OK", "connect bad.example 2001:db8::1", listed, "mail a@example"}, []string{"c"}, nil, nil},
		{"require, and the name is forged", []string{"macros C {client_resolve} FORGED", "connect bad.example 2001:db8::1", listed, "mail a@example"}, []string{refused}, []string{"require-unmet"}, nil},
		{"require, and nothing vouches for the name", []string{"connect bad.example 2001:db8::1", listed, "mail a@example"}, []string{refused}, []string{"require-unmet"}, nil},
		{"a HELO name is no reason", []string{"connect mx.example 198.51.100.1", "helo bad.example", listed, "mail a@example"}, []string{"c"}, nil, nil},
		{"Sendmail's IPv6", []string{"connect mx.example IPv6:2001:db8::1", "helo x", listed, "mail a@example"}, []string{refused}, []string{"require-unmet"}, nil},
		{"another client on the connection", []string{"macros C {daemon_port} 587", "connect mx.example 192.0.2.1", listed + " {tls_version} TLSv1.3", "mail a@example", "macros C {daemon_port} 25", "connect mx.example 2001:db8::1", listed, "mail a@example"}, []string{"c", refused}, []string{"require-unmet"}, nil},
		{"no address", []string{"connect localhost nonsense", "helo x", listed, "mail a@example"}, []string{"c"}, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var r record
			s, end := start(t, r.server(config), all)
			replies := sendPackets(t, s, tc.steps...)
			end()
			if !slices.Equal(replies, tc.replies) || !slices.Equal(r.outcomes, tc.outcomes) || !slices.Equal(r.faults, tc.faults) {
				t.Errorf("replies %q, outcomes %q, faults %q; want %q, %q, %q", replies, r.outcomes, r.faults, tc.replies, tc.outcomes, tc.faults)
			}
		})
	}
}

// A mail server is asked for what it offers and no more. One that takes no list
// of macros may send those of another, so that nothing is known.
func TestOffer(t *testing.T) {
	for offer, want := range map[milter.OptAction]string{
		all: "add change macros", milter.OptSetSymList: "macros", milter.OptAddHeader | milter.OptChangeHeader: "add change",
		milter.OptAddHeader | milter.OptSetSymList: "macros", 0: "",
	} {
		var r record
		cfg := config
		cfg.AddHeader = true
		in := binary.BigEndian.AppendUint32([]byte("\x00\x00\x00\x0dO\x00\x00\x00\x06"), uint32(offer))
		conn := &pieces{from: bytes.NewReader(append(in, "\x00\x1f\xff\xff"...))}
		r.server(cfg).Serve(t.Context(), conn)
		got := milter.OptAction(binary.BigEndian.Uint32(conn.said[9:]))
		var words []string
		for bit, word := range map[milter.OptAction]string{milter.OptAddHeader: "add", milter.OptChangeHeader: "change", milter.OptSetSymList: "macros"} {
			if got&bit != 0 {
				words = append(words, word)
			}
		}
		slices.Sort(words)
		if strings.Join(words, " ") != want || (len(conn.said) > 17) != (offer&milter.OptSetSymList != 0) || got&^offer != 0 {
			t.Errorf("offered %b, asked for %q in %q; want %q", offer, words, conn.said, want)
		}
	}
	var r record
	s, end := start(t, r.server(config), milter.OptAddHeader)
	replies := sendPackets(t, s, "connect mx.example 2001:db8::1", "macros M {client_port} 4711", "mail a@example")
	end()
	if !slices.Equal(replies, []string{"c"}) || !slices.Equal(r.faults, []string{FaultMacros}) {
		t.Errorf("without a list of macros: %q, %q", replies, r.faults)
	}
}

// The header is put on each message, and those that the sender wrote go.
func TestHeader(t *testing.T) {
	cfg := config
	cfg.AddHeader = true
	var r record
	s, end := start(t, r.server(cfg), all)
	defer end()
	sendPackets(t, s, "connect mx.example 192.0.2.1", "helo x")
	for _, own := range []int{2, 0} {
		sendPackets(t, s, "mail a@example")
		for range own {
			if _, err := s.HeaderField("x-EHLOgate", "forged"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.HeaderField("Subject", "x"); err != nil {
			t.Fatal(err)
		}
		mods, a, err := s.End()
		if err != nil || a.Code != milter.ActContinue {
			t.Fatalf("%v, %v", a, err)
		}
		if len(mods) != own+1 || mods[own].HeaderName != Header || mods[own].HeaderValue != "starttls=suppress; list=deny" {
			t.Fatalf("%d own headers: %+v", own, mods)
		}
		for i := range own {
			if m := mods[i]; m.Code != milter.ActChangeHeader || m.HeaderIndex != uint32(own-i) || m.HeaderValue != "" {
				t.Errorf("%+v", m)
			}
		}
	}
}

func packet(code byte, data string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(data)))
	return append(append(b, code), data...)
}

// Broken packets end the connection and are counted.
func TestBrokenPackets(t *testing.T) {
	for in, fault := range map[string]string{
		"\x00\x00\x00\x00":                      "malformed",
		"\xff\xff\xff\xff":                      "oversize",
		"\x00\x02\x00\x01Cxx":                   "oversize",
		"\x00\x00":                              "truncated",
		"\x00\x00\x00\x05Cab":                   "truncated",
		string(packet('C', "no end of string")): "",
		string(packet('?', "unknown")):          "",
		"":                                      "",
	} {
		var r record
		r.server(config).Serve(t.Context(), &replay{r: bytes.NewReader([]byte(in))})
		if got := strings.Join(r.faults, " "); got != fault {
			t.Errorf("%q: fault %q, want %q", in, got, fault)
		}
	}
}

// A packet has to arrive; between packets there is time.
func TestPacketTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r record
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() { r.server(config).Serve(t.Context(), server); close(done) }()
		for range 2 {
			client.Write(packet('O', "\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00"))
			reply := make([]byte, 17)
			if _, err := io.ReadFull(client, reply); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Hour)
		}
		start := time.Now()
		client.Write([]byte{0, 0})
		<-done
		if len(r.faults) != 1 || r.faults[0] != "timeout" || time.Since(start) != frameTimeout {
			t.Errorf("faults %q after %s", r.faults, time.Since(start))
		}
		client.Close()
	})
}

func TestCheckReply(t *testing.T) {
	for text, good := range map[string]bool{
		"450 4.7.0 TLS required": true, "550 5.7.10 Encryption needed": true, "450 TLS required": false, "250 2.0.0 fine": false,
		"450 5.7.0 TLS required": false, "": false, "450 4.7.0 a\r\nb": false, "450 4.7.0 ü": false, "DUNNO": false,
	} {
		if err := CheckReply(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Whatever arrives, Serve returns when the connection ends.
func FuzzServe(f *testing.F) {
	session := slices.Concat(
		packet('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff"),
		packet('D', "Cj\x00mx.example\x00{client_addr}\x00192.0.2.1\x00"), packet('C', "mx.example\x004\x12\x67192.0.2.1\x00"),
		packet('D', "H{tls_version}\x00TLSv1.3\x00"), packet('H', "mx.example\x00"), packet('D', "Mi\x004711\x00"),
		packet('M', "<a@example>\x00"), packet('R', "<b@example>\x00"), packet('L', "X-ehlogate\x00forged\x00"), packet('N', ""),
		packet('E', ""), packet('A', ""), packet('M', "<c@example>\x00"), packet('Q', ""))
	f.Add(session)
	f.Add(packet('C', "mx\x006\x00\x19IPv6:2001:db8::1\x00"))
	f.Add([]byte("\x00\x00\x00\x00"))
	f.Add([]byte("\xff\xff\xff\xffC"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var r record
		cfg := config
		cfg.AddHeader = true
		conn := &pieces{from: bytes.NewReader(in)}
		r.server(cfg).Serve(context.Background(), conn)
		// Whatever arrives, no mail is rejected or discarded, and none is deferred but that of a client that must use TLS. A
		// packet that go-milter cannot read is the last: it answers with a temporary failure, and the connection ends.
		for said := conn.said; len(said) > 0; {
			size := 4
			if len(said) > size {
				size += int(binary.BigEndian.Uint32(said))
			}
			if len(said) < size || size < 5 {
				t.Fatalf("%q: got a reply cut short, %q, want whole packets", in, said)
			}
			last := size == len(said)
			if code := said[4]; !strings.ContainsRune("Ocmhi", rune(code)) && !(code == 't' && last) && (code != 'y' || !strings.HasPrefix(string(said[5:]), cfg.RequireReply)) {
				t.Fatalf("%q: got reply %q, want one that lets the session go on", in, said[4:size])
			}
			said = said[size:]
		}
	})
}

// replay is a connection on which all arrives at once.
type replay struct {
	net.Conn
	r *bytes.Reader
}

func (c *replay) Read(p []byte) (int, error)       { return c.r.Read(p) }
func (c *replay) Write(p []byte) (int, error)      { return len(p), nil }
func (c *replay) Close() error                     { return nil }
func (c *replay) SetReadDeadline(time.Time) error  { return nil }
func (c *replay) SetWriteDeadline(time.Time) error { return nil }
