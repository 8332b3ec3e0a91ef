package feed

import (
	"fmt"

	"go4.org/netipx"
)

// maxNegatedRules bounds the rules of a table with negated patterns: the time to read it grows with their square.
const maxNegatedRules = 5000

// keywordBlocks reads a cidr_table(5) of EHLO keywords. Each rule has the clients that match it and the blocks around it, and
// no rule before it.
type keywordBlocks struct {
	*blocks
	keywords *KeywordTables
	rules    int
	// seen has the clients of the rules so far, once there is a negated pattern.
	seen *netipx.IPSetBuilder
}

func (b *keywordBlocks) useRule(r *logicalLine) {
	own := condition{prefixOf(&r.item), b.isNegated}
	isNegated := own.isNegated
	for _, c := range b.open {
		isNegated = isNegated || c.isNegated
	}
	if b.rules++; (b.seen != nil || isNegated) && b.rules > maxNegatedRules {
		if b.rules == maxNegatedRules+1 || b.seen == nil {
			failAt(b.Lines, r.pattern, fmt.Sprintf("more than %d rules in a table with negated patterns", maxNegatedRules), "write the table without them")
		}
		b.seen = new(netipx.IPSetBuilder)
		return
	}
	if isNegated {
		b.useNegated(r, own)
		return
	}
	p, ok := b.narrow(own.prefix)
	if !ok {
		b.reportUnused(r.pattern, r.pattern.text+" is never reached: it is outside of the block around it", "remove it, or write it behind endif")
	} else if b.keywords.usePrefix(b.table, r, p) && b.seen != nil {
		b.seen.AddPrefix(p)
	}
}

// useNegated uses a rule with a negated pattern, or in a block with one.
func (b *keywordBlocks) useNegated(r *logicalLine, own condition) {
	if b.seen == nil {
		b.seen = new(netipx.IPSetBuilder)
		for _, r := range b.keywords.Rules {
			b.seen.AddPrefix(r.Prefix)
		}
	}
	var clients netipx.IPSetBuilder
	clients.AddSet(own.clients())
	for _, c := range b.open {
		clients.Intersect(c.clients())
	}
	clients.RemoveSet(buildSet(b.seen))
	set := buildSet(&clients)
	if len(set.Ranges()) == 0 {
		b.keywords.addNeverReached(b.table, r)
		return
	}
	b.seen.AddSet(set)
	for _, p := range set.Prefixes() {
		b.keywords.before.add(p)
	}
	b.keywords.addRule(b.table, r, set.Prefixes()...)
}

// clients returns the clients that match. A negated pattern, too, matches those of its address family alone.
func (c condition) clients() *netipx.IPSet {
	var b netipx.IPSetBuilder
	if !c.isNegated {
		b.AddPrefix(c.prefix)
		return buildSet(&b)
	}
	all, _ := c.prefix.Addr().Prefix(0)
	b.AddPrefix(all)
	b.RemovePrefix(c.prefix)
	return buildSet(&b)
}

// buildSet returns the set of a builder, which stays as it is. The builder cannot fail: all of its prefixes are valid.
func buildSet(b *netipx.IPSetBuilder) *netipx.IPSet {
	set, _ := b.IPSet()
	return set
}
