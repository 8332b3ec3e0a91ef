package feed

import (
	"net/netip"
	"strings"

	"go4.org/netipx"

	"ehlogate/lists/diag"
	"ehlogate/lists/listfile"
)

// blocks are the blocks around the present line of a cidr_table(5): if, endif.
type blocks struct {
	*table
	open []condition
	// isNegated is about the pattern that was read last.
	isNegated bool
	// refusesNegated makes negated patterns errors.
	refusesNegated bool
	// reportUnused is called for a word that Postfix does not use.
	reportUnused func(w word, msg, hint string)
}

// condition is the pattern of a rule, or of a block.
type condition struct {
	prefix    netip.Prefix
	isNegated bool
}

// newBlocks makes a table read blocks.
func newBlocks(t *table) *blocks {
	b := &blocks{table: t}
	t.isDirective, t.useDirective, t.pattern = isDirective, b.useDirective, b.parsePattern
	return b
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
		if it, ok := b.parsePattern(w); ok {
			b.open = append(b.open, condition{prefixOf(&it), b.isNegated})
		} else if !b.isNegated || !b.refusesNegated { // which was reported
			failAt(b.Lines, w, "invalid pattern behind if, so Postfix ignores the if", "write if PREFIX, as in if 192.0.2.0/24")
		}
		return
	}
	switch {
	case len(whole.text) > len("endif"):
		failAt(b.Lines, whole, "text behind endif, so Postfix ignores the endif", "write endif alone")
	case len(b.open) == 0:
		b.reportUnused(whole, "endif without if", "remove it")
	default:
		b.open = b.open[:len(b.open)-1]
	}
}

// parsePattern parses a pattern, which may be negated.
func (b *blocks) parsePattern(w word) (it listfile.Item, ok bool) {
	whole := w
	b.isNegated = false
	for w.text != "" && strings.IndexByte("!"+blanks, w.text[0]) >= 0 {
		b.isNegated = b.isNegated != (w.text[0] == '!')
		w = w.withoutFirst(1)
	}
	switch {
	case b.isNegated && b.refusesNegated:
		failAt(b.Lines, whole, "negated pattern", "write the prefixes that are meant, or a rule with DUNNO before 0.0.0.0/0 or ::/0")
		return it, false
	case w.text == "":
		failAt(b.Lines, w, "missing pattern", "write it into the same line")
		return it, false
	}
	return parseCIDRPattern(b.Lines, w)
}

// narrow returns the clients of a prefix that are in all blocks, of which none is negated. ok is false if there are none.
func (b *blocks) narrow(p netip.Prefix) (narrowed netip.Prefix, ok bool) {
	for _, c := range b.open {
		if !c.prefix.Overlaps(p) {
			return p, false
		}
		if c.prefix.Bits() > p.Bits() {
			p = c.prefix
		}
	}
	return p, true
}

// readCIDR reads a cidr_table(5).
//
// There the first rule that matches decides, and in a list the smallest span. But two prefixes are nested or disjoint. So
// both are the same once the rules are left out that Postfix never reaches: those within the prefix of an earlier one. In a
// block, a rule is about the clients of the block alone.
func readCIDR(l *listfile.Lines, f Filtered) {
	t := &table{results: newResults(l, f), isPostfix: true}
	b := newBlocks(t)
	b.refusesNegated, b.reportUnused = true, func(w word, msg, hint string) { skipAt(l, w, msg, hint) }
	var before prefixes
	t.isReached = func(r *logicalLine, _ bool) bool {
		p, ok := b.narrow(prefixOf(&r.item))
		if len(b.open) > 0 {
			r.item.From, r.item.To = p.Addr(), netipx.PrefixLastIP(p)
		}
		return ok && before.add(p)
	}
	t.readRules()
	if len(b.open) > 0 {
		l.Problems.Add(diag.Problem{File: l.Name, Line: l.Line, Msg: "missing endif: the end of the table is missing, or an endif",
			Hint: "fetch it again, or write endif where the block of " + b.open[len(b.open)-1].prefix.String() + " ends"})
	}
}
