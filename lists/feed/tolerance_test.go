package feed

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/listfile"
)

// parseAsFeed also returns what did not refuse the file.
func parseAsFeed(f listfile.Grammar, data []byte, name string) (items []listfile.Item, found listfile.Findings, err error) {
	rules := listfile.Rules{Action: lists.Suppress, Findings: &found}
	err = f.Parse(bytes.NewReader(data), name, rules, func(it *listfile.Item) error {
		items = append(items, *it)
		return nil
	})
	return items, found, err
}

// Feeds as they are published. The .want file has the entries, what is skipped, and the errors. UPDATE=1 writes it anew.
func TestFeeds(t *testing.T) {
	names, err := filepath.Glob("testdata/feeds/*/*")
	must(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, ".want") {
			continue
		}
		data, err := os.ReadFile(name)
		must(t, err)
		items, found, err := parseAsFeed(Format(filepath.Base(filepath.Dir(name))), data, filepath.Base(name))
		var b strings.Builder
		b.WriteString(describe(items))
		b.WriteString(found.Skipped.Report("skipped"))
		for _, p := range found.Unterminated {
			b.WriteString(p.Report("unterminated"))
		}
		if ps, ok := err.(*diag.Problems); ok {
			b.WriteString(ps.Report("error"))
		} else {
			must(t, err)
		}
		golden(t, name+".want", b.String())
	}
}
