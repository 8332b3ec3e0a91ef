package debtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"ehlogate/lists/test/testenv"
)

// buildRPM builds the RPM of the source of which the Debian package was built.
var buildRPM = sync.OnceValues(func() (path string, err error) {
	b, err := build()
	if err != nil {
		return "", err
	}
	return b.runBuild(b.source, "rpm")
})

func rpmOnce(t *testing.T) string {
	t.Helper()
	path, err := buildRPM()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// queryRPM returns what rpm says about a package, in its query format.
func queryRPM(t *testing.T, path, format string) string {
	t.Helper()
	return output(t, exec.CommandContext(t.Context(), "rpm", "-qp", "--qf", format, path))
}

// atRPM has the places of the Debian package that are others in the RPM.
var atRPM = strings.NewReplacer(
	" /lib/systemd/", " /usr/lib/systemd/",
	" /usr/share/ehlogate/", " /etc/ehlogate/",
	" /usr/share/zsh/vendor-completions/", " /usr/share/zsh/site-functions/",
	" /usr/share/doc/ehlogate/changelog.gz", " /usr/share/doc/ehlogate/CHANGELOG.md",
	" /usr/share/doc/ehlogate/copyright", " /usr/share/licenses/ehlogate/copyright",
)

// TestRPMFiles installs the RPM into an empty root. It has the files of the Debian package, with their modes and owners.
func TestRPMFiles(t *testing.T) {
	testenv.Needs(t, "root", "debhelper", "rpm")
	path, root := rpmOnce(t), t.TempDir()
	rpm := func(args ...string) string {
		t.Helper()
		return output(t, exec.CommandContext(t.Context(), "rpm", append([]string{"--root", root, "--dbpath", "/var/lib/rpm"}, args...)...))
	}
	rpm("--initdb")
	rpm("-i", "--nodeps", "--noscripts", path) // there is no shell
	if out := rpm("-V", "--nodeps", "ehlogate"); out != "" {
		t.Errorf("rpm -V: %s", out)
	}

	var want, got []string
	for line := range strings.Lines(output(t, exec.CommandContext(t.Context(), "dpkg-deb", "--contents", buildOnce(t).deb))) {
		f := strings.Fields(line)
		name := strings.TrimPrefix(f[5], ".")
		if strings.HasPrefix(f[0], "d") || strings.HasPrefix(name, "/usr/share/lintian/") || strings.HasSuffix(name, "/changelog.Debian.gz") {
			continue
		}
		want = append(want, atRPM.Replace(f[0]+" "+f[1]+" "+name))
	}
	for line := range strings.Lines(output(t, exec.CommandContext(t.Context(), "find", root, "-type", "f", "-printf", "%M %u/%g /%P\n"))) {
		if line = strings.TrimSpace(line); !strings.Contains(line, " /var/lib/rpm/") {
			got = append(got, line)
		}
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("missing: %s", w)
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			t.Errorf("the Debian package lacks %s", g)
		}
	}
	for line := range strings.Lines(output(t, exec.CommandContext(t.Context(), "find", root, "-mindepth", "1", "-type", "d", "!", "-path", root+"/var*", "-printf", "%M %u/%g %P\n"))) {
		if !strings.HasPrefix(line, "drwxr-xr-x root/root ") {
			t.Error(line)
		}
	}
	ehlogate := filepath.Join(root, "usr/bin/ehlogate")
	version := queryRPM(t, path, "%{VERSION}-%{RELEASE}")
	if out := output(t, exec.CommandContext(t.Context(), ehlogate, "version")); !strings.Contains(out, "(package "+version+", go") {
		t.Errorf("got %q, want version %s", out, version)
	}
	if out := output(t, exec.CommandContext(t.Context(), ehlogate, "check", "-c", filepath.Join(root, "etc/ehlogate/ehlogate.toml"))); !strings.Contains(out, "ehlogate.toml: fine\n") {
		t.Errorf("check says %s", out)
	}
}

// TestRPMHeader checks what rpm does at an upgrade, and that nothing but a shell and systemd is required.
func TestRPMHeader(t *testing.T) {
	testenv.Needs(t, "debhelper", "rpm")
	path := rpmOnce(t)
	config := ""
	for line := range strings.Lines(queryRPM(t, path, "[%{FILEFLAGS:fflags} %{FILENAMES}\n]")) {
		if flags, name, _ := strings.Cut(line, " "); strings.HasPrefix(name, "/etc/") && flags != "" || strings.Contains(flags, "c") {
			config += line
		}
	}
	if want := "cn /etc/ehlogate/ehlogate.toml\ncn /etc/ehlogate/lists/allow.list\ncn /etc/ehlogate/lists/deny.list\ncn /etc/ehlogate/lists/never.list\n"; config != want {
		t.Errorf("config files:\n%s\nwant\n%s", config, want)
	}
	for line := range strings.Lines(queryRPM(t, path, "[%{REQUIRENAME}\n]")) {
		if name := strings.TrimSpace(line); name != "/bin/sh" && name != "systemd" && !strings.HasPrefix(name, "rpmlib(") && !strings.HasPrefix(name, "config(ehlogate)") {
			t.Errorf("requires %s", name)
		}
	}
	if base := queryRPM(t, path, "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm"); base != filepath.Base(path) {
		t.Errorf("got %s, want %s", path, base)
	}
	deb := strings.Split(filepath.Base(buildOnce(t).deb), "_")[1]
	if got := queryRPM(t, path, "%{VERSION}-%{RELEASE}"); got != deb {
		t.Errorf("version %s, and that of the Debian package %s", got, deb)
	}
}

// TestRPMScripts checks what the scripts do to systemd: nothing is started at the installation, which presets decide, and an
// upgrade restarts the service and no socket.
func TestRPMScripts(t *testing.T) {
	testenv.Needs(t, "debhelper", "rpm")
	path := rpmOnce(t)
	const units = "ehlogate-export.path ehlogate-export.timer ehlogate.socket ehlogate-loopback.socket ehlogate-http.socket ehlogate.service"
	for _, tc := range []struct {
		script, left string // left: how many versions are there then
		want         []string
	}{
		{"POSTIN", "1", []string{"systemd-sysusers ehlogate.conf", "systemctl daemon-reload", "systemctl --no-reload preset ehlogate.service ehlogate.socket ehlogate-http.socket"}},
		{"POSTIN", "2", []string{"systemd-sysusers ehlogate.conf", "systemctl daemon-reload"}},
		{"PREUN", "1", nil},
		{"POSTUN", "1", []string{"systemctl daemon-reload", "systemctl try-restart ehlogate.service"}},
		{"PREUN", "0", []string{"systemctl stop " + units, "systemctl --no-reload disable " + units}},
		{"POSTUN", "0", []string{"systemctl daemon-reload"}},
	} {
		if got := runScript(t, t.TempDir(), queryRPM(t, path, "%{"+tc.script+"}"), tc.left); !slices.Equal(got, tc.want) {
			t.Errorf("%s %s: %q, want %q", tc.script, tc.left, got, tc.want)
		}
	}
}

// TestRPMReproducible builds it again, from a source with other names and modes.
func TestRPMReproducible(t *testing.T) {
	testenv.Needs(t, "debhelper", "rpm")
	path, b := rpmOnce(t), buildOnce(t)
	other := filepath.Join(temp, "another-name", "3")
	output(t, exec.Command("sh", "-c", `mkdir -p "$1" && cp -R "$0/." "$1" && rm -r "$1/build" && chmod -R go= "$1"`, b.source, other))
	again, err := b.runBuild(other, "rpm")
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(path) != filepath.Base(again) || !bytes.Equal([]byte(readFile(t, path)), []byte(readFile(t, again))) {
		t.Errorf("two builds differ: %s %s", path, again)
	}
	if left, err := os.ReadDir(filepath.Dir(again)); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}
