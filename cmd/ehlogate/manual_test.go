package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/feed"
	"ehlogate/lists/listfile"
)

// ehlogate runs a command and gives what it prints.
func ehlogate(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), args, &stdout, &stderr); code != 0 {
		t.Fatalf("%q: exit code %d: %s", args, code, &stderr)
	}
	return stdout.String()
}

// plain is Markdown without its escapes and its emphasis.
func plain(markdown string) string {
	var b strings.Builder
	for i := 0; i < len(markdown); i++ {
		switch c := markdown[i]; {
		case c == '\\' && i+1 < len(markdown):
			i++
			b.WriteByte(markdown[i])
		case c != '*':
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Every command, and every flag, stands in ehlogate(8) with all that --help
// says of it.
func TestManualCommands(t *testing.T) {
	page := plain(ehlogate(t, "manual", "ehlogate"))
	root := newRoot()
	flags := func(section, of string, fs *pflag.FlagSet) (n int) {
		fs.VisitAll(func(f *pflag.Flag) {
			_, usage := pflag.UnquoteUsage(f)
			if n++; f.Name != "help" && (!strings.Contains(section, "--"+f.Name) || !strings.Contains(section, "\n: "+usage+"\n")) {
				t.Errorf("%s: --%s is not described:\n%s", of, f.Name, section)
			}
		})
		return n
	}
	commands := 0
	for _, cmd := range root.Commands() {
		if cmd.Hidden || !cmd.Runnable() || cmd.Name() == "help" {
			continue
		}
		commands++
		_, section, ok := strings.Cut(page, "\n### ehlogate "+cmd.Name())
		if !ok {
			t.Errorf("%s is not there", cmd.Name())
			continue
		}
		section, _, _ = strings.Cut(section, "\n##")
		for paragraph := range strings.SplitSeq(cmd.Long, "\n\n") {
			if !strings.HasPrefix(paragraph, " ") && !strings.Contains(section, paragraph) {
				t.Errorf("%s: %q is not there", cmd.Name(), paragraph)
			}
		}
		flags(section, cmd.Name(), cmd.LocalNonPersistentFlags())
	}
	if n := flags(page, "ehlogate", root.PersistentFlags()); commands < 6 || n < 1 {
		t.Errorf("%d commands, %d flags", commands, n)
	}
	if strings.Contains(page, "manual") || strings.Contains(page, "completion") {
		t.Error("hidden commands are shown")
	}
}

// Every key that a config may have is described in ehlogate.toml(5). Which
// those are is in the hint of the error about one that is not known.
func TestManualConfig(t *testing.T) {
	known := func(text string) []string {
		name := filepath.Join(t.TempDir(), "c.toml")
		if err := os.WriteFile(name, []byte(text+"bogus = 1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load(name)
		var ps *listfile.Problems
		if !errors.As(err, &ps) {
			t.Fatalf("%q: %v", text, err)
		}
		for line := range strings.Lines(ps.Show("error")) {
			if _, keys, ok := strings.Cut(line, "hint: known "); ok {
				_, keys, _ = strings.Cut(strings.TrimSpace(keys), ": ")
				return strings.Split(keys, ", ")
			}
		}
		t.Fatal(ps.Show("error"))
		return nil
	}

	page := plain(ehlogate(t, "manual", "ehlogate.toml", "../../examples/ehlogate.toml"))
	described := func(section, key string) {
		for part := range strings.SplitSeq(page, "\n## ") {
			heading, text, _ := strings.Cut(part, "\n")
			if heading == section && (strings.Contains(text, "\n"+key+" = ") || strings.Contains(text, "\n#"+key+" = ")) {
				return
			}
		}
		t.Errorf("%s of %s is not described", key, section)
	}
	keys := 0
	for _, key := range known("") {
		if !strings.HasPrefix(key, "[") {
			keys++
			described("BEFORE ALL SECTIONS", key)
			continue
		}
		for _, sub := range known(key + "\n") {
			keys++
			described(key, sub)
		}
	}
	if keys < 20 {
		t.Errorf("%d keys", keys)
	}
}

func TestConfigPage(t *testing.T) {
	page := plain(configPage(`# What it is.

# How it is done: "a"
# or "b".
mode = "a # b"  # behind

# About all of it.

# About the first.
[[list]]
#key = ["x"]
`))
	for _, want := range []string{
		"## DESCRIPTION\n\nWhat it is.\n\n",
		"\nmode = \"a # b\"\n: How it is done: \"a\" or \"b\". behind\n\n",
		"## [[list]]\n\nAbout all of it.\n\nAbout the first.\n\n#key = [\"x\"]\n: A list of strings.\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in\n%s", want, page)
		}
	}
}

// The text about lists is one: in the help, and in the manual.
func TestManualLists(t *testing.T) {
	help := ehlogate(t, "help", "lists")
	if !strings.HasPrefix(help, listsText) {
		t.Error(help)
	}
	page := plain(ehlogate(t, "manual", "ehlogate.list"))
	for line := range strings.Lines(listsText) {
		if !strings.HasPrefix(line, " ") && !strings.Contains(page, line) {
			t.Errorf("not in the manual: %s", line)
		}
	}
	for _, line := range strings.Split(listsText, "\n") {
		if len(line) > 80 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	// What it shows is what the parser takes.
	_, example, _ := strings.Cut(listsText, "\n\n")
	example, _, _ = strings.Cut(example, "\n\n")
	entries := 0
	err := listfile.Parse(strings.NewReader(example+"\n"), "example", listfile.Rules{AnyAction: true}, func(*listfile.Item) error { entries++; return nil })
	if err != nil || entries != 10 {
		t.Errorf("%d entries, %v", entries, err)
	}
}

func TestManualUsage(t *testing.T) {
	for args, want := range map[string]int{"": exitUsage, "bogus": exitUsage, "ehlogate x": exitUsage, "ehlogate.toml": exitUsage, "ehlogate.toml none": exitWrong} {
		var stderr bytes.Buffer
		if code := run(t.Context(), append([]string{"manual"}, strings.Fields(args)...), &stderr, &stderr); code != want {
			t.Errorf("manual %s: exit code %d, %s", args, code, &stderr)
		}
	}
}

func TestCompletions(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "c.toml")
	text := "[[list]]\nname = \"broken-tls\"\naction = \"suppress\"\nfiles = [\"x\"]\n"
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
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
		{[]string{"check", ""}, nil, files},
		{[]string{"check", "-c", conf, "--list", ""}, []string{"broken-tls"}, none},
		{[]string{"check", "--format", ""}, feed.Formats(), none},
		{[]string{"export", "--format", ""}, []string{"postfix-cidr"}, none},
		{[]string{"export", "-o", ""}, nil, files},
		{[]string{"doctor", "--saved", ""}, nil, dirs},
		{[]string{"doctor", "--exim", ""}, nil, files},
		{[]string{"ex"}, []string{"explain\tSay what is decided for a client, and why", "export\tWrite the policy as a static table"}, none},
	} {
		got := strings.Split(strings.TrimSpace(ehlogate(t, append([]string{"__complete"}, c.args...)...)), "\n")
		if want := append(slices.Clone(c.want), fmt.Sprintf(":%d", c.directive)); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", c.args, got, want)
		}
	}
}
