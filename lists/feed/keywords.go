package feed

import (
	"io"
	"net/netip"
	"strconv"
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
	t := k.newTable(r, name)
	b := &keywordBlocks{blocks: newBlocks(t), keywords: k}
	b.reportUnused = func(w word, msg, hint string) { k.addUnused(t, w, msg, hint) }
	t.useRule = b.useRule
	t.readRules()
	if len(b.open) > 0 {
		k.addUnused(t, word{"", 0}, "missing endif: the block ends with the table", "write endif")
	}
	return t.Finish()
}

// ReadIndexed reads a table that Postfix looks whole addresses up in: the source of a hash, lmdb or cdb map, postmap(1), or
// a texthash. The error is as that of ReadCIDR.
func (k *KeywordTables) ReadIndexed(r io.Reader, name string) error {
	t := k.newTable(r, name)
	t.pattern = func(w word) (listfile.Item, bool) { return parseAddressKey(t.Lines, w) }
	t.useRule = func(r *logicalLine) { k.usePrefix(t, r, prefixOf(&r.item)) }
	t.readRules()
	return t.Finish()
}

// usePrefix adds a rule for the clients of a prefix if it is reached.
func (k *KeywordTables) usePrefix(t *table, r *logicalLine, p netip.Prefix) (isReached bool) {
	if isReached = k.before.add(p); isReached {
		k.addRule(t, r, p)
	} else {
		k.addNeverReached(t, r)
	}
	return isReached
}

// newTable returns a table that reads r, and of which all rules are used.
func (k *KeywordTables) newTable(r io.Reader, name string) *table {
	l := listfile.NewLines(r, name, listfile.Rules{AnyAction: true, Findings: &k.Findings}, func(*listfile.Item) error { return nil })
	l.Whole = true // Postfix, too, reads a last line without its end
	return &table{results: newResults(l, Filtered{}), isPostfix: true, isReached: func(*logicalLine, bool) bool { return true }}
}

// addRule adds a rule, for the clients in prefixes.
func (k *KeywordTables) addRule(t *table, r *logicalLine, prefixes ...netip.Prefix) {
	rule := KeywordRule{File: t.Name, Line: r.line}
	var unknown []string
	for _, w := range splitWords(strings.ToLower(r.result.text), ',') {
		keyword, err := lists.ParseKeyword(w)
		if rule.Suppress = rule.Suppress || w == "starttls"; w != "starttls" && err != nil {
			unknown = append(unknown, strconv.Quote(w))
		}
		rule.Hide |= keyword
	}
	switch {
	case strings.Contains(r.result.text, "#"):
		k.addUnused(t, r.result, "comment behind a result, which Postfix reads as keywords", "write it into a line of its own")
	case len(unknown) > 0:
		k.addUnused(t, r.result, "unknown EHLO keyword "+strings.Join(unknown, ", ")+", which Postfix ignores", "remove it, or correct it")
	}
	for _, rule.Prefix = range prefixes {
		k.Rules = append(k.Rules, rule)
	}
	t.Yield(&r.item)
}

func (k *KeywordTables) addNeverReached(t *table, r *logicalLine) {
	k.addUnused(t, r.pattern, r.pattern.text+" is never reached: a rule before it has these clients", "remove it, or put it before that rule")
}

// addUnused reports a word of the present line that Postfix does not use.
func (k *KeywordTables) addUnused(t *table, w word, msg, hint string) {
	k.Unused.Add(diag.Problem{File: t.Name, Line: t.Line, Col: w.at + 1, Width: len(w.text), Text: string(t.Text), Msg: msg, Hint: hint})
}

// parseAddressKey parses a key of a table of whole addresses. Postfix looks IPv6 addresses up in their shortest spelling,
// and never a network.
func parseAddressKey(l *listfile.Lines, w word) (it listfile.Item, ok bool) {
	from, to, err := parseNetwork(w.text)
	switch {
	case err != nil:
		skipSyntax(l, w, err, "")
	case from != to:
		skipAt(l, w, "a network, which a table of this type never matches", "use a cidr table in Postfix, or remove the line")
	case !strings.EqualFold(from.String(), w.text):
		skipAt(l, w, "address that Postfix spells in another way, so the line never matches", "write "+from.String()+", or remove the line")
	default:
		return *newSpan(w, from, to), true
	}
	return it, false
}
