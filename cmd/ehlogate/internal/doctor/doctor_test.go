package doctor

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/test/testenv"
)

// partOf returns a part of a case.
func partOf(a *txtar.Archive, name string) *txtar.File {
	for i := range a.Files {
		if a.Files[i].Name == name {
			return &a.Files[i]
		}
	}
	return nil
}

// saveSettings writes main.cf and master.cf in dir, and says of which Postfix they are.
func saveSettings(t *testing.T, dir, main, master string) {
	t.Helper()
	if !strings.Contains(main, "mail_version") {
		main += "mail_version = " + postfixVersion(t) + "\n"
	}
	for name, text := range map[string]string{"main.cf": main, "master.cf": master} {
		path, past := filepath.Join(dir, name), time.Now().Add(-time.Minute) // for a younger file postconf waits
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, past, past); err != nil {
			t.Fatal(err)
		}
	}
}

var askVersion = sync.OnceValues(func() ([]byte, error) { return exec.Command("postconf", "-dh", "mail_version").Output() })

func postfixVersion(t *testing.T) string {
	t.Helper()
	testenv.Needs(t, "Postfix")
	version, err := askVersion()
	if err != nil {
		t.Fatalf("Postfix is needed (run .ci/deps): %v", err)
	}
	return strings.TrimSpace(string(version))
}

// unpack lays a case out as the directory of copies that --saved names.
func unpack(t *testing.T, a *txtar.Archive) (dir string) {
	t.Helper()
	base, err := txtar.ParseFile("testdata/base.txtar")
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	files := map[string]string{}
	for _, f := range base.Files {
		files[f.Name] = string(f.Data)
	}
	for _, f := range a.Files {
		switch f.Name {
		case "main.cf":
			files["main.cf"] += string(f.Data)
		case "main.cf alone":
			files["main.cf"] = string(f.Data)
		default:
			files[f.Name] = string(f.Data)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	saveSettings(t, dir, files["main.cf"], files["master.cf"])
	return dir
}

// examine examines a case as the command does.
func examine(t *testing.T, a *txtar.Archive) *Report {
	t.Helper()
	dir := unpack(t, a)
	cfg, err := config.Load(filepath.Join(dir, "ehlogate.toml"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.File = "ehlogate.toml"
	var pf *Postfix
	var x *Exim
	var s *Sendmail
	for _, f := range a.Files {
		switch f.Name {
		case "exim.conf":
			installExim(t)
			if x, err = ReadExim(t.Context(), filepath.Join(dir, f.Name)); err != nil {
				t.Fatal(err)
			}
			x.file = f.Name
		case "sendmail.cf":
			installSendmail(t)
			s = ParseSendmail(f.Name, sendmailBase+string(f.Data))
		}
	}
	if x == nil && s == nil {
		if pf, err = SavedPostfix(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
	}
	return Examine(t.Context(), SavedHost(dir), cfg, pf, x, s)
}

// ids returns a report as one line a finding: severity, ID and place.
func ids(r *Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		place := []string{f.File}
		for _, s := range []string{f.Service, f.Parameter} {
			if s != "" {
				place = append(place, s)
			}
		}
		fmt.Fprintf(&b, "%s %s: %s\n", f.Severity, f.ID, strings.Join(place, ": "))
	}
	return b.String()
}

// Every case in testdata/cases has exactly the findings in its part want, and the text in its part show.
// UPDATE=1 writes both anew.
func TestCases(t *testing.T) {
	testenv.Needs(t, "Postfix")
	names, err := filepath.Glob("testdata/cases/*.txtar")
	if err != nil || len(names) < 40 {
		t.Fatalf("%d cases, %v", len(names), err)
	}
	seen := make(map[string]bool)
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			r := examine(t, a)
			for _, f := range r.Findings {
				seen[f.ID] = true
				if f.What == "" || f.Why == "" || f.File == "" {
					t.Errorf("incomplete finding: %+v", f)
				}
			}
			var text strings.Builder
			if err := r.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			want, shown := partOf(a, "want"), partOf(a, "show")
			if shown != nil && os.Getenv("UPDATE") == "" && text.String() != string(shown.Data) {
				t.Errorf("got\n%s\nwant\n%s", &text, shown.Data)
			}
			if got := ids(r); os.Getenv("UPDATE") != "" {
				want.Data = []byte(got)
				if shown != nil {
					shown.Data = []byte(text.String())
				}
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want.Data) {
				t.Errorf("got\n%swant\n%s", got, want.Data)
			}
		})
	}
	for _, id := range sourceIDs(t) {
		if !seen[id] && !needsHost[id] {
			t.Errorf("no case has %s", id)
		}
	}
}

// needsHost are the findings about the machine itself; host_test.go has them.
var needsHost = map[string]bool{
	"unreachable": true, "other-program-answers": true, "no-answer": true,
	"table-unreadable": true, "backup-unreadable": true, "memcache-file-unreadable": true,
	"table-wrong-type": true, "table-stays-behind": true, "table-not-reloaded": true, "table-not-kept": true, // exported_test.go
	"table-lacks-networks": true, "table-lacks-addresses": true, "database-behind": true, // pair_test.go
	"running-differs": true,                                                      // testdata/script/doctor_running.txt
	"version-differs": true, "pressure-unreadable": true, "shared-address": true, // running_test.go
	"log-forbidden":   true, // logs_test.go
	"watch-forbidden": true, // learned_test.go
	// TestConfigurations of mtatest.
	"list-forbidden": true, "socket-forbidden": true, "table-hides-offered": true,
	// Answers of DNS: zones_test.go and guard_test.go.
	"resolver-silent": true, "zone-silent": true, "zone-refuses": true, "zone-no-list": true, "zone-lists-all": true, "zone-lists-nothing": true,
}

// sourceID finds where an ID is reported.
var sourceID = regexp.MustCompile(`e\.(?:add\(\w+, |checkFile\(.*, )"([a-z-]+)"`)

// sourceIDs returns the IDs of all findings that there are.
func sourceIDs(t *testing.T) (out []string) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range sourceID.FindAllStringSubmatch(string(data), -1) {
			if !strings.HasSuffix(name, "_test.go") {
				out = append(out, m[1])
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// The tables of checks have the IDs of all findings, and no others.
func TestChecks(t *testing.T) {
	var listed []string
	for _, c := range checks {
		listed = append(listed, strings.Fields(c.findings)...)
	}
	for _, c := range smtpdChecks {
		listed = append(listed, strings.Fields(c.findings)...)
	}
	listed = append(listed, strings.Fields(sharedFindings)...)
	slices.Sort(listed)
	if want := sourceIDs(t); !slices.Equal(listed, want) {
		t.Errorf("got\n%q\nwant\n%q", listed, want)
	}
}

// The text on a terminal. UPDATE=1 writes it anew.
func TestShow(t *testing.T) {
	for _, name := range []string{"rich", "asking", "hooks"} {
		t.Run(name, func(t *testing.T) {
			a, err := txtar.ParseFile("testdata/" + name + ".txtar")
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := examine(t, a).WriteText(&got); err != nil {
				t.Fatal(err)
			}
			golden := "testdata/" + name + ".txt"
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got.String(), want)
			}
		})
	}
}
