package mtatest_test

import (
	"fmt"
	"strings"
	"testing"
)

// hideTable returns the table of examples/README.md that says what a server refuses once it hides a keyword: the cells by
// keyword and server.
func hideTable(t *testing.T) map[string]map[string]string {
	t.Helper()
	_, text, _ := strings.Cut(example(t, "README.md"), "## Hide other keywords\n")
	var servers []string
	table := map[string]map[string]string{}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			if len(table) > 0 {
				break
			}
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case cells[0] == "Keyword":
			servers = cells[1:]
		case strings.HasPrefix(cells[0], "-"):
		default:
			for keyword := range strings.FieldsFuncSeq(cells[0], func(r rune) bool { return r == ',' || r == ' ' }) {
				table[keyword] = map[string]string{}
				for i, server := range servers {
					table[keyword][server] = cells[i+1]
				}
			}
		}
	}
	return table
}

// TestHideTable holds the document to what the tests of the servers measure: what is refused, with which code, what is taken,
// and what a server cannot hide.
func TestHideTable(t *testing.T) {
	table := hideTable(t)
	for server, rows := range map[string][]hiding{"Postfix": postfixHides, "Sendmail": sendmailHides, "Exim": eximHides} {
		has := map[string]bool{}
		for _, h := range rows {
			has[h.name()] = true
			cell := table[h.name()][server]
			want := "takes "
			if h.hidden != h.shown {
				want = fmt.Sprintf("(%d)", h.hidden)
			}
			if !strings.Contains(cell, want) || strings.Contains(cell, "cannot") {
				t.Errorf("%s, %s: %q has no %q", server, h.name(), cell, want)
			}
		}
		for keyword, cells := range table {
			if keyword == strings.ToUpper(keyword) && keyword != "STARTTLS" && !has[keyword] && !strings.HasPrefix(cells[server], "cannot hide ") {
				t.Errorf("%s, %s: %q, and no test has that", server, keyword, cells[server])
			}
		}
	}
}
