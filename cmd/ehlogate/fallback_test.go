package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/edit"
	"ehlogate/cmd/ehlogate/internal/explain"
	"ehlogate/cmd/ehlogate/internal/httpapi"
	"ehlogate/cmd/ehlogate/internal/learn"
	"ehlogate/lists/fallback"
	"ehlogate/lists/listfile"
	"ehlogate/lists/maillog"
	"ehlogate/lists/printable"
	"ehlogate/lists/test/hostile"
)

// ownLists is a config with several lists that promote can write into, and others.
const ownLists = `
[guard]
off = true
[logs]
files = ["/var/log/mail.log"]
[[list]]
name = "feed"
action = "suppress"
format = "addresses"
files = ["feed.txt"]
[[list]]
name = "glob"
action = "legacy"
files = ["legacy-*.list"]
[[list]]
name = "deny"
action = "suppress"
files = ["glob*.list", "de\\[ny.list"]
[[list]]
name = "more"
action = "suppress"
files = ["more.list"]
[[list]]
name = "broken"
learn = "fallback"
action = "suppress"
`

func TestChooseOwnList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.toml")
	if err := os.WriteFile(path, []byte(ownLists), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, action, file, err string }{
		{"", "suppress", "de[ny.list", ""},
		{"more", "suppress", "more.list", ""},
		{"", "legacy", "", `list "glob" has only patterns`},
		{"", "require", "", "there is no list of your own files with action"},
		{"feed", "suppress", "", "not one of your own files"},
		{"broken", "suppress", "", "not one of your own files"},
		{"more", "legacy", "", "another action"},
		{"none", "suppress", "", `there is no list "none"`},
	} {
		file := ""
		l, err := chooseOwnList(cfg, tc.name, tc.action)
		if err == nil {
			file, err = onlyFile(l.Spec.Patterns, "list \""+l.Name+"\"")
		}
		switch {
		case tc.err == "" && (err != nil || filepath.Base(file) != tc.file):
			t.Errorf("%q, %s: %q, %v; want %q", tc.name, tc.action, file, err, tc.file)
		case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
			t.Errorf("%q, %s: %v; want %q", tc.name, tc.action, err, tc.err)
		}
	}
}

// The line of a log, parts of which a client chooses, is shown in one line and safely.
func TestEvidenceText(t *testing.T) {
	for _, text := range append(hostile.Texts, "a\n  evidence: 2026-01-01") {
		text = text[:min(len(text), maillog.MaxSessionLine)]
		evidence := []fallback.Proof{{Class: "no-shared-cipher", Server: "exim", Line: text}}
		for _, r := range []fallback.ClientReport{{Evidence: evidence}, {Entry: &fallback.EntryReport{Evidence: evidence}}} {
			learned := learn.ClientReport{Fallback: &r}
			for command, shown := range map[string]string{
				"fallback show": fallbackClientText(&httpapi.LearnedClient{ClientReport: learned}), "explain": explain.Report{Learned: &learned}.Text(),
			} {
				if err := hostile.Check(shown); err != nil || !strings.Contains(shown, " log: "+printable.Escape(text)+"\n") {
					t.Errorf("%s: %q, %v in\n%s", command, text, err, shown)
				}
			}
		}
	}
}

func TestDropForgotten(t *testing.T) {
	const old = `# mine
192.0.2.1 until=2026-01-01T00:00:00Z  # forgotten 2026-01-01
192.0.2.2 until=2026-01-01T00:10:00Z  # forgotten 2026-01-01
192.0.2.3 until=2026-01-01T00:00:00Z  # written by hand
192.0.2.4 until=2026-01-01  # forgotten 2025-12-31
192.0.2.5  # forbidden 2026-01-01
`
	got := string(dropForgotten([]byte(old), time.Date(2026, 1, 1, 0, 5, 0, 0, time.UTC)))
	want := strings.Replace(old, "192.0.2.1 until=2026-01-01T00:00:00Z  # forgotten 2026-01-01\n", "", 1)
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// TestWriteEntryLine: an entry is written once, also with another note, and a missing file is named with what to do.
func TestWriteEntryLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "never.list")
	write := func(line string) (string, error) {
		return writeEntryLine(path, listfile.Rules{AnyAction: true}, line, edit.AppendLine)
	}
	if _, err := write("192.0.2.7  # forbidden"); err == nil || !strings.Contains(err.Error(), "create it, with a comment in it: echo") {
		t.Errorf("no file: %v", err)
	}
	const first = "# mine\n192.0.2.70\n192.0.2.7 until=2099-01-01\n"
	if err := os.WriteFile(path, []byte(first), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ line, says string }{
		{"192.0.2.7  # forbidden 2026-01-01", "wrote into " + path},
		{"192.0.2.7  # forbidden 2026-01-02", "nothing to do: " + path + ":4 has it already"},
	} {
		if got, err := write(tc.line); err != nil || !strings.HasPrefix(got, tc.says) {
			t.Errorf("%s: %q, %v; want %q", tc.line, got, err, tc.says)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != first+"192.0.2.7  # forbidden 2026-01-01\n" {
		t.Errorf("%s, %v", got, err)
	}
}

// The commands that change a file say what they need.
func TestFallbackUsage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.toml")
	if err := os.WriteFile(path, []byte(ownLists), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ args, want string }{
		{"fallback shwo", `unknown command "shwo"`},
		{"fallback show", "missing address of the client: write ehlogate fallback show 192.0.2.7"},
		{"fallback show 192.0.2.7 192.0.2.8", "unexpected argument"},
		{"fallback show example.org", "invalid IP address"},
		{"fallback forget 192.0.2.0/24", "invalid IP address"},
		{"fallback list x", "unexpected argument"},
		{"fallback forbid 192.0.2.7 -c " + path, `write never = ["lists/never.list"]`},
		{"fallback list -c " + path, "no daemon with this config answers"},
		{"fallback list -c /dev/null", "not a regular file"},
	} {
		root := newRoot()
		root.SetArgs(strings.Fields(tc.args))
		if err := root.Execute(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v; want %q", tc.args, err, tc.want)
		}
	}
	for entry, want := range map[string]string{
		"192.0.2.7\n0.0.0.0/0": "is not one entry", "": "is not one entry", "!192.0.2.7": "is an exception", "HELO:bot": "is a HELO name",
	} {
		root := newRoot()
		root.SetArgs([]string{"fallback", "forbid", entry})
		if err := root.Execute(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", entry, err, want)
		}
	}
}
