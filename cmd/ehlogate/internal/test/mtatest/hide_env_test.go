package mtatest_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
)

// hiding is an EHLO keyword that a mail server can hide, and how it answers the commands that the keyword announces.
type hiding struct {
	keyword       string   // as lists have it
	offered       string   // as EHLO has it, if otherwise
	goesWith      string   // a keyword that the server then hides too
	commands      []string // the last one uses what the keyword announces; "" for a reply to one before
	shown, hidden int      // the code of the reply to that one
	since         []int    // the version that offers it first, and in TLS alone
}

// name returns the keyword as EHLO has it.
func (h hiding) name() string {
	if h.offered != "" {
		return h.offered
	}
	return strings.ToUpper(h.keyword)
}

const (
	fromStranger = "MAIL FROM:<a@client.example>"
	toBox        = "RCPT TO:<b@mta.test>"
	inChunks     = "BDAT 21 LAST\r\nSubject: x\r\n\r\nhello" // and the end of its line
)

// hiddenFrom returns the client of the list that hides the i-th of some keywords.
func hiddenFrom(i int) string { return fmt.Sprintf("127.7.%d.1", i) }

const (
	seesAll    = "127.7.100.1" // on no list
	seesLess   = "127.7.101.1" // on a list that suppresses and hides DSN, and behind it on one that hides CHUNKING
	seesTLS    = "127.7.102.1" // on a list that offers, and behind it on the one that hides CHUNKING
	seesQuiet  = "127.7.103.1" // on the list that hides silent-discard
	seesTrials = "127.7.104.1" // on the list that observes
)

// hidingLists returns the sections and files of lists that hide one keyword of rows each, and of some that work together.
func hidingLists(rows []hiding) (sections string, files map[string]string) {
	files = map[string]string{
		"deny.list":   seesLess + "\n",
		"allow.list":  seesTLS + "\n",
		"behind.list": seesLess + "\n" + seesTLS + "\n",
		"quiet.list":  seesQuiet + "\n",
		"trial.list":  seesTrials + "\n",
	}
	var b strings.Builder
	b.WriteString(`[[list]]
name   = "deny"
action = "suppress"
hide   = ["dsn"]
files  = ["deny.list"]

[[list]]
name   = "allow"
action = "offer"
files  = ["allow.list"]

[[list]]
name   = "behind"
hide   = ["chunking"]
files  = ["behind.list"]

[[list]]
name   = "quiet"
hide   = ["chunking", "silent-discard"]
files  = ["quiet.list"]

[[list]]
name   = "trial"
hide   = ["chunking"]
mode   = "observe"
files  = ["trial.list"]
`)
	for i, h := range rows {
		name := fmt.Sprintf("%s-%d", h.keyword, i)
		fmt.Fprintf(&b, "\n[[list]]\nname  = %q\nhide  = [%q]\nfiles = [%q]\n", name, h.keyword, name+".list")
		files[name+".list"] = hiddenFrom(i) + "\n"
	}
	return b.String(), files
}

// hideEnv is a mail server whose clients see different keywords.
type hideEnv struct {
	addr      func(service string) string
	keywords  []string // what clients on no list are offered
	inTLS     []string // and in TLS alone
	newer     []string // and by newer versions
	awaitMail func(ctx context.Context, re *regexp.Regexp) (string, error)
}

// session connects and greets; overTLS, it then has a TLS session and greets again.
func (s *hideEnv) session(t *testing.T, service, source string, overTLS bool) (*mtatest.SMTP, mtatest.Reply) {
	t.Helper()
	c, err := mtatest.Dial(soon(t), s.addr(service), source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	r, err := c.Banner()
	if err == nil && r.Code == 220 {
		r, err = c.EHLO("client.example")
	}
	if overTLS && err == nil {
		if r, state, err := c.STARTTLS(); err != nil || !state.HandshakeComplete {
			t.Fatalf("STARTTLS from %s: %v, %v", source, r, err)
		}
		r, err = c.EHLO("client.example")
	}
	if err != nil || r.Code != 250 {
		t.Fatalf("%s: %v, %v", source, r, err)
	}
	return c, r
}

// wantHidden checks that a client is offered all keywords but these.
func (s *hideEnv) wantHidden(t *testing.T, service, source string, overTLS bool, hidden ...string) {
	t.Helper()
	want := s.keywords
	if overTLS {
		want, hidden = slices.Concat(want, s.inTLS), append(hidden, "STARTTLS")
	}
	want = slices.DeleteFunc(slices.Clone(want), func(k string) bool { return slices.Contains(hidden, k) })
	_, r := s.session(t, service, source, overTLS)
	got := slices.DeleteFunc(r.Keywords(), func(k string) bool { return slices.Contains(s.newer, k) })
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s in TLS %v is offered %q, want %q", source, overTLS, got, want)
	}
}

// hides checks one keyword: it alone is gone, in TLS too, for the clients of the list alone; the server answers what it
// announces as the row says; and mail is delivered.
func (s *hideEnv) hides(t *testing.T, service, listed string, h hiding) {
	for _, overTLS := range []bool{false, true} {
		s.wantHidden(t, service, listed, overTLS, h.name(), h.goesWith)
		s.wantHidden(t, service, seesAll, overTLS)
	}
	for source, want := range map[string]int{listed: h.hidden, seesAll: h.shown} {
		c, _ := s.session(t, service, source, false)
		if r := sayAll(t, c, h.commands); r.Code != want {
			t.Errorf("%q from %s: %v; want %d", h.commands, source, r, want)
		}
	}
	c, _ := s.session(t, service, listed, false)
	s.delivers(t, c)
}

// sayAll sends commands, and returns the reply to the last one.
func sayAll(t *testing.T, c *mtatest.SMTP, commands []string) (r mtatest.Reply) {
	t.Helper()
	for _, command := range commands {
		var err error
		if r, err = c.Command(command); err != nil {
			t.Fatalf("%s: %v", command, err)
		}
	}
	return r
}

// delivers hands a message over, and waits until it is in the mailbox.
func (s *hideEnv) delivers(t *testing.T, c *mtatest.SMTP) {
	t.Helper()
	r, mark := handOver(t, c, "")
	if r.Code != 250 {
		t.Fatal(r)
	}
	if _, err := s.awaitMail(soon(t), regexp.MustCompile(mark)); err != nil {
		t.Error(err)
	}
}
