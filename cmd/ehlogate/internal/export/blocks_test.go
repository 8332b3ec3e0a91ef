package export

import (
	"bytes"
	"regexp"
	"testing"

	"ehlogate/lists"
	"ehlogate/lists/test/listtest"
)

var emptyBlock = regexp.MustCompile(`if \S+\nendif`)

// A lookup visits few lines, and the blocks make the table little longer, however the addresses are spread.
func TestBlocks(t *testing.T) {
	for name, entries := range map[string][]listtest.Entry{"hosts": listtest.Hosts(20_000), "mixed": listtest.Mixed(20_000)} {
		for _, window := range []int{1 << 16, 1000} {
			withWindow(t, window)
			p := newTestPolicy(t, lists.Offer, lists.Enforce, testList{action: lists.Suppress, text: listtest.Format(entries)})
			var blocks, flat bytes.Buffer
			if err := p.WritePostfixCIDR(t.Context(), &blocks); err != nil {
				t.Fatal(err)
			}
			if err := p.WritePostfixCIDRFlat(t.Context(), &flat); err != nil {
				t.Fatal(err)
			}
			if empty := emptyBlock.FindString(blocks.String()); empty != "" {
				t.Errorf("%s, window of %d: a block without rules: %q", name, window, empty)
			}
			table, rules := cidrOf(t, blocks.String()), cidrOf(t, flat.String())
			sum, most, clients := 0, 0, listtest.Clients(entries, 10_000)
			for _, a := range clients {
				_, visited := table.Lookup(a)
				sum, most = sum+visited, max(most, visited)
			}
			mean, longer := float64(sum)/float64(len(clients)), float64(len(table))/float64(len(rules))
			t.Logf("%s, window of %d: %.1f lines a lookup, at most %d; %d rules, %.2f times the lines", name, window, mean, most, len(rules), longer)
			if mean > 45 || most > 100 || longer > 1.5 {
				t.Errorf("%s, window of %d: %.1f lines a lookup, at most %d, %.2f times the lines", name, window, mean, most, longer)
			}
		}
	}
}
