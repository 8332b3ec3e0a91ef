package doctor

import (
	"os"
	"path/filepath"
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
