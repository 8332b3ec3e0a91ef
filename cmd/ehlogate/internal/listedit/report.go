package listedit

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ehlogate/lists/printable"
)

// maxLines is how many lines of an edit are shown.
const maxLines = 20

// Preview returns what a plan would write.
func (p *Plan) Preview() string {
	return describeHunks(p.file, p.Hunks, "would cut", "would write", "would change")
}

// Done returns what an edit wrote.
func (r Record) Done() string { return describeHunks(r.File, r.Hunks, "cut", "wrote", "changed") }

// describeHunks returns the lines that hunks cut, write and change, with their places: of what is cut in the text before,
// of the others in the text after.
func describeHunks(file string, hunks []Hunk, cut, wrote, changed string) string {
	var b strings.Builder
	shown, all, shift := 0, 0, 0
	show := func(verb string, line int, text string) {
		if all++; shown < maxLines {
			shown++
			fmt.Fprintf(&b, "%s %s: %s\n", verb, Place(file, line), printable.Escape(strings.TrimSuffix(text, "\r")))
		}
	}
	for _, h := range hunks {
		both := min(len(h.Before), len(h.After))
		for i, text := range h.After[:both] {
			show(changed, h.Line+shift+i, fmt.Sprintf("%s  (was: %s)", strings.TrimSuffix(text, "\r"), strings.TrimSuffix(h.Before[i], "\r")))
		}
		for i, text := range h.Before[both:] {
			show(cut, h.Line+both+i, text)
		}
		for i, text := range h.After[both:] {
			show(wrote, h.Line+shift+both+i, text)
		}
		shift += len(h.After) - len(h.Before)
	}
	if all > shown {
		fmt.Fprintf(&b, "and %d other lines\n", all-shown)
	}
	return b.String()
}

// Log is a part of the journal. Its JSON is documented in ehlogate(8).
type Log struct {
	Edits []Record `json:"edits"` // the first one first
	Note  string   `json:"-"`     // for the operator: what was left out; "": nothing
}

// ReadLog returns the last edits of a list, or of all if list is "". most bounds their number; 0: all.
func (e *Editor) ReadLog(list string, most int) (Log, error) {
	if e.Config.Edits.Journal == "" {
		return Log{}, errors.New(`no journal: the config has journal = "" in [edits]`)
	}
	all, note, err := e.readJournal()
	if err != nil {
		return Log{}, err
	}
	if list != "" && !slices.ContainsFunc(all, func(r Record) bool { return r.List == list }) { // it may be one of the past
		if _, err := e.findList(list); err != nil {
			return Log{}, err
		}
	}
	if list != "" {
		all = slices.DeleteFunc(all, func(r Record) bool { return r.List != list })
	}
	if most > 0 {
		all = all[max(0, len(all)-most):]
	}
	return Log{Edits: append([]Record{}, all...), Note: note}, nil
}

// readJournal returns the edits in the journal. note says how many of its lines are left out; "": none.
func (e *Editor) readJournal() (all []Record, note string, err error) {
	path := e.Config.Edits.Journal
	all, invalid, err := Journal{path}.readAll()
	if invalid > 0 {
		note = fmt.Sprintf("%s: %s left out, as after a crash", printable.Escape(path), plural(invalid, "invalid line is", "invalid lines are"))
	}
	return all, note, err
}

// Text returns the edits in lines.
func (l Log) Text() string {
	if len(l.Edits) == 0 {
		return "no edit is noted\n"
	}
	var b strings.Builder
	for _, r := range l.Edits {
		fmt.Fprintf(&b, "%d  %s  %s  %s %s", r.Number, r.Time.Local().Format("2006-01-02 15:04"), printable.Escape(r.User), printable.Escape(r.Command), printable.Escape(r.List))
		if r.Undoes != 0 {
			fmt.Fprintf(&b, ", takes back %d", r.Undoes)
		}
		if r.Reason != "" {
			fmt.Fprintf(&b, "  (%s)", printable.Escape(r.Reason))
		}
		b.WriteString("\n")
		if len(r.Hunks) == 0 {
			fmt.Fprintf(&b, "    %s: cut %d lines, wrote %d\n", printable.Escape(r.File), r.Cut, r.Added)
		}
		for line := range strings.Lines(r.Done()) {
			b.WriteString("    " + line)
		}
	}
	return b.String()
}
