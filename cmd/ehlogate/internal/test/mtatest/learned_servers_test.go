package mtatest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// replaceAll replaces pairs of words in a text.
func replaceAll(text string, pairs ...string) string {
	return strings.NewReplacer(pairs...).Replace(text)
}

// learnedServers are the mail servers, which need TLS 1.2 unless the list of old TLS has a client.
var learnedServers = []struct {
	name  string
	start func(s *learnedSite) learnedMTA
}{
	{"Postfix", startLearnedPostfix},
	{"Sendmail", startLearnedSendmail},
	{"Exim", startLearnedExim},
}

// spoilCertificate replaces a certificate by one that is not that of the key.
func spoilCertificate(t *testing.T, path string) {
	t.Helper()
	other, err := os.ReadFile(filepath.Join(writeOddPEM(t, 0o600), "other/cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, other, 0o600); err != nil { // as it was: its owner stays
		t.Fatal(err)
	}
}

func startLearnedPostfix(s *learnedSite) learnedMTA {
	dir := tempDir(s.T)
	p := startPostfix(s.T, mtatest.PostfixConfig{
		Dir: dir, Network: s.server,
		Main: "inet_interfaces = all\nsmtpd_tls_loglevel = 1\nsmtpd_tls_protocols = >=TLSv1.2\nsmtpd_tls_mandatory_protocols = >=TLSv1.2\n" +
			"smtpd_discard_ehlo_keyword_address_maps = memcache:" + mtatest.LayoutOf(dir).Config + "/ehlogate.cf\n",
		Master: "25 inet n - n - - smtpd\n10026 inet n - n - 20 smtpd" + oldTLSOptions(s.T) + "\n",
		Files:  map[string]string{"ehlogate.cf": replaceAll(example(s.T, "postfix/ehlogate.cf"), "unix:ehlogate/memcache", "inet:127.0.0.1:10046")},
	})
	rules := filepath.Join(dir, "legacy.nft")
	if err := os.WriteFile(rules, []byte(example(s.T, "legacy-tls/legacy.nft")), 0o644); err != nil {
		s.Fatal(err)
	}
	if _, err := s.server.Run(s.Context(), "nft", "-f", rules); err != nil {
		s.Fatal(err)
	}
	return learnedMTA{log: p.Maillog(), awaitMail: p.AwaitMail, awaitOldTLS: updateOldTLS,
		awaitEnds: func(t *testing.T) {
			t.Helper()
			if err := awaitEqual(soon(t), p.Maillog(), regexp.MustCompile(`smtpd\[\d+\]: connect from `), regexp.MustCompile(`smtpd\[\d+\]: disconnect from `)); err != nil {
				t.Fatal(err)
			}
		},
		breakCertificate: func(t *testing.T) {
			spoilCertificate(t, filepath.Join(p.Config, "cert.pem"))
			if err := errors.Join(p.Stop(soon(t)), p.Start(soon(t))); err != nil {
				t.Fatal(err)
			}
		}}
}

// oldTLSOptions returns the options of the second smtpd, which has old TLS, for master.cf.
func oldTLSOptions(t *testing.T) (options string) {
	for line := range strings.Lines(example(t, "legacy-tls/postfix.options")) {
		if option, ok := strings.CutPrefix(strings.TrimSpace(line), "10026/inet/"); ok {
			name, value, _ := strings.Cut(option, "=")
			options += fmt.Sprintf("\n    -o { %s = %s }", name, value)
		}
	}
	return options
}

// updateOldTLS fills the sets of the firewall, as the timer does, and checks whether they have a client.
func updateOldTLS(s *learnedSite, client string, is bool) {
	s.Helper()
	_, err := s.server.Run(soon(s.T), s.daemon.Path, "export", "-c", filepath.Join(s.dir, "ehlogate.toml"), "--format", "nft", "--action", "legacy",
		"--set", "inet ehlogate_legacy clients", "--apply")
	if err != nil {
		s.Fatal(err)
	}
	out, err := s.server.Run(soon(s.T), "nft", "list", "set", "inet", "ehlogate_legacy", "clients4")
	if err != nil || strings.Contains(out, client) != is {
		s.Fatalf("the set has %s: %v, %v\n%s", client, !is, err, out)
	}
}

// awaitEqual waits until a log has as many lines that match one expression as match another.
func awaitEqual(ctx context.Context, log *mtatest.Log, begin, end *regexp.Regexp) error {
	return testenv.Await(ctx, func() (bool, error) {
		begun, errBegun := log.Lines(begin, 0)
		ended, errEnded := log.Lines(end, 0)
		return len(begun) == len(ended), errors.Join(errBegun, errEnded)
	})
}

func startLearnedSendmail(s *learnedSite) learnedMTA {
	m := runSendmailWith(s.T, mtatest.SendmailConfig{Port: 25, Syslog: true, Network: s.server,
		Features: fmt.Sprintf("DAEMON_OPTIONS(`Name=MTA-v4, Family=inet, Addr=%s, Port=smtp, M=A')dnl\n", learnedServer),
		MC:       example(s.T, "sendmail/ehlogate.mc") + example(s.T, "legacy-tls/sendmail.mc")})
	return learnedMTA{log: m.Maillog(), hasProbes: true, awaitMail: m.AwaitMail,
		awaitEnds: func(t *testing.T) {
			t.Helper()
			if err := m.AwaitIdle(soon(t)); err != nil {
				t.Fatal(err)
			}
		},
		breakCertificate: func(t *testing.T) {
			spoilCertificate(t, filepath.Join(filepath.Dir(m.CF()), "cert.pem"))
			if err := m.Reload(soon(t)); err != nil {
				t.Fatal(err)
			}
		}}
}

func startLearnedExim(s *learnedSite) learnedMTA {
	e := runEximWith(s.T, mtatest.EximConfig{Dir: tempDir(s.T), Network: s.server,
		Main: "daemon_smtp_ports = 25\nlocal_interfaces = " + learnedServer + "\nlog_selector = +incoming_port +incoming_interface +smtp_no_mail\n" +
			example(s.T, "exim/ehlogate.conf") + example(s.T, "legacy-tls/exim.conf")})
	return learnedMTA{log: e.Maillog(), hasProbes: true, awaitMail: e.AwaitMail,
		awaitEnds: func(t *testing.T) {
			t.Helper()
			if err := e.AwaitIdle(soon(t)); err != nil {
				t.Fatal(err)
			}
		},
		breakCertificate: func(t *testing.T) {
			spoilCertificate(t, filepath.Join(filepath.Dir(e.Config()), "cert.pem"))
			if err := errors.Join(e.Stop(soon(t)), e.Start(soon(t))); err != nil {
				t.Fatal(err)
			}
		}}
}
