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

// postfixHides has all keywords that Postfix can hide, but for starttls, which lists suppress. Hiding a keyword refuses what
// it announces in a few cases only.
var postfixHides = []hiding{
	{keyword: "8bitmime", commands: []string{fromStranger + " BODY=8BITMIME"}, shown: 250, hidden: 250},
	{keyword: "auth", commands: []string{"AUTH PLAIN AGEAYg=="}, shown: 535, hidden: 503},
	{keyword: "chunking", commands: []string{fromStranger, toBox, inChunks}, shown: 250, hidden: 521},
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

// showsAll has Postfix offer each keyword that it can hide to each client on loopback. CONFIG is its directory.
const showsAll = sasl + `smtpd_sasl_auth_enable = yes
smtpd_authorized_verp_clients = 127.0.0.0/8
smtpd_authorized_xforward_hosts = 127.0.0.0/8
smtpd_data_restrictions = reject_unauth_pipelining
`

// exportTable writes the table that ehlogate makes of a daemon's config, and returns it as main.cf names it.
func (g *daemon) exportTable(t *testing.T, flags ...string) string {
	t.Helper()
	path, err := mtatest.Program(testenv.RacePrograms)
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
	sections, files := hidingLists(postfixHides)
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
	s := &postfixHiding{p, newPostfixHiding(t, p)}
	for _, service := range []string{"memcache", "socketmap", "tcptable", "exported", "down"} {
		for i, h := range postfixHides {
			if h.since == nil || slices.Contains(s.inTLS, h.name()) {
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

// postfixHiding is the Postfix of TestHide.
type postfixHiding struct {
	*mtatest.Postfix
	*hideEnv
}

// newPostfixHiding returns what a Postfix with showsAll offers.
func newPostfixHiding(t *testing.T, p *mtatest.Postfix) *hideEnv {
	version := versionOf(t, "postconf", "-dh", "-c", p.Config, "mail_version")
	s := &hideEnv{addr: p.Addr, awaitMail: p.AwaitMail, keywords: []string{"STARTTLS"}}
	for _, h := range postfixHides {
		switch {
		case slices.Contains(s.keywords, h.name()):
		case h.since == nil:
			s.keywords = append(s.keywords, h.name())
		case slices.Compare(version, h.since) >= 0:
			s.inTLS = append(s.inTLS, h.name())
		}
	}
	return s
}

// together checks lists of which each has its effect: beside action "suppress", behind the list that decides, and observing.
func (s *postfixHiding) together(t *testing.T, service string) {
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
func (s *postfixHiding) silent(t *testing.T, service string) {
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
func (s *postfixHiding) always(t *testing.T) {
	s.wantHidden(t, "merged", seesAll, false, "ETRN")
	s.wantHidden(t, "merged", seesLess, false, "ETRN", "STARTTLS", "DSN", "CHUNKING")
	for i, h := range postfixHides {
		s.wantHidden(t, "merged", hiddenFrom(i), false, "ETRN", h.name())
	}
}
