package listedit

import (
	"fmt"
	"slices"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
	"ehlogate/lists/iptable"
)

// PlanRemove plans to cut the lines that have an entry, which are one as a rule.
func (e *Editor) PlanRemove(list, word, reason string) (*Plan, error) {
	l, err := e.findList(list)
	if err != nil {
		return nil, err
	}
	item, err := ParseEntry(word)
	if err != nil {
		return nil, err
	}
	found, err := e.findEntry(l, &item)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, e.explainAbsent(l, &item)
	}
	file := found[0].file
	if slices.ContainsFunc(found, func(p placed) bool { return p.file != file }) {
		var names []string
		for _, p := range found {
			names = append(names, p.place())
		}
		return nil, fmt.Errorf("%s is in several files of list %q: name one with --file: %s", item, l.Name, joinNames(names))
	}
	p, err := e.plan(l, file, Record{Command: "rm", Reason: reason}, func(text []byte) ([]Hunk, error) {
		return cutHunks(l, file, text, func(p *placed) bool { return isSame(&p.Item, &item) })
	})
	if p != nil {
		p.Subject = item.String()
	}
	return p, err
}

// cutHunks returns what cuts the lines with some entries out of a text.
func cutHunks(l *config.List, file string, text []byte, cut func(*placed) bool) (hunks []Hunk, err error) {
	entries, err := readEntries(l, file, text)
	if err != nil {
		return nil, err
	}
	lines := parseDocument(text).lines
	for i := range entries {
		if p := &entries[i]; cut(p) {
			hunks = append(hunks, Hunk{Line: p.Line, Before: lines[p.Line-1 : p.Line]})
		}
	}
	if len(hunks) == 0 {
		return nil, nothingError("no such entry any more")
	}
	return hunks, nil
}

// explainAbsent returns an error for an entry that a list does not have, and names the entry that matches in its place.
func (e *Editor) explainAbsent(l *config.List, item *iptable.Item) error {
	ps, err := e.loadPolicies("", nil)
	if err != nil {
		return err
	}
	if source := ps.lists[l.Name]; source != nil && !item.Exception {
		c := probe(item)
		if m := source.Lookup(c); m.Status == lists.Matched {
			cover := m.Entry(c.Addr)
			exception := ""
			if item.Kind != iptable.HELO {
				exception = fmt.Sprintf(", or add an exception: ehlogate list add %s '!%s'", l.Name, item)
			}
			return fmt.Errorf("list %q has no entry %s: it is covered by %s; remove that: ehlogate list rm %s '%s'%s", l.Name, item, describeEntry(cover), l.Name, cover.Text, exception)
		}
	}
	return fmt.Errorf("list %q has no entry %s", l.Name, item)
}
