package delegation

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ehlogate/policyd/internal/prototest"
)

// What tells one session from the next on a connection, and what does not.
func TestSessionsOnAConnection(t *testing.T) {
	for what, tc := range map[string]struct {
		requests []string // STATE PORT INSTANCE [TLS]
		want     int
	}{
		"one session":                           {[]string{"CONNECT 1 -", "EHLO 1 -", "MAIL 1 -", "RCPT 1 a.1.1.0", "RCPT 1 a.1.1.0", "EHLO 1 -", "VRFY 1 -", "RCPT 1 a.2.1.2"}, 1},
		"another port":                          {[]string{"EHLO 1 -", "EHLO 2 -", "EHLO 1 -"}, 3},
		"a port again, by CONNECT":              {[]string{"CONNECT 1 -", "CONNECT 1 -", "EHLO 1 -", "CONNECT 1 -", "EHLO 1 -"}, 2},
		"a port again, by the first message":    {[]string{"RCPT 1 a.1.1.0", "RCPT 1 a.1.2.0", "RCPT 1 a.1.2.0"}, 2},
		"a port again, by an earlier message":   {[]string{"RCPT 1 a.1.1.f", "RCPT 1 a.1.2.10", "EHLO 1 -", "RCPT 1 a.1.3.2"}, 2},
		"a port again, in the clear behind TLS": {[]string{"EHLO 1 - TLS", "EHLO 1 -"}, 2},
		"a port again, and nothing tells":       {[]string{"EHLO 1 -", "EHLO 1 -"}, 1},
		"another process":                       {[]string{"RCPT 1 a.1.1.0", "RCPT 1 b.1.1.1"}, 2},
		"behind a proxy, by messages":           {[]string{"RCPT unknown a.1.1.0", "RCPT unknown a.1.2.1", "RCPT unknown a.1.3.0"}, 2},
		"an instance of another form":           {[]string{"RCPT 1 x", "RCPT 1 y.z", "RCPT 1 1.2.3.4.5", "RCPT 1 1.2.3.g"}, 1},
	} {
		var outcomes, faults []string
		c := server(DefaultActions(), &outcomes, &faults).Connection()
		told := 0
		for _, r := range tc.requests {
			word := append(strings.Fields(strings.ReplaceAll(r, "-", "")), "", "")
			if strings.Contains(r, "-") {
				word = slices.Insert(word, 2, "")
			}
			if _, _, err := c.Answer(t.Context(), []byte(fullRequest("protocol_state="+word[0], "client_port="+word[1], "instance="+word[2], "encryption_protocol="+word[3])), nil); err != nil {
				t.Fatal(err)
			}
		}
		told = len(slices.DeleteFunc(outcomes, func(o string) bool { return o == "suppressed-encrypted" }))
		if strings.Contains(what, "TLS") {
			told++ // the first
		}
		if told != tc.want {
			t.Errorf("%s: %d sessions, want %d", what, told, tc.want)
		}
	}
}

// smtpd is a process of Postfix that has one session after the other.
type smtpd struct {
	pid, clock int
	conn       *conn
}

// ask asks the server about one stage, over a new connection if the last broke.
func (p *smtpd) ask(t *testing.T, s *Server, broken bool, client, state, instance string) {
	t.Helper()
	if p.conn == nil || broken {
		p.conn = s.Connection().(*conn)
	}
	in := fmt.Appendf(nil, "request=smtpd_access_policy\nprotocol_state=%s\n%s\nserver_port=25\ninstance=%s\n\n", state, client, instance)
	if n, out, err := p.conn.Answer(t.Context(), in, nil); err != nil || n != len(in) || !bytes.Contains(out, []byte("action=INFO")) {
		t.Fatalf("%d, %q, %v", n, out, err)
	}
}

// session plays one session with up to three messages, which is asked about at
// some stages.
func (p *smtpd) session(t *testing.T, s *Server, random *rand.Rand, stages []string, port int, broken func() bool) {
	t.Helper()
	client := fmt.Sprintf("client_address=%s\nclient_port=%d", prototest.Denied.Addr, port)
	ask := func(state, instance string) {
		for range 1 + random.IntN(2) {
			if slices.Contains(stages, state) {
				p.ask(t, s, broken(), client, state, instance)
			}
		}
	}
	ask("CONNECT", "")
	ask("EHLO", "")
	for n := range 1 + random.IntN(3) {
		p.clock++
		instance := fmt.Sprintf("%x.%x.%x.%x", p.pid, 1700000000+p.clock, random.IntN(1e6), n)
		ask("MAIL", "")
		ask("RCPT", instance)
		ask("DATA", instance)
		ask("EHLO", "")
	}
}

// Sessions of one address are counted each once, whatever ports they come from.
func TestSessionsAreCounted(t *testing.T) {
	all := []string{"CONNECT", "EHLO", "MAIL", "RCPT", "DATA"}
	never, often := func(*rand.Rand) bool { return false }, func(r *rand.Rand) bool { return r.IntN(5) == 0 }
	for _, tc := range []struct {
		what   string
		stages []string
		ports  int
		broken func(*rand.Rand) bool
	}{
		{"ports used up at random", []string{"EHLO", "MAIL"}, 28232, never},
		{"one port, asked at RCPT", []string{"RCPT"}, 1, never},
		{"one port, asked at all stages", all, 1, never},
		{"one port, asked at CONNECT", []string{"CONNECT", "EHLO"}, 1, never},
		{"connections that break", all, 0, often},
		{"connections that break, asked at RCPT", []string{"RCPT"}, 0, often},
		{"connections that break, asked before messages", []string{"EHLO", "MAIL"}, 0, often},
	} {
		t.Run(tc.what, func(t *testing.T) {
			random := rand.New(rand.NewPCG(14, 9))
			var outcomes, faults []string
			s := server(DefaultActions(), &outcomes, &faults)
			processes := make([]smtpd, 20)
			last := make([]int, len(processes))
			for i := range processes {
				processes[i].pid = 1000 + i
			}
			sessions := 3000
			if tc.ports > 1 {
				sessions = 20000
			}
			for i := range sessions {
				n := random.IntN(len(processes))
				port := 1 + i%65535
				if tc.ports > 0 {
					port = 1 + random.IntN(tc.ports)
					for tc.ports > 1 && port == last[n] { // that is the bound
						port = 1 + random.IntN(tc.ports)
					}
				}
				last[n] = port
				processes[n].session(t, s, random, tc.stages, port, func() bool { return tc.broken(random) })
			}
			if len(outcomes) != sessions {
				t.Errorf("%d sessions count as %d", sessions, len(outcomes))
			}
		})
	}
}

// So many sessions as are remembered go on over other connections, and none of them is counted again. A connection whose place
// another one took leaves that one's session as it is.
func TestRememberedSessions(t *testing.T) {
	var outcomes, faults []string
	s := server(DefaultActions(), &outcomes, &faults)
	ask := func(p *smtpd, broken bool, port int) {
		t.Helper()
		p.ask(t, s, broken, fmt.Sprintf("client_address=%s\nclient_port=%d", prototest.Denied.Addr, port), "EHLO", "")
	}
	var first smtpd
	ask(&first, false, 1)
	processes := make([]smtpd, maxRecent)
	for i := range processes {
		ask(&processes[i], false, 2+i)
	}
	for i := range processes {
		ask(&processes[i], true, 2+i)
	}
	if want := 1 + maxRecent; len(outcomes) != want {
		t.Fatalf("after %d sessions on connections that broke: %d are counted", want, len(outcomes))
	}
	ask(&first, false, 2+maxRecent) // takes the oldest place
	for i := range processes[1:] {
		ask(&processes[1+i], true, 3+i)
	}
	if want := 2 + maxRecent; len(outcomes) != want {
		t.Errorf("after %d sessions: %d are counted", want, len(outcomes))
	}
}

// Whatever an instance is, it is read as a whole or not at all.
func FuzzInstance(f *testing.F) {
	for _, s := range []string{"1a2b.65000000.1234.0", "1.2.3", "1.2.3.4.5", "", "...", "+1.2.3.4", "1_0.2.3.4", "ffffffffffffffffff.1.1.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		i := parseInstance([]byte(in))
		if again := parseInstance(fmt.Appendf(nil, "%x.%x.%x.%x", i.process, i.seconds, i.micros, i.number)); i.known && again != i {
			t.Fatalf("%q is %+v, and that is %+v", in, i, again)
		}
		if !i.known && i != (instance{}) || i.known && strings.Count(in, ".") != 3 {
			t.Fatalf("%q is %+v", in, i)
		}
	})
}
