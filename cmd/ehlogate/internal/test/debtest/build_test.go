package debtest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"ehlogate/lists/test/testenv"
)

const repository = "../../../../.."

// example reads a file of examples/.
func example(t *testing.T, name string) string {
	t.Helper()
	return readFile(t, filepath.Join(repository, "examples", name))
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// output runs a command that must succeed, and gives what it prints.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", cmd, err, out, &stderr)
	}
	return string(out)
}

// built is the package and what is in it, made once for all tests.
type built struct {
	deb     string
	source  string // a copy of the source, of which it was built
	gitDir  string // a clone of its repository
	files   string // a directory with its files
	control string // a directory with its control files
}

var build = sync.OnceValues(func() (b built, err error) {
	dir := filepath.Join(temp, "build")
	b = built{source: filepath.Join(dir, "1"), gitDir: filepath.Join(dir, "clone/.git"), files: filepath.Join(dir, "files"), control: filepath.Join(dir, "control")}
	// Copies, so that an edit or a commit meanwhile makes no difference.
	copySource := exec.Command("sh", "-c", `git clone -q --shared --no-checkout "$0" "${2%/.git}" && git --git-dir "$2" reset -q &&
		mkdir -p "$1" && cd "$0" && git ls-files -z --cached --others --exclude-standard |
		xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' - |
		tar --null --no-recursion -T - -c | tar -x -C "$1"`, repository, b.source, b.gitDir)
	if out, err := copySource.CombinedOutput(); err != nil {
		return b, fmt.Errorf("%s: %w\n%s", copySource, err, out)
	}
	if b.deb, err = b.buildFrom(b.source); err != nil {
		return b, err
	}
	for option, dir := range map[string]string{"-x": b.files, "-e": b.control} {
		if out, err := exec.Command("dpkg-deb", option, b.deb, dir).CombinedOutput(); err != nil {
			return b, fmt.Errorf("dpkg-deb %s: %w\n%s", option, err, out)
		}
	}
	return b, nil
})

// buildFrom builds the package from a copy of the source, and returns its path.
func (b built) buildFrom(source string) (deb string, err error) {
	return b.runBuild(source, "debian")
}

// runBuild runs the build of a kind of package in a copy of the source, and returns the path of the package.
func (b built) runBuild(source, kind string) (path string, err error) {
	cmd := exec.Command(filepath.Join(source, "examples", kind, "build"))
	cmd.Env = append(os.Environ(), "GIT_DIR="+b.gitDir, "GIT_WORK_TREE="+source, "VERSION=", "RPM_PAYLOAD=w1.gzdio",
		"DPKG_DEB_COMPRESSOR_TYPE=gzip", "DPKG_DEB_COMPRESSOR_LEVEL=1") // a second instead of eighteen
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, &stderr)
	}
	return strings.TrimSpace(string(out)), nil
}

// temp is where the package is built.
var temp string

func TestMain(m *testing.M) {
	var err error
	if temp, err = os.MkdirTemp("", "ehlogate-debian-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(temp)
	os.Exit(code)
}

func buildOnce(t *testing.T) built {
	t.Helper()
	b, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReproducible(t *testing.T) {
	testenv.Needs(t, "debhelper", "lintian")
	b := buildOnce(t)
	// Names, modes and times of the source differ.
	other := filepath.Join(temp, "a-longer-name", "2")
	output(t, exec.Command("sh", "-c", `mkdir -p "$1" && cp -R "$0/." "$1" && rm -r "$1/build" && chmod -R go= "$1"`, b.source, other))
	again, err := b.buildFrom(other)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(b.deb) != filepath.Base(again) {
		t.Errorf("%s and %s", b.deb, again)
	}
	if sha256.Sum256([]byte(readFile(t, b.deb))) != sha256.Sum256([]byte(readFile(t, again))) {
		t.Errorf("two builds differ: %s %s", b.deb, again)
	}
	for _, deb := range []string{b.deb, again} { // and nothing else is left
		if left, err := os.ReadDir(filepath.Dir(deb)); err != nil || len(left) != 1 {
			t.Errorf("%v, %v", left, err)
		}
	}
}

func TestLintian(t *testing.T) {
	testenv.Needs(t, "debhelper", "lintian")
	// Bytes of the code look like misspelt words in one build and not in the next, so no override can be right.
	cmd := exec.CommandContext(t.Context(), "lintian", "--no-cfg", "--display-info", "--pedantic", "--allow-root",
		"--suppress-tags", "spelling-error-in-binary", "--fail-on", "error,warning,info,pedantic", buildOnce(t).deb)
	out, err := cmd.CombinedOutput()
	t.Logf("lintian: %s", out)
	if err != nil {
		t.Error(err)
	}
}

func TestControl(t *testing.T) {
	testenv.Needs(t, "debhelper", "lintian")
	b := buildOnce(t)
	field := func(name string) string {
		return strings.TrimSpace(output(t, exec.CommandContext(t.Context(), "dpkg-deb", "-f", b.deb, name)))
	}
	if arch := field("Architecture"); arch != strings.TrimSpace(output(t, exec.CommandContext(t.Context(), "dpkg", "--print-architecture"))) {
		t.Error(arch)
	}
	if base := field("Package") + "_" + field("Version") + "_" + field("Architecture") + ".deb"; base != filepath.Base(b.deb) {
		t.Error(base, b.deb)
	}
	if depends := field("Depends"); depends != "systemd | systemd-standalone-sysusers | systemd-sysusers" {
		t.Error("Depends:", depends)
	}
	if _, err := os.Stat(filepath.Join(b.control, "conffiles")); err == nil { // dpkg would ask about each that was edited
		t.Errorf("conffiles:\n%s", readFile(t, filepath.Join(b.control, "conffiles")))
	}
}

// Everything is in its place, owned by root and readable by all.
func TestContents(t *testing.T) {
	testenv.Needs(t, "debhelper", "lintian")
	b := buildOnce(t)
	got := make(map[string]string)
	for line := range strings.Lines(output(t, exec.CommandContext(t.Context(), "dpkg-deb", "--contents", b.deb))) {
		f := strings.Fields(line)
		if len(f) != 6 || f[1] != "root/root" {
			t.Errorf("%q", line)
			continue
		}
		name := strings.TrimPrefix(f[5], ".")
		if strings.HasPrefix(name, "/usr/lib/systemd/") { // since Debian 13
			name = strings.TrimPrefix(name, "/usr")
		}
		switch mode := f[0]; {
		case strings.HasSuffix(name, "/") && mode == "drwxr-xr-x":
		case (name == "/usr/bin/ehlogate" || slices.Contains([]string{"check-rules", "build"}, path.Base(name))) && mode == "-rwxr-xr-x", mode == "-rw-r--r--":
			got[name] = mode
		default:
			t.Errorf("%s has mode %s", name, mode)
		}
	}
	want := []string{
		"/usr/bin/ehlogate",
		"/usr/share/ehlogate/ehlogate.toml", "/usr/share/ehlogate/lists/allow.list", "/usr/share/ehlogate/lists/deny.list", "/usr/share/ehlogate/lists/never.list",
		"/usr/lib/sysusers.d/ehlogate.conf",
		"/usr/share/bash-completion/completions/ehlogate",
		"/usr/share/zsh/vendor-completions/_ehlogate",
		"/usr/share/fish/vendor_completions.d/ehlogate.fish",
		"/usr/share/man/man8/ehlogate.8.gz", "/usr/share/man/man5/ehlogate.toml.5.gz", "/usr/share/man/man5/ehlogate.list.5.gz",
		"/usr/share/lintian/overrides/ehlogate",
	}
	for _, doc := range []string{"README.md", "changelog.gz", "changelog.Debian.gz", "copyright"} {
		want = append(want, "/usr/share/doc/ehlogate/"+doc)
	}
	const tests = "cmd/ehlogate/internal/test/"
	for _, page := range []string{"examples/README.md", "lists/README.md", "lists/LEARNING.md", "policyd/README.md", "milter/README.md", "cmd/ehlogate/README.md", "cmd/ehlogate/internal/page/page.png",
		tests + "README.md", tests + "mtatest/FAULTS.md", tests + "mtatest/SAFETY.md", tests + "mtatest/EDITS.md", tests + "mtatest/MATRIX.md", tests + "mtatest/CONFIGURATIONS.md", tests + "mtatest/CLASSES.md",
		tests + "benchmarks/RESULTS.md", tests + "benchmarks/growth.svg", tests + "benchmarks/pressure.svg"} { // to which README.md links
		want = append(want, "/usr/share/doc/ehlogate/"+page)
	}
	examples := os.DirFS(filepath.Join(repository, "examples"))
	for _, dir := range []string{"container", "postfix", "postfix-static", "prometheus", "sendmail", "sending-network", "exim", "grafana", "legacy-tls", "lists", "log.schema.json", "rsyslog", "systemd", "tlsrpt", "ehlogate.toml"} {
		err := fs.WalkDir(examples, dir, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil || d.IsDir():
			default:
				want = append(want, "/usr/share/doc/ehlogate/examples/"+path)
				if dir == "systemd" && filepath.Ext(d.Name()) != ".conf" { // which is for the operator to put in place
					want = append(want, "/lib/systemd/system/"+d.Name())
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range want {
		if got[name] == "" {
			t.Errorf("%s is missing", name)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("got %s, want no such file", name)
	}
}

func TestBinary(t *testing.T) {
	testenv.Needs(t, "debhelper", "lintian")
	binary := filepath.Join(buildOnce(t).files, "usr/bin/ehlogate")
	version := strings.TrimSpace(output(t, exec.CommandContext(t.Context(), "dpkg-deb", "-f", buildOnce(t).deb, "Version")))
	// The version of the source, with the commit behind it: 0.9.0~git20261123.231512.abcdef0-1.
	source := regexp.MustCompile(`(?m)^const version = "(\d+\.\d+\.\d+)"$`).FindStringSubmatch(readFile(t, filepath.Join(repository, "cmd/ehlogate/version.go")))
	if source == nil || !strings.HasPrefix(version, source[1]) || strings.Trim(version[len(source[1]):][:1], "~+-") != "" {
		t.Fatalf("the package has version %s, want that of the source, %q", version, source)
	}
	if out, want := output(t, exec.CommandContext(t.Context(), binary, "version")), fmt.Sprintf("ehlogate %s (package %s, go", source[1], version); !strings.HasPrefix(out, want) {
		t.Errorf("got %q, want %q", out, want)
	}
	// Its stacks name functions and lines although it is stripped, and no path of the machine that built it is in it.
	data := readFile(t, binary)
	if !strings.Contains(data, "ehlogate/cmd/ehlogate/main.go") {
		t.Error("got a program without line tables, want them")
	}
	goroot := strings.TrimSpace(output(t, exec.CommandContext(t.Context(), "go", "env", "GOROOT")))
	for _, path := range []string{temp, goroot + "/src"} {
		if strings.Contains(data, path) {
			t.Errorf("%s is in the program", path)
		}
	}
}

// Without a program that it needs, the build names the packages at once.
func TestBuildNamesWhatIsMissing(t *testing.T) {
	bin := t.TempDir()
	for _, name := range []string{"sh", "dirname"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(filepath.Join(repository, "examples/debian/build"), t.TempDir())
	cmd.Env = []string{"PATH=" + bin}
	out, err := cmd.CombinedOutput()
	if want := "missing: apt install debhelper golang-go git ("; err == nil || !strings.Contains(string(out), want) {
		t.Errorf("got %v, %s; want %q", err, out, want)
	}
}
