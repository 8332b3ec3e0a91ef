package filewatch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.list", "b.list", ".hidden.list", "x[1].list", "d/1.list", "d/2.list", "e/1.list", ".git/1.list", "w*d/q.list"} {
		name = filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		write(t, name, "#\n")
	}
	must(t, os.Symlink("d", filepath.Join(dir, "f")))
	for pattern, want := range map[string]string{
		"a.list":         "a.list",
		"missing.list":   "missing.list", // for the reader to complain about
		"*.list":         "a.list b.list x[1].list",
		".*.list":        ".hidden.list",
		"*/1.list":       "d/1.list e/1.list f/1.list",
		"?/*":            "d/1.list d/2.list e/1.list f/1.list f/2.list",
		`x\[1\].list`:    "x[1].list",
		`w\*d/q.list`:    "w*d/q.list",
		`w\*d/none.list`: "w*d/none.list",
		"x[[]1].list":    "x[1].list",
	} {
		got, err := expand([]string{filepath.Join(EscapeGlob(dir), pattern)}, nil)
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], dir+"/")
		}
		if err != nil || !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s: %q, %v; want %s", pattern, got, err, want)
		}
	}
	for _, pattern := range []string{"none*", "*/none.list", "*/*/*", "none/*.list", "a.list/*", "[", `x\`} {
		if got, err := expand([]string{filepath.Join(dir, pattern)}, nil); err == nil {
			t.Errorf("%s: %q and no error", pattern, got)
		}
	}
	twice, err := expand([]string{filepath.Join(dir, "b.list"), dir + "//b.list", filepath.Join(dir, "*.list")}, nil)
	if err != nil || len(twice) != 3 {
		t.Errorf("got %q, %v", twice, err)
	}
}
