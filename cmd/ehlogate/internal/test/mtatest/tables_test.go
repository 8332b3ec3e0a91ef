package mtatest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
)

// row is one line of a table of measured faults.
type row struct {
	variant, fault, note string
	clients              int // at a time
	tally                mtatest.Tally
}

// table collects the rows of one test, for its log and for the documentation.
type table struct {
	heading string

	mu   sync.Mutex
	rows []row
}

// tables holds all tables of this run, in the order in which tests made them.
var tables struct {
	sync.Mutex
	all []interface{ markdown() string }
}

// newTable makes a table that is logged at the end of the test.
func newTable(t *testing.T, heading string) *table {
	tab := &table{heading: heading}
	t.Cleanup(func() { t.Log("\n" + tab.markdown()) })
	tables.Lock()
	defer tables.Unlock()
	tables.all = append(tables.all, tab)
	return tab
}

func (t *table) add(r row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
}

// markdown returns the table; rows of one variant are together, otherwise in the order in which they were added.
func (t *table) markdown() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.SortStableFunc(t.rows, func(a, b row) int { return strings.Compare(a.variant, b.variant) })
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", t.heading)
	b.WriteString("| Queried through | ehlogate is | Clients at a time | Sessions | Right | By the backup | Wrong | No proper EHLO reply | Longest wait for it | |\n")
	b.WriteString("|---|---|---:|---:|---:|---:|---:|---:|---:|---|\n")
	for _, r := range t.rows {
		longest := "-"
		if r.tally.Max > 0 {
			longest = fmt.Sprintf("%.2f s", r.tally.Max.Seconds())
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %d | %d | %s | %s |\n", r.variant, r.fault, r.clients, r.tally.Sessions,
			r.tally.Right, r.tally.Backup, r.tally.Wrong, r.tally.Unanswered, longest, r.note)
	}
	return b.String()
}

// titles are the headings of the documents that make writes, by the name of the file.
var titles = map[string]string{
	"FAULTS.md":         "What clients see during faults",
	"EDITS.md":          "How long an edit of a list takes to come in force",
	"CONFIGURATIONS.md": "What doctor says about configurations, and what the mail server does",
	"CLASSES.md":        "What mail logs say of the ways in which TLS fails",
	"SAFETY.md":         "Which senders are offered STARTTLS, and whose mail arrives",
}

// writeTables writes all tables as Markdown to path, if there is a path.
func writeTables(path string) error {
	if path == "" {
		return nil
	}
	name := filepath.Base(path)
	text := []string{fmt.Sprintf("# %s\n\nWritten by `make %s` on %s. Do not edit.\n", titles[name],
		strings.ToLower(strings.TrimSuffix(name, ".md")), time.Now().Format(time.DateOnly))}
	tables.Lock()
	defer tables.Unlock()
	for _, t := range tables.all {
		text = append(text, t.markdown())
	}
	slices.Sort(text[1:]) // by heading
	if err := os.WriteFile(path, []byte(strings.Join(text, "\n")), 0o644); err != nil {
		return fmt.Errorf("writing the measured tables: %w", err)
	}
	return nil
}
