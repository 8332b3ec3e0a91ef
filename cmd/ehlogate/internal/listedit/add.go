package listedit

import (
	"fmt"
	"slices"
	"strings"

	"go4.org/netipx"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/edit"
	"ehlogate/lists"
	"ehlogate/lists/iptable"
	"ehlogate/lists/listfile"
)

// PlanAdd plans a new entry of a list: a line at the end of its file. A line that has the entry already, and ends earlier,
// is changed instead. attribute is what Expiry returned.
func (e *Editor) PlanAdd(list, word, attribute, reason string) (*Plan, error) {
	l, err := e.findList(list)
	if err != nil {
		return nil, err
	}
	item, wrong := ParseEntry(word)
	if wrong == nil {
		item, wrong = parseLine(word + " " + attribute)
	}
	if err := checkEntry(l, formatLine(word, attribute, e.note(reason)), wrong); err != nil {
		return nil, err
	}
	if err := e.checkExpiry(attribute, &item); err != nil {
		return nil, err
	}
	file, err := e.fileOf(l, &item)
	if err != nil {
		return nil, err
	}
	p, err := e.plan(l, file, Record{Command: "add", Reason: reason}, func(text []byte) ([]Hunk, error) {
		return e.addHunks(l, file, text, &item, word, attribute, reason)
	})
	if err != nil || p.Nothing != "" {
		return p, err
	}
	p.Subject = item.String()
	p.Nothing = p.policies.findCover(l, &item)
	return p, nil
}

// checkEntry returns the error of a line as the daemon would show it, if it has one; else wrong. The line is in no file.
func checkEntry(l *config.List, line string, wrong error) error {
	if err := edit.CheckText(commandLine, l.Spec.Rules, []byte(line+"\n")); err != nil {
		return fmt.Errorf("nothing was changed:\n%w", err)
	}
	return wrong
}

// checkExpiry refuses an entry that has expired already.
func (e *Editor) checkExpiry(attribute string, item *iptable.Item) error {
	if item.Expired(e.Clock()) {
		return fmt.Errorf("nothing was changed: %s is over: write a later date", strings.TrimPrefix(attribute, "until="))
	}
	return nil
}

func parseLine(line string) (item iptable.Item, err error) {
	items, err := itemsOf([]Hunk{{After: []string{line}}}, listfile.Rules{AnyAction: true})
	if err == nil && len(items) == 1 {
		item = items[0]
	}
	return item, err
}

// fileOf returns the file of a list that has an entry, or that a new one goes into.
func (e *Editor) fileOf(l *config.List, item *iptable.Item) (string, error) {
	found, err := e.findEntry(l, item)
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return found[len(found)-1].file, nil
	}
	return e.chooseFile(l)
}

// findEntry returns where a list has an entry.
func (e *Editor) findEntry(l *config.List, item *iptable.Item) (found []placed, err error) {
	names, err := e.files(l)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := readList(name)
		if err != nil {
			return nil, err
		}
		entries, err := readEntries(l, name, text)
		if err != nil {
			return nil, e.explainBroken(l, name, err)
		}
		found = append(found, slices.DeleteFunc(entries, func(p placed) bool { return !isSame(&p.Item, item) })...)
	}
	return found, nil
}

// addHunks returns what adds an entry to a text.
func (e *Editor) addHunks(l *config.List, file string, text []byte, item *iptable.Item, word, attribute, reason string) ([]Hunk, error) {
	entries, err := readEntries(l, file, text)
	if err != nil {
		return nil, err
	}
	lines := parseDocument(text).lines
	opposite := *item
	opposite.Exception = !item.Exception
	for _, have := range slices.Backward(entries) {
		switch {
		case isSame(&have.Item, item) && lastsAsLong(have.Until, item.Until):
			there := "already there: " + have.describe()
			if !lastsAsLong(item.Until, have.Until) {
				there += fmt.Sprintf("; to end it earlier: ehlogate list rm %s '%s', then list add again", l.Name, item)
			}
			return nil, nothingError(there)
		case isSame(&have.Item, item):
			note := have.Note
			if reason != "" || note == "" {
				note = e.note(reason)
			}
			return []Hunk{{have.Line, lines[have.Line-1 : have.Line], []string{formatLine(word, attribute, note) + lineEnd(text)}}}, nil
		case isSame(&have.Item, &opposite) && lastsAsLong(have.Until, e.Clock()) && !item.Exception:
			return nil, fmt.Errorf("%s has the exception %s, which wins: remove it first: ehlogate list rm %s '%s'", have.place(), have.Item, l.Name, have.Item)
		}
	}
	return []Hunk{{len(lines) + 1, nil, []string{formatLine(word, attribute, e.note(reason)) + lineEnd(text)}}}, nil
}

// describe returns the place and the text of an entry, and when it ends.
func (p *placed) describe() string {
	return describeEntry(lists.Entry{File: p.file, Line: p.Line, Text: p.Item.String(), Until: p.Until})
}

func describeEntry(e lists.Entry) string {
	text := Place(e.File, e.Line) + ", " + e.Text
	if !e.Until.IsZero() {
		text += ", " + describeUntil(e.Until)
	}
	return text
}

// findCover returns which entry makes a new one superfluous; "" if none does.
func (ps *policies) findCover(l *config.List, item *iptable.Item) string {
	source := ps.lists[l.Name]
	if source == nil || source.Table() == nil {
		return ""
	}
	want := lists.Matched
	if item.Exception {
		want = lists.Exception
	}
	var cover lists.Entry
	covers := func(c lists.Client) bool {
		m := source.Lookup(c)
		cover = m.Entry(c.Addr)
		return m.Status == want && lastsAsLong(cover.Until, item.Until)
	}
	if item.Kind != iptable.Address {
		if !covers(probe(item)) {
			return ""
		}
		return "already covered by " + describeEntry(cover)
	}
	whole := []netipx.IPRange{netipx.IPRangeFrom(item.From, item.To)}
	for r := range cutRanges(whole, source.Table().Boundaries()) {
		if !covers(lists.Client{Addr: r.From()}) {
			return ""
		}
	}
	return "already covered by " + describeEntry(cover)
}
