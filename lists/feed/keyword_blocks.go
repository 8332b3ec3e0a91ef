package feed

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"go4.org/netipx"

	"ehlogate/lists/lazyregexp"
	"ehlogate/lists/listfile"
)

// blockLine matches a line of a cidr_table(5) that is not a rule for one prefix.
var blockLine = lazyregexp.New(`(?mi)^(!|(if|endif)([^a-z0-9]|$))`)

// maxBlockRules bounds the rules of a table with blocks or negated patterns: the time to read it grows with their square.
const maxBlockRules = 5000

// blocks reads a cidr_table(5) with if, endif and negated patterns. Each rule has the clients that match it and the blocks
// around it, and no rule before it.
type blocks struct {
	keywords   *KeywordTables
	table      *table
	conditions []condition
	isNegated  bool // the pattern that was read last
	seen       netipx.IPSetBuilder
	rules      int
}

// condition is the pattern of a rule, or of a block.
type condition struct {
	prefix    netip.Prefix
	isNegated bool
}

func (k *KeywordTables) readBlocks(data []byte, name string) error {
	b := &blocks{keywords: k, table: k.newTable(bytes.NewReader(data), name)}
	for _, r := range k.Rules {
		b.seen.AddPrefix(r.Prefix)
	}
	b.table.isDirective, b.table.useDirective, b.table.pattern, b.table.useRule = isDirective, b.useDirective, b.parsePattern, b.useRule
	b.table.readRules()
	if len(b.conditions) > 0 {
		k.addUnused(b.table, word{"", 0}, "missing endif: the block ends with the table", "write endif")
	}
	return b.table.Finish()
}

// isDirective reports whether a line is an if or endif, by its first word.
func isDirective(first word) bool { return hasKeyword(first, "if") || hasKeyword(first, "endif") }

func hasKeyword(first word, keyword string) bool {
	n := len(keyword)
	return len(first.text) >= n && strings.EqualFold(first.text[:n], keyword) && (len(first.text) == n || !isAlphanumeric(first.text[n]))
}

// useDirective uses an if or endif. Postfix ignores one with more text than that: then the rules behind it have a meaning
// that the operator does not expect.
func (b *blocks) useDirective(r *logicalLine) {
	whole := r.result
	if hasKeyword(r.pattern, "if") {
		w := nextWord([]byte(whole.text), len("if"), "")
		w.at += whole.at
		if items := b.parsePattern(w); len(items) > 0 {
			b.conditions = append(b.conditions, condition{prefixOf(items[0]), b.isNegated})
		} else {
			failAt(b.table.Lines, w, "invalid pattern behind if, so Postfix ignores the if", "write if PREFIX, as in if 192.0.2.0/24")
		}
		return
	}
	switch {
	case len(whole.text) > len("endif"):
		failAt(b.table.Lines, whole, "text behind endif, so Postfix ignores the endif", "write endif alone")
	case len(b.conditions) == 0:
		b.keywords.addUnused(b.table, whole, "endif without if", "remove it")
	default:
		b.conditions = b.conditions[:len(b.conditions)-1]
	}
}

// parsePattern parses a pattern, which may be negated.
func (b *blocks) parsePattern(w word) []*listfile.Item {
	b.isNegated = false
	for w.text != "" && strings.IndexByte("!"+blanks, w.text[0]) >= 0 {
		b.isNegated = b.isNegated != (w.text[0] == '!')
		w = w.withoutFirst(1)
	}
	if w.text == "" {
		failAt(b.table.Lines, w, "missing pattern", "write it into the same line")
		return nil
	}
	return parseCIDRPattern(b.table.Lines, w)
}

func (b *blocks) useRule(r *logicalLine) {
	if b.rules++; b.rules > maxBlockRules {
		if b.rules == maxBlockRules+1 {
			failAt(b.table.Lines, r.pattern, fmt.Sprintf("more than %d rules in a table with if or negated patterns", maxBlockRules), "write the table without them")
		}
		return
	}
	var own netipx.IPSetBuilder
	own.AddSet(condition{prefixOf(r.items[0]), b.isNegated}.clients())
	for _, c := range b.conditions {
		own.Intersect(c.clients())
	}
	own.RemoveSet(buildSet(&b.seen))
	set := buildSet(&own)
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
