package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFindConcurrency(t *testing.T) {
	for _, tc := range []struct {
		file, text string
		want       bool
	}{
		{"x.go", "package x\n\nfunc run() { go run() }\n", true},
		{"x.go", "package x\n\nimport \"sync/atomic\"\n\nvar n atomic.Int64\n", true},
		{"x_test.go", "package x\n\nfunc TestX(t *testing.T) { t.Parallel() }\n", true},
		{"x_test.go", "package x\n\nfunc TestX(t *testing.T) { go wait() }\n", false}, // for a server, for example
		{"x.go", "package x\n\nfunc run() { run() }\n", false},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, tc.file), []byte(tc.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if place, err := findConcurrency(dir); err != nil || (place != "") != tc.want {
			t.Errorf("%s: got %q, %v", tc.text, place, err)
		}
	}
}
