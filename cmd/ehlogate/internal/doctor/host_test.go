package doctor

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/test/testenv"
)

// examineHere examines settings on this machine.
func examineHere(t *testing.T, host *Host, pf *Postfix) *Report {
	t.Helper()
	return Examine(t.Context(), host, config.Defaults(), pf, nil, nil)
}

// settingsWith returns those of the cases, with more.
func settingsWith(t *testing.T, more string) *Postfix {
	t.Helper()
	a, err := txtar.ParseFile("testdata/base.txtar")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := func(name string) string { return string(partOf(a, name).Data) }
	saveSettings(t, dir, text("main.cf")+more, text("master.cf"))
	pf, err := SavedPostfix(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return pf
}

func idsOf(r *Report) (out []string) {
	for _, f := range r.Findings {
		out = append(out, f.Severity.String()+" "+f.ID)
	}
	return out
}

// Files that the settings name, on this machine.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	table := filepath.Join(dir, "table")
	if err := os.WriteFile(table, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing")
	for more, want := range map[string][]string{
		"ehlogate_backup = cidr:" + table:                                             nil,
		"ehlogate_backup = cidr:/dev/null":                                            nil,
		"ehlogate_backup = cidr:" + missing:                                           {"hazard backup-unreadable"},
		"ehlogate_backup = cidr:" + dir:                                               {"hazard backup-unreadable"},
		"ehlogate_backup = cidr:missing\nqueue_directory = " + dir:                    {"hazard backup-unreadable"},
		"ehlogate_backup = cidr:table\nqueue_directory = " + dir:                      nil,
		"ehlogate_backup = lmdb:" + table:                                             {"hazard backup-unreadable"},
		"ehlogate_map = memcache:" + missing:                                          {"hazard memcache-file-unreadable"},
		"ehlogate_map = unionmap:{memcache:ehlogate, cidr:" + missing + "}":           {"hazard table-unreadable"},
		"ehlogate_map = memcache:ehlogate, {cidr:" + missing + " attribute=whatever}": {"hazard table-unreadable"},
	} {
		pf := settingsWith(t, more+"\n")
		if got := idsOf(examineHere(t, ThisHost(false), pf)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", more, got, want)
		}
	}
}

// The file of the map is copied before a command names it: without it, smtpd answers every EHLO with 421.
func TestMissingExample(t *testing.T) {
	testenv.Needs(t, "Postfix")
	for more, id := range map[string]string{
		"-o smtpd_discard_ehlo_keyword_address_maps=":                                        "ehlogate-not-queried",
		"-o smtpd_discard_ehlo_keyword_address_maps=socketmap:inet:127.0.0.1:10041:starttls": "map-refuses",
	} {
		dir := configDir(t, "compatibility_level = 3.6\nsmtpd_tls_security_level = may\n", "smtp inet n - n - - smtpd "+more+"\n")
		commands := func() []string {
			pf, err := LivePostfix(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			r := examineHere(t, ThisHost(false), pf)
			i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.ID == id })
			if i < 0 || r.Findings[i].Write.In != shell || len(r.Findings[i].Also) > 0 {
				t.Fatalf("no commands for %s: %+v", id, r.Findings)
			}
			return r.Findings[i].Write.Lines
		}
		use := "postconf -c '" + dir + "' -P 'smtp/inet/smtpd_discard_ehlo_keyword_address_maps=memcache:$config_directory/ehlogate.cf'"
		want := []string{"cp /usr/share/doc/ehlogate/examples/postfix/ehlogate.cf '" + dir + "/'", use}
		if got := commands(); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", id, got, want)
		}
		if err := os.WriteFile(filepath.Join(dir, "ehlogate.cf"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if got := commands(); !slices.Equal(got, want[1:]) {
			t.Errorf("%s, with the file: got %q, want %q", id, got, want[1:])
		}
	}
}

// What restores the file of a memcache table, which smtpd reads at a reload only.
func TestRestoredFile(t *testing.T) {
	testenv.Needs(t, "Postfix")
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.cf")
	const cp = "cp /usr/share/doc/ehlogate/examples/postfix/"
	for _, tc := range []struct{ service, setting, example string }{
		{"smtp", smtpdMaps + " = memcache:" + missing, "ehlogate.cf"},
		{"submission", smtpdMaps + " = memcache:" + missing, "ehlogate-submission.cf"},
		{"smtp", smtpdFilter + " = pipemap:{static:x,memcache:" + missing + "}", "ehlogate-helo.cf"},
	} {
		pf, err := LivePostfix(t.Context(), configDir(t, "compatibility_level = 3.6\n"+tc.setting+"\n", tc.service+" inet n - n - - smtpd\n"))
		if err != nil {
			t.Fatal(err)
		}
		r := examineHere(t, ThisHost(false), pf)
		i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.ID == "memcache-file-unreadable" })
		want := []string{cp + tc.example + " '" + missing + "'", "postfix -c '" + pf.Dir + "' reload"}
		if i < 0 || r.Findings[i].Write.In != shell || !slices.Equal(r.Findings[i].Write.Lines, want) {
			t.Errorf("%s, %s: want %q: %+v", tc.service, tc.setting, want, r.Findings)
		}
	}
}

// Programs that may listen at the address of the map.
func TestProbe(t *testing.T) {
	for name, tc := range map[string]struct {
		answer string // to the first line; empty: none
		want   []string
	}{
		"ehlogate":  {"VERSION ehlogate\r\n", nil},
		"memcached": {"VERSION 1.6.18\r\n", []string{"hazard other-program-answers"}},
		"smtp":      {"220 mail.example.org ESMTP\r\n", []string{"hazard other-program-answers"}},
		"cut off":   {"VERSION", []string{"hazard other-program-answers"}},
		"mute":      {"", []string{"hazard no-answer"}},
	} {
		t.Run(name, func(t *testing.T) {
			done := make(chan struct{})
			host := ThisHost(false)
			host.Dial = func(network, addr string) (net.Conn, error) {
				if network != "tcp" || addr != "127.0.0.1:10046" {
					t.Errorf("dialled %s %s", network, addr)
				}
				ours, theirs := net.Pipe()
				go func() {
					defer close(done)
					defer theirs.Close()
					buf := make([]byte, 100)
					k, err := theirs.Read(buf)
					if err != nil || string(buf[:k]) != "version\r\n" {
						t.Errorf("asked %q, %v", buf[:k], err)
					}
					if tc.answer == "" {
						_, err = theirs.Read(buf) // until the other side has enough
					} else {
						_, err = io.WriteString(theirs, tc.answer)
					}
					if err != nil && err != io.EOF {
						t.Error(err)
					}
				}()
				return ours, nil
			}
			pf := settingsWith(t, "")
			if got := idsOf(examineHere(t, host, pf)); !slices.Equal(got, tc.want) {
				t.Errorf("%v, want %v", got, tc.want)
			}
			<-done
		})
	}
}

// No program listens: that is worse without a backup.
func TestUnreachable(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	addr := l.Addr().String()
	l.Close()
	for from, want := range map[string][]string{
		"ehlogate_memcache = inet:" + addr:                    {"warning unreachable", "warning not-our-address"},
		"ehlogate_map = socketmap:inet:" + addr + ":starttls": {"hazard map-refuses", "hazard unreachable", "warning not-our-address"},
	} {
		pf := settingsWith(t, from+"\n")
		got := idsOf(examineHere(t, ThisHost(true), pf))
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", from, got, want)
		}
	}
}

// A socket that doctor may not connect to tells nothing about ehlogate.
func TestForbiddenSocket(t *testing.T) {
	host := ThisHost(false)
	host.Dial = func(network, addr string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.EACCES)}
	}
	r := examineHere(t, host, settingsWith(t, ""))
	if got := idsOf(r); !slices.Equal(got, []string{"note not-examined"}) || r.Findings[0].Write.Lines[0] != "ehlogate doctor" {
		t.Errorf("got %+v", r.Findings)
	}
}

func listen(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// A socket of systemd outlives ehlogate: a restart costs no mail.
func TestInherited(t *testing.T) {
	host := ThisHost(false)
	host.Inherited = func(network, addr string) (string, bool) { return "", network == "tcp" && addr == "127.0.0.1:10041" }
	pf := settingsWith(t, "ehlogate_map = socketmap:inet:127.0.0.1:10041:starttls\n")
	if got := idsOf(examineHere(t, host, pf)); !slices.Equal(got, []string{"warning map-refuses"}) {
		t.Errorf("got %v, want a warning", got)
	}
}
