package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const repository = "../.."

// documents returns the text of every page of documentation, by its path in the repository.
func documents(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "build", "testdata"}, d.Name()):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(repository, path)
		pages[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	block   = regexp.MustCompile("(?m)^(    |```).*$")
	unlined = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// anchors returns the names by which the headings of a page are linked to.
func anchors(text string) map[string]bool {
	names := map[string]bool{}
	for _, found := range heading.FindAllStringSubmatch(text, -1) {
		names[strings.ReplaceAll(unlined.ReplaceAllString(strings.ToLower(found[1]), ""), " ", "-")] = true
	}
	return names
}

// brokenLinks returns the links of the pages that lead nowhere.
func brokenLinks(pages map[string]string, exists func(path string) bool) (broken []string) {
	for name, text := range pages {
		for _, found := range link.FindAllStringSubmatch(block.ReplaceAllString(text, ""), -1) {
			path, anchor, _ := strings.Cut(found[1], "#")
			target := name
			if path != "" {
				target = filepath.Join(filepath.Dir(name), path)
			}
			if page, isPage := pages[target]; !exists(target) || anchor != "" && !(isPage && anchors(page)[anchor]) {
				broken = append(broken, name+": "+found[1])
			}
		}
	}
	slices.Sort(broken)
	return broken
}

func TestDocumentLinks(t *testing.T) {
	pages := documents(t)
	exists := func(path string) bool { _, err := os.Stat(filepath.Join(repository, path)); return err == nil }
	for _, l := range brokenLinks(pages, exists) {
		t.Errorf("broken link in %s", l)
	}
	for name := range pages {
		if name != "README.md" && !strings.HasPrefix(name, "examples/debian/") && !linked(pages, name) {
			t.Errorf("no document links to %s", name)
		}
	}
}

// linked reports whether a page other than name links to name or to its directory.
func linked(pages map[string]string, name string) bool {
	for from, text := range pages {
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			path, _, _ := strings.Cut(found[1], "#")
			if target := filepath.Join(filepath.Dir(from), path); from != name && path != "" && (target == name || target == filepath.Dir(name)) {
				return true
			}
		}
	}
	return false
}

func TestBrokenLinksAreFound(t *testing.T) {
	pages := map[string]string{
		"README.md":  "# A b's `c`\n[a](#a-bs-c) [b](#gone) [c](x/y.md#top) [d](x/y.md#gone) [e](z.go) [f](gone.go)\n\n    [g](in/a/block)\n",
		"x/y.md":     "## Top\n[h](../README.md) [i](README.md)\n",
		"x/other.md": "[j](../z.go#anchor)\n",
	}
	got := brokenLinks(pages, func(path string) bool { _, ok := pages[path]; return ok || path == "z.go" })
	want := []string{"README.md: #gone", "README.md: gone.go", "README.md: x/y.md#gone", "x/other.md: ../z.go#anchor", "x/y.md: README.md"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReadmeIsShort(t *testing.T) {
	if lines := strings.Count(documents(t)["README.md"], "\n"); lines >= 150 {
		t.Errorf("README.md has %d lines, want fewer than 150: move what is about one subject to the page of that subject", lines)
	}
}

// TestDocumentedMetrics compares the metrics that are described with those that the source names.
func TestDocumentedMetrics(t *testing.T) {
	metric := regexp.MustCompile(`[^$\w](ehlogate_[a-z_]+[a-z])\b`) // not $ehlogate_policy, a parameter of Postfix
	named := map[string]bool{}
	for _, dir := range []string{"internal/httpapi", "internal/telemetry"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range regexp.MustCompile(`"(ehlogate_[a-z_]+)"`).FindAllStringSubmatch(string(text), -1) {
				named[name[1]] = true
			}
		}
	}
	if len(named) < 15 {
		t.Fatalf("got %d metrics in the source: they are named otherwise now", len(named))
	}
	described := map[string]bool{}
	for name, text := range documents(t) {
		if name == "CHANGELOG.md" || strings.HasSuffix(name, "/MATRIX.md") { // the latter names tests
			continue
		}
		for _, found := range metric.FindAllStringSubmatch(text, -1) {
			m := found[1]
			if !named[m] {
				t.Errorf("%s names %s, which is no metric", name, m)
			}
			described[m] = described[m] || name == "cmd/ehlogate/README.md"
		}
	}
	for m := range named {
		if !described[m] {
			t.Errorf("cmd/ehlogate/README.md does not describe %s", m)
		}
	}
}

// TestDocumentedDropIn compares the drop-in for ehlogate-export.service with the command of the unit that it replaces.
func TestDocumentedDropIn(t *testing.T) {
	command := func(text string) string {
		t.Helper()
		_, rest, ok := strings.Cut(text, "ExecStart=/usr/bin/ehlogate")
		if !ok {
			t.Fatal("got no ExecStart=, want that of ehlogate")
		}
		rest, _, _ = strings.Cut(strings.ReplaceAll(rest, "\\\n", " "), "\n")
		return strings.Join(strings.Fields(rest), " ")
	}
	unit, err := os.ReadFile(filepath.Join(repository, "examples/systemd/ehlogate-export.service"))
	if err != nil {
		t.Fatal(err)
	}
	got, want := command(documents(t)["examples/README.md"]), command(string(unit))
	if strings.Replace(got, " --without-names", "", 1) != want || got == want {
		t.Errorf("got %q in examples/README.md, want %q and --without-names", got, want)
	}
}
