package containertest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/cmd/ehlogate/internal/test/netns"
	"ehlogate/lists/test/testenv"
)

// The clients: on loopback, since postscreen believes no XCLIENT.
const (
	denied = "127.0.0.66"
	other  = "127.0.0.99"
)

// project is a mail server in containers, with those of its settings for Postfix that concern ehlogate.
type project struct {
	name         string
	main, master string
	hides        []string // from all clients on port 25; a line of ehlogate.toml repeats it
	// paste puts the files of the project where its operator does, and applies them as its container does.
	paste func(t *testing.T, p *mtatest.Postfix, at func(text string) string)
}

// answering is one more postscreen, on port 10025, that answers EHLO itself.
const answering = `10025 inet n - n - 1 postscreen
  -o postscreen_access_list=
  -o postscreen_greet_wait=1s
  -o postscreen_pipelining_enable=yes
`

var projects = []project{
	{
		name: "docker-mailserver", hides: []string{"DSN"},
		main: `smtpd_discard_ehlo_keywords = silent-discard, dsn
postscreen_access_list = permit_mynetworks
postscreen_greet_action = enforce
`,
		master: `smtp inet n - n - 1 postscreen
smtpd pass - - n - - smtpd
submission inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
  -o smtpd_discard_ehlo_keywords=
` + answering,
		paste: func(t *testing.T, p *mtatest.Postfix, at func(string) string) {
			for line := range strings.Lines(at(example(t, "docker-mailserver/postfix-master.cf"))) {
				if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
					output(t, "postconf", "-c", p.Config, "-P", line)
				}
			}
		},
	},
	{
		name: "mailcow", hides: []string{"CHUNKING", "SMTPUTF8"},
		main: `smtpd_discard_ehlo_keywords = chunking, silent-discard, smtputf8
postscreen_discard_ehlo_keywords = chunking, silent-discard, smtputf8, dsn
postscreen_access_list = permit_mynetworks
postscreen_greet_action = enforce
`,
		master: `smtp inet n - n - 1 postscreen
smtpd pass - - n - - smtpd
  -o smtpd_sasl_auth_enable=no
submission inet n - n - - smtpd
  -o smtpd_client_restrictions=permit_mynetworks,permit_sasl_authenticated,reject
  -o smtpd_tls_security_level=encrypt
  -o syslog_name=postfix/submission
` + answering,
		paste: func(t *testing.T, p *mtatest.Postfix, at func(string) string) {
			main := filepath.Join(p.Config, "main.cf")
			if err := os.WriteFile(main, []byte(output(t, "cat", main)+at(example(t, "mailcow/extra.cf"))), 0o644); err != nil {
				t.Fatal(err)
			}
		},
	},
}

// uncomment returns the config with the line of a project in force.
func (p project) uncomment(t *testing.T) string {
	t.Helper()
	lines := strings.Split(example(t, "ehlogate.toml"), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "#always_hide") && strings.HasSuffix(line, "# "+p.name) {
			lines[i] = line[1:]
			return strings.Join(lines, "\n")
		}
	}
	t.Fatalf("ehlogate.toml has no always_hide for %s", p.name)
	return ""
}

// TestPostfix pastes the lines for each project into a real Postfix that has its settings, beside the container.
func TestPostfix(t *testing.T) {
	testenv.Needs(t, "root", "crun", "Postfix")
	for _, p := range projects {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c := startContainer(t, p.uncomment(t), map[string]string{"lists/deny.list": denied + "  # printer\n"})
			network, err := netns.New()
			if err != nil {
				t.Fatal(err)
			}
			defer network.Close()
			dir, err := mtatest.TempDir()
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			postfix, err := mtatest.NewPostfix(mtatest.PostfixConfig{Dir: dir, Network: network, Main: p.main, Master: p.master})
			if err != nil {
				t.Fatal(err)
			}
			// The paths alone differ: that of the volume, and that of docker-mailserver's directory for files of the operator.
			at := strings.NewReplacer("/run/ehlogate", filepath.Join(c.dir, "run"), "/tmp/docker-mailserver", postfix.Config).Replace
			if err := os.WriteFile(filepath.Join(postfix.Config, "ehlogate.cf"), []byte(at(example(t, "ehlogate.cf"))), 0o644); err != nil {
				t.Fatal(err)
			}
			p.paste(t, postfix, at)
			if err := postfix.Start(soon(t)); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := postfix.Stop(soon(t)); err != nil {
					t.Error(err)
				}
				if t.Failed() {
					t.Log(postfix.Maillog().Tail(30))
				}
			}()

			offers := func(port, client string, want map[string]bool) {
				t.Helper()
				checkOffers(t, network, port, client, want)
			}
			hidden := func(starttls bool) map[string]bool {
				want := map[string]bool{"STARTTLS": starttls, "PIPELINING": true}
				for _, keyword := range p.hides {
					want[keyword] = false
				}
				return want
			}
			offers("25", denied, hidden(false))
			offers("25", other, hidden(true))
			offers("587", denied, map[string]bool{"STARTTLS": true})
			offers("10025", denied, map[string]bool{"STARTTLS": true})
			p.examine(t, c, postfix, network, at)
			c.stop(t)
			offers("25", denied, hidden(true))
		})
	}
}

// checkOffers connects to a port as a client, and checks what it is offered.
func checkOffers(t *testing.T, network *netns.Namespace, port, client string, want map[string]bool) {
	t.Helper()
	var s *mtatest.SMTP
	if err := network.Do(func() (err error) {
		s, err = mtatest.Dial(soon(t), net.JoinHostPort("127.0.0.1", port), client)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if r, err := s.Banner(); err != nil || r.Code != 220 {
		t.Fatalf("port %s, banner: %v, %v", port, r, err)
	}
	r, err := s.EHLO("client.example")
	if err != nil || r.Code != 250 {
		t.Fatalf("port %s, EHLO: %v, %v", port, r, err)
	}
	for keyword, want := range want {
		if r.Offers(keyword) != want {
			t.Errorf("port %s, %s: %s offered: %v, want %v", port, client, keyword, !want, want)
		}
	}
}

// examine runs doctor where Postfix is: it has nothing to say against the lines.
func (p project) examine(t *testing.T, c *container, postfix *mtatest.Postfix, network *netns.Namespace, at func(string) string) {
	t.Helper()
	// Files that may still be written keep Postfix's programs waiting.
	past := time.Now().Add(-time.Minute)
	for _, name := range []string{"main.cf", "master.cf"} {
		if err := os.Chtimes(filepath.Join(postfix.Config, name), past, past); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(c.dir, "conf/doctor.toml")
	if err := os.WriteFile(config, []byte(at(p.uncomment(t))), 0o644); err != nil {
		t.Fatal(err)
	}
	var out string
	err := network.Do(func() error {
		cmd := exec.CommandContext(soon(t), filepath.Join(c.dir, "rootfs/usr/bin/ehlogate"), "doctor", "-c", config, "--postfix-config", postfix.Config)
		text, err := cmd.CombinedOutput()
		out = string(text)
		return err
	})
	if err != nil || !strings.Contains(out, "0 hazards, 0 warnings") {
		t.Errorf("doctor: %v, %s", err, out)
	}
}
