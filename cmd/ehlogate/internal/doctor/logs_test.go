package doctor

import (
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/test/testenv"
)

// The kernel says whether the user of the unit may read a log.
func TestLogForbidden(t *testing.T) {
	testenv.Needs(t, "root")
	for unit, want := range map[string]int{
		"LoadState=loaded\nUser=nobody\n": 1, "LoadState=loaded\nUser=nobody\nSupplementaryGroups=adm\n": 0, "LoadState=loaded\nUser=nobody\nPrivateTmp=yes\nSupplementaryGroups=adm\n": 1,
	} {
		dir := t.TempDir()
		for _, d := range []string{filepath.Dir(dir), dir} {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		log := filepath.Join(dir, "mail.log")
		if err := os.WriteFile(log, nil, 0o640); err != nil {
			t.Fatal(err)
		}
		const adm = 4
		if err := os.Chown(log, 0, adm); err != nil {
			t.Fatal(err)
		}
		cfg := config.Defaults()
		cfg.Logs.Files = []string{log}
		e := &exam{ctx: t.Context(), host: &Host{Unit: func() (string, error) { return unit, nil }}, config: cfg}
		if e.checkLogAccess(); e.Count(Warning) != want || len(e.Findings) != want {
			t.Errorf("%q: got %+v, want %d", unit, e.Findings, want)
		}
	}
}

// For the journal, the user must be able to run journalctl, too.
func TestJournalForbidden(t *testing.T) {
	testenv.Needs(t, "root", "systemd")
	const group = "LoadState=loaded\nUser=nobody\nSupplementaryGroups=systemd-journal\n"
	old := journalFiles
	t.Cleanup(func() { journalFiles = old })
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "system.journal")
	if err := os.WriteFile(file, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	known, err := user.LookupGroup("systemd-journal")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(file, 0, int(parseID(known.Gid))); err != nil {
		t.Fatal(err)
	}
	journalFiles = []string{filepath.Join(dir, "none*"), filepath.Join(dir, "*.journal")}
	for unit, want := range map[string]string{
		group:                             "",
		"LoadState=loaded\nUser=nobody\n": "permission denied",
		group + "NoExecPaths=/\nExecPaths=/usr/bin/ehlogate\n":                              "ExecPaths= without",
		group + "NoExecPaths=/\nExecPaths=/usr/bin/ehlogate /usr/bin/journalctl /usr/lib\n": "",
		group + "ProcSubset=pid\n": "ProcSubset=pid",
	} {
		cfg := config.Defaults()
		cfg.Logs.Journal = true
		e := &exam{ctx: t.Context(), host: &Host{Unit: func() (string, error) { return unit, nil }}, config: cfg}
		if e.checkLogAccess(); want == "" && len(e.Findings) > 0 || want != "" && (len(e.Findings) != 1 || !strings.Contains(e.Findings[0].What, want)) {
			t.Errorf("%q: got %+v, want %q", unit, e.Findings, want)
		}
	}
}
