package listedit

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/listfile"
	"ehlogate/lists/printable"
)

// PlanUndo plans to take an edit back: the one with a number, or if that is 0, the last one that is no undo and was not taken
// back already. To take back an undo, by its number, is to do the edit again.
func (e *Editor) PlanUndo(number int, reason string) (*Plan, error) {
	if e.Config.Edits.Journal == "" {
		return nil, errors.New(`no journal, so that no edit can be taken back: the config has journal = "" in [edits]`)
	}
	all, note, err := e.readJournal()
	if err != nil {
		return nil, err
	}
	h := e.findHistory(all)
	r, err := h.choose(number)
	var p *Plan
	if err == nil {
		p, err = e.planUndo(r, reason)
	}
	if err != nil && r != nil && h.undone[r.Number] == 0 {
		err = fmt.Errorf("%w%s", err, e.advise(h, r))
	}
	if err != nil && note != "" {
		err = fmt.Errorf("%w\n%s", err, note)
	}
	return p, err
}

// findUndo returns the list of an edit to take back.
func (e *Editor) findUndo(r *Record) (*config.List, error) {
	l, err := e.findList(r.List)
	if err != nil {
		return nil, fmt.Errorf("edit %d cannot be taken back: %w", r.Number, err)
	}
	files, err := e.files(l)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(files, r.File) {
		return nil, fmt.Errorf("edit %d cannot be taken back: %s is no longer a file of list %q", r.Number, printable.Escape(r.File), l.Name)
	}
	return l, nil
}

func (e *Editor) planUndo(r *Record, reason string) (*Plan, error) {
	l, err := e.findUndo(r)
	if err != nil {
		return nil, err
	}
	p, err := e.plan(l, r.File, Record{Command: "undo", Undoes: r.Number, Reason: reason}, func(text []byte) ([]Hunk, error) {
		hunks, err := locate(l, r.File, text, invert(r.Hunks))
		if err != nil {
			return nil, fmt.Errorf("edit %d cannot be taken back: %w", r.Number, err)
		}
		return hunks, nil
	})
	if p != nil && len(p.Items) == 1 {
		p.Subject = p.Items[0].String()
	}
	if p != nil && r.Undoes != 0 {
		p.Hint = fmt.Sprintf("edit %d took back edit %d: this puts that one back", r.Number, r.Undoes)
	}
	return p, err
}

// locate returns hunks that were made for another state of a text with the lines that they have now: those that they cut must be
// there, at the same place or else once, and those that they write must not have been written again.
func locate(l *config.List, file string, text []byte, hunks []Hunk) ([]Hunk, error) {
	lines := parseDocument(text).lines
	entries, err := readEntries(l, file, text)
	if err != nil {
		return nil, err
	}
	have := map[condition][]placed{}
	for _, p := range entries {
		have[conditionOf(&p.Item)] = append(have[conditionOf(&p.Item)], p)
	}
	var out []Hunk
	for _, h := range hunks {
		if h.Line, err = findLines(file, lines, h); err != nil {
			return nil, fmt.Errorf("%w%s", err, adviseRemoval(l, h, entries))
		}
		items, err := itemsOf([]Hunk{{After: h.After}}, listfile.Rules{AnyAction: true})
		if err != nil {
			return nil, err
		}
		for i := range items {
			for _, p := range have[conditionOf(&items[i])] {
				if isCut := p.Line >= h.Line && p.Line < h.Line+len(h.Before); !isCut {
					return nil, fmt.Errorf("%s is there again: %s", &items[i], p.describe())
				}
			}
		}
		out = append(out, h)
	}
	slices.SortStableFunc(out, func(a, b Hunk) int { return cmp.Compare(a.Line, b.Line) })
	for i, h := range out[min(1, len(out)):] {
		if before := out[i]; before.Line+len(before.Before) > h.Line {
			return nil, fmt.Errorf("its lines are not where they were: change %s by hand", printable.Escape(file))
		}
	}
	return out, nil
}

// adviseRemoval returns what to do about a line that was changed by hand, but has its entry still; "" for others.
func adviseRemoval(l *config.List, h Hunk, entries []placed) string {
	items, err := itemsOf([]Hunk{{Before: h.Before}}, listfile.Rules{AnyAction: true})
	if err != nil || len(items) != 1 || len(h.After) > 0 {
		return ""
	}
	at := slices.IndexFunc(entries, func(p placed) bool { return isSame(&p.Item, &items[0]) })
	if at < 0 {
		return ""
	}
	return fmt.Sprintf("\n%s has the entry, changed by hand; remove it with: ehlogate list rm %s '%s'", entries[at].place(), l.Name, &items[0])
}

// findLines returns where the lines are that a hunk cuts, or where to insert its lines.
func findLines(file string, lines []string, h Hunk) (line int, err error) {
	n := len(h.Before)
	if n == 0 {
		return max(1, min(h.Line, len(lines)+1)), nil
	}
	isAt := func(line int) bool {
		return line >= 1 && line-1+n <= len(lines) && slices.Equal(lines[line-1:line-1+n], h.Before)
	}
	if isAt(h.Line) {
		return h.Line, nil
	}
	found := 0
	for at := range len(lines) {
		if isAt(at + 1) {
			found++
			line = at + 1
		}
	}
	if found == 1 {
		return line, nil
	}
	why := "not there any more"
	if found > 1 {
		why = fmt.Sprintf("there %d times", found)
	}
	return 0, fmt.Errorf("its line is %s in %s: %s", why, printable.Escape(file), printable.Escape(strings.TrimSpace(h.Before[0])))
}
