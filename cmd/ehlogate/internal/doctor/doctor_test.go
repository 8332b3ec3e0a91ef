package doctor

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"ehlogate/cmd/ehlogate/internal/config"
)

// partOf finds a part of a case.
func partOf(a *txtar.Archive, name string) *txtar.File {
	for i := range a.Files {
		if a.Files[i].Name == name {
			return &a.Files[i]
		}
	}
	return nil
}

// unpack lays a case out as the directory of copies that --saved names.
func unpack(t *testing.T, a *txtar.Archive) (dir string) {
	t.Helper()
	base, err := txtar.ParseFile("testdata/base.txtar")
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range base.Files {
		write(f.Name, f.Data)
	}
	for _, f := range a.Files {
		switch f.Name {
		case "postconf-n":
			f.Data = append(bytes.Clone(partOf(base, "postconf-n").Data), f.Data...)
		case "postconf-n alone":
			f.Name = "postconf-n"
		}
		write(f.Name, f.Data)
	}
	return dir
}

// examine looks over a case as the command does.
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
			x = ParseExim(f.Name, string(f.Data))
		case "sendmail.mc", "sendmail.cf":
			s = ParseSendmail(f.Name, string(f.Data))
		}
	}
	if x == nil && s == nil {
		if pf, err = SavedPostfix(dir); err != nil {
			t.Fatal(err)
		}
	}
	return Examine(t.Context(), SavedHost(dir), DaemonFrom(cfg), pf, x, s)
}

// ids gives a report as one line a finding: severity, id and place.
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

// Every case in testdata/cases gives exactly the findings that it says it does, and the text, if it has one.
// UPDATE=1 writes them anew.
func TestCases(t *testing.T) {
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
					t.Errorf("half a finding: %+v", f)
				}
			}
			var text strings.Builder
			if err := r.Show(&text); err != nil {
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
			t.Errorf("no case gives %s", id)
		}
	}
}

// needsHost are the findings about what is on the machine itself; host_test.go has them.
var needsHost = map[string]bool{
	"unreachable": true, "stranger-answers": true, "no-answer": true,
	"table-unreadable": true, "backup-unreadable": true, "memcache-file-unreadable": true,
	"table-stays-behind": true, "table-not-reloaded": true, // step_test.go
	"running-differs": true, // testdata/script/doctor_running.txt
	// What is tried out, rules_test.go.
	"nft-nothing-intercepted": true, "nft-intercepted": true, "nft-untried": true,
	// What is asked, zones_test.go and guard_test.go.
	"guard-holds":     true,
	"resolver-silent": true, "zone-silent": true, "zone-refuses": true, "zone-no-list": true, "zone-lists-all": true, "zone-lists-nothing": true,
}

// sourceIDs finds the ids of all findings that there are.
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
		for l := range strings.Lines(string(data)) {
			if _, rest, ok := strings.Cut(l, `ID: "`); ok && !strings.HasSuffix(name, "_test.go") {
				id, _, _ := strings.Cut(rest, `"`)
				out = append(out, id)
			}
		}
	}
	if len(out) < 30 {
		t.Fatalf("%d ids: they are written otherwise now", len(out))
	}
	return out
}

// The text that people read. UPDATE=1 writes it anew.
func TestShow(t *testing.T) {
	for _, name := range []string{"rich", "asking", "hooks"} {
		t.Run(name, func(t *testing.T) {
			a, err := txtar.ParseFile("testdata/" + name + ".txtar")
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := examine(t, a).Show(&got); err != nil {
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
