package state

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var variable = regexp.MustCompile(`time="[^"]*" | took="?[^" 
]*"?`)

// TestLogLines holds the log lines about lists and reloads to the words that operators search for. Each step writes files
// and reloads.
func TestLogLines(t *testing.T) {
	d := newDir(t, deny)
	e := d.engine()
	for _, step := range []struct {
		name, file, text string
		old              bool // of the file
		want             []string
	}{
		{"at start", "", "", false, []string{
			`level=error msg="list unavailable: it was never loaded; the list is skipped" list=deny problems=1`,
		}},
		{"a good list", "deny.list", "192.0.2.1\n", false, []string{
			`level=info msg="list loaded" action=suppress entries=1 files=1 list=deny`,
			`level=info msg="config reloaded" config=c.toml lists=1`,
		}},
		{"a broken edit", "deny.list", "192.0.2.1/33\n", false, []string{
			`level=error msg="list reload failed; previous version stays in use" list=deny problems=1`,
			`level=info msg="config reloaded" config=c.toml lists=1`,
		}},
		{"a broken config", "c.toml", "mod = 1\n", false, []string{
			`level=error msg="reload failed; previous config stays in use" config=c.toml problems=1`,
		}},
		{"no file of a new list", "c.toml", strings.Replace(deny, "deny.list", "*.none", 1), false, []string{
			`level=error msg="no file matches this pattern" config=c.toml file="*.none" hint="create one (a comment alone makes an empty list), or correct its name in the config"`,
			`level=error msg="reload failed; previous config stays in use" config=c.toml problems=1`,
		}},
		{"a list that expired", "a.none", "192.0.2.1\n", true, []string{
			`level=info msg="list loaded" action=suppress entries=1 files=1 list=deny`,
			`level=error msg="list unavailable: its files are older than expire_after; the list is skipped" expire_after=1m0s list=deny`,
			`level=info msg="config reloaded" config=c.toml lists=1`,
		}},
		{"another log format", "c.toml", strings.Replace(deny, "deny.list", "*.none", 1) + "[log]\nformat = \"json\"\n", false, []string{
			`level=warning msg="restart required: [listen] or [log] format changed"`,
			`level=info msg="config reloaded" config=c.toml lists=1`,
		}},
	} {
		mark := 0
		if step.file != "" {
			mark = len(d.log.String())
			if step.old {
				d.write("c.toml", strings.Replace(deny, "deny.list\"]", "*.none\"]\nexpire_after = \"1m\"", 1))
			}
			d.write(step.file, step.text)
			if step.old {
				before := time.Now().Add(-time.Hour)
				if err := os.Chtimes(filepath.Join(d.path, step.file), before, before); err != nil {
					t.Fatal(err)
				}
			}
			_ = e.Reload(t.Context())
		}
		got := variable.ReplaceAllString(strings.ReplaceAll(d.log.String()[mark:], d.path+"/", ""), "")
		for _, line := range step.want {
			if !strings.Contains(got, line+"\n") {
				t.Errorf("%s: got\n%swant %s", step.name, got, line)
			}
		}
	}
}
