package doctor

import (
	"fmt"
	"io"
	"strings"

	"ehlogate/lists/printable"
)

// WriteText writes the report for a terminal: the worst findings first, and a count.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, f := range r.Findings {
		b.WriteString(f.text())
	}
	if len(r.Findings) == 0 {
		b.WriteString("nothing found\n")
	} else {
		if strings.Contains(b.String(), "\n        postconf ") {
			b.WriteString("To apply the settings: " + printable.Escape(r.reload) + "\n")
		}
		fmt.Fprintf(&b, "%s, %s, %s\n", countText(r.Count(Hazard), Hazard), countText(r.Count(Warning), Warning), countText(r.Count(Note), Note))
	}
	if r.Judged != "" {
		fmt.Fprintf(&b, "judged: %s\n", printable.Escape(r.Judged))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func countText(n int, s Severity) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, s)
	}
	return fmt.Sprintf("%d %ss", n, s)
}

func (f Finding) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", f.Severity)
	if f.Service != "" {
		fmt.Fprintf(&b, "%s: ", printable.Escape(f.Service))
	}
	fmt.Fprintf(&b, "%s [%s]\n", printable.Escape(f.What), f.ID)
	if f.Parameter != "" {
		fmt.Fprintf(&b, "    %s: %s = %s\n", printable.Escape(f.File), printable.Escape(f.Parameter), printable.Escape(f.Value))
	} else if f.File != "" {
		fmt.Fprintf(&b, "    %s\n", printable.Escape(f.File))
	}
	b.WriteString(wrapText(printable.EscapeExcept(f.Why, "\n"), "    ", 100))
	for _, w := range append([]Write{f.Write}, f.Also...) {
		if len(w.Lines) > 0 {
			verb := "write"
			if w.In == shell {
				verb = "run"
			}
			fmt.Fprintf(&b, "    = %s in %s:\n", verb, printable.Escape(w.In))
		}
		for _, line := range w.Lines {
			fmt.Fprintf(&b, "        %s\n", printable.Escape(line))
		}
	}
	b.WriteString("\n")
	return b.String()
}

func wrapText(text, indent string, width int) string {
	var lines []string
	for word := range strings.FieldsSeq(text) {
		if last := len(lines) - 1; last >= 0 && len(lines[last])+1+len(word) <= width {
			lines[last] += " " + word
		} else {
			lines = append(lines, indent+word)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}
