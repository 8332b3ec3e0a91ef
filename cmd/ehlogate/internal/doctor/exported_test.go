package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
)

// An exported table is compared with the lists on the machine itself, and the command to write has its flags.
func TestTableInStep(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const lists = "explicit_offer = true\n[[list]]\nname = \"deny\"\naction = \"suppress\"\nfiles = [\"deny.list\"]\n"
	const head = "# made by: ehlogate export --format postfix-cidr --without-dns\n"
	table := filepath.Join(dir, "table")
	pf := settingsWith(t, "ehlogate_backup = cidr:"+table+"\n")
	for _, tc := range []struct{ name, config, list, table, want, says string }{
		{"in step", lists, "192.0.2.1\n", head + "192.0.2.1/32\tstarttls\n", "", ""},
		{"behind", lists, "192.0.2.2\n", head + "192.0.2.1/32\tstarttls\n", "warning table-behind", "192.0.2.2/32"},
		{"emptied", lists, "# none\n", head + "192.0.2.1/32\tstarttls\n", "warning table-behind", "192.0.2.1/32"},
		{"another default", "default = \"suppress\"\nguard.off = true\n" + lists, "192.0.2.1\n", head + "192.0.2.1/32\tstarttls\n", "warning table-behind", "0.0.0.0/0"},
		{"a broken list", lists, "192.0.2.300\n", head + "192.0.2.1/32\tstarttls\n", "warning table-stays-behind", "deny.list:1"},
		{"a name", lists, "192.0.2.1\nhelo:bot\n", head + "192.0.2.1/32\tstarttls\n", "warning table-stays-behind", "needs --without-names"},
		{"no file", strings.Replace(lists, "deny.list", "*.none", 1), "#\n", head + "192.0.2.1/32\tstarttls\n", "warning table-stays-behind", "no file matches"},
		{"the operator's own", lists, "192.0.2.2\n", "192.0.2.1/32\tstarttls\n", "", ""},
		{"of another instance", lists, "192.0.2.2\n", head + "192.0.2.1/32\tstarttls\n", "warning table-behind", "192.0.2.2/32"},
	} {
		if pf.Dir = ""; tc.name == "of another instance" {
			pf.Dir = "/etc/postfix-out"
		}
		write("c.toml", tc.config)
		write("deny.list", tc.list)
		write("table", tc.table)
		cfg, err := config.Load(filepath.Join(dir, "c.toml"))
		if err != nil {
			t.Fatal(err)
		}
		r := Examine(t.Context(), ThisHost(false), cfg, pf, nil, nil)
		if inStep := strings.Count(r.Judged, table+" decides as the lists on disk do (exported ") == 1; inStep != (tc.name == "in step") {
			t.Errorf("%s: judged: %s", tc.name, r.Judged)
		}
		i := slices.IndexFunc(r.Findings, func(f Finding) bool { return strings.HasPrefix(f.ID, "table-") })
		if i < 0 {
			if tc.want != "" {
				t.Errorf("%s: %q, want %s", tc.name, idsOf(r), tc.want)
			}
			continue
		}
		f := r.Findings[i]
		flags := "--without-dns"
		if tc.name == "a name" {
			flags += " --without-names"
		}
		command := "ehlogate export -c " + cfg.File + " --format postfix-cidr " + flags + " -o " + table + ` --if-changed --then "postfix reload"`
		if tc.name == "of another instance" {
			command = strings.Replace(command, "postfix reload", "postfix -c '/etc/postfix-out' reload", 1)
		}
		if tc.name == "a broken list" || tc.name == "no file" {
			command = "ehlogate check -c " + cfg.File + " && " + command
		}
		if got := f.Severity.String() + " " + f.ID; got != tc.want || !strings.Contains(f.Why, tc.says) || !slices.Equal(f.Write.Lines, []string{command}) {
			t.Errorf("%s: %s, want %s and %q in\n%s", tc.name, got, tc.want, tc.says, f.text())
		}
	}
}

// The flags that the unit of the timer lacks are printed as a drop-in, and a failed --then of a table is reported, as is a timer that
// does not run.
func TestExportUnit(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	table := filepath.Join(dir, "table")
	pf := settingsWith(t, "ehlogate_backup = cidr:"+table+"\n")
	write("deny.list", "192.0.2.1\nhelo:bot\n")
	write("c.toml", "explicit_offer = true\n[[list]]\nname = \"deny\"\naction = \"suppress\"\nfiles = [\"deny.list\"]\n")
	cfg, err := config.Load(filepath.Join(dir, "c.toml"))
	if err != nil {
		t.Fatal(err)
	}
	const head = "# made by: ehlogate export --format postfix-cidr"
	const rest = "\n192.0.2.1/32\tstarttls\n"
	shipped := strings.ReplaceAll(example(t, "systemd/ehlogate-export.service"), "/etc/postfix/ehlogate.cidr", table)
	lacking := "ExecStart=/usr/bin/ehlogate export -c /etc/ehlogate/ehlogate.toml --format postfix-cidr -o " + table +
		` --if-changed --then "if postfix status; then postfix reload; fi"`
	better := strings.Replace(lacking, " export ", " export --without-names ", 1)
	dropIn := []string{"[Service]", "ExecStart=", better}
	for _, tc := range []struct {
		name, table, unit string
		written           time.Time
		want              []string
		dropIn            bool
	}{
		{"the unit as it is shipped", head + rest, shipped, time.Now(), []string{"warning table-stays-behind"}, true},
		{"the unit alone lacks the flag", head + " --without-names" + rest, shipped, time.Now(), []string{"warning export-unit-fails"}, true},
		{"a drop-in has it", head + " --without-names" + rest, shipped + "\n[Service]\nExecStart=\n" + better + "\n", time.Now(), nil, false},
		{"a drop-in has it, the table does not", head + rest, shipped + "\n[Service]\nExecStart=\n" + better + "\n", time.Now(), []string{"warning table-stays-behind"}, false},
		{"the unit is about another table", head + " --without-names" + rest, strings.ReplaceAll(shipped, table, "/another"), time.Now(), nil, false},
		{"no unit", head + " --without-names" + rest, "", time.Now(), nil, false},
		{"a reload that failed", head + " --without-names" + rest, "", time.Unix(0, 0), []string{"warning table-not-reloaded"}, false},
		{"the timer is not active", head + " --without-names" + rest, better, time.Now(), []string{"warning table-not-kept"}, false},
		{"another timer is not active", head + " --without-names" + rest, strings.ReplaceAll(better, table, "/another"), time.Now(), nil, false},
	} {
		write("table", tc.table)
		if err := os.Chtimes(table, tc.written, tc.written); err != nil {
			t.Fatal(err)
		}
		host := ThisHost(false)
		host.ExportUnit = func() (string, error) { return tc.unit, nil }
		host.ExportTimer = func() string {
			return map[bool]string{true: "inactive", false: "active"}[strings.Contains(tc.name, "not active")]
		}
		r := Examine(t.Context(), host, cfg, pf, nil, nil)
		if got := idsOf(r); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
			continue
		}
		for _, f := range r.Findings {
			writes := append([]Write{f.Write}, f.Also...)
			if has := slices.ContainsFunc(writes, func(w Write) bool { return slices.Equal(w.Lines, dropIn) }); has != tc.dropIn {
				t.Errorf("%s: drop-in: %v, want %v\n%s", tc.name, has, tc.dropIn, f.text())
			}
			if f.ID != "export-unit-fails" && f.ID != "table-not-kept" && !strings.Contains(f.Write.Lines[0], "--without-names") {
				t.Errorf("%s: %s", tc.name, f.text())
			}
		}
	}
}
