// Package adopt turns tables of EHLO keywords that operators keep for Postfix into lists with the same answers.
package adopt

import (
	"cmp"
	"net/netip"
	"strings"

	"ehlogate/lists"
	"ehlogate/lists/feed"
)

// List is a list in place of the rules with one result. A client that it matches has that result.
type List struct {
	Name     string
	Suppress bool
	Hide     lists.Keywords
	Entries  []Entry
	Wide     bool // it needs allow_wide
}

// Entry is a line of a list.
type Entry struct {
	Prefix    netip.Prefix
	Exception bool // another rule has the clients
	File      string
	Line      int // of the rule
}

// result is what rules have in common that become one list.
type result struct {
	suppress bool
	hide     lists.Keywords
}

// resultOf returns the result of a rule. One that hides nothing keeps Postfix from hiding smtpd_discard_ehlo_keywords: so
// does silent-discard.
func resultOf(r feed.KeywordRule) result {
	if r.Hide == 0 && !r.Suppress {
		return result{hide: lists.SilentDiscard}
	}
	return result{r.Suppress, r.Hide}
}

// Lists returns the lists for the rules of tables, in the order in which their results appear. prefix is what their names
// begin with.
//
// In the tables the first rule that matches counts, and in a list the smallest network. Of the rules that are reached, both
// are the same one, since networks are nested or disjoint. Each list has the networks of its own rules, and as exceptions
// those within them that are of other rules.
func Lists(rules []feed.KeywordRule, prefix string) []*List {
	var all []*List
	byResult := make(map[result]*List)
	byNetwork := make(map[netip.Prefix]*List, len(rules))
	for _, r := range rules {
		key := resultOf(r)
		l := byResult[key]
		if l == nil {
			l = &List{Name: prefix + nameOf(r), Suppress: key.suppress, Hide: key.hide}
			all, byResult[key] = append(all, l), l
		}
		byNetwork[r.Prefix] = l
		l.Wide = l.Wide || r.Prefix.Bits() < wideBits(r.Prefix)
	}
	for _, r := range rules {
		own := byNetwork[r.Prefix]
		own.add(r, false)
		for l := range listsAround(byNetwork, r.Prefix) {
			if l != own {
				l.add(r, true)
			}
		}
	}
	return all
}

func (l *List) add(r feed.KeywordRule, isException bool) {
	l.Entries = append(l.Entries, Entry{Prefix: r.Prefix, Exception: isException, File: r.File, Line: r.Line})
}

// wideBits returns the length of the widest prefix that needs no allow_wide.
func wideBits(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 8
	}
	return 19
}

// listsAround returns the lists that have a network around p.
func listsAround(byNetwork map[netip.Prefix]*List, p netip.Prefix) map[*List]bool {
	var around map[*List]bool
	for bits := range p.Bits() {
		wider, _ := p.Addr().Prefix(bits)
		if l := byNetwork[wider]; l != nil {
			if around == nil {
				around = make(map[*List]bool)
			}
			around[l] = true
		}
	}
	return around
}

// nameOf returns the end of the name of a list for a rule.
func nameOf(r feed.KeywordRule) string {
	var words []string
	if r.Suppress {
		words = append(words, "starttls")
	}
	for keyword := range (r.Hide &^ lists.SilentDiscard).All() {
		words = append(words, keyword)
	}
	name := cmp.Or(strings.Join(words, "-"), "nothing")
	if r.Hide.Has(lists.SilentDiscard) && len(words) > 0 {
		name += "-silent"
	}
	return name
}
