package mtatest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// safety is the table.
type safety struct{ cells map[string]outcome }

func newSafety(t *testing.T) *safety {
	s := &safety{map[string]outcome{}}
	t.Cleanup(func() { t.Log("\n" + s.markdown()) })
	tables.Lock()
	defer tables.Unlock()
	tables.all = append(tables.all, s)
	return s
}

func (s *safety) add(from sender, at setting, p promise, o outcome) {
	s.cells[from.name+at.name+p.name] = o
}

// markdown has a row for each sender, and more than one where settings differ.
func (s *safety) markdown() string {
	var b strings.Builder
	b.WriteString("### Which senders get STARTTLS, and which mail arrives\n\n" +
		"TLS: STARTTLS was offered, and the message came by TLS; clear: it was not, and the message came without; **kept**: it was not,\n" +
		"and the sender, to which it was promised, did not send; **fails**: it was, and the handshake failed.\n\n| Sender | Setting |")
	for _, p := range promises {
		fmt.Fprintf(&b, " %s |", p.name)
	}
	fmt.Fprintf(&b, "\n|---|---|%s\n", strings.Repeat("---|", len(promises)))
	for _, from := range senders {
		var rows []string
		names := map[string][]string{}
		for _, at := range allSettings {
			row := ""
			for _, p := range promises {
				row += fmt.Sprintf(" %s |", s.cells[from.name+at.name+p.name])
			}
			if !slices.Contains(rows, row) {
				rows = append(rows, row)
			}
			names[row] = append(names[row], at.name)
		}
		for _, row := range rows {
			fmt.Fprintf(&b, "| %s | %s |%s\n", from.name, strings.Join(names[row], ", "), row)
		}
	}
	return b.String()
}
