package feed

import (
	"fmt"
	"strings"
	"testing"
)

// A table in nested blocks may have any number of rules: only those about negated patterns are compared with each other.
func TestManyBlocks(t *testing.T) {
	var b strings.Builder
	const blocks, rules = 20, 1000
	for i := range blocks {
		fmt.Fprintf(&b, "if 10.%d.0.0/16\n", i)
		for j := range rules {
			fmt.Fprintf(&b, "10.%d.%d.%d\tstarttls\n", i, j/250, j%250)
		}
		b.WriteString("endif\n")
	}
	var k KeywordTables
	if err := k.ReadCIDR(strings.NewReader(b.String()), "table"); err != nil || len(k.Rules) != blocks*rules || k.Unused.Total > 0 {
		t.Fatalf("%d rules, %d unused, %v", len(k.Rules), k.Unused.Total, err)
	}
	var negated KeywordTables
	err := negated.ReadCIDR(strings.NewReader(b.String()+"!10.0.0.0/8\tdsn\n"), "table")
	if err == nil || !strings.Contains(err.Error(), "more than 5000 rules in a table with negated patterns") {
		t.Errorf("with a negated pattern: %v", err)
	}
}

// A rule that is outside of the block around it matches no client.
func TestRuleOutsideOfBlock(t *testing.T) {
	var k KeywordTables
	err := k.ReadCIDR(strings.NewReader("if 192.0.2.0/24\n198.51.100.7\tdsn\n192.0.0.0/16\tauth\nendif\n"), "table")
	if err != nil || len(k.Rules) != 1 || k.Rules[0].Prefix.String() != "192.0.2.0/24" ||
		k.Unused.Total != 1 || k.Unused.First[0].Msg != "198.51.100.7 is never reached: it is outside of the block around it" {
		t.Errorf("%+v, %+v, %v", k.Rules, k.Unused, err)
	}
}
