package mtatest_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// eximRow is a configuration of Exim, in a network of its own.
type eximRow struct {
	name      string
	main      string // for the main section
	debian    string // exim4.conf.localmacros: the configuration is Debian's, in one file; "split": in many
	forbidden bool   // the socket is for root alone
	strict    bool   // there is a list with action = "require"
	old       bool   // there is a list with action = "legacy"
	etc       map[string]string
	slow      bool // it waits longest about as long as a client does, so failsHung may be measured too
	advice    []string
}

// The parts of rows. ADDR is the port of ehlogate for Exim.
const (
	readsocket = "${readsocket{inet:127.0.0.1:10042}{get $sender_host_address\\n}{2s}{}{}}"
	denies     = "match{" + readsocket + "}{\\N^200 .*starttls\\N}"
	everyPort  = "tls_advertise_hosts = ${if " + denies + "{}{*}}\n"
	onlyPort25 = "tls_advertise_hosts = ${if and{{eq{$received_port}{25}}{" + denies + "}}{}{*}}\n"
	ports      = "daemon_smtp_ports = 25 : 587\n"
	onLoopback = "local_interfaces = <; " + outside + ".25 ; 127.0.0.1.587\n"
)

// eximRows are configurations of Exim as operators may have them. EXAMPLE stands for examples/exim/ehlogate.conf, DIR for
// a directory with the unix socket of ehlogate and an exported list.
var eximRows = []eximRow{
	{name: "example", main: "EXAMPLE"},
	{name: "example, submission", main: "EXAMPLE" + ports},
	{name: "example, port names", main: "EXAMPLE" + "daemon_smtp_ports = <; smtp ; submission\n"},
	{name: "example, smtps", main: "EXAMPLE" + "daemon_smtp_ports = 25 : 465 : 587\ntls_on_connect_ports = 465\n"},
	{name: "every port, smtps", main: everyPort + "daemon_smtp_ports = 25 : 465\ntls_on_connect_ports = 465\n"},
	{name: "every port, port 465 without TLS", main: everyPort + "daemon_smtp_ports = 25 : 465\n"},
	{name: "every port", main: everyPort},
	{name: "every port, submission", main: everyPort + ports},
	{name: "every port, submission on loopback", main: everyPort + onLoopback},
	{name: "every port, ports of interfaces", main: everyPort + "local_interfaces = <; [" + outside + "]:25 ; " + outside + ".587 ; ::1\n"},
	{name: "another port is exempt", main: ports + strings.ReplaceAll(onlyPort25, "eq{$received_port}{25}", "!eq{$received_port}{465}")},
	{name: "submission alone queries", main: ports + strings.ReplaceAll(onlyPort25, "{25}", "{587}")},
	{name: "a word with _port", main: "OUR_port = 25\n" + ports + everyPort + "# $received_port\n"},
	{name: "in quotes", main: ports + "tls_advertise_hosts = \"" + strings.ReplaceAll(strings.TrimSpace(strings.TrimPrefix(onlyPort25, "tls_advertise_hosts = ")), `\`, `\\`) + "\"\n"},
	{name: "another separator", main: "tls_advertise_hosts = <; ${if " + denies + "{!*}{*}} ; 192.0.2.1\n"},
	{name: "own exceptions", main: "tls_advertise_hosts = !192.0.2.0/24 : !2001::db8::::/32 : ${if " + denies + "{}{*}}\n"},
	{name: "a named list", main: "hostlist starttls = ${if " + denies + "{}{*}}\ntls_advertise_hosts = +starttls\n"},
	{name: "upside down", main: "tls_advertise_hosts = ${if " + denies + "{*}{}}\n"},
	{name: "another answer", main: "tls_advertise_hosts = ${if match{" + readsocket + "}{^OK}{}{*}}\n"},
	{name: "an unfinished query", main: "tls_advertise_hosts = ${if match{" + strings.Replace(readsocket, `\n`, "", 1) + "}{\\N^200 .*starttls\\N}{}{*}}\n"},
	{name: "a failure hides", main: "tls_advertise_hosts = ${if match{" + strings.Replace(readsocket, "{}{}}", "{}{200 starttls}}", 1) + "}{\\N^200 .*starttls\\N}{}{*}}\n"},
	{name: "only an answer offers", main: "tls_advertise_hosts = ${if match{" + strings.Replace(readsocket, "{}{}}", "{}{down}}", 1) + "}{^500}{*}{}}\n"},
	{name: "no timeout", slow: true, main: "tls_advertise_hosts = ${if match{" + strings.Replace(readsocket, "{2s}{}{}", "", 1) + "}{\\N^200 .*starttls\\N}{}{*}}\n"},
	{name: "a long timeout", slow: true, main: strings.Replace(everyPort, "{2s}", "{20s}", 1)},
	{name: "shutdown=no", main: strings.Replace(everyPort, "{2s}", "{2s:shutdown=no}", 1)},
	{name: "unix socket", main: strings.Replace(everyPort, "inet:127.0.0.1:10042", "DIR/table", 1)},
	{name: "memcache", main: "tls_advertise_hosts = ${if match{${readsocket{inet:127.0.0.1:10046}{get starttls:$sender_host_address\\r\\n}{2s}{}{}}}{starttls\\r?\\n}{}{*}}\n"},
	{name: "another protocol", main: strings.Replace(everyPort, "10042", "10041", 1)},
	{name: "included", main: ".include DIR/more.conf\n"},
	{name: "an ACL queries", main: "acl_smtp_mail = ${if " + denies + "{accept}{accept}}\n"},
	{name: "a variable of an ACL", main: "acl_smtp_connect = set\ntls_advertise_hosts = ${if eq{$acl_c_deny}{yes}{}{*}}\n" +
		"begin acl\nset:\n  warn set acl_c_deny = ${if " + denies + "{yes}{no}}\n  accept\n"},
	{name: "exported", main: "tls_advertise_hosts = DIR/exported\n"},
	{name: "a unix socket for root alone", main: strings.Replace(everyPort, "inet:127.0.0.1:10042", "DIR/table", 1), forbidden: true},
	{name: "the query is a macro", main: "ASK = " + readsocket + "\ntls_advertise_hosts = ${if match{ASK}{\\N^200 .*starttls\\N}{}{*}}\n"},
	{name: "nested named lists", main: "hostlist a = 192.0.2.1\nhostlist b = ${if " + denies + "{}{*}}\nhostlist c = !+a : +b\ntls_advertise_hosts = +c\n"},
	{name: "the HELO name too", main: "tls_advertise_hosts = ${if match{${readsocket{inet:127.0.0.1:10042}{get $sender_host_address%20$sender_helo_name\\n}{2s}{}{}}}{\\N^200 .*starttls\\N}{}{*}}\n"},
	{name: "included if it exists", main: ".include_if_exists DIR/more.conf\n"},
	{name: "a macro that is replaced", main: "X = ${if " + denies + "{}{*}}\nX == *\ntls_advertise_hosts = X\n"},
	{name: "the address by name", main: strings.Replace(everyPort, "127.0.0.1", "localhost", 1)},
	{name: "no text for a failure", main: "tls_advertise_hosts = ${if match{" + strings.Replace(readsocket, "{2s}{}{}", "{2s}", 1) + "}{\\N^200 .*starttls\\N}{}{*}}\n"},
	{name: "interfaces with ports, two for mail", main: everyPort + "local_interfaces = <; [" + outside + "]:25 ; [" + outside + "]:2525\n"},
	{name: "require, which Exim cannot enforce", main: "EXAMPLE", strict: true},
	{name: "nothing", main: ports},
	{name: "Debian", debian: "MAIN_TLS_ENABLE = yes\nMAIN_TLS_ADVERTISE_HOSTS = " + strings.TrimPrefix(onlyPort25, "tls_advertise_hosts = ")},
	{name: "Debian, split", debian: "split MAIN_TLS_ENABLE = yes\nMAIN_TLS_ADVERTISE_HOSTS = " + strings.TrimPrefix(onlyPort25, "tls_advertise_hosts = ")},
	{name: "Debian, every port, submission", debian: "MAIN_TLS_ENABLE = yes\nMAIN_TLS_ADVERTISE_HOSTS = " + strings.TrimPrefix(everyPort, "tls_advertise_hosts = "), main: ports},
	{name: "Debian, TLS is not enabled", debian: "MAIN_TLS_ADVERTISE_HOSTS = " + strings.TrimPrefix(onlyPort25, "tls_advertise_hosts = ")},
}

func eximConfigurations() (out []configuration) {
	for _, r := range slices.Concat(eximRows, oldEximRows) {
		c := configuration{server: "Exim", name: r.name, advice: r.advice, setUp: func(t *testing.T) *site { s, _ := r.setUp(t); return s }}
		if r.slow {
			c.inherent = []harm{failsHung}
		}
		out = append(out, c)
	}
	return out
}

func (r eximRow) setUp(t *testing.T) (*site, *mtatest.Exim) {
	s, dir := newSite(t, r.strict, r.old)
	if out, err := exec.CommandContext(soon(t), s.program, "export", "-c", filepath.Join(dir, "ehlogate.toml"), "--format", "exim-hosts", "-o", filepath.Join(dir, "exported")).CombinedOutput(); err != nil {
		t.Fatalf("export: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "more.conf"), []byte(onlyPort25), 0o644); err != nil {
		t.Fatal(err)
	}
	if r.forbidden {
		if err := os.Chmod(filepath.Join(dir, "table"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	main := strings.NewReplacer("EXAMPLE", example(t, "exim/ehlogate.conf"), "OLDTLS", example(t, "legacy-tls/exim.conf"), "DIR", dir).Replace(r.main)
	if strings.Contains(r.main, "587") || strings.Contains(r.main, "submission") {
		if !strings.Contains(main, "127.0.0.1.587") {
			s.login = []port{{addr: outside + ":587"}}
		}
	}
	if strings.Contains(r.main, "25 : 465") {
		s.login = append(s.login, port{addr: outside + ":465", tls: strings.Contains(r.main, "tls_on_connect")})
	}
	if !strings.Contains(main, "local_interfaces") {
		main = "local_interfaces = <; 127.0.0.1 ; " + outside + "\n" + main
	}
	e, err := mtatest.NewExim(mtatest.EximConfig{Dir: tempDir(t), Etc: r.etc, Main: main})
	if err != nil {
		t.Fatal(err)
	}
	if r.debian != "" {
		macros, split := strings.CutPrefix(r.debian, "split ")
		if err := e.UseDebian(soon(t), macros+r.main, split, "127.0.0.1 ; "+outside); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := e.Stop(soon(t)); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(e.Maillog().Tail(30))
		}
	})
	s.enter(t, func() {
		if err := e.Start(soon(t)); err != nil {
			t.Fatal(err)
		}
	})
	if s.program, err = e.Script(s.program); err != nil {
		t.Fatal(err)
	}
	s.doctor = append(s.doctor, "--exim", e.Config())
	return s, e
}

// TestPastedExim does what doctor says about submission, word for word: then submission queries nothing, and what acted
// before still does.
func TestPastedExim(t *testing.T) {
	testenv.Needs(t, "root", "Exim")
	t.Parallel()
	for _, r := range eximRows {
		if !slices.Contains([]string{"every port, submission", "every port, ports of interfaces", "a word with _port"}, r.name) {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			s, e := r.setUp(t)
			lines := s.linesOf(t, "submission-queries")
			if len(lines) != 1 {
				t.Fatalf("doctor says %q about submission", lines)
			}
			text, err := os.ReadFile(e.Config())
			if err != nil {
				t.Fatal(err)
			}
			old := strings.TrimSpace(everyPort)
			if strings.Count(string(text), old) != 1 {
				t.Fatalf("want %q once", old)
			}
			if err := os.WriteFile(e.Config(), []byte(strings.Replace(string(text), old, lines[0], 1)), 0o644); err != nil {
				t.Fatal(err)
			}
			s.enter(t, func() {
				if err := errors.Join(e.Stop(soon(t)), e.Start(soon(t))); err != nil { // it has no right to open port 25 again
					t.Fatal(err)
				}
			})
			if said, did := s.runDoctor(t, configuration{}), s.measure(t); len(said) > 0 || len(did) > 0 {
				t.Errorf("doctor says %q, and the server: %q", said, did)
			}
		})
	}
}
