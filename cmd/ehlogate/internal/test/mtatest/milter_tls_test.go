package mtatest_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	gomilter "github.com/emersion/go-milter"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// macroLists has a client that must use TLS, unless it has a name that is trusted, and one that is not to be offered it.
const macroLists = `[[list]]
name   = "names"
action = "offer"
files  = ["names.list"]

` + enforceLists

const strictLocal = "127.0.0.70"

var macroFiles = map[string]string{
	"names.list":  "denied.example\nelsewhere.example\n", // what named is called, and forged pretends to be
	"strict.list": strictLocal + "\n::1\n" + named + "\n" + forged + "\n",
	"deny.list":   denied + "\n",
}

// port587 returns an address of this machine at which the submission port is free.
func port587() (host, addr string) {
	host = fmt.Sprintf("127.%d.%d.%d", 100+rand.IntN(100), rand.IntN(256), 1+rand.IntN(254))
	return host, host + ":587"
}

// TestMilterSessions plays the orders of commands that a client may choose, with the milter of a Postfix and of a Sendmail
// that have their default macros: from a client that must use TLS, mail in the clear is refused, and mail over TLS never is.
func TestMilterSessions(t *testing.T) {
	testenv.Needs(t, "root", "Postfix", "Sendmail")
	t.Parallel()
	t.Run("Postfix", func(t *testing.T) {
		t.Parallel()
		g := startDaemon(t, "macros", "", nil, macroLists, macroFiles)
		milters := fmt.Sprintf("{ inet:%s, default_action=accept, connect_timeout=5s, command_timeout=5s }", g.milter)
		_, submission := port587()
		p := startPostfix(t, mtatest.PostfixConfig{
			Dir: tempDir(t), Main: "smtpd_milters = " + milters + "\n",
			Services: []mtatest.Service{{Name: "mx"}, {Name: "old", Options: map[string]string{"milter_protocol": "2"}}},
			Master:   submission + " inet n - n - - smtpd\n",
		})
		milterSessions(t, g, map[string]string{"smtpd": p.Addr("mx"), "smtpd, IPv6": p.Addr6("mx"), "smtpd, milter_protocol = 2": p.Addr("old")}, submission)
	})
	t.Run("Sendmail", func(t *testing.T) {
		t.Parallel()
		g := startDaemon(t, "macros", "", nil, macroLists, macroFiles)
		ports, err := mtatest.FreePorts(1)
		if err != nil {
			t.Fatal(err)
		}
		host, submission := port587()
		s := runSendmailWith(t, mtatest.SendmailConfig{
			Port: ports[0], Features: fmt.Sprintf("DAEMON_OPTIONS(`Name=MSA, Addr=%s, Port=submission, M=E')dnl\n", host),
			MC: onlyPorts(t, "sendmail/ehlogate.mc", map[string]string{
				"dnl INPUT_MAIL_FILTER": "INPUT_MAIL_FILTER", "inet:10044@127.0.0.1": sendmailInet(g.milter),
			}),
		})
		milterSessions(t, g, map[string]string{"MTA": s.Addr(), "MTA, IPv6": s.Addr6()}, submission)
		t.Run("names", func(t *testing.T) {
			for source, want := range map[string]int{named: 250, forged: 450} {
				c := hello(t, s.Addr(), source, "client.example", true)
				defer c.Close()
				if r, err := c.Command("MAIL FROM:<a@client.example>"); err != nil || r.Code != want {
					t.Errorf("from %s in the clear: %v, %v; want %d", source, r, err, want)
				}
			}
		})
	})
}

// orders are what clients do. "deliver 250" hands a message over and wants that reply; "pipeline" does so without waiting for
// replies; "again" is a second STARTTLS.
var orders = []string{
	"EHLO x.example|STARTTLS|EHLO x.example|deliver 250|deliver 250",
	"EHLO x.example|STARTTLS|deliver 250|deliver 250",
	"EHLO x.example|STARTTLS|RSET|HELO x.example|deliver 250",
	"HELO x.example|STARTTLS|deliver 250",
	"STARTTLS|deliver 250|EHLO x.example|deliver 250",
	"EHLO x.example|deliver 450|STARTTLS|deliver 250|RSET|deliver 250",
	"EHLO x.example|deliver 450|RSET|deliver 450|EHLO x.example|deliver 450|STARTTLS|deliver 250",
	"deliver 450|deliver 450|HELO x.example|deliver 450",
	"deliver 450|STARTTLS|deliver 250",
	"EHLO x.example|STARTTLS|again|deliver 250",
	"EHLO x.example|VRFY b@mta.test|pipeline 450|deliver 450",
	"EHLO x.example|STARTTLS|pipeline 250|RSET|pipeline 250",
	"EHLO x.example|pipeline 450|STARTTLS|pipeline 250",
}

// milterSessions plays orders on ports for mail and on one for submission.
func milterSessions(t *testing.T, g *daemon, ports map[string]string, submission string) {
	outcomes := func() (got []string) {
		for _, line := range g.metrics(t, `ehlogate_outcomes_total.*protocol="milter".*[1-9]\n`) {
			got = append(got, strings.TrimSpace(strings.NewReplacer("ehlogate_outcomes_total{outcome=", "", `,protocol="milter"}`, "").Replace(line)))
		}
		return got
	}
	ports["submission"] = submission
	unmet := 0
	for name, addr := range ports {
		source := strictLocal
		if strings.HasPrefix(addr, "[") {
			source = "::1"
		}
		for _, order := range orders {
			playOrder(t, name, addr, source, order)
			if strings.Contains(order, "450") {
				unmet++
			}
		}
	}
	want := []string{fmt.Sprintf(`"require-unmet" %d`, unmet)}
	if got := outcomes(); !slices.Equal(got, want) {
		t.Errorf("outcomes %q, want %q", got, want)
	}
	// A client from which STARTTLS should be hidden; these servers do not ask whether it is.
	for name, addr := range ports {
		if name == "submission" || strings.HasPrefix(addr, "[") {
			continue
		}
		playOrder(t, name, addr, denied, "EHLO x.example|STARTTLS|deliver 250|deliver 250")
	}
	n := len(ports) - 2
	want = append(want, fmt.Sprintf(`"suppressed" %d`, n), fmt.Sprintf(`"suppressed-encrypted" %d`, n))
	slices.Sort(want)
	if got := outcomes(); !slices.Equal(got, want) {
		t.Errorf("outcomes %q, want %q", got, want)
	}
	// On submission all is well as long as the client uses TLS.
	playOrder(t, "submission", submission, denied, "EHLO x.example|STARTTLS|deliver 250")
	playOrder(t, "submission", submission, denied, "EHLO x.example|STARTTLS|EHLO x.example|deliver 250")
	if got := outcomes(); !slices.Equal(got, want) {
		t.Errorf("outcomes %q, want %q", got, want)
	}
	playOrder(t, "submission", submission, denied, "EHLO x.example|deliver 250|deliver 250")
	want = append(want, `"suppressed-submission" 1`)
	if got := outcomes(); !slices.Equal(got, want) {
		t.Errorf("outcomes %q, want %q", got, want)
	}
	if faults := g.metrics(t, `ehlogate_protocol_errors_total.*protocol="milter",reason="macros"} [1-9].*\n`); len(faults) > 0 {
		t.Errorf("faults %q", faults)
	}
}

// playOrder has a client do what an order says.
func playOrder(t *testing.T, name, addr, source, order string) {
	t.Helper()
	c, err := mtatest.Dial(soon(t), addr, source)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if r, err := c.Banner(); err != nil || r.Code != 220 {
		t.Fatalf("%s: %v, %v", name, r, err)
	}
	const message = "Subject: x\n\nhello\n"
	for step := range strings.SplitSeq(order, "|") {
		verb, arg, _ := strings.Cut(step, " ")
		want := "250"
		var r mtatest.Reply
		switch verb {
		case "STARTTLS":
			want = "220"
			r, _, err = c.STARTTLS()
		case "again":
			if r, err = c.Command("STARTTLS"); r.Code >= 400 {
				continue // refused, in whatever words
			}
		case "deliver":
			want = arg
			r, err = c.Deliver("a@client.example", "b@mta.test", message)
		case "pipeline":
			want = arg
			r, err = pipeline(c, message)
		case "VRFY":
			if r, err = c.Command(step); r.Code == 252 { // it would take mail for that address, and does not say whether it can
				continue
			}
		default:
			r, err = c.Command(step)
		}
		if err != nil || fmt.Sprint(r.Code) != want {
			t.Errorf("%s, from %s: %s: %s is answered %v, %v; want %s", name, source, order, step, r, err, want)
			return
		}
	}
}

// pipeline hands a message over as RFC 2920 has it, and returns the last reply, or the one to MAIL if that is a refusal.
func pipeline(c *mtatest.SMTP, message string) (mail mtatest.Reply, err error) {
	if mail, err = c.Command("MAIL FROM:<a@client.example>\r\nRCPT TO:<b@mta.test>\r\nDATA"); err != nil {
		return mail, err
	}
	var data mtatest.Reply
	for range 2 {
		if data, err = c.Banner(); err != nil {
			return data, err
		}
	}
	if data.Code != 354 {
		return mail, nil
	}
	return c.Command(strings.ReplaceAll(message, "\n", "\r\n") + ".")
}

// TestMilterMacrosOfOthers checks that a milter beside ehlogate gets the macros that it got without: the list that ehlogate
// asks for is its own.
func TestMilterMacrosOfOthers(t *testing.T) {
	testenv.Needs(t, "root", "Postfix", "Sendmail")
	t.Parallel()
	for server, start := range map[string]func(t *testing.T, milters []string) (addr string){
		"Postfix": func(t *testing.T, milters []string) string {
			p := startPostfix(t, mtatest.PostfixConfig{Dir: tempDir(t), Services: []mtatest.Service{{
				Name: "mx", Options: map[string]string{"smtpd_milters": "inet:" + strings.Join(milters, ", inet:")},
			}}})
			return p.Addr("mx")
		},
		"Sendmail": func(t *testing.T, milters []string) string {
			ports, err := mtatest.FreePorts(1)
			if err != nil {
				t.Fatal(err)
			}
			mc := ""
			for i, m := range milters {
				mc += fmt.Sprintf("INPUT_MAIL_FILTER(`filter%d', `S=%s')dnl\n", i, sendmailInet(m))
			}
			return runSendmail(t, ports[0], mc).Addr()
		},
	} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			g := startDaemon(t, "macros", "", nil, macroLists, macroFiles)
			got := map[bool][]string{}
			for _, beside := range []bool{false, true} {
				seen := &macrosSeen{}
				milters := []string{seen.listen(t)}
				if beside {
					milters = []string{g.milter, milters[0]}
				}
				addr := start(t, milters)
				for range 2 { // the second with a server that has heard of the list
					playOrder(t, server, addr, unlisted, "EHLO x.example|STARTTLS|EHLO x.example|deliver 250")
				}
				got[beside] = seen.allSeen()
			}
			if !slices.Equal(got[false], got[true]) || len(got[false]) < 4 {
				t.Errorf("alone:\n%s\nbeside ehlogate:\n%s", strings.Join(got[false], "\n"), strings.Join(got[true], "\n"))
			}
		})
	}
}

// macrosSeen is a milter that notes which macros there were at which stage.
type macrosSeen struct {
	gomilter.NoOpMilter
	mu   sync.Mutex
	seen map[string]bool
}

func (s *macrosSeen) listen(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &gomilter.Server{NewMilter: func() gomilter.Milter { return s }}
	done := make(chan struct{})
	go func() { server.Serve(l); close(done) }()
	t.Cleanup(func() { server.Close(); <-done })
	return l.Addr().String()
}

func (s *macrosSeen) allSeen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.seen))
}

func (s *macrosSeen) record(stage string, m *gomilter.Modifier) (gomilter.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	s.seen[stage+": "+strings.Join(slices.Sorted(maps.Keys(m.Macros)), " ")] = true
	return gomilter.RespContinue, nil
}

func (s *macrosSeen) Connect(_, _ string, _ uint16, _ net.IP, m *gomilter.Modifier) (gomilter.Response, error) {
	return s.record("connect", m)
}

func (s *macrosSeen) Helo(_ string, m *gomilter.Modifier) (gomilter.Response, error) {
	return s.record("helo", m)
}

func (s *macrosSeen) MailFrom(_ string, m *gomilter.Modifier) (gomilter.Response, error) {
	return s.record("mail", m)
}

func (s *macrosSeen) RcptTo(_ string, m *gomilter.Modifier) (gomilter.Response, error) {
	return s.record("rcpt", m)
}

func (s *macrosSeen) Body(m *gomilter.Modifier) (gomilter.Response, error) {
	return s.record("end of message", m)
}
