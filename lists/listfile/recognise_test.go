package listfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/diag"
)

// A file in another format is recognised in the first error, which names the line of the config, or a command. Few others
// follow, however many there are.
func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		strings.Repeat("192.0.2.1\t8\n", 120_430):                        `x.list:1: this is a list of addresses with further columns, and the format of the list is "list" (write format = "addresses" for this list in the config) and 120430 more`,
		"{\"cidr\":\"192.0.2.0/24\",\"sblid\":\"SBL1\"}\n":               `this is Spamhaus DROP in JSON, and the format of the list is "list" (write format = "drop" for this list in the config) and 1 more`,
		"{\"prefixes\":[{\"ip_prefix\":\"192.0.2.0/24\"}]}":              `this is JSON of Amazon (ip-ranges.json), and the format of the list is "list" (make a list of it, and name that in files = [...]: jq -r '.prefixes[].ip_prefix, .ipv6_prefixes[].ipv6_prefix' DIR/x.list > DIR/x.list.list) and 2 more`,
		"\x1f\x8b\x08\x00\x00":                                           `this is compressed by gzip, and the format of the list is "list" (make a list of it, and name that in files = [...]: gzip -dc < DIR/x.list > DIR/x.list.list) and 2 more`,
		"<!DOCTYPE html>\n<html>\n" + strings.Repeat("x", 1<<20):         `this is a web page, and`,
		"{\"prefixes\":[{\"ip_prefix\":\"1" + strings.Repeat("x", 1<<20): `this is JSON of Amazon`,
	} {
		path := filepath.Join(dir, "x.list")
		write(t, path, text)
		_, err := New(Spec{Patterns: []string{path}, Rules: Rules{Action: lists.Suppress}}, time.Now).Load()
		ps, ok := err.(*diag.Problems)
		if !ok || !strings.Contains(strings.ReplaceAll(err.Error(), dir, "DIR"), want) || len(ps.First) > 1+maxForeign {
			t.Errorf("%.40q: got %v, want %s", text, err, want)
		}
	}
}

// Files with mistakes in the format of their list are not taken for others.
func TestOwnMistakesAreNotForeign(t *testing.T) {
	for _, pattern := range []string{"testdata/bad/*.list", "../../examples/lists/*.list"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatal(pattern, err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "x.list")
			write(t, path, string(data))
			if _, err := New(Spec{Patterns: []string{path}, Rules: Rules{AnyAction: true}}, time.Now).Load(); err != nil && strings.Contains(err.Error(), "this is") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
