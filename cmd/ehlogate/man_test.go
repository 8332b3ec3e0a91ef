package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/export"
	"ehlogate/lists/diag"
	"ehlogate/lists/feed"
	"ehlogate/lists/listfile"
)

// runCommand runs ehlogate and returns what it prints.
func runCommand(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), args, &stdout, &stderr); code != 0 {
		t.Fatalf("%q: exit code %d: %s", args, code, &stderr)
	}
	return stdout.String()
}

// manPage is a man page in the few macros that the pages of ehlogate use.
type manPage struct {
	title    string
	sections map[string][]string // the terms (.TP) below each heading (.SH, .SS), without fonts
	examples []string            // the text of each .EX
	text     string              // all of it, without fonts
}

var withoutFonts = strings.NewReplacer(`\fB`, "", `\fI`, "", `\fR`, "", `\fP`, "", `\-`, "-", `\[dq]`, `"`, `\~`, " ", `\&`, "")

func parsePage(source string) manPage {
	p := manPage{sections: map[string][]string{}}
	heading, isTerm, isExample := "", false, false
	for line := range strings.Lines(source) {
		line = strings.TrimSuffix(line, "\n")
		macro, args, _ := strings.Cut(line, " ")
		args = withoutFonts.Replace(args)
		switch {
		case isExample && macro == ".EE":
			isExample = false
		case isExample:
			p.examples[len(p.examples)-1] += withoutFonts.Replace(line) + "\n"
		case macro == ".EX":
			p.examples, isExample = append(p.examples, ""), true
		case macro == ".TH":
			p.title = args
		case macro == ".SH", macro == ".SS":
			heading = args
			p.sections[heading] = []string{}
		case macro == ".TP", macro == ".TQ":
			isTerm = true
			continue
		case isTerm && macro == ".BI": // of which a space divides fonts only
			p.sections[heading] = append(p.sections[heading], strings.Replace(args, "= ", "=", 1)+placeholder)
		case isTerm && (macro == ".B" || macro == ".I"):
			p.sections[heading] = append(p.sections[heading], args)
		case isTerm:
			p.sections[heading] = append(p.sections[heading], withoutFonts.Replace(line))
		}
		isTerm = false
		p.text += withoutFonts.Replace(line) + "\n"
	}
	return p
}

// placeholder marks a term that ends in a word in italics, which stands for a value.
const placeholder = " (VALUE)"

func readPage(t *testing.T, name string) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("man", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// difference returns what is missing from a page, and what is in it and should not be.
func difference(where string, got, want []string) (problems []string) {
	for _, w := range want {
		if !slices.Contains(got, w) {
			problems = append(problems, fmt.Sprintf("%s: missing: %s", where, w))
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			problems = append(problems, fmt.Sprintf("%s: stale: %s", where, g))
		}
	}
	return problems
}

// checkTitle checks that the page is of this version.
func checkTitle(p manPage) []string {
	if !strings.Contains(p.title, `"ehlogate `+version+`"`) {
		return []string{"title: another version than " + version + ": " + p.title}
	}
	return nil
}

// checkCommandsPage returns what is wrong in ehlogate(8): every command and every option is in it, with its value, and no
// other; and the exit codes, the files and the formats of export.
func checkCommandsPage(source string) []string {
	p, root := parsePage(source), newRoot()
	problems := checkTitle(p)
	var headings []string
	for heading := range p.sections {
		if strings.HasPrefix(heading, "ehlogate ") {
			headings = append(headings, heading)
		}
	}
	var usages []string
	for _, cmd := range allCommands(root) {
		if cmd.Hidden || !cmd.Runnable() || cmd.Name() == "help" {
			continue
		}
		usage := strings.TrimSuffix(cmd.UseLine(), " [flags]")
		usages = append(usages, usage)
		got := slices.Clone(p.sections[usage])
		if cmd.CommandPath() == "ehlogate export" {
			for _, format := range export.Formats() {
				i := slices.Index(got, format)
				if i < 0 {
					problems = append(problems, "export: missing: the format "+format)
					continue
				}
				got = slices.Delete(got, i, i+1)
			}
		}
		problems = append(problems, difference(cmd.Name(), got, flagTerms(cmd.LocalNonPersistentFlags()))...)
	}
	problems = append(problems, difference("COMMANDS", headings, usages)...)
	problems = append(problems, difference("OPTIONS", p.sections["OPTIONS"], append(flagTerms(root.PersistentFlags()), "-h, --help"))...)
	problems = append(problems, difference("EXIT STATUS", p.sections["EXIT STATUS"],
		[]string{"0", fmt.Sprint(exitWrong), fmt.Sprint(exitUsage), fmt.Sprint(exitConfig)})...)
	for _, name := range []string{config.DefaultFile, config.DefaultState, config.InheritedDir + "/"} {
		if !slices.Contains(p.sections["FILES"], name) {
			problems = append(problems, "FILES: missing: "+name)
		}
	}
	return problems
}

// allCommands returns the commands, and those of their commands.
func allCommands(parent *cobra.Command) (all []*cobra.Command) {
	for _, cmd := range parent.Commands() {
		all = append(append(all, cmd), allCommands(cmd)...)
	}
	return all
}

// flagTerms returns each flag as a man page shows it.
func flagTerms(flags *pflag.FlagSet) (terms []string) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		term := "--" + f.Name
		if f.Shorthand != "" {
			term = "-" + f.Shorthand + ", " + term
		}
		if value, _ := pflag.UnquoteUsage(f); value != "" {
			term += " " + value
		}
		terms = append(terms, term)
	})
	return terms
}

// configSections has, for each section of ehlogate.toml(5), a config whose error names its keys, the text with one more of
// its keys, and the keys that have no fixed default.
var configSections = map[string]struct {
	find      string
	with      string // %s is KEY = DEFAULT
	noDefault []string
}{
	"TOP-LEVEL KEYS": {"bogus = 1\n", "%s\n", nil},
	"[listen]":       {"[listen]\nbogus = 1\n", "[listen]\n%s\n", nil},
	"[http]":         {"[http]\nbogus = 1\n", "[http]\n%s\n", nil},
	"[policy]":       {"[policy]\nbogus = 1\n", "[policy]\n%s\n", []string{"require_unmet"}},
	"[milter]":       {"[milter]\nbogus = 1\n", "[milter]\n%s\n", nil},
	"[log]":          {"[log]\nbogus = 1\n", "[log]\n%s\n", nil},
	"[dns]":          {"[dns]\nbogus = 1\n", "[dns]\n%s\n", []string{"resolvers"}},
	"[limit]": {"[limit]\nbogus = 1\n", "default = \"limit\"\nguard.off = true\n[limit]\noffers_per_second = 1\n%s\n",
		[]string{"offers_per_second", "cpu_pressure", "pressure_file"}},
	"[guard]":    {"[guard]\nbogus = 1\n", "[guard]\n%s\n", nil},
	"[logs]":     {"[logs]\nbogus = 1\n", "[logs]\n%s\n", nil},
	"[learn]":    {"[learn]\nbogus = 1\n", "[learn]\n%s\n", nil},
	"[edits]":    {"[edits]\nbogus = 1\n", "[edits]\n%s\n", nil},
	"[fallback]": {"[fallback]\nbogus = 1\n", "[fallback]\n%s\n", []string{"watch"}},
	"[earned]":   {"[earned]\nbogus = 1\n", "[earned]\n%s\n", nil},
	"[[list]]": {"[[list]]\nbogus = 1\n", "[[list]]\nname = \"a\"\naction = \"offer\"\nfiles = [\"a\"]\n%s\n",
		[]string{"name", "action", "files", "min_entries", "expire_after", "zones", "results", "answer", "hide", "learn"}},
	"ZONES": {"[[list]]\nzones = [{bogus = 1}]\n", "[[list]]\nname = \"a\"\naction = \"offer\"\nzones = [{zone = \"a.example\", %s}]\n",
		[]string{"zone", "name", "answer"}},
}

// withThreshold is what one more key of a DNS list is added to.
const withThreshold = "[[list]]\nname = \"a\"\naction = \"offer\"\nzones = [{zone = \"a.example\"}]\n%s\n"

// loadConfig loads a config with this text.
func loadConfig(dir, text string) (*config.Config, error) {
	name := filepath.Join(dir, "c.toml")
	if err := os.WriteFile(name, []byte("# a comment\n"+text), 0o600); err != nil {
		return nil, err
	}
	return config.Load(name)
}

// knownKeys returns the keys that the error about an unknown key names.
func knownKeys(dir, text string) ([]string, error) {
	_, err := loadConfig(dir, text)
	var problems *diag.Problems
	if !errors.As(err, &problems) {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	for line := range strings.Lines(problems.Report("error")) {
		if _, keys, ok := strings.Cut(line, "hint: known "); ok {
			_, keys, _ = strings.Cut(strings.TrimSpace(keys), ": ")
			return strings.Split(keys, ", "), nil
		}
	}
	return nil, fmt.Errorf("%q: no keys in %w", text, err)
}

// checkConfigPage returns what is wrong in ehlogate.toml(5): every section and every key is in it, and no other, with the
// default that it has.
func checkConfigPage(source, dir string) []string {
	p := parsePage(source)
	problems := checkTitle(p)
	for _, heading := range slices.Sorted(maps.Keys(configSections)) {
		s := configSections[heading]
		known, err := knownKeys(dir, s.find)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		var want, got []string
		for _, key := range known {
			if strings.HasPrefix(key, "[") {
				if _, ok := p.sections[key]; !ok {
					problems = append(problems, "missing: the section "+key)
				}
				continue
			}
			want = append(want, key)
		}
		for _, term := range p.sections[heading] {
			key, value, _ := strings.Cut(term, " =")
			got = append(got, key)
			if isPlaceholder := strings.HasSuffix(value, placeholder); isPlaceholder || slices.Contains(s.noDefault, key) {
				if isPlaceholder != slices.Contains(s.noDefault, key) {
					problems = append(problems, fmt.Sprintf("%s: %s: a default where there is none, or none where there is one", heading, term))
				}
				continue
			}
			with := s.with
			if key == "threshold" {
				with = withThreshold
			}
			if err := checkDefault(dir, heading, with, key, value); err != nil {
				problems = append(problems, fmt.Sprintf("%s: %s: %v", heading, term, err))
			}
		}
		problems = append(problems, difference(heading, got, want)...)
	}
	return problems
}

// checkDefault compares the config that sets a key to its default with the one that does not set it.
func checkDefault(dir, heading, with, key, value string) error {
	if heading == "[listen]" && slices.Contains(config.Protocols, key) { // to name an address is to leave the defaults
		if want := fmt.Sprintf(" [%q]", config.Defaults().Listen.Addresses[key][0]); value != want {
			return fmt.Errorf("the default is%s", want)
		}
		return nil
	}
	// A comment takes the place of the key where one may stand.
	without := "# none"
	if strings.Contains(with, ", %s") {
		with, without = strings.Replace(with, ", %s", "%s", 1), ""
	}
	set := key + " =" + value
	if without == "" {
		set = ", " + set
	}
	got, err := loadConfig(dir, fmt.Sprintf(with, set))
	if err != nil {
		return err
	}
	want, err := loadConfig(dir, fmt.Sprintf(with, without))
	if err != nil {
		return err
	}
	got.Digest = want.Digest // it differs if a default is written down
	if got.AlwaysHide == nil {
		got.AlwaysHide = want.AlwaysHide
	}
	if len(got.AlwaysHide) == 0 {
		got.AlwaysHide = nil
	}
	if !reflect.DeepEqual(got, want) {
		return errors.New("this is not the default")
	}
	return nil
}

// checkListsPage returns what is wrong in ehlogate.list(5): every format is in it, and no other, and its example is a
// list with one entry of each kind.
func checkListsPage(source string) []string {
	p := parsePage(source)
	problems := append(checkTitle(p), difference("FORMATS", p.sections["FORMATS"], append(feed.Formats(), ownFormat))...)
	entries := 0
	err := listfile.Parse(strings.NewReader(p.examples[0]), "example", listfile.Rules{AnyAction: true}, func(*listfile.Item) error { entries++; return nil })
	if err != nil || entries != 10 {
		problems = append(problems, fmt.Sprintf("%d entries in the example, %v", entries, err))
	}
	return problems
}

// TestManPages checks the pages against the flags, the config and the formats, and that each check fails for a page from
// which something is missing, or in which something is stale.
func TestManPages(t *testing.T) {
	dir := t.TempDir()
	for name, page := range map[string]struct {
		check  func(source string) []string
		broken [][3]string // old text, new text, and what the check says about it
	}{
		"ehlogate.8": {checkCommandsPage, [][3]string{
			{".SS ehlogate explain ADDR\n", "", "missing: --helo NAME"},
			{".SS ehlogate explain ADDR\n", ".SS ehlogate explain\n", "stale: ehlogate explain"},
			{".SS ehlogate version\n", ".SS ehlogate versions\n", "COMMANDS: missing: ehlogate version"},
			{"\\fB\\-\\-helo\\fP", "\\fB\\-\\-hello\\fP", "explain: stale: --hello NAME"},
			{"\\fB\\-o\\fP, ", "", "export: missing: -o, --output FILE"},
			{"\\fIHOST\\fP", "\\fINAME\\fP", "explain: missing: --name HOST"},
			{"\\fB\\-c\\fP, ", "", "OPTIONS: missing: -c, --config FILE"},
			{".B exim\\-hosts\n", ".B exim\n", "export: missing: the format exim-hosts"},
			{".B 78\n", ".B 77\n", "EXIT STATUS: missing: 78"},
			{"/var/lib/ehlogate/guard.json", "/var/lib/guard.json", "FILES: missing"},
			{version, "0.8.0", "another version"},
		}},
		"ehlogate.toml.5": {func(source string) []string { return checkConfigPage(source, dir) }, [][3]string{
			{".B max_entries = 20000000\n", ".B max_entries = 20000001\n", "max_entries = 20000001: this is not the default"},
			{".B max_entries", ".B most_entries", "missing: max_entries"},
			{".B weight = 1\n", ".B weight = 2\n", "weight = 2: this is not the default"},
			{".B keep = \\[dq]5m\\[dq]\n", ".B keep = \\[dq]6m\\[dq]\n", "keep = \"6m\": this is not the default"},
			{".B allow_wide = false\n", ".B allow_wide = true\n", "allow_wide = true: this is not the default"},
			{"127.0.0.1:10044", "127.0.0.1:10047", "the default is"},
			{".BI answer\\~=\\~ FILTER\n", ".B answer = \\[dq]127.0.0.2\\[dq]\n", "where there is none"},
			{".B stale = \\[dq]24h\\[dq]\n", ".BI stale\\~=\\~ TIME\n", "none where there is one"},
			{".B off = false\n", ".B offline = false\n", "[guard]: missing: off"},
			{".SH [milter]\n", "", "missing: the section [milter]"},
			{version, "0.8.0", "another version"},
		}},
		"ehlogate.list.5": {checkListsPage, [][3]string{
			{".B ipset\n", ".B ipsets\n", "missing: ipset"},
			{".B ipset\n", ".B ipsets\n", "stale: ipsets"},
			{"helo:*.dyn.example ", "helo:*dyn.example ", "in the example"},
			{version, "0.8.0", "another version"},
		}},
	} {
		source := readPage(t, name)
		for _, problem := range page.check(source) {
			t.Errorf("%s: %s", name, problem)
		}
		for _, b := range page.broken {
			changed := strings.Replace(source, b[0], b[1], 1)
			if problems := strings.Join(page.check(changed), "\n"); changed == source || !strings.Contains(problems, b[2]) {
				t.Errorf("%s with %q for %q: got %q, want %q", name, b[1], b[0], problems, b[2])
			}
		}
	}
}

// TestExampleConfig checks that the example config has every key, be it in a comment.
func TestExampleConfig(t *testing.T) {
	dir := t.TempDir()
	text, err := os.ReadFile("../../examples/ehlogate.toml")
	if err != nil {
		t.Fatal(err)
	}
	section, found := "TOP-LEVEL KEYS", map[string]bool{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimPrefix(line, "#")
		if strings.HasPrefix(line, "[") {
			section = strings.TrimSpace(line)
		}
		if zone, ok := strings.CutPrefix(strings.TrimSpace(line), "{"); ok {
			for part := range strings.SplitSeq(strings.TrimRight(zone, "},"), ", ") {
				key, _, _ := strings.Cut(part, " = ")
				found["ZONES "+key] = true
			}
		} else if key, _, ok := strings.Cut(line, "="); ok {
			found[section+" "+strings.TrimSpace(key)] = true
		}
	}
	for heading, s := range configSections {
		keys, err := knownKeys(dir, s.find)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			if !strings.HasPrefix(key, "[") && !found[heading+" "+key] {
				t.Errorf("%s %s is missing", heading, key)
			}
		}
	}
}

// TestHelpWidth checks that help fits into 80 columns, but for examples, and that the help of serve has the addresses of
// the defaults.
func TestHelpWidth(t *testing.T) {
	for _, cmd := range allCommands(newRoot()) {
		for line := range strings.Lines(runCommand(t, append(strings.Fields(cmd.CommandPath())[1:], "--help")...)) {
			if line = strings.TrimSuffix(line, "\n"); len(line) > 80 && !strings.HasPrefix(line, "  ehlogate ") {
				t.Errorf("%s: %d columns: %s", cmd.Name(), len(line), line)
			}
		}
	}
	help := runCommand(t, "serve", "--help")
	defaults := config.Defaults()
	for _, protocol := range config.Protocols {
		if want := fmt.Sprintf("    %-11s%s", protocol, defaults.Listen.Addresses[protocol][0]); !strings.Contains(help, want) {
			t.Errorf("serve --help does not say %q", want)
		}
	}
}

// TestCompletions asks for completions as a shell does.
func TestCompletions(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "c.toml")
	text := "guard.off = true\n[[list]]\nname = \"broken-tls\"\naction = \"suppress\"\nfiles = [\"x\"]\n" +
		"[[list]]\nname = \"feed\"\naction = \"suppress\"\nformat = \"drop\"\nfiles = [\"y\"]\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	const none, files, ext, dirs = cobra.ShellCompDirectiveNoFileComp, cobra.ShellCompDirectiveDefault,
		cobra.ShellCompDirectiveFilterFileExt, cobra.ShellCompDirectiveFilterDirs
	for _, c := range []struct {
		args      []string
		want      []string
		directive cobra.ShellCompDirective
	}{
		{[]string{"serve", "-c", ""}, []string{"toml"}, ext},
		{[]string{"serve", ""}, nil, none},
		{[]string{"explain", ""}, nil, none},
		{[]string{"explain", "--helo", ""}, nil, none},
		{[]string{"check", ""}, nil, files},
		{[]string{"check", "-c", conf, "--list", ""}, []string{"broken-tls", "feed"}, none},
		{[]string{"check", "--format", ""}, append([]string{"list"}, feed.Formats()...), none},
		{[]string{"export", "--format", ""}, export.Formats(), none},
		{[]string{"export", "--action", ""}, []string{"offer", "suppress", "require"}, none},
		{[]string{"export", "-o", ""}, nil, files},
		{[]string{"doctor", "--saved", ""}, nil, dirs},
		{[]string{"doctor", "--exim", ""}, nil, files},
		{[]string{"fallback", "promote", "-c", conf, "--list", ""}, []string{"broken-tls", "feed"}, none},
		{[]string{"fallback", "show", ""}, nil, none},
		{[]string{"list", "add", "-c", conf, ""}, []string{"broken-tls"}, none},
		{[]string{"list", "add", "-c", conf, "broken-tls", ""}, nil, none},
		{[]string{"list", "show", "-c", conf, ""}, []string{"broken-tls", "feed"}, none},
		{[]string{"list", "import", "-c", conf, ""}, []string{"broken-tls"}, none},
		{[]string{"list", "import", "-c", conf, "broken-tls", ""}, nil, files},
		{[]string{"list", "import", "--format", ""}, feed.Formats(), none},
		{[]string{"list", "add", "--file", ""}, nil, files},
		{[]string{"list", "find", ""}, nil, none},
		{[]string{"list", "undo", ""}, nil, none},
		{[]string{"ex"}, []string{"explain\tShow the decision for a client, and why", "export\tWrite the policy as a static table"}, none},
	} {
		got := strings.Split(strings.TrimSpace(runCommand(t, append([]string{"__complete"}, c.args...)...)), "\n")
		if want := append(slices.Clone(c.want), fmt.Sprintf(":%d", c.directive)); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", c.args, got, want)
		}
	}
	// A flag with a value says what that can be, or that shells cannot know.
	for _, cmd := range append(allCommands(newRoot()), newRoot()) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if _, ok := cmd.GetFlagCompletionFunc(f.Name); !ok && f.Value.Type() != "bool" && f.Name != "config" {
				t.Errorf("%s --%s has no completions", cmd.Name(), f.Name)
			}
		})
	}
}
