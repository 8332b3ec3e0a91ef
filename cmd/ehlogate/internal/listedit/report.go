package listedit

import (
	"fmt"
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
			show(changed, h.Line+shift+i, text)
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
