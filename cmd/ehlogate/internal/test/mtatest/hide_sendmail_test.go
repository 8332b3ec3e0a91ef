package mtatest_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// sendmailHides has the keywords that Sendmail can hide from some clients.
var sendmailHides = []hiding{
	{keyword: "auth", commands: []string{"AUTH PLAIN AGEAYg=="}, shown: 535, hidden: 503},
	{keyword: "dsn", commands: []string{fromStranger + " RET=HDRS"}, shown: 250, hidden: 504},
	{keyword: "dsn", commands: []string{fromStranger, toBox + " NOTIFY=SUCCESS"}, shown: 250, hidden: 504},
	{keyword: "etrn", commands: []string{"ETRN mta.test"}, shown: 250, hidden: 502},
	{keyword: "pipelining", commands: []string{fromStranger + "\r\n" + toBox, ""}, shown: 250, hidden: 250},
}

// sendmailShows are keywords that Sendmail offers to all clients or to none, whatever lists say.
var sendmailShows = []string{"8bitmime", "enhancedstatuscodes", "size"}

// sendmailLists are lists beside those of hidingLists: one hides all that Sendmail can hide, one what it cannot, and one is for
// submission.
const sendmailLists = `
[[list]]
name   = "most"
action = "suppress"
hide   = ["auth", "dsn", "etrn", "pipelining"]
files  = ["most.list"]

[[list]]
name   = "vain"
hide   = ["8bitmime", "enhancedstatuscodes", "size"]
files  = ["vain.list"]

[[list]]
name     = "guessers"
hide     = ["auth", "dsn"]
services = ["submission"]
files    = ["most.list"]
`

const (
	seesLeast = "127.8.0.1" // on the list that hides all
	inVain    = "127.8.0.3" // on the list that hides what Sendmail cannot hide
)

// sendmailDaemon is one of the daemons that the configuration of Sendmail has.
func sendmailDaemon(name string, port int, flags string) string {
	return fmt.Sprintf("DAEMON_OPTIONS(`Name=%s, Family=inet, Addr=127.0.0.1, Port=%d%s')dnl\n", name, port, flags)
}

// sendmailLogins has Sendmail offer AUTH.
const sendmailLogins = "define(`confAUTH_MECHANISMS', `PLAIN LOGIN')dnl\nTRUST_AUTH_MECH(`PLAIN LOGIN')dnl\n"

// optional finds the lines of the example that operators remove "dnl " from.
var optional = regexp.MustCompile(`(?m)^dnl ((?:Ksubmission|R\d|R\$).*)$`)

// TestHideSendmail has a real Sendmail with the example configuration hide keywords from the clients of a list, on port 25
// and on submission, where it offers STARTTLS to all.
func TestHideSendmail(t *testing.T) {
	testenv.Needs(t, "root", "Sendmail")
	t.Parallel()
	sections, files := hidingLists(sendmailHides)
	files["most.list"], files["vain.list"] = seesLeast+"\n", inVain+"\n"
	g := startDaemon(t, "hide-sendmail", "default = \"offer\"\n", nil, sections+sendmailLists, files)
	ports, err := mtatest.FreePorts(4)
	if err != nil {
		t.Fatal(err)
	}
	mc := strings.NewReplacer("inet:10041@127.0.0.1", sendmailInet(g.socketmap), "R25\t", fmt.Sprintf("R%d\t", ports[1]), "R587\t", fmt.Sprintf("R%d\t", ports[2]),
		"R465\t", fmt.Sprintf("R%d\t", ports[3])).Replace(example(t, "sendmail/ehlogate.mc"))
	if n := len(optional.FindAllString(mc, -1)); n != 5 {
		t.Fatalf("want five lines for submission in the example, found %d", n)
	}
	start := func(mc string) *mtatest.Sendmail {
		return runSendmailWith(t, mtatest.SendmailConfig{Port: ports[0], MC: mc, Features: sendmailDaemon("MX", ports[1], "") +
			sendmailDaemon("MSA", ports[2], ", Modify=E") + sendmailDaemon("SMTPS", ports[3], ", Modify=Es") + sendmailLogins})
	}
	server := start(optional.ReplaceAllString(mc, "$1"))
	on := map[string]string{"MX": fmt.Sprintf("127.0.0.1:%d", ports[1]), "MSA": fmt.Sprintf("127.0.0.1:%d", ports[2]), "SMTPS": fmt.Sprintf("127.0.0.1:%d", ports[3])}
	s := &hideEnv{addr: func(service string) string { return on[service] }, awaitMail: server.AwaitMail,
		keywords: []string{"ENHANCEDSTATUSCODES", "PIPELINING", "EXPN", "VERB", "8BITMIME", "SIZE", "DSN", "ETRN", "AUTH", "STARTTLS", "DELIVERBY", "HELP"}}
	for i, h := range sendmailHides {
		t.Run(fmt.Sprintf("%s %d", h.keyword, i), func(t *testing.T) { s.hides(t, "MX", hiddenFrom(i), h) })
	}
	t.Run("all at once", func(t *testing.T) {
		s.wantHidden(t, "MX", seesLeast, false, "AUTH", "DSN", "ETRN", "PIPELINING", "STARTTLS")
		s.wantHidden(t, "MX", seesLess, false, "DSN", "STARTTLS") // and not CHUNKING, which it does not have
		c, _ := s.session(t, "MX", seesLeast, false)
		if r, _, err := c.STARTTLS(); err != nil || r.Code != 503 {
			t.Errorf("STARTTLS: %v, %v", r, err)
		}
		s.delivers(t, c)
	})
	t.Run("what it cannot hide", func(t *testing.T) {
		for _, keyword := range sendmailShows {
			if !slices.Contains(s.keywords, strings.ToUpper(keyword)) {
				t.Errorf("Sendmail does not offer %s at all", keyword)
			}
		}
		s.wantHidden(t, "MX", inVain, false)
	})
	t.Run("submission", func(t *testing.T) {
		// A submission service of Sendmail has no ETRN (Modify=E).
		for _, overTLS := range []bool{false, true} {
			s.wantHidden(t, "MSA", seesLeast, overTLS, "ETRN", "AUTH", "DSN")
			s.wantHidden(t, "MSA", seesLess, overTLS, "ETRN")
			s.wantHidden(t, "MSA", seesAll, overTLS, "ETRN")
		}
		for source, want := range map[string]int{seesLeast: 503, seesAll: 535} {
			c, _ := s.session(t, "MSA", source, true)
			if r := sayAll(t, c, []string{"AUTH PLAIN AGEAYg=="}); r.Code != want {
				t.Errorf("AUTH from %s: %v; want %d", source, r, want)
			}
		}
		c, _ := s.session(t, "MSA", seesLeast, true)
		s.delivers(t, c)
	})
	t.Run("port 465", func(t *testing.T) {
		for source, want := range map[string]bool{seesLeast: false, seesAll: true} {
			c, err := mtatest.Dial(soon(t), on["SMTPS"], source)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for _, do := range []act{handshakes(nil), banner} {
				if err := do(c); err != nil {
					t.Fatal(err)
				}
			}
			if r, err := c.EHLO("client.example"); err != nil || slices.Contains(r.Keywords(), "AUTH") != want {
				t.Errorf("AUTH offered to %s is to be %v: %v, %v", source, want, r, err)
			}
		}
	})
	if err := server.Stop(soon(t)); err != nil {
		t.Fatal(err)
	}
	t.Run("submission does not query unless it is told to", func(t *testing.T) {
		start(mc)
		s.wantHidden(t, "MX", seesLeast, false, "AUTH", "DSN", "ETRN", "PIPELINING", "STARTTLS")
		s.wantHidden(t, "MSA", seesLeast, false, "ETRN")
	})
}
