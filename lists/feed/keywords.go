package feed

import (
	"io"
	"net/netip"
	"strings"

	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/listfile"
)

// KeywordRule is a rule of a table for smtpd_discard_ehlo_keyword_address_maps of postconf(5).
type KeywordRule struct {
	Prefix   netip.Prefix
	Suppress bool           // it hides STARTTLS
	Hide     lists.Keywords // the other keywords that it hides; 0: none
	File     string
	Line     int
}

// KeywordTables are tables that Postfix searches one after the other. The rules that it never reaches are left out.
type KeywordTables struct {
	Rules    []KeywordRule
	Findings listfile.Findings // lines that Postfix skips
	Unused   diag.Problems     // rules that it never reaches, and words that are no keywords to it

	before prefixes
}

// ReadCIDR reads a cidr_table(5). The error is a *diag.Problems, or one of reading.
func (k *KeywordTables) ReadCIDR(r io.Reader, name string) error {
	return k.read(r, name, parseCIDRPattern)
}

// ReadIndexed reads a table that Postfix looks whole addresses up in: the source of a hash, lmdb or cdb map, postmap(1), or
// a texthash. The error is as that of ReadCIDR.
func (k *KeywordTables) ReadIndexed(r io.Reader, name string) error {
	return k.read(r, name, parseAddressKey)
}

func (k *KeywordTables) read(r io.Reader, name string, pattern func(*listfile.Lines, word) []*listfile.Item) error {
	l := listfile.NewLines(r, name, listfile.Rules{AnyAction: true, Findings: &k.Findings}, func(*listfile.Item) error { return nil })
	l.Whole = true // Postfix, too, reads a last line without its end
	t := table{results: newResults(l, Filtered{}), isPostfix: true}
	t.pattern = func(w word) []*listfile.Item { return pattern(l, w) }
	t.isReached = func(r *logicalLine, _ bool) bool {
		if k.before.add(prefixOf(r.items[0])) {
			return true
		}
		k.addUnused(l, r.pattern, r.pattern.text+" is never reached: a rule before it has these clients", "remove it, or put it before that rule")
		return false
	}
	t.useRule = func(r *logicalLine) {
		rule := KeywordRule{Prefix: prefixOf(r.items[0]), File: name, Line: r.line}
		for _, w := range splitWords(strings.ToLower(r.result.text), ',') {
			keyword, err := lists.ParseKeyword(w)
			switch {
			case w == "starttls":
				rule.Suppress = true
			case err != nil:
				k.addUnused(l, r.result, err.Error()+", which Postfix ignores", "remove it, or correct it")
			}
			rule.Hide |= keyword
		}
		k.Rules = append(k.Rules, rule)
		t.Yield(r.items[0])
	}
	t.readRules()
	return l.Finish()
}

// addUnused reports a word of the present line that Postfix does not use.
func (k *KeywordTables) addUnused(l *listfile.Lines, w word, msg, hint string) {
	k.Unused.Add(diag.Problem{File: l.Name, Line: l.Line, Col: w.at + 1, Width: len(w.text), Text: string(l.Text), Msg: msg, Hint: hint})
}

// parseAddressKey parses a key of a table of whole addresses. Postfix looks IPv6 addresses up in their shortest spelling,
// and never a network.
func parseAddressKey(l *listfile.Lines, w word) []*listfile.Item {
	from, to, err := parseNetwork(w.text)
	switch {
	case err != nil:
		skipSyntax(l, w, err, "")
	case from != to:
		skipAt(l, w, "a network, which a table of this type never matches", "use a cidr table in Postfix, or remove the line")
	case !strings.EqualFold(from.String(), w.text):
		skipAt(l, w, "address that Postfix spells in another way, so the line never matches", "write "+from.String()+", or remove the line")
	default:
		return []*listfile.Item{newSpan(w, from, to)}
	}
	return nil
}
