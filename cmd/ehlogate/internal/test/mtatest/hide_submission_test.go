package mtatest_test

import (
	"fmt"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

const (
	guesses = "127.8.0.1" // on the list that hides AUTH on submission, and on the one that suppresses
	submits = "127.8.0.2" // on no list
)

// submissionLists suppress STARTTLS in each way that a list can.
const submissionLists = `[[list]]
name   = "deny"
action = "suppress"
hide   = ["dsn"]
files  = ["deny.list"]

[[list]]
name     = "both"
action   = "suppress"
hide     = ["chunking"]
services = ["smtp", "submission"]
files    = ["deny.list"]

[[list]]
name     = "guessers"
hide     = ["auth"]
services = ["submission"]
files    = ["deny.list"]
`

// TestHideSubmission has a real Postfix query for submission: lists hide AUTH there, and no configuration of ehlogate hides
// STARTTLS, nor AUTH from all clients.
func TestHideSubmission(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	dir := tempDir(t)
	etc := mtatest.LayoutOf(dir).Config
	configs := map[string]string{
		"plain":    "",
		"suppress": "default = \"suppress\"\n",
		"always":   "default = \"suppress\"\nalways_hide = [\"auth\", \"etrn\"]\nexplicit_offer = true\n",
		"limit":    "default = \"limit\"\n",
	}
	postfix := mtatest.PostfixConfig{Dir: dir, Main: strings.ReplaceAll(showsAll, "CONFIG", etc), Files: map[string]string{"smtpd.conf": saslFile["smtpd.conf"]}}
	for name, settings := range configs {
		g := startDaemon(t, name, settings, nil, submissionLists+"[guard]\noff = true\n[limit]\noffers_per_second = 0.001\n",
			map[string]string{"deny.list": guesses + "\n"})
		postfix.Files[name+".cf"] = memcacheCF("inet:"+g.memcache, "submission:%s", 1, "cidr:/dev/null")
		services := map[string]string{"memcache": "memcache:" + etc + "/" + name + ".cf", "socketmap": "socketmap:inet:" + g.socketmap + ":submission"}
		if name != "limit" { // which no table can hold
			services["exported"] = g.exportTable(t, "--service=submission")
		}
		for way, table := range services {
			s := discards(name+way, table)
			s.Options["smtpd_tls_security_level"], s.Options["smtpd_tls_auth_only"] = "encrypt", "yes"
			if name == "always" {
				s.Options["smtpd_discard_ehlo_keywords"] = "etrn"
			}
			postfix.Services = append(postfix.Services, s)
		}
	}
	p := startPostfix(t, postfix)
	s := newPostfixHiding(t, p)
	for _, service := range postfix.Services {
		t.Run(service.Name, func(t *testing.T) {
			var etrn []string
			if strings.HasPrefix(service.Name, "always") {
				etrn = []string{"ETRN"}
			}
			// AUTH is offered inside of TLS alone.
			s.wantHidden(t, service.Name, guesses, false, append(etrn, "AUTH", "CHUNKING")...)
			s.wantHidden(t, service.Name, guesses, true, append(etrn, "AUTH", "CHUNKING")...)
			s.wantHidden(t, service.Name, submits, false, append(etrn, "AUTH")...)
			s.wantHidden(t, service.Name, submits, true, etrn...)
			for source, want := range map[string]int{guesses: 503, submits: 535} {
				c, _ := s.session(t, service.Name, source, true)
				if r := sayAll(t, c, []string{"AUTH PLAIN AGEAYg=="}); r.Code != want {
					t.Errorf("AUTH from %s: %v; want %d", source, r, want)
				}
			}
			c, _ := s.session(t, service.Name, guesses, true)
			s.delivers(t, c)
		})
	}
}

// snippet returns what a document has the shell append to a file.
func snippet(t *testing.T, name string) string {
	t.Helper()
	_, rest, _ := strings.Cut(example(t, name), "<<END\n")
	text, _, ok := strings.Cut(rest, "END\n")
	if !ok {
		t.Fatalf("%s has no such lines", name)
	}
	return strings.TrimSpace(text) + "\n"
}

// TestExampleSubmission pastes the examples for submission into a Postfix that has settings of its own.
func TestExampleSubmission(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	g := startDaemon(t, "example-submission", "default = \"suppress\"\nalways_hide = [\"chunking\"]\n", nil, "[guard]\noff = true\n"+snippet(t, "README.md"),
		map[string]string{"lists/guessers.list": guesses + "\n"})
	ports, err := mtatest.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	dir := tempDir(t)
	etc := mtatest.LayoutOf(dir).Config
	const own = " -o smtpd_tls_security_level=encrypt -o smtpd_tls_auth_only=yes -o smtpd_discard_ehlo_keywords=chunking\n"
	p := startPostfix(t, mtatest.PostfixConfig{
		Dir:  dir,
		Main: strings.ReplaceAll(showsAll, "CONFIG", etc),
		Master: fmt.Sprintf("%d inet n - n - - smtpd%s%s\n%d inet n - n - - smtpd%s%s", ports[0], own, example(t, "postfix/master-submission.cf"),
			ports[1], own, strings.ReplaceAll(example(t, "postfix/master-submission.cf"), "ehlogate-submission.cf", "down.cf")),
		Files: map[string]string{
			"smtpd.conf":             saslFile["smtpd.conf"],
			"ehlogate-submission.cf": g.ports(example(t, "postfix/ehlogate-submission.cf")),
			"down.cf": strings.NewReplacer("unix:ehlogate/memcache", "unix:nowhere", "cidr:/dev/null", g.exportTable(t, "--service", "submission")).
				Replace(example(t, "postfix/ehlogate-submission.cf")),
		},
	})
	s := newPostfixHiding(t, p)
	s.addr = func(port string) string { return "127.0.0.1:" + port }
	for _, port := range ports { // with ehlogate, and with the table alone
		service := fmt.Sprint(port)
		s.wantHidden(t, service, guesses, true, "AUTH", "CHUNKING")
		s.wantHidden(t, service, submits, true, "CHUNKING")
		s.wantHidden(t, service, guesses, false, "AUTH", "CHUNKING")
		c, _ := s.session(t, service, guesses, true)
		if r := sayAll(t, c, []string{"AUTH PLAIN AGEAYg=="}); r.Code != 503 {
			t.Errorf("AUTH: %v", r)
		}
		s.delivers(t, c)
	}
}
