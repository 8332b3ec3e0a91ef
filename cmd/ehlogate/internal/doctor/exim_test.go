package doctor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/test/testenv"
)

// installExim makes the Exim of this machine, or the one that .ci/deps unpacks, a program of the test.
func installExim(t *testing.T) {
	t.Helper()
	testenv.Needs(t, "Exim")
	for _, name := range []string{"exim", "exim4"} {
		if _, err := exec.LookPath("/usr/sbin/" + name); err == nil {
			return
		}
	}
	const unpacked = "/var/cache/ehlogate-test/exim"
	if _, err := os.Stat(unpacked + "/usr/sbin/exim4"); err != nil {
		t.Fatalf("Exim is needed (run .ci/deps): %v", err)
	}
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nLD_LIBRARY_PATH=%[1]s/usr/lib/x86_64-linux-gnu exec %[1]s/usr/sbin/exim4 \"$@\"\n", unpacked)
	if err := os.WriteFile(filepath.Join(dir, "exim"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// Odd settings are what the real Exim makes of them.
func TestOddExim(t *testing.T) {
	testenv.Needs(t, "Exim")
	installExim(t)
	const asks = "${if match{${readsocket{inet:127.0.0.1:10042}{get $sender_host_address\\n}{2s}{}{}}}{^200}{}{*}}"
	for name, tc := range map[string]struct {
		text, option, want string
		asks               bool
	}{
		"default":                 {"", advertiseHosts, "*", false},
		"default port":            {"", daemonPorts, "smtp", false},
		"macro in a macro":        {"ADDR = 127.0.0.1\nQUERY = ${readsocket{inet:ADDR:10042}{get $sender_host_address\\n}{2s}{}{}}\ntls_advertise_hosts = ${if match{QUERY}{^200}{}{*}}\n", advertiseHosts, asks, true},
		"macro that is redefined": {"ADDR = 192.0.2.1\nADDR == 127.0.0.1\ntls_advertise_hosts = ADDR\n", advertiseHosts, "127.0.0.1", false},
		"included file":           {".include DIR/more.conf\n", advertiseHosts, asks, true},
		"macro of a file":         {".include DIR/macros.conf\ntls_advertise_hosts = QUERY\n", advertiseHosts, asks, true},
		"conditional":             {".ifdef NOWHERE\ntls_advertise_hosts = *\n.else\ntls_advertise_hosts = 192.0.2.1\n.endif\n", advertiseHosts, "192.0.2.1", false},
		"long line":               {"tls_advertise_hosts = ${if match{${readsocket{inet:127.0.0.1:10042}\\\n  # a comment\n   {get $sender_host_address\\n}\\\n   {2s}{}{}}}{^200}{}{*}}\n", advertiseHosts, asks, true},
		"quotes":                  {"tls_advertise_hosts = \"192.0.2.1 : \\\n  192.0.2.2\"\n", advertiseHosts, "192.0.2.1 : 192.0.2.2", false},
		"ports":                   {"daemon_smtp_ports = 25 : \\\n  587\n", daemonPorts, "25 : 587", false},
		"hidden":                  {"hide tls_advertise_hosts = 192.0.2.1\n", advertiseHosts, "192.0.2.1", false},
		"in an ACL only":          {"begin acl\nacl_check_rcpt:\n  accept condition = ${readsocket{inet:127.0.0.1:10042}{x}}\n", advertiseHosts, "*", false},
	} {
		dir := t.TempDir()
		for file, text := range map[string]string{
			"exim.conf": strings.ReplaceAll(tc.text, "DIR", dir), "more.conf": "tls_advertise_hosts = " + asks + "\n", "macros.conf": "QUERY = " + asks + "\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		x, err := ReadExim(t.Context(), filepath.Join(dir, "exim.conf"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := x.values[tc.option]; got != tc.want {
			t.Errorf("%s: got %s = %q, want %q", name, tc.option, got, tc.want)
		}
		r := Examine(t.Context(), SavedHost(dir), config.Defaults(), nil, x, nil)
		if asks := !strings.Contains(ids(r), "ehlogate-not-queried"); asks != tc.asks {
			t.Errorf("%s: ehlogate is asked: got %v, want %v\n%s", name, asks, tc.asks, ids(r))
		}
	}
}

// What Exim itself refuses is an error with its reason.
func TestBrokenExim(t *testing.T) {
	testenv.Needs(t, "Exim")
	installExim(t)
	file := filepath.Join(t.TempDir(), "exim.conf")
	if err := os.WriteFile(file, []byte("tls_advertise_host = *\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{file: `main option "tls_advertise_host" unknown`, file + ".none": "non-existent configuration file"} {
		_, err := ReadExim(t.Context(), name)
		if err == nil || strings.Count(err.Error(), want) != 1 {
			t.Errorf("got %v, want %q once", err, want)
		}
		if err != nil && strings.Contains(err.Error(), " log") { // which Exim may not be able to write
			t.Errorf("got %v, want no word about the log", err)
		}
	}
}
