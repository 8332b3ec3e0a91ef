package mtatest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/cmd/ehlogate/internal/test/netns"
	"ehlogate/lists/test/testenv"
)

// outside is an address of the mail server that is not on loopback.
const outside = "198.51.100.1"

func sendmailConfigurations() (out []configuration) {
	for _, r := range sendmailRows {
		c := configuration{server: "Sendmail", name: r.name, advice: r.advice, setUp: func(t *testing.T) *site { return r.setUp(t).site }}
		if r.mc != "" {
			c.inherent = []harm{failsHung} // 451 after the timeout of the map, whatever the rules
		}
		out = append(out, c)
	}
	for _, r := range oldSendmailRows {
		out = append(out, configuration{server: "Sendmail", name: r.name, inherent: []harm{failsHung}, setUp: func(t *testing.T) *site { return r.setUpWith(t, r.etc, true).site }})
	}
	return out
}

// sendmailSite is a site with a Sendmail.
type sendmailSite struct {
	*site
	server *mtatest.Sendmail
}

func (r sendmailRow) setUp(t *testing.T) *sendmailSite { return r.setUpWith(t, nil, false) }

// setUpWith is setUp with files of /etc, and with a legacy list if old.
func (r sendmailRow) setUpWith(t *testing.T, etc map[string]string, old bool) *sendmailSite {
	s, dir := newSite(t, strings.HasPrefix(r.name, "require"), old)
	m := &sendmailSite{site: s}
	fill := strings.NewReplacer("EXAMPLE", example(t, "sendmail/ehlogate.mc"), "OLDTLS", example(t, "legacy-tls/sendmail.mc"), "RULES", rulesLine+writeAccessMaps(t, dir), "DIR", dir)
	features := fmt.Sprintf("%sDAEMON_OPTIONS(`Name=MTA-v4, Family=inet, Addr=%s, Port=smtp, M=A')dnl\n", r.features, outside)
	if strings.Contains(r.features, "Port=587") {
		s.login = []port{{addr: outside + ":587"}}
	}
	if strings.Contains(r.features, "Port=465") {
		s.login = append(s.login, port{addr: outside + ":465", tls: strings.Contains(r.features, "M=s")})
	}
	s.enter(t, func() {
		m.server = runSendmailWith(t, mtatest.SendmailConfig{Port: 25, Etc: etc, Features: fill.Replace(features), MC: fill.Replace(r.mc)})
	})
	script, err := m.server.Script(s.program)
	if err != nil {
		t.Fatal(err)
	}
	s.program = script
	s.doctor = append(s.doctor, "--sendmail", m.server.CF())
	return m
}

// newSite starts an ehlogate at its usual ports, in a network of its own, and at a unix socket named map in dir.
func newSite(t *testing.T, strict, old bool) (s *site, dir string) {
	t.Helper()
	network, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { network.Close() })
	if _, err := network.Run(soon(t), "ip", "address", "add", outside+"/24", "dev", "lo"); err != nil {
		t.Fatal(err)
	}
	dir = tempDir(t)
	s = &site{do: network.Do, accepts: true, waits: true, clients: maps.Clone(clientsIPv4), mail: []port{{addr: outside + ":25"}}}
	lists := rosterLists
	if strict {
		lists = strictList + lists
	} else {
		delete(s.clients, "strict")
	}
	if old {
		lists += legacyList
	} else {
		delete(s.clients, "legacy")
	}
	config := fmt.Sprintf("[listen]\nsocket_mode = \"0666\"\nsocketmap = [\"127.0.0.1:10041\", \"%[1]s/map\"]\ntcp_table = [\"127.0.0.1:10042\", \"%[1]s/table\"]\n"+
		"milter = [\"127.0.0.1:10044\"]\nmemcache = [\"127.0.0.1:10046\"]\n%[2]s", dir, lists)
	s.daemon = mtatest.NewFixture(t, mtatest.Fixture{Dir: dir, Config: config, Files: rosterFiles(),
		Ready: mtatest.ReadyDial("127.0.0.1:10041", "127.0.0.1:10042", "127.0.0.1:10044", "127.0.0.1:10046")})
	s.program, s.doctor = s.daemon.Path, []string{"-c", filepath.Join(dir, "ehlogate.toml")}
	s.enter(t, func() {
		if err := s.daemon.Start(soon(t)); err != nil {
			t.Fatal(err)
		}
	})
	return s, dir
}

// enter runs a function in the network of the site.
func (s *site) enter(t *testing.T, run func()) {
	t.Helper()
	if err := s.do(func() error { run(); return nil }); err != nil {
		t.Fatal(err)
	}
}

// writeAccessMaps writes the access map of an operator, and one that ehlogate exports, and returns the rules for that.
func writeAccessMaps(t *testing.T, dir string) (rules string) {
	t.Helper()
	program, err := mtatest.Program(false)
	if err != nil {
		t.Fatal(err)
	}
	exported := filepath.Join(dir, "exported")
	if out, err := exec.CommandContext(soon(t), program, "export", "-c", filepath.Join(dir, "ehlogate.toml"), "--format", "sendmail-access", "-o", exported).CombinedOutput(); err != nil {
		t.Fatalf("export: %v\n%s", err, out)
	}
	own := filepath.Join(dir, "access")
	if err := os.WriteFile(own, []byte("Srv_Features:"+clientsIPv4["allowed"]+"\ts\nConnect:192.0.2\tREJECT\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{own, exported} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		makemap := exec.CommandContext(soon(t), unpackedSendmail+"/usr/sbin/makemap", "-C", "/dev/null", "hash", name)
		makemap.Env = append(os.Environ(), "LD_LIBRARY_PATH="+unpackedSendmail+"/usr/lib/x86_64-linux-gnu")
		makemap.Stdin = strings.NewReader(string(text))
		if out, err := makemap.CombinedOutput(); err != nil {
			t.Fatalf("makemap: %v\n%s", err, out)
		}
		for _, rule := range regexp.MustCompile(`(?m)^#     (R.*\n)`).FindAllStringSubmatch(string(text), -1) {
			rules += rule[1]
		}
	}
	return rules
}

const unpackedSendmail = "/var/cache/ehlogate-test/sendmail"

// TestPastedSendmail does what doctor says about submission, word for word: then submission queries nothing, and what
// acted before still does.
func TestPastedSendmail(t *testing.T) {
	testenv.Needs(t, "root", "Sendmail")
	t.Parallel()
	for _, r := range sendmailRows {
		if !slices.Contains([]string{"every port, submission", "own rules, submission", "by name, of another", "another ruleset knows the daemon"}, r.name) {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			s := r.setUp(t)
			commands := s.commandsOf(t, "submission-queries")
			if len(commands) == 0 {
				t.Fatal("doctor says nothing about submission")
			}
			for _, command := range commands {
				if out, err := exec.CommandContext(soon(t), "sh", "-c", "PATH=$PATH:"+unpackedSendmail+"/usr/bin; "+command).CombinedOutput(); err != nil || len(out) > 0 {
					t.Fatalf("%s: %v\n%s", command, err, out)
				}
			}
			s.enter(t, func() {
				if err := s.server.Reload(soon(t)); err != nil {
					t.Fatal(err)
				}
			})
			if own := strings.Contains(r.mc, ownRules); s.play(t, s.mail[0], ownDenied).ehlo.Offers("STARTTLS") == own {
				t.Errorf("the rules of the operator act: %v, want %v", !own, own)
			}
			said := s.runDoctor(t, configuration{})
			did := slices.DeleteFunc(s.measure(t), func(h harm) bool { return h == failsHung })
			if len(said) > 0 || len(did) > 0 {
				t.Errorf("doctor says %q, and the server: %q", said, did)
			}
		})
	}
}

// commandsOf returns the commands that doctor says to run against a finding.
func (s *site) commandsOf(t *testing.T, id string) []string {
	t.Helper()
	return s.advised(t, id, func(place string) bool { return place == "a root shell" })
}

// linesOf returns what doctor says to write into files against a finding.
func (s *site) linesOf(t *testing.T, id string) []string {
	t.Helper()
	return s.advised(t, id, func(place string) bool { return place != "a root shell" })
}

func (s *site) advised(t *testing.T, id string, in func(place string) bool) (lines []string) {
	t.Helper()
	type write struct {
		In    string
		Lines []string
	}
	var report struct {
		Findings []struct {
			ID    string
			Write write
			Also  []write
		}
	}
	s.enter(t, func() {
		out, _ := exec.CommandContext(soon(t), s.program, append([]string{"doctor", "--json"}, s.doctor...)...).Output() // status 1: there are hazards
		if err := json.Unmarshal(out, &report); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	})
	for _, f := range report.Findings {
		for _, w := range append([]write{f.Write}, f.Also...) {
			if f.ID == id && in(w.In) {
				lines = append(lines, w.Lines...)
			}
		}
	}
	return lines
}
