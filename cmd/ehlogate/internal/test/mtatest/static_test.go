package mtatest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

const (
	staticGuide = "postfix-static/README.md"
	staticList  = "etc/ehlogate/lists/deny.list"
	// expiring is a client with an entry that ends while the test runs.
	expiring = "127.0.0.40"
	// throughInstance is the smtpd of another Postfix instance.
	throughInstance = "127.0.0.1:2525"
)

// static is a machine on which examples/postfix-static is followed, on a Postfix with settings of its own.
type static struct {
	runner
	guide []step
}

// newStatic takes over a machine that has the units, and ends what was done with them.
func newStatic(t *testing.T, m machine) static {
	t.Helper()
	s := static{runner{m, map[string]bool{}}, exampleSteps(t, "postfix-static")}
	m.run(t, "systemctl stop ehlogate-export.timer postfix ehlogate.service ehlogate.socket ehlogate-http.socket")
	m.run(t, "rm -rf /etc/systemd/system/ehlogate-export.service.d /etc/systemd/system/ehlogate-export.timer.d /etc/ehlogate /"+keptTable)
	m.run(t, "systemctl daemon-reload")
	m.write(t, map[string]string{
		"etc/ehlogate/ehlogate.toml": "always_hide = [\"etrn\"]\n" + strings.Replace(unitsLists, "deny.list", "lists/*.list", 1),
		staticList:                   "# mine\n",
	})
	m.debianMail(t)
	m.run(t, "postconf -e smtpd_discard_ehlo_keywords=etrn")
	s.sh(t, "postconf -M 'submission/inet=submission inet n - y - - smtpd' && postfix reload")
	return s
}

// offered returns what a client is offered.
func (s static) offered(t *testing.T, addr, source string) (r mtatest.Reply) {
	t.Helper()
	err := s.Network().Do(func() error {
		got, err := mtatest.Session(soon(t), addr, source, "client.example")
		r = got.Reply
		return err
	})
	if err != nil || r.Code != 250 {
		t.Fatalf("%s at %s: %v, %v", source, addr, r, err)
	}
	return r
}

// awaits waits until the next session of a client shows an edit. It looks at the table first, which costs less.
func (s static) awaits(t *testing.T, addr, source string, want bool) {
	t.Helper()
	name := keptTable
	if addr == throughInstance {
		name = "etc/postfix-mx/ehlogate.cidr"
	}
	testenv.Eventually(t, name+" follows an edit", func() bool {
		text, err := s.Files().ReadFile(name)
		return err == nil && strings.Contains(string(text), source+"/32") != want
	})
	testenv.Eventually(t, fmt.Sprintf("%s is offered STARTTLS: %v", source, want), func() bool { return s.offered(t, addr, source).Offers("STARTTLS") == want })
}

// sh runs a line as an operator would.
func (s static) sh(t *testing.T, line string) {
	t.Helper()
	if _, err := s.shell(line); err != nil {
		t.Fatal(err)
	}
}

// pause is between two looks that start a program in the machine.
const pause = 200 * time.Millisecond

// ends waits until the last run of the service has ended so.
func (s static) ends(t *testing.T, want string) {
	t.Helper()
	testenv.Eventually(t, "the service is "+want, func() bool {
		time.Sleep(pause)
		state, err := s.Show(soon(t), "ehlogate-export.service", "ActiveState")
		return err == nil && state == want
	})
}

func (s static) table(t *testing.T) string {
	t.Helper()
	text, err := s.Files().ReadFile(keptTable)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// says waits until the journal of the service has a text.
func (s static) says(t *testing.T, text string) {
	t.Helper()
	testenv.Eventually(t, fmt.Sprintf("%q in the journal", text), func() bool {
		time.Sleep(pause)
		journal, err := s.Journal(soon(t), "ehlogate-export.service")
		return err == nil && strings.Contains(journal, text)
	})
}

// dropIn gives the service a drop-in.
func (s static) dropIn(t *testing.T, text string) {
	t.Helper()
	s.write(t, map[string]string{"etc/systemd/system/ehlogate-export.service.d/override.conf": text})
	s.run(t, "systemctl daemon-reload")
}

// playStatic follows the guide word for word, and then edits lists, well and badly. The timer, which has a minute, is not
// waited for.
func playStatic(t *testing.T, m machine) {
	s := newStatic(t, m)
	end := time.Now().Add(40 * time.Second)
	s.sh(t, fmt.Sprintf("echo '%s until=%s' >>/%s", expiring, end.UTC().Format(time.RFC3339), staticList))
	setUp := below(s.guide, "## Set it up")
	for _, step := range setUp {
		if printed := s.steps(t, step); strings.Contains(step.text, "postmap -q") && printed != "etrn, starttls\n" {
			t.Errorf("%s prints %q", step, printed)
		}
	}
	s.ends(t, "inactive")
	if text := s.table(t); !strings.Contains(text, expiring) && time.Now().Before(end) {
		t.Errorf("the table is\n%s", text)
	}

	t.Run("what it hides", func(t *testing.T) {
		s.sh(t, "sed -i 's/^# mine$/&\\n"+denied+"/' /"+staticList) // as many editors do: another file takes its place
		s.awaits(t, throughCache, denied, false)
		for source, starttls := range map[string]bool{denied: false, unlisted: true} {
			if r := s.offered(t, throughCache, source); r.Offers("STARTTLS") != starttls || r.Offers("ETRN") || !r.Offers("PIPELINING") {
				t.Errorf("%s: %v", source, r)
			}
			if r := s.offered(t, "127.0.0.1:587", source); !r.Offers("STARTTLS") {
				t.Errorf("submission, %s: %v", source, r)
			}
		}
	})
	t.Run("edits by any means", func(t *testing.T) {
		// More starts than systemd allows by default: it would stop the path unit.
		s.sh(t, "for i in $(seq 8); do touch /etc/ehlogate/lists/note; sleep 0.25; done")
		for _, edit := range []struct {
			line string
			want bool
		}{
			{"echo " + unlisted + " >>/" + staticList, false},                                                  // in place
			{"cd /etc/ehlogate/lists && grep -v " + unlisted + " deny.list >new && mv new deny.list", true},    // moved
			{"echo " + unlisted + " >/etc/ehlogate/lists/more.list", false},                                    // another file
			{"rm /etc/ehlogate/lists/more.list", true},                                                         // gone
			{"sed -i '1i mode = \"observe\"' /etc/ehlogate/ehlogate.toml", true},                               // the config
			{"sed -i '/^mode/d' /etc/ehlogate/ehlogate.toml && echo " + unlisted + " >>/" + staticList, false}, // two at once
		} {
			s.sh(t, edit.line)
			s.awaits(t, throughCache, unlisted, edit.want)
		}
		s.sh(t, "sed -i /"+unlisted+"/d /"+staticList)
		s.awaits(t, throughCache, unlisted, true)
		s.ends(t, "inactive")
		s.offers(t, throughCache, map[string]bool{denied: false, unlisted: true})
	})
	t.Run("an edit while a run ends", func(t *testing.T) {
		s.run(t, "systemctl stop ehlogate-export.timer")
		s.dropIn(t, "[Service]\nExecStartPost=/bin/sleep 2\n")
		s.sh(t, "echo "+unlisted+" >>/"+staticList)
		testenv.Eventually(t, "the export has ended, and the service has not", func() bool {
			state, err := s.Show(soon(t), "ehlogate-export.service", "SubState")
			return err == nil && state == "start-post"
		})
		s.sh(t, "sed -i /"+unlisted+"/d /"+staticList)
		s.awaits(t, throughCache, unlisted, true)
		s.sh(t, "rm -r /etc/systemd/system/ehlogate-export.service.d && systemctl daemon-reload")
		s.run(t, "systemctl start ehlogate-export.timer")
	})
	for _, broken := range []struct{ name, line, says string }{
		{"a mistake in a list", "echo 192.0.2.300 >>/" + staticList, "192.0.2.300"},
		{"a list is gone", "mv /" + staticList + " /root", "no file matches"},
	} {
		t.Run(broken.name, func(t *testing.T) {
			before := s.table(t)
			s.sh(t, "cp /"+staticList+" /root/good")
			s.sh(t, broken.line)
			s.ends(t, "failed")
			s.says(t, broken.says)
			if out, err := s.Run(soon(t), "systemctl", "start", "ehlogate-export.service"); err == nil {
				t.Errorf("it succeeds: %s", out)
			}
			if now := s.table(t); now != before {
				t.Errorf("the table was\n%s, and is\n%s", before, now)
			}
			s.offers(t, throughCache, map[string]bool{denied: false, unlisted: true})
			s.sh(t, "mv /root/good /"+staticList)
			s.ends(t, "inactive")
		})
	}
	t.Run("Postfix is reloaded later", func(t *testing.T) {
		shipped := example(t, "systemd/ehlogate-export.service")
		_, command, ok := strings.Cut(shipped, "\nExecStart=")
		command, _, _ = strings.Cut(command, "if postfix status")
		if !ok {
			t.Fatalf("no command in\n%s", shipped)
		}
		s.dropIn(t, "[Service]\nExecStart=\nExecStart="+command+"postfix reload\"\n")
		s.run(t, "postfix stop")
		s.sh(t, "echo "+unlisted+" >>/"+staticList)
		s.ends(t, "failed")
		if out, _ := s.Run(soon(t), "ehlogate", "doctor"); !strings.Contains(out, "[table-not-reloaded]") {
			t.Errorf("doctor says\n%s", out)
		}
		s.run(t, "postfix start")
		s.run(t, "systemctl start ehlogate-export.service") // what the timer does
		s.says(t, "did not succeed, and runs again")
		s.offers(t, throughCache, map[string]bool{denied: false, unlisted: false})
		s.sh(t, "rm -r /etc/systemd/system/ehlogate-export.service.d && systemctl daemon-reload && sed -i /"+unlisted+"/d /"+staticList)
		s.awaits(t, throughCache, unlisted, true)
	})
	t.Run("the disk is full", func(t *testing.T) {
		s.sh(t, "mount -t tmpfs -o size=4k none /mnt && ehlogate export --format postfix-cidr -o /mnt/table && cp /mnt/table /root/table")
		s.sh(t, "seq -f 198.51.100.%g 0 2 254 >/etc/ehlogate/lists/many.list")
		out, err := s.shell("ehlogate export --format postfix-cidr -o /mnt/table --if-changed --then 'touch /root/ran'")
		if err == nil || !strings.Contains(out, "/mnt/table stays as it is") || !strings.Contains(out, "no space left on device") {
			t.Errorf("%v\n%s", err, out)
		}
		s.sh(t, "cmp /mnt/table /root/table && test ! -e /root/ran && test $(ls -A /mnt) = table && umount /mnt && rm /etc/ehlogate/lists/many.list")
	})
	t.Run("an entry expires", func(t *testing.T) {
		testenv.Eventually(t, "the end of the entry", func() bool { return time.Now().After(end) })
		s.run(t, "systemctl start ehlogate-export.service") // what the timer does
		s.offers(t, throughCache, map[string]bool{denied: false, expiring: true})
		if text := s.table(t); strings.Contains(text, expiring) || strings.Contains(text, "many") {
			t.Errorf("the table is\n%s", text)
		}
	})
	t.Run("doctor", func(t *testing.T) {
		if out := s.run(t, "ehlogate doctor"); !strings.HasPrefix(out, "nothing found\n") ||
			!strings.Contains(out, "; /etc/postfix/ehlogate.cidr decides as the lists on disk do (exported ") {
			t.Errorf("doctor says\n%s", out)
		}
		s.run(t, "systemctl stop ehlogate-export.timer")
		if out := s.run(t, "ehlogate doctor"); !strings.Contains(out, "[table-not-kept]") {
			t.Errorf("doctor says\n%s", out)
		}
	})
	t.Run("two tables", s.playPair)
	t.Run("postscreen", func(t *testing.T) {
		s.run(t, "postfix stop")
		s.sh(t, `postconf -PX smtp/inet/smtpd_discard_ehlo_keyword_address_maps
			postconf -M 'smtp/inet=smtp inet n - y - 1 postscreen' 'smtpd/pass=smtpd pass - - y - - smtpd'
			postconf -e postscreen_greet_wait=1s postscreen_pipelining_enable=yes postscreen_cache_map= postscreen_access_list=
			postfix start`)
		s.steps(t, below(s.guide, "## postscreen")...)
		s.awaits(t, throughCache, denied, false) // by postscreen itself, once the one before has gone
		s.offers(t, throughCache, map[string]bool{denied: false, unlisted: true})
		s.sh(t, "postconf -e postscreen_access_list=permit_mynetworks && postfix reload")
		s.offers(t, throughCache, map[string]bool{denied: false, unlisted: true}) // by the smtpd behind it
	})
	t.Run("several instances", func(t *testing.T) {
		s.sh(t, `postmulti -e init && postmulti -I postfix-mx -G mta -e create && cp /`+keptTable+` /etc/postfix-mx/
			postconf -c /etc/postfix-mx -e master_service_disable= smtpd_tls_security_level=may smtpd_tls_cert_file=none mydestination= alias_maps=
			postconf -c /etc/postfix-mx -MX smtp/inet
			postconf -c /etc/postfix-mx -M '127.0.0.1:2525/inet=127.0.0.1:2525 inet n - y - - smtpd'
			postconf -c /etc/postfix-mx -P '127.0.0.1:2525/inet/smtpd_discard_ehlo_keyword_address_maps=cidr:$config_directory/ehlogate.cidr'
			postmulti -i postfix-mx -e enable && postmulti -i postfix-mx -p start`)
		s.dropIn(t, indented(t, example(t, staticGuide), "## Several instances of Postfix"))
		s.offers(t, throughInstance, map[string]bool{denied: false, unlisted: true})
		s.sh(t, "echo "+unlisted+" >>/"+staticList)
		s.awaits(t, throughInstance, unlisted, false)
		s.run(t, "postfix stop")
	})
	s.sh(t, "postconf -M 'smtp/inet=smtp inet n - y - - smtpd' && postfix start")
	s.steps(t, setUp[slices.IndexFunc(setUp, func(s step) bool { return strings.Contains(s.text, "postconf -P") })])
	s.steps(t, slices.Concat(below(s.guide, "## When it fails"), below(s.guide, "## Take it out again"))...)
	s.offers(t, throughCache, map[string]bool{denied: true, unlisted: true})
	for _, step := range s.guide {
		if !s.ran[step.String()] {
			t.Errorf("no machine ran %s", step)
		}
	}
}

// playPair has the table of addresses in a database, and edits what is in one of the two tables, and in both.
func (s static) playPair(t *testing.T) {
	const heading = "## More than 100,000 addresses"
	s.steps(t, below(s.guide, heading)...)
	_, unit, ok := strings.Cut(indented(t, example(t, staticGuide), heading), "[Service]\n")
	if !ok {
		t.Fatal("no drop-in in " + heading)
	}
	s.dropIn(t, "[Service]\n"+unit)
	s.offers(t, throughCache, map[string]bool{denied: false, unlisted: true})
	const wide, other = "/etc/ehlogate/lists/wide.list", "127.0.0.41"
	text := func() string {
		addresses, err := s.Files().ReadFile("etc/postfix/ehlogate")
		if err != nil {
			t.Fatal(err)
		}
		return s.table(t) + string(addresses)
	}
	for _, edit := range []struct {
		line string
		want bool
	}{
		{"echo 126.255.0.0-127.0.255.255 >" + wide, false},                          // a network alone
		{"echo '!" + unlisted + "' >>" + wide, true},                                // an address alone
		{"rm " + wide, true},                                                        // both
		{"echo " + unlisted + " >>/" + staticList, false},                           // an address
		{"sed -i /" + unlisted + "/d /" + staticList, true},                         // gone again
		{"printf '126.255.0.0-127.0.255.255\\n!" + denied + "\\n' >" + wide, false}, // both, with an older entry that is narrower
		{"rm " + wide, true},
	} {
		s.offered(t, throughCache, other) // by a smtpd that goes on with what it read
		before := text()
		s.sh(t, edit.line)
		testenv.Eventually(t, "the tables follow "+edit.line, func() bool { return text() != before })
		s.ends(t, "inactive")
		if r := s.offered(t, throughCache, unlisted); r.Offers("STARTTLS") != edit.want {
			t.Errorf("%s: %v, want STARTTLS: %v", edit.line, r, edit.want)
		}
	}
	s.offers(t, throughCache, map[string]bool{denied: false, unlisted: true})
	s.run(t, "systemctl start ehlogate-export.timer")
	if out := s.run(t, "ehlogate doctor"); !strings.HasPrefix(out, "nothing found\n") || strings.Count(out, "decides as the lists on disk do") != 2 {
		t.Errorf("doctor says\n%s", out)
	}
	s.run(t, "systemctl stop ehlogate-export.timer")
	s.sh(t, "rm -r /etc/systemd/system/ehlogate-export.service.d && systemctl daemon-reload && systemctl start ehlogate-export.service")
}

// indented returns the lines of the block below a heading of a document.
func indented(t *testing.T, text, heading string) (block string) {
	t.Helper()
	_, text, ok := strings.Cut(text, heading+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	for line := range strings.Lines(text) {
		if line, isBlock := strings.CutPrefix(line, "    "); isBlock {
			block += line
		}
	}
	if !ok || block == "" {
		t.Fatalf("no block below %s", heading)
	}
	return block
}
