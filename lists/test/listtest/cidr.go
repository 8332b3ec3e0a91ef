package listtest

import (
	"fmt"
	"net/netip"
	"strings"
)

// CIDRTable looks up clients as Postfix does in a cidr_table(5) with blocks, by src/util/cidr_match.c: one line after the
// other, but for those of a block that does not match.
type CIDRTable []cidrLine

type cidrLine struct {
	kind   cidrKind
	prefix netip.Prefix
	value  string
	end    int // of a block: the line of its endif
}

type cidrKind int

const (
	cidrRule cidrKind = iota
	cidrIf
	cidrEndif
)

// ParseCIDR parses a table as ehlogate writes it, without negated patterns.
func ParseCIDR(text string) (table CIDRTable, err error) {
	var open []int
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		l := cidrLine{}
		pattern, value, _ := strings.Cut(line, "\t")
		if rest, ok := strings.CutPrefix(line, "if "); ok {
			open = append(open, len(table))
			l.kind, pattern, value = cidrIf, rest, "-"
		} else if line == "endif" {
			if len(open) == 0 {
				return nil, fmt.Errorf("endif without if")
			}
			table[open[len(open)-1]].end = len(table)
			open = open[:len(open)-1]
			table = append(table, cidrLine{kind: cidrEndif})
			continue
		}
		if l.prefix, err = netip.ParsePrefix(pattern); err != nil || l.prefix != l.prefix.Masked() || value == "" {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		l.value = value
		table = append(table, l)
	}
	if len(open) > 0 {
		return nil, fmt.Errorf("%d times if without endif", len(open))
	}
	return table, nil
}

// Lookup returns the result for a client, "" for none, and how many lines Postfix visits for it.
func (t CIDRTable) Lookup(a netip.Addr) (value string, visited int) {
	for i := 0; i < len(t); i++ {
		visited++
		switch l := &t[i]; {
		case l.kind == cidrEndif:
		case l.kind == cidrRule && l.prefix.Contains(a):
			return l.value, visited
		case l.kind == cidrIf && !l.prefix.Contains(a):
			i = l.end
		}
	}
	return "", visited
}
