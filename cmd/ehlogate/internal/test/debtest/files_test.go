package debtest

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ehlogate/lists/test/testenv"
)

// The config that is made at the first installation is the example but for [listen], which is a comment, and its lists are empty.
func TestConfig(t *testing.T) {
	testenv.Needs(t, "debhelper", "lintian")
	b := buildOnce(t)
	etc := filepath.Join(b.files, "usr/share/ehlogate")
	out := output(t, exec.CommandContext(t.Context(), filepath.Join(b.files, "usr/bin/ehlogate"), "check", "-c", filepath.Join(etc, "ehlogate.toml")))
	for _, want := range []string{"ehlogate.toml: fine\n", `list "allow": fine, 0 entries`, `list "deny": fine, 0 entries`} {
		if !strings.Contains(out, want) {
			t.Errorf("check says:\n%s, and not %q", out, want)
		}
	}

	want := strings.Split(example(t, "ehlogate.toml"), "\n")
	section, added := "", 0
	for i, line := range strings.Split(readFile(t, filepath.Join(etc, "ehlogate.toml")), "\n") {
		if i-added >= len(want) {
			t.Fatalf("line %d is too much: %s", i+1, line)
		}
		was := want[i-added]
		if strings.HasPrefix(was, "[") {
			section = was
		}
		switch {
		case section == "[listen]" && !strings.HasPrefix(was, "#") && was != "" && line == "#"+was:
		case line == was:
			if section == "[listen]" && line != "" && !strings.HasPrefix(line, "#") {
				t.Errorf("line %d of [listen] is live: %s", i+1, line)
			}
		case section == "[listen]" && strings.HasPrefix(line, "# "):
			added++
		default:
			t.Errorf("line %d is %q, and in the example %q", i+1, line, was)
		}
	}
	if section == "" || added == 0 {
		t.Error("got a config without [listen], want it")
	}
	for _, list := range []string{"allow.list", "deny.list", "never.list"} {
		text, live := readFile(t, filepath.Join(etc, "lists", list)), 0
		for line := range strings.Lines(text) {
			if strings.TrimSpace(line) != "" && line[0] != '#' {
				live++
			}
		}
		if live > 0 || strings.ReplaceAll(text, "#", "") != strings.ReplaceAll(example(t, "lists/"+list), "#", "") {
			t.Errorf("%s, %d lines of which are live:\n%s", list, live, text)
		}
	}
}

// A config without [listen] is no config at all for the tool that makes one.
func TestWithoutListen(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "awk", "-f", filepath.Join(repository, "examples/debian/without-listen.awk"))
	cmd.Stdin = strings.NewReader("mode = \"enforce\"\n")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "no [listen]") {
		t.Errorf("%v: %s", err, out)
	}
}

// man shows the pages, and groff has nothing to complain about.
func TestManual(t *testing.T) {
	testenv.Needs(t, "debhelper", "lintian")
	b := buildOnce(t)
	for _, page := range []struct{ file, name, says string }{
		{"man8/ehlogate.8.gz", "ehlogate - decides which SMTP clients are offered STARTTLS", "ehlogate explain ADDR"},
		{"man5/ehlogate.toml.5.gz", "ehlogate.toml - the config of ehlogate", `mode = "enforce"`},
		{"man5/ehlogate.list.5.gz", "ehlogate.list - lists of SMTP clients for ehlogate", " !192.0.2.13"},
	} {
		f, err := os.Open(filepath.Join(b.files, "usr/share/man", page.file))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		roff, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "man", "--warnings=w", "--encoding=ascii", "--local-file", "-")
		cmd.Stdin = bytes.NewReader(roff)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "MANWIDTH=80"}
		var warnings strings.Builder
		cmd.Stderr = &warnings
		out, err := cmd.Output()
		if err != nil || warnings.Len() > 0 {
			t.Errorf("%s: %v, %s", page.file, err, &warnings)
		}
		// How far man indents depends on its version.
		for _, want := range []string{`NAME\n +` + regexp.QuoteMeta(page.name) + `\n`, regexp.QuoteMeta(page.says), `\nSEE ALSO\n`} {
			if !regexp.MustCompile(want).Match(out) {
				t.Errorf("%s does not say %q:\n%s", page.file, want, out)
			}
		}
	}
}

func TestCompletions(t *testing.T) {
	testenv.Needs(t, "debhelper", "lintian")
	b := buildOnce(t)
	share := filepath.Join(b.files, "usr/share")
	output(t, exec.CommandContext(t.Context(), "bash", "-n", filepath.Join(share, "bash-completion/completions/ehlogate")))
	if zsh := readFile(t, filepath.Join(share, "zsh/vendor-completions/_ehlogate")); !strings.HasPrefix(zsh, "#compdef ehlogate\n") {
		t.Error(zsh[:80])
	}
	if fish := readFile(t, filepath.Join(share, "fish/vendor_completions.d/ehlogate.fish")); !strings.Contains(fish, "\ncomplete -c ehlogate ") {
		t.Error("got no completion of a subcommand for fish, want one")
	}
}

// With the program come the licences of all that is in it.
func TestCopyright(t *testing.T) {
	testenv.Needs(t, "debhelper", "lintian")
	b := buildOnce(t)
	text := readFile(t, filepath.Join(b.files, "usr/share/doc/ehlogate/copyright"))
	if !strings.Contains(text, readFile(t, filepath.Join(repository, "LICENSE"))) {
		t.Error("not ours")
	}
	modules := 0
	for line := range strings.Lines(output(t, exec.CommandContext(t.Context(), "go", "version", "-m", filepath.Join(b.files, "usr/bin/ehlogate")))) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "dep" {
			modules++
			if !strings.Contains(text, "\n\n"+f[1]+" "+f[2]+"\n\n") {
				t.Errorf("%s is not there", f[1])
			}
		}
	}
	if modules < 5 {
		t.Errorf("%d modules in the program", modules)
	}
}
