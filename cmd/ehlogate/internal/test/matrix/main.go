// Command matrix runs the tests that need servers in Debian releases, and prints one table of what held where:
//
//	go run ./cmd/ehlogate/internal/test/matrix [-short] [-table FILE] bookworm trixie forky
//
// .ci/within makes each release and runs the tests in it. The table is written to FILE only if all of them held.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// packages have the tests that need servers.
var packages = []string{"./cmd/ehlogate/internal/test/mtatest", "./cmd/ehlogate/internal/test/debtest", "./cmd/ehlogate/internal/test/demo",
	"./cmd/ehlogate/internal/doctor", "./cmd/ehlogate", "./lists/feed", "./lists/dnsbl", "./lists/tlspolicy", "./lists/test/dnstest"}

// short selects the tests that show most in three minutes: sessions of each server, kills, the wire, examples as they are
// pasted, doctor, the package on a real systemd.
const short = "^(TestPostfixVersions|TestHide.*|TestOldTLS|TestPostfixAssumptions|TestPostfix|TestExamples|TestPasted|TestHooks|TestSendmail|TestExim|TestUnits|TestPackage|" +
	"TestLive.*|TestSaved.*|TestInstalled|TestLintian)$"

func main() {
	quick := flag.Bool("short", false, "run only the most telling tests")
	table := flag.String("table", "", "write the table to `FILE`")
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	args := packages
	if *quick {
		args = append([]string{"-run", short}, packages[:4]...)
	}
	if err := runMatrix(os.Stdout, *table, flag.Args(), args); err != nil {
		fmt.Fprintln(os.Stderr, "matrix:", err)
		os.Exit(1)
	}
}

// runMatrix runs the tests in each release, prints the table, and fails if a test did not hold.
func runMatrix(out io.Writer, path string, suites, args []string) error {
	dir := filepath.Join("build", "matrix")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var all []release
	var failed error
	for _, suite := range suites {
		fmt.Fprintf(out, "== %s ==\n", suite)
		r, err := runRelease(out, filepath.Join(dir, suite+".json"), suite, args)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", suite, err))
		}
		if r != nil {
			all = append(all, *r)
		}
	}
	text := markdown(all)
	fmt.Fprint(out, "\n", text)
	if failed == nil && path != "" {
		command := "make matrix"
		if slices.Contains(args, short) {
			command += " SHORT=-short"
		}
		head := fmt.Sprintf("# What holds on which release\n\nWritten by `%s` on %s. Do not edit.\n\n", command, time.Now().Format(time.DateOnly))
		failed = os.WriteFile(path, []byte(head+text), 0o644)
	}
	return failed
}

// versionScript prints the name of the release, and the version of each package that a test may need.
const versionScript = `. /etc/os-release; echo "Debian ${VERSION_ID:-testing}"
dpkg-query -Wf '${Package} ${Version}\n' postfix systemd nftables debhelper lintian gcc strace openssl
for name in sendmail/usr/share/doc/sendmail-bin exim/usr/share/doc/exim4-base rbldnsd/usr/share/doc/rbldnsd unbound/usr/share/doc/unbound; do
	zcat "/var/cache/ehlogate-test/$name/changelog.Debian.gz" | sed -n '1s/^\([a-z]*\)[^ ]* (\(.*\)) .*/\1 \2/p;1q'
done`

// runRelease runs the tests in a release. Results are left in the file.
func runRelease(out io.Writer, file, suite string, args []string) (*release, error) {
	within := func(words ...string) *exec.Cmd {
		cmd := exec.Command(".ci/within", append([]string{suite}, words...)...)
		cmd.Stderr = os.Stderr
		return cmd
	}
	versions, err := within("sh", "-euc", versionScript).Output()
	if err != nil {
		return nil, fmt.Errorf("asking for versions: %w", err)
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	// Without cgo, so that what Go compiled for one release serves all.
	cmd := within(append([]string{"env", "CGO_ENABLED=0", "EHLOGATE_TEST=all", "EHLOGATE_TEST_RESULTS=" + file,
		"go", "run", "./cmd/ehlogate/internal/test/testrun", "-count=1", "-timeout=30m"}, args...)...)
	cmd.Stdout = out
	failed := cmd.Run()
	r, err := newRelease(string(versions))
	if err != nil {
		return nil, errors.Join(failed, err)
	}
	results, err := os.ReadFile(file)
	if err != nil {
		return nil, errors.Join(failed, err)
	}
	for dec := json.NewDecoder(bytes.NewReader(results)); ; {
		var one result
		switch err := dec.Decode(&one); {
		case errors.Is(err, io.EOF):
			return r, failed
		case err != nil:
			return nil, errors.Join(failed, fmt.Errorf("%s: %w", file, err))
		}
		r.results[one.Test] = one
	}
}

// newRelease understands what versionScript prints.
func newRelease(text string) (*release, error) {
	name, rest, _ := strings.Cut(text, "\n")
	r := &release{name: name, versions: map[string]string{}, results: map[string]result{}}
	for line := range strings.Lines(rest) {
		pkg, version, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			return nil, fmt.Errorf("no version in %q", line)
		}
		if _, after, epoch := strings.Cut(version, ":"); epoch {
			version = after
		}
		if i := strings.LastIndexByte(version, '-'); i > 0 {
			version = version[:i]
		}
		r.versions[pkg] = version
	}
	return r, nil
}
