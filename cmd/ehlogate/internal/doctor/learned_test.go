package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
	"ehlogate/lists/test/testenv"
)

// The kernel says whether the user of the unit sees a file of [fallback] watch, such as a certificate as certbot keeps it, and
// the files of [learn] never.
func TestWatchForbidden(t *testing.T) {
	testenv.Needs(t, "root")
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	live, archive, never := filepath.Join(dir, "live"), filepath.Join(dir, "archive"), filepath.Join(dir, "never.list")
	for _, d := range []string{live, archive} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{filepath.Join(archive, "1.pem"), never} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../archive/1.pem", filepath.Join(live, "mx.pem")); err != nil {
		t.Fatal(err)
	}
	cfg := config.Defaults()
	cfg.Lists = []config.List{{Name: "broken", Learn: config.LearnFallback, Action: lists.Suppress}}
	cfg.Learn.Never.Patterns = []string{never}
	cfg.Learn.Watch = []string{filepath.Join(live, "*.pem"), filepath.Join(dir, "none")}
	examine := func() *exam {
		unit := func() (string, error) { return "LoadState=loaded\nUser=nobody\n", nil }
		e := &exam{ctx: t.Context(), host: &Host{Unit: unit}, config: cfg}
		if !onFallback(e) {
			t.Fatal("a config with a fallback list has none")
		}
		e.checkWatchAccess()
		return e
	}
	var advice []string
	for _, d := range []string{archive, live} {
		advice = append(advice, "setfacl --modify user:nobody:rx "+quoteShell(d))
	}
	e := examine()
	if len(e.Findings) != 1 || !strings.Contains(e.Findings[0].What, "cannot see "+filepath.Join(live, "mx.pem")) || !slices.Equal(e.Findings[0].Write.Lines, advice) {
		t.Errorf("got %+v, want %q", e.Findings, advice)
	}
	for _, d := range []string{live, archive} { // the file stays closed
		if err := os.Chmod(d, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	if e := examine(); len(e.Findings) > 0 {
		t.Errorf("got %+v, want nothing", e.Findings)
	}
	if e.checkListAccess(); len(e.Findings) != 2 || !strings.Contains(e.Findings[1].What, "cannot read "+never) {
		t.Errorf("got %+v, want one about never.list", e.Findings)
	}
}
