package mtatest_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists"
	"ehlogate/lists/test/testenv"
)

// hiding is an EHLO keyword that a mail server can hide, and how it answers the commands that the keyword announces.
type hiding struct {
	keyword       string   // as lists have it
	offered       string   // as EHLO has it, if otherwise
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
)

// postfixHides has all keywords that Postfix can hide, but for starttls, which lists suppress. Hiding a keyword refuses what
// it announces in a few cases only.
var postfixHides = []hiding{
	{keyword: "8bitmime", commands: []string{fromStranger + " BODY=8BITMIME"}, shown: 250, hidden: 250},
	{keyword: "auth", commands: []string{"AUTH PLAIN AGEAYg=="}, shown: 535, hidden: 503},
	{keyword: "chunking", commands: []string{fromStranger, toBox, "BDAT 12 LAST\r\nSubject: x"}, shown: 250, hidden: 521},
	{keyword: "dsn", commands: []string{fromStranger + " RET=HDRS"}, shown: 250, hidden: 501},
	{keyword: "dsn", commands: []string{fromStranger, toBox + " NOTIFY=SUCCESS"}, shown: 250, hidden: 501},
	{keyword: "enhancedstatuscodes", commands: []string{fromStranger}, shown: 250, hidden: 250},
	{keyword: "etrn", commands: []string{"ETRN mta.test"}, shown: 459, hidden: 459},
	{keyword: "pipelining", commands: []string{fromStranger + "\r\n" + toBox + "\r\nDATA", "", ""}, shown: 354, hidden: 354},
	{keyword: "requiretls", commands: []string{"NOOP"}, shown: 250, hidden: 250, since: []int{3, 11}},
	{keyword: "size", commands: []string{fromStranger + " SIZE=99999999"}, shown: 552, hidden: 552},
	{keyword: "smtputf8", commands: []string{fromStranger + " SMTPUTF8"}, shown: 250, hidden: 555},
	{keyword: "verp", offered: "XVERP", commands: []string{fromStranger + " XVERP"}, shown: 250, hidden: 250},
	{keyword: "vrfy", commands: []string{"VRFY b@mta.test"}, shown: 252, hidden: 252},
	{keyword: "xclient", commands: []string{"XCLIENT ADDR=192.0.2.1"}, shown: 220, hidden: 220},
	{keyword: "xforward", commands: []string{"XFORWARD ADDR=192.0.2.1"}, shown: 250, hidden: 250},
}

// hiddenFrom returns the client of the list that hides the i-th of postfixHides.
func hiddenFrom(i int) string { return fmt.Sprintf("127.7.%d.1", i) }

const (
	seesAll    = "127.7.100.1" // on no list
	seesLess   = "127.7.101.1" // on a list that suppresses and hides DSN, and behind it on one that hides CHUNKING
	seesTLS    = "127.7.102.1" // on a list that offers, and behind it on the one that hides CHUNKING
	seesQuiet  = "127.7.103.1" // on the list that hides silent-discard
	seesTrials = "127.7.104.1" // on the list that observes
)

// hidingLists returns the sections and files of lists that hide one keyword each, and of some that work together.
func hidingLists() (sections string, files map[string]string) {
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
	for i, h := range postfixHides {
		name := fmt.Sprintf("%s-%d", h.keyword, i)
		fmt.Fprintf(&b, "\n[[list]]\nname  = %q\nhide  = [%q]\nfiles = [%q]\n", name, h.keyword, name+".list")
		files[name+".list"] = hiddenFrom(i) + "\n"
	}
	return b.String(), files
}

// showsAll has Postfix offer each keyword that it can hide to each client on loopback. CONFIG is its directory.
const showsAll = sasl + `smtpd_sasl_auth_enable = yes
smtpd_authorized_verp_clients = 127.0.0.0/8
smtpd_authorized_xforward_hosts = 127.0.0.0/8
smtpd_data_restrictions = reject_unauth_pipelining
`

// exportTable writes the table that ehlogate makes of a daemon's config, and returns it as main.cf names it.
func (g *daemon) exportTable(t *testing.T, flags ...string) string {
	t.Helper()
	path, err := mtatest.Program(testenv.Race)
	if err != nil {
		t.Fatal(err)
	}
	table := filepath.Join(g.dir, strings.Join(append(flags, "exported.cidr"), ""))
	args := append([]string{"export", "--format", "postfix-cidr", "-o", table, "-c", filepath.Join(g.dir, "ehlogate.toml")}, flags...)
	if out, err := exec.CommandContext(soon(t), path, args...).CombinedOutput(); err != nil {
		t.Fatalf("export: %v\n%s", err, out)
	}
	return "cidr:" + table
}

// discards makes a smtpd with a table of keywords.
func discards(name, table string) mtatest.Service {
	return mtatest.Service{Name: name, Options: map[string]string{"smtpd_discard_ehlo_keyword_address_maps": table}}
}

// TestHide has a real Postfix hide each keyword that it can hide, from the clients of a list, by each way to query ehlogate,
// and by a table for when ehlogate is down.
func TestHide(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	for _, name := range lists.KeywordNames() {
		if name != "silent-discard" && !slices.ContainsFunc(postfixHides, func(h hiding) bool { return h.keyword == name }) {
			t.Errorf("no row for %s", name)
		}
	}
	sections, files := hidingLists()
	g := startDaemon(t, "hide", "", nil, sections, files)
	merging := startDaemon(t, "merging", "always_hide = [\"etrn\"]\n", nil, sections, files)
	dead, err := mtatest.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	dir := tempDir(t)
	etc := mtatest.LayoutOf(dir).Config
	exported := g.exportTable(t)
	merged := discards("merged", "memcache:"+etc+"/merging.cf")
	merged.Options["smtpd_discard_ehlo_keywords"] = "etrn"
	p := startPostfix(t, mtatest.PostfixConfig{
		Dir:  dir,
		Main: strings.ReplaceAll(showsAll, "CONFIG", etc),
		Files: map[string]string{
			"smtpd.conf": saslFile["smtpd.conf"],
			"hide.cf":    memcacheCF("inet:"+g.memcache, "starttls:%s", 1, "cidr:/dev/null"),
			"merging.cf": memcacheCF("inet:"+merging.memcache, "starttls:%s", 1, "cidr:/dev/null"),
			"down.cf":    memcacheCF(fmt.Sprintf("inet:127.0.0.1:%d", dead[0]), "starttls:%s", 1, exported),
		},
		Services: []mtatest.Service{
			discards("memcache", "memcache:"+etc+"/hide.cf"), discards("socketmap", "socketmap:inet:"+g.socketmap+":starttls"),
			discards("tcptable", "tcp:"+g.tcp), discards("exported", exported), discards("down", "memcache:"+etc+"/down.cf"), merged,
		},
	})
	s := &hideEnv{p, versionOf(t, "postconf", "-dh", "-c", p.Config, "mail_version")}
	for _, service := range []string{"memcache", "socketmap", "tcptable", "exported", "down"} {
		for i, h := range postfixHides {
			if s.offers(h) {
				t.Run(fmt.Sprintf("%s/%s %d", service, h.keyword, i), func(t *testing.T) { s.hides(t, service, hiddenFrom(i), h) })
			}
		}
		t.Run(service+"/lists together", func(t *testing.T) { s.together(t, service) })
		t.Run(service+"/log", func(t *testing.T) { s.silent(t, service) })
	}
	t.Run("always_hide", s.always)
	if troubles, err := p.Maillog().Troubles(0); err != nil || slices.ContainsFunc(troubles, unexpected) {
		t.Errorf("Postfix complained: %q, %v", troubles, err)
	}
}

// unexpected reports whether a line of the log is about anything but an ehlogate that is down, and what clients tried.
func unexpected(line string) bool {
	return !regexp.MustCompile(`postfix/down/smtpd.*: Connection refused|SASL |reject: ETRN`).MatchString(line)
}

// hideEnv is the Postfix of TestHide.
type hideEnv struct {
	*mtatest.Postfix
	version []int
}

// offers reports whether this Postfix has the keyword of a row.
func (s *hideEnv) offers(h hiding) bool { return slices.Compare(s.version, h.since) >= 0 }

// session connects and greets; overTLS, it then has a TLS session and greets again.
func (s *hideEnv) session(t *testing.T, service, source string, overTLS bool) (*mtatest.SMTP, mtatest.Reply) {
	t.Helper()
	c, err := mtatest.Dial(soon(t), s.Addr(service), source)
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
	if overTLS {
		hidden = append(hidden, "STARTTLS")
	}
	want := slices.DeleteFunc(slices.Clone(postfixKeywords), func(k string) bool { return slices.Contains(hidden, k) })
	for _, h := range postfixHides {
		if h.since != nil && overTLS && s.offers(h) && !slices.Contains(hidden, h.name()) {
			want = append(want, h.name())
		}
	}
	_, r := s.session(t, service, source, overTLS)
	got := r.Keywords()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s in TLS %v is offered %q, want %q", source, overTLS, got, want)
	}
}

// postfixKeywords is what a Postfix with showsAll offers.
var postfixKeywords = []string{"PIPELINING", "SIZE", "VRFY", "ETRN", "STARTTLS", "AUTH", "XVERP", "XCLIENT", "XFORWARD",
	"ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING"}

// hides checks one keyword: it alone is gone, in TLS too, for the clients of the list alone; Postfix answers what it announces
// as the row says; and mail is delivered.
func (s *hideEnv) hides(t *testing.T, service, listed string, h hiding) {
	for _, overTLS := range []bool{false, true} {
		s.wantHidden(t, service, listed, overTLS, h.name())
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
	if _, err := s.AwaitMail(soon(t), regexp.MustCompile(mark)); err != nil {
		t.Error(err)
	}
}

// together checks lists of which each has its effect: beside action "suppress", behind the list that decides, and observing.
func (s *hideEnv) together(t *testing.T, service string) {
	s.wantHidden(t, service, seesLess, false, "STARTTLS", "DSN", "CHUNKING")
	s.wantHidden(t, service, seesTLS, true, "CHUNKING")
	s.wantHidden(t, service, seesTrials, false)
	c, _ := s.session(t, service, seesLess, false)
	if r, _, err := c.STARTTLS(); err != nil || r.Code != 502 {
		t.Errorf("STARTTLS: %v, %v", r, err)
	}
	s.delivers(t, c)
}

// silent checks that Postfix logs what it hides, unless silent-discard is among it.
func (s *hideEnv) silent(t *testing.T, service string) {
	discarding := regexp.MustCompile(`discarding EHLO keywords: CHUNKING`)
	for source, logged := range map[string]bool{seesTLS: true, seesQuiet: false} {
		mark := s.Maillog().Mark()
		s.wantHidden(t, service, source, false, "CHUNKING")
		c, _ := s.session(t, service, source, false)
		if r, err := c.Quit(); err != nil || r.Code != 221 {
			t.Errorf("QUIT: %v, %v", r, err)
		}
		if _, err := s.Maillog().Await(soon(t), regexp.MustCompile(`disconnect from unknown\[`+source+`\].* quit=1`), mark); err != nil {
			t.Fatal(err)
		}
		if lines, err := s.Maillog().Lines(discarding, mark); err != nil || (len(lines) > 0) != logged {
			t.Errorf("%s: %q, %v", source, lines, err)
		}
	}
}

// always checks that the answers repeat smtpd_discard_ehlo_keywords, which they replace.
func (s *hideEnv) always(t *testing.T) {
	s.wantHidden(t, "merged", seesAll, false, "ETRN")
	s.wantHidden(t, "merged", seesLess, false, "ETRN", "STARTTLS", "DSN", "CHUNKING")
	for i, h := range postfixHides {
		s.wantHidden(t, "merged", hiddenFrom(i), false, "ETRN", h.name())
	}
}
